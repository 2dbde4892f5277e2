//! The sender's reaction to every code that a partition of a produce answer may bear.

use std::time::Duration;

use super::rig::{Config, Rig, failure, is_pending, millis, offset};
use super::wire::Reply;
use super::world::TOPIC;
use crate::delivery::Delivery;
use crate::error::{DeliveryErrorKind, Persisted};
use crate::protocol::ErrorCode;

use self::Reaction::{Deliver, Fail, Heal, Retry, Split};

/// What the sender does with a batch of two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaction {
    Deliver,
    Fail,
    /// Sends it again in a new epoch, from sequence number 0.
    Heal,
    /// Sends the same bytes again after the backoff.
    Retry,
    /// Sends it in pieces.
    Split,
}

/// What Kafka 4.4's own producer does: code, without idempotence, with it, and whether it asks for metadata.
///
/// Three deviations: with idempotence Java fails the batch that gets `INVALID_PRODUCER_EPOCH` and begins a new epoch for
/// those behind it, and it has `UNKNOWN_PRODUCER_ID` heal only if the broker tells where its log starts. And it fails a batch
/// as a whole for a record that the broker does not name (18, 32, 87).
const TABLE: [(i16, Reaction, Reaction, bool); 62] = [
    (-1, Fail, Fail, false),
    (1, Fail, Fail, false),
    (2, Retry, Retry, false),
    (3, Retry, Retry, true),
    (4, Fail, Fail, false),
    (5, Retry, Retry, true),
    (6, Retry, Retry, true),
    (7, Retry, Retry, false),
    (9, Retry, Retry, true),
    (10, Split, Split, false),
    (13, Retry, Retry, true),
    (14, Retry, Retry, false),
    (15, Retry, Retry, false),
    (16, Retry, Retry, false),
    (17, Fail, Fail, false),
    (18, Split, Split, false),
    (19, Retry, Retry, false),
    (20, Retry, Retry, false),
    (21, Fail, Fail, false),
    (29, Fail, Fail, false),
    (31, Fail, Fail, false),
    (32, Split, Split, false),
    (35, Fail, Fail, false),
    (41, Retry, Retry, false),
    (42, Fail, Fail, false),
    (43, Fail, Fail, false),
    (44, Fail, Fail, false),
    (45, Fail, Heal, false),
    (46, Deliver, Deliver, false),
    (47, Fail, Heal, false),
    (48, Fail, Fail, false),
    (49, Fail, Fail, false),
    (51, Retry, Retry, false),
    (53, Fail, Fail, false),
    (56, Retry, Retry, true),
    (59, Fail, Heal, false),
    (70, Retry, Retry, false),
    (71, Retry, Retry, false),
    (72, Retry, Retry, true),
    (74, Retry, Retry, true),
    (75, Retry, Retry, false),
    (76, Fail, Fail, false),
    (78, Retry, Retry, false),
    (80, Retry, Retry, true),
    (83, Retry, Retry, true),
    (84, Retry, Retry, true),
    (87, Split, Split, false),
    (88, Retry, Retry, false),
    (89, Retry, Retry, false),
    (90, Fail, Fail, false),
    (100, Retry, Retry, true),
    (103, Retry, Retry, true),
    (106, Retry, Retry, false),
    (120, Fail, Fail, false),
    (122, Retry, Retry, false),
    (123, Retry, Retry, false),
    (133, Retry, Retry, false),
    // Codes of the future.
    (134, Fail, Fail, false),
    (999, Fail, Fail, false),
    (-2, Fail, Fail, false),
    (i16::MAX, Fail, Fail, false),
    (i16::MIN, Fail, Fail, false),
];

fn config(is_idempotent: bool) -> Config {
    let max_outstanding = if is_idempotent { 5 } else { 1 };
    Config { linger: millis(5), is_idempotent, max_outstanding, ..Config::default() }
}

/// A sender that has written one record, long enough ago for it to ask for metadata at once.
fn rig(config: Config) -> Rig {
    let mut rig = Rig::new(config);
    drop(rig.append(0, "first"));
    rig.advance(millis(5));
    rig.acknowledge_all();
    rig.advance(Duration::from_secs(2));
    rig
}

fn send(rig: &mut Rig) -> [Delivery; 2] {
    let deliveries = ["a", "b"].map(|value| rig.append(0, value));
    rig.advance(millis(5));
    deliveries
}

/// Answers the first attempt with this code, and serves those that follow.
fn reaction(code: i16, is_idempotent: bool) -> (Reaction, bool) {
    let mut rig = rig(config(is_idempotent));
    let deliveries = send(&mut rig);
    let request = rig.request();
    let before = rig.metadata_requests.len();

    rig.reply(&request, &Reply::error(code));
    let asks = rig.metadata_requests.len() > before;

    let reaction = if !is_pending(&deliveries[0]) {
        match deliveries[0].try_result() {
            Some(Ok(_)) => Deliver,
            _ => Fail,
        }
    } else {
        if rig.received.is_empty() {
            rig.advance(millis(100));
        }
        let first = &rig.received[0].batches[0];
        let (old, new) = (&request.batches[0].identity, &first.identity);
        match first.records.len() {
            1 => Split,
            _ if new == old => Retry,
            _ => {
                assert_eq!((new.id, new.epoch, new.sequence), (old.id, old.epoch + 1, 0));
                Heal
            }
        }
    };
    rig.acknowledge_all();
    for delivery in &deliveries {
        assert_eq!(matches!(delivery.try_result(), Some(Ok(_))), reaction != Fail, "{code}");
    }
    let log = rig.world.log(0);
    let wrote = !matches!(reaction, Deliver | Fail);
    assert_eq!(log, if wrote { &["first", "a", "b"][..] } else { &["first"] }, "{code}");
    assert!(rig.is_clean());
    (reaction, asks)
}

#[test]
fn every_code_gets_the_reaction_that_it_gets_from_java() {
    for (code, plain, idempotent, asks) in TABLE {
        assert_eq!(reaction(code, false), (plain, asks), "{code} without idempotence");
        assert_eq!(reaction(code, true), (idempotent, asks), "{code} with idempotence");
    }
}

/// A code that is final for one batch is not for the next, not even those that end Java's producer.
#[test]
fn no_code_ends_the_producer() {
    for (code, ..) in TABLE.iter().filter(|(_, _, reaction, _)| *reaction == Fail) {
        let mut rig = rig(config(true));
        let failed = send(&mut rig);
        let request = rig.request();
        rig.reply(&request, &Reply::error(*code));

        let next = send(&mut rig);
        rig.acknowledge_all();
        rig.advance(millis(100));
        rig.acknowledge_all();

        assert!(next.iter().all(|delivery| offset(delivery).is_some()), "{code}");
        assert_eq!(rig.world.log(0), ["first", "a", "b"], "{code}");
        let error = failure(&failed[1]);
        let is_code = matches!(error.kind(), DeliveryErrorKind::Broker { code: told, .. } if told == ErrorCode::from(*code));
        assert!(is_code && rig.is_clean(), "{error:?}");
    }
}

#[test]
fn hints_count_with_the_codes_about_the_leader_only() {
    for (code, counts) in [(6, true), (74, true), (3, false), (19, false), (56, false)] {
        let mut rig = rig(config(true));
        rig.put(1, "warm up node 2");
        rig.advance(millis(5));
        rig.acknowledge_all();
        rig.answers_metadata = false;
        let deliveries = send(&mut rig);
        let request = rig.request();

        rig.world.lead(0, 2);
        rig.reply(&request, &Reply { leader: Some((2, 6)), ..Reply::error(code) });

        let nodes: Vec<_> = rig.received.iter().map(|request| request.node).collect();
        assert_eq!(nodes, if counts { &[2][..] } else { &[] }, "{code}");
        assert!(deliveries.iter().all(is_pending));
    }
}

/// Up to version 5 the broker itself has waited by then (KIP-219).
#[test]
fn throttle_mutes_the_node_from_version_6_on() {
    for (version, mutes) in [(5, false), (6, true), (13, true)] {
        let mut rig = rig(Config { produce_versions: (3, version), ..config(true) });
        drop(send(&mut rig));
        let request = rig.request();
        rig.reply_with(&request, &[(TOPIC.to_owned(), 0, Reply::ok(1))], 3000);

        drop(send(&mut rig));

        assert_eq!(rig.received.is_empty(), mutes, "{version}");
        rig.advance(millis(3000));
        assert_eq!(rig.request().records(), ["a", "b"]);
    }
}

/// From version 13 on topics have only their ids.
#[test]
fn answer_for_another_topic_id_counts_as_none() {
    let mut rig = rig(config(true));
    let deliveries = send(&mut rig);
    let request = rig.request();

    let stranger = format!("#{}", u128::from_be_bytes([9; 16]));
    rig.reply_with(&request, &[(stranger, 0, Reply::error(29))], 0);

    assert!(deliveries.iter().all(is_pending));
    assert!(!rig.connections.contains_key(&request.connection));
    rig.advance(millis(1000));
    let again = rig.request();
    assert_eq!(again.batches, request.batches);
    rig.acknowledge(&again);
    assert_eq!(deliveries.map(|delivery| offset(&delivery)), [Some(1), Some(2)]);
}

/// Without retries the records fail, in doubt, and at once.
#[test]
fn answer_that_leaves_a_batch_out_leaves_doubt() {
    let mut rig = rig(Config { retries: 0, ..config(false) });
    let deliveries = send(&mut rig);
    let request = rig.request();

    rig.reply_with(&request, &[], 0);

    assert!(deliveries.iter().all(|delivery| failure(delivery).persisted() == Persisted::Maybe));
    assert!(!rig.connections.contains_key(&request.connection) && rig.is_clean());
}
