//! Batches of which the broker refuses some records by name (KIP-467).

use super::rig::{Config, Received, Rig, failure, is_pending, millis, offset};
use super::wire::Reply;
use crate::config::Compression;
use crate::delivery::Delivery;
use crate::error::{DeliveryErrorKind, Disposition, Persisted};
use crate::protocol::ErrorCode;

fn idempotent() -> Config {
    Config { linger: millis(5), is_idempotent: true, max_outstanding: 5, ..Config::default() }
}

fn plain() -> Config {
    Config { linger: millis(5), ..Config::default() }
}

/// Has records sent as one batch.
fn send(rig: &mut Rig, values: &[&str]) -> Vec<Delivery> {
    let deliveries = values.iter().map(|value| rig.append(0, value)).collect();
    rig.advance(millis(5));
    assert_eq!(rig.received.back().unwrap().records(), values);
    deliveries
}

/// An idempotent producer may have several batches under way only once it has written one.
fn warm_up(rig: &mut Rig) {
    drop(rig.append(0, "warm-up"));
    rig.advance(millis(5));
    rig.acknowledge_all();
}

/// Refuses these records.
fn refuse(rig: &mut Rig, request: &Received, culprits: &[(i32, Option<&'static str>)]) {
    let record_errors = culprits.to_vec();
    rig.reply(request, &Reply { message: Some("of the batch"), record_errors, ..Reply::error(87) });
}

fn message(delivery: &Delivery) -> String {
    match failure(delivery).kind() {
        DeliveryErrorKind::Broker { code: ErrorCode::InvalidRecord, message } => message.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn innocent_records_are_sent_again_without_the_culprits() {
    for config in [plain(), idempotent(), Config { compression: Compression::Lz4, ..idempotent() }] {
        let mut rig = Rig::new(config);
        let deliveries = send(&mut rig, &["a", "b", "c", "d", "e"]);
        let request = rig.request();

        refuse(&mut rig, &request, &[(3, None), (1, Some("no key"))]);

        let again = rig.request();
        assert_eq!(again.records(), ["a", "c", "e"]);
        assert!(is_pending(&deliveries[0]) && !is_pending(&deliveries[1]));
        rig.acknowledge(&again);
        assert_eq!([0, 2, 4].map(|at| offset(&deliveries[at])), [Some(0), Some(1), Some(2)]);
        assert_eq!([1, 3].map(|at| message(&deliveries[at])), ["no key", "of the batch"]);
        for (at, value) in [(1, "b"), (3, "d")] {
            let error = failure(&deliveries[at]);
            assert_eq!(
                (error.persisted(), error.record().unwrap().value.unwrap()),
                (Persisted::No, value.into())
            );
        }
        assert_eq!(rig.world.log(0), ["a", "c", "e"]);
        let counters = &rig.counters;
        assert_eq!((counters.records_delivered.value(), counters.record_errors.value()), (3, 2));
        assert!(rig.is_clean());
    }
}

/// The number of the refused batch will never come, so those behind it, which brokers refuse for that, and the innocent
/// records all go in a new epoch, in their old order.
#[test]
fn innocent_records_stay_before_the_batches_that_were_under_way_behind_them() {
    let mut rig = Rig::new(idempotent());
    warm_up(&mut rig);
    let first = send(&mut rig, &["a", "b"]);
    let second = send(&mut rig, &["c"]);
    let third = send(&mut rig, &["d", "e"]);
    assert_eq!(rig.received.len(), 3);
    let requests: Vec<_> = rig.received.drain(..).collect();

    refuse(&mut rig, &requests[0], &[(0, None)]);
    assert!(rig.received.is_empty(), "what is under way behind it must be answered first");
    rig.acknowledge(&requests[1]);
    rig.acknowledge(&requests[2]);
    rig.advance(millis(100));
    let again = rig.request();
    assert_eq!(again.records(), ["b"]);
    assert_eq!((again.batches[0].identity.epoch, again.batches[0].identity.sequence), (1, 0));
    rig.acknowledge(&again);
    rig.acknowledge_all();

    assert_eq!(rig.world.log(0), ["warm-up", "b", "c", "d", "e"]);
    assert_eq!(message(&first[0]), "of the batch");
    let offsets = [&first[1], &second[0], &third[0], &third[1]].map(offset);
    assert_eq!(offsets, [1, 2, 3, 4].map(Some));
    assert!(rig.is_clean());
}

/// A broker that has forgotten the producer takes any first number, so it may refuse the older of two batches and write the
/// younger. What is innocent of the older one comes too late then.
#[test]
fn innocent_records_fail_if_a_younger_batch_was_written_meanwhile() {
    let mut rig = Rig::new(idempotent());
    warm_up(&mut rig);
    let first = send(&mut rig, &["a", "b"]);
    let second = send(&mut rig, &["c"]);
    let requests: Vec<_> = rig.received.drain(..).collect();
    rig.world.forget_producers(0);

    refuse(&mut rig, &requests[0], &[(0, None)]);
    rig.acknowledge(&requests[1]);
    rig.advance(millis(100));
    rig.acknowledge_all();
    let later = send(&mut rig, &["d"]);
    rig.acknowledge_all();

    assert_eq!(rig.world.log(0), ["warm-up", "c", "d"]);
    assert_eq!(message(&first[0]), "of the batch");
    let error = failure(&first[1]);
    assert_eq!((error.error_code(), error.persisted()), (None, Persisted::No));
    assert_eq!(error.disposition(), Disposition::RetryLater, "nothing is wrong with this one");
    assert_eq!([&second[0], &later[0]].map(offset), [Some(1), Some(2)]);
    assert!(rig.is_clean());
}

/// Serves what comes as a broker that refuses every batch with a culprit in it. Returns the requests that it took.
fn serve_without(rig: &mut Rig, code: i16, culprits: &[&str]) -> usize {
    let mut requests = 0;
    for _ in 0..200 {
        while let Some(request) = rig.received.pop_front() {
            requests += 1;
            if request.records().iter().any(|record| culprits.contains(record)) {
                rig.reply(&request, &Reply { message: Some("of the batch"), ..Reply::error(code) });
            } else {
                rig.acknowledge(&request);
            }
        }
        rig.advance(millis(10));
    }
    requests
}

/// Kafka 1.0.2, and other brokers, name no record: CORRUPT_MESSAGE, INVALID_TIMESTAMP, INVALID_RECORD, RECORD_LIST_TOO_LARGE.
#[test]
fn culprit_that_the_broker_does_not_name_is_found_by_halving() {
    let compressed = Config { compression: Compression::Lz4, ..idempotent() };
    for config in [plain(), idempotent(), compressed, Config { retries: 1, ..idempotent() }] {
        for code in [2, 18, 32, 87] {
            let mut rig = Rig::new(config.clone());
            warm_up(&mut rig);
            let values = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
            let deliveries = send(&mut rig, &values);
            let behind = rig.append(0, "j");

            let requests = serve_without(&mut rig, code, &["c", "h"]);

            assert_eq!(rig.world.log(0), ["warm-up", "a", "b", "d", "e", "f", "g", "i", "j"], "{code}");
            let (culprits, innocent): (Vec<_>, Vec<_>) =
                values.iter().zip(&deliveries).partition(|(value, _)| ["c", "h"].contains(value));
            for (_, delivery) in culprits {
                let error = failure(delivery);
                assert_eq!(
                    (error.error_code(), error.persisted()),
                    (Some(ErrorCode::from(code)), Persisted::No)
                );
            }
            let offsets: Vec<_> = innocent.iter().map(|(_, delivery)| offset(delivery).unwrap()).collect();
            assert_eq!(offsets, [1, 2, 3, 4, 5, 6, 7]);
            assert_eq!(offset(&behind), Some(8));
            assert!(requests < 25, "{requests}");
            assert!(rig.is_clean());
        }
    }
}

/// They have nothing in them that could make a difference.
#[test]
fn culprits_without_key_and_value_are_found_like_others() {
    let mut rig = Rig::new(idempotent());
    let deliveries = send(&mut rig, &["", "", ""]);

    let requests = serve_without(&mut rig, 87, &[""]);

    assert!(deliveries.iter().all(|delivery| message(delivery) == "of the batch"));
    assert_eq!(requests, 5);
    assert!(rig.is_clean());
}

/// Bytes may be damaged on their way.
#[test]
fn batch_that_arrives_damaged_is_sent_again_before_it_is_cut() {
    let mut rig = Rig::new(idempotent());
    let deliveries = send(&mut rig, &["a", "b"]);

    for _ in 0..2 {
        let request = rig.request();
        rig.reply(&request, &Reply::error(2));
        rig.advance(millis(100));
    }
    let request = rig.request();
    assert_eq!(request.records(), ["a", "b"]);
    rig.acknowledge(&request);

    assert_eq!([&deliveries[0], &deliveries[1]].map(offset), [Some(0), Some(1)]);
}

#[test]
fn batches_under_way_behind_a_nameless_culprit_stay_behind_it() {
    let mut rig = Rig::new(idempotent());
    warm_up(&mut rig);
    let first = send(&mut rig, &["a", "b", "c"]);
    let second = send(&mut rig, &["d"]);
    assert_eq!(rig.received.len(), 2);

    serve_without(&mut rig, 87, &["b"]);

    assert_eq!(rig.world.log(0), ["warm-up", "a", "c", "d"]);
    assert_eq!(message(&first[1]), "of the batch");
    assert_eq!([&first[0], &first[2], &second[0]].map(offset), [1, 2, 3].map(Some));
    assert!(rig.is_clean());
}

#[test]
fn batch_that_may_have_been_written_is_not_cut() {
    let mut rig = Rig::new(idempotent());
    let deliveries = send(&mut rig, &["a", "b"]);
    let request = rig.request();
    rig.reply(&request, &Reply::error(7));
    rig.advance(millis(100));
    let request = rig.request();

    refuse(&mut rig, &request, &[]);

    assert!(deliveries.iter().all(|delivery| failure(delivery).persisted() == Persisted::Maybe));
    assert!(rig.received.is_empty() && rig.is_clean());
}

#[test]
fn code_that_does_not_concern_records_fails_all_of_them_at_once() {
    let mut rig = Rig::new(idempotent());
    let deliveries = send(&mut rig, &["a", "b"]);
    let request = rig.request();

    rig.reply(&request, &Reply::error(29));

    assert!(!deliveries.iter().any(is_pending));
    assert!(rig.received.is_empty() && rig.is_clean());
}

#[test]
fn names_of_all_records_fail_all_of_them_with_their_own_messages() {
    let mut rig = Rig::new(idempotent());
    let deliveries = send(&mut rig, &["a", "b"]);
    let request = rig.request();

    refuse(&mut rig, &request, &[(1, Some("two")), (0, Some("one"))]);

    assert_eq!([&deliveries[0], &deliveries[1]].map(message), ["one", "two"]);
    assert!(rig.received.is_empty() && rig.is_clean());
}

#[test]
fn names_of_records_that_do_not_exist_are_ignored() {
    let mut rig = Rig::new(idempotent());
    let deliveries = send(&mut rig, &["a", "b"]);
    let request = rig.request();
    let strangers = [(-1, Some("x")), (2, Some("x")), (i32::MAX, Some("x")), (i32::MIN, None)];

    refuse(&mut rig, &request, &strangers);
    serve_without(&mut rig, 87, &["a"]);

    assert_eq!(message(&deliveries[0]), "of the batch");
    assert_eq!(offset(&deliveries[1]), Some(0));
}

#[test]
fn first_word_on_a_record_counts() {
    let mut rig = Rig::new(idempotent());
    let deliveries = send(&mut rig, &["a", "b"]);
    let request = rig.request();

    refuse(&mut rig, &request, &[(1, Some("first")), (99, None), (1, Some("second")), (-3, None)]);
    rig.acknowledge_all();

    assert_eq!(message(&deliveries[1]), "first");
    assert_eq!(offset(&deliveries[0]), Some(0));
    assert!(rig.is_clean());
}

/// A refusal may come of the time (`INVALID_TIMESTAMP`), so that of a second attempt says nothing about the first.
#[test]
fn records_that_an_earlier_attempt_may_have_written_are_not_sent_under_another_number() {
    let mut rig = Rig::new(idempotent());
    let deliveries = send(&mut rig, &["a", "b"]);
    let request = rig.request();
    rig.reply(&request, &Reply::error(7));
    rig.advance(millis(100));
    let request = rig.request();

    refuse(&mut rig, &request, &[(0, Some("too old"))]);

    assert!(rig.received.is_empty());
    assert_eq!(message(&deliveries[0]), "too old");
    let kind = DeliveryErrorKind::BatchRefused { code: ErrorCode::InvalidRecord };
    assert_eq!(failure(&deliveries[1]).kind(), kind);
    assert!(deliveries.iter().all(|delivery| failure(delivery).persisted() == Persisted::Maybe));
    assert!(rig.is_clean());
}

#[test]
fn every_rebuilt_batch_may_have_culprits_of_its_own() {
    let mut rig = Rig::new(idempotent());
    let deliveries = send(&mut rig, &["a", "b", "c", "d"]);
    let request = rig.request();

    refuse(&mut rig, &request, &[(1, Some("b"))]);
    let request = rig.request();
    refuse(&mut rig, &request, &[(1, Some("c"))]);
    rig.acknowledge_all();

    assert_eq!([&deliveries[1], &deliveries[2]].map(message), ["b", "c"]);
    assert_eq!([&deliveries[0], &deliveries[3]].map(offset), [Some(0), Some(1)]);
    assert_eq!(rig.world.log(0), ["a", "d"]);
    assert!(rig.is_clean());
}

/// Brokers name all culprits at once. One that does not must not get an endless chain of batches.
#[test]
fn broker_that_names_one_record_at_a_time_is_not_humoured_for_ever() {
    let mut rig = Rig::new(idempotent());
    let deliveries = send(&mut rig, &["x"; 40]);

    let mut requests = 0;
    while let Some(request) = rig.received.pop_front() {
        requests += 1;
        refuse(&mut rig, &request, &[(0, Some("you"))]);
    }

    assert_eq!(requests, 17);
    assert!(deliveries.iter().all(|delivery| failure(delivery).persisted() == Persisted::No));
    assert!(rig.is_clean());
}

#[test]
fn rebuilt_batch_expires_with_the_time_of_the_first() {
    let mut rig = Rig::new(idempotent());
    let deliveries = send(&mut rig, &["a", "b"]);
    rig.advance(millis(20_000));
    let request = rig.request();
    refuse(&mut rig, &request, &[(0, None)]);
    let rest = rig.config.delivery_timeout - millis(20_005);

    rig.advance(rest - millis(1));
    assert!(is_pending(&deliveries[1]));
    rig.advance(millis(1));

    assert!(matches!(failure(&deliveries[1]).kind(), DeliveryErrorKind::TimedOut(_)));
}

#[test]
fn rebuilt_batch_may_be_cut_and_retried_like_any_other() {
    let mut rig = Rig::new(idempotent());
    let deliveries = send(&mut rig, &["a", "b", "c"]);
    let request = rig.request();
    refuse(&mut rig, &request, &[(1, None)]);
    let request = rig.request();
    rig.reply(&request, &Reply::error(19));
    rig.advance(millis(100));
    let request = rig.request();
    rig.reply(&request, &Reply::error(10));
    rig.acknowledge_all();

    assert_eq!([&deliveries[0], &deliveries[2]].map(offset), [Some(0), Some(1)]);
    assert_eq!(rig.world.log(0), ["a", "c"]);
    assert!(rig.is_clean());
}
