//! Sequence numbers and epochs on their way, and what becomes of them when something fails.

use std::time::Duration;

use super::rig::{Config, Received, Rig, failure, is_pending, millis, offset};
use super::wire::{Identity, Reply};
use super::world::TOPIC;
use crate::delivery::Delivery;
use crate::error::DeliveryErrorKind;
use crate::topic_partition::Topic;

const BACKOFF: Duration = millis(100);
const TIMEOUT: Duration = Duration::from_secs(40);

fn config() -> Config {
    Config {
        is_idempotent: true,
        max_outstanding: 5,
        delivery_timeout: TIMEOUT,
        request_timeout: TIMEOUT * 2,
        ..Config::default()
    }
}

/// Epoch and first sequence number.
fn number(request: &Received) -> (i16, i32) {
    let Identity { id, epoch, sequence } = request.batches[0].identity;
    assert_eq!(id, 1);
    (epoch, sequence)
}

/// A sender whose partition 0 has a first record acknowledged, so that those that follow may go together.
fn begun() -> Rig {
    let mut rig = Rig::new(config());
    rig.put(0, "first");
    rig.acknowledge_all();
    rig
}

/// Sends records as batches of their own.
fn send<const N: usize>(rig: &mut Rig, values: [&str; N]) -> [Delivery; N] {
    values.map(|value| rig.send(0, value))
}

/// Takes the requests under way.
fn requests<const N: usize>(rig: &mut Rig) -> [Received; N] {
    rig.received.drain(..).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn producer_id_and_metadata_share_a_connection_that_takes_one_request() {
    let mut rig = Rig::unconnected(Config { max_in_flight: 1, request_timeout: millis(1000), ..config() });
    rig.answers_metadata = false;
    rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
    rig.settle();
    assert_eq!((rig.metadata_requests.len(), rig.producer_ids), (1, 0));

    rig.answers_metadata = true;
    rig.advance(millis(2000));
    let delivery = rig.send(0, "a");
    rig.acknowledge_all();

    assert_eq!(rig.producer_ids, 1);
    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn batches_under_way_together_are_numbered_in_their_order() {
    let mut rig = begun();
    let deliveries = send(&mut rig, ["a", "b", "c"]);

    let sent: [Received; 3] = requests(&mut rig);

    assert_eq!(sent.each_ref().map(number), [(0, 1), (0, 2), (0, 3)]);
    for request in &sent {
        rig.acknowledge(request);
    }
    assert_eq!(deliveries.map(|delivery| offset(&delivery)), [Some(1), Some(2), Some(3)]);
}

#[test]
fn batches_that_failed_together_are_sent_again_one_by_one_and_in_order() {
    let mut rig = begun();
    let deliveries = send(&mut rig, ["a", "b", "c"]);
    let sent: [Received; 3] = requests(&mut rig);

    rig.reply(&sent[0], &Reply::error(6));
    let last = rig.append(0, "d");
    for request in &sent[1..] {
        rig.acknowledge(request);
    }
    rig.advance(BACKOFF);

    for (value, expected) in [("a", (0, 1)), ("b", (0, 2)), ("c", (0, 3))] {
        let request = rig.request();
        assert_eq!((request.records(), number(&request)), (vec![value], expected));
        rig.acknowledge(&request);
        rig.advance(BACKOFF);
    }
    rig.acknowledge_all();
    assert_eq!(rig.world.log(0), ["first", "a", "b", "c", "d"]);
    assert!(deliveries.iter().chain([&last]).all(|delivery| !is_pending(delivery)));
}

#[test]
fn batches_behind_one_that_failed_for_good_get_new_numbers() {
    let mut rig = begun();
    let deliveries = send(&mut rig, ["a", "b"]);
    let [first, second]: [Received; 2] = requests(&mut rig);

    rig.reply(&first, &Reply::error(10));
    rig.acknowledge(&second);
    rig.advance(BACKOFF);

    let request = rig.request();
    assert_eq!((request.records(), number(&request)), (vec!["b"], (1, 0)));
    rig.acknowledge(&request);
    let [refused, delivered] = deliveries;
    assert!(matches!(failure(&refused).kind(), DeliveryErrorKind::Broker { .. }));
    assert_eq!(offset(&delivered), Some(1));
}

/// Kafka's `testEpochBumpOnOutOfOrderSequenceForNextBatch`; and a broker that does not know the producer, whatever the
/// start of its log.
#[test]
fn next_batch_that_the_broker_does_not_expect_begins_an_epoch() {
    for code in [45, 47, 59] {
        let mut rig = begun();
        let delivery = rig.send(0, "a");
        let request = rig.request();
        assert_eq!(number(&request), (0, 1));

        rig.reply(&request, &Reply::error(code));
        rig.advance(BACKOFF);

        let request = rig.request();
        assert_eq!((request.records(), number(&request)), (vec!["a"], (1, 0)), "{code}");
        rig.acknowledge(&request);
        assert_eq!(offset(&delivery), Some(1));
    }
}

#[test]
fn batches_that_a_forgetful_broker_refused_are_numbered_anew_in_their_order() {
    let mut rig = begun();
    let deliveries = send(&mut rig, ["a", "b"]);
    let sent: [Received; 2] = requests(&mut rig);

    for request in &sent {
        rig.reply(request, &Reply::error(59));
    }
    rig.advance(BACKOFF);

    for (value, expected) in [("a", (1, 0)), ("b", (1, 1))] {
        let request = rig.request();
        assert_eq!((request.records(), number(&request)), (vec![value], expected));
        rig.acknowledge(&request);
        rig.advance(BACKOFF);
    }
    assert_eq!(deliveries.map(|delivery| offset(&delivery)), [Some(1), Some(2)]);
}

/// Unlike in Java, where a new epoch is taken over by every partition sooner or later.
#[test]
fn epoch_of_one_partition_leaves_the_others_alone() {
    let mut rig = begun();
    rig.put(2, "other");
    rig.acknowledge_all();
    let (hit, healthy) = (rig.send(0, "a"), rig.send(2, "b"));
    let [first, second]: [Received; 2] = requests(&mut rig);

    rig.reply(&first, &Reply::error(45));
    rig.reply(&second, &Reply::error(19));
    rig.advance(BACKOFF);

    let mut again: Vec<_> = rig.received.iter().flat_map(|request| &request.batches).collect();
    again.sort_by_key(|batch| batch.partition);
    let numbers: Vec<_> = again.iter().map(|batch| (batch.identity.epoch, batch.identity.sequence)).collect();
    assert_eq!(numbers, [(1, 0), (0, 1)]);
    rig.acknowledge_all();
    assert_eq!([hit, healthy].map(|delivery| offset(&delivery)), [Some(1), Some(1)]);
    rig.put(2, "later");
    assert_eq!(number(&rig.request()), (0, 2));
}

/// The first is in the log, though its answer says otherwise.
#[test]
fn batch_behind_one_in_doubt_may_be_acknowledged_first() {
    let mut rig = begun();
    let deliveries = send(&mut rig, ["a", "b"]);
    let [first, second]: [Received; 2] = requests(&mut rig);
    rig.world.append(1, &first.batches[0]);

    rig.reply(&first, &Reply::error(7));
    rig.acknowledge(&second);
    assert!(is_pending(&deliveries[0]) && !is_pending(&deliveries[1]));
    rig.advance(BACKOFF);

    let again = rig.request();
    assert_eq!(again.batches, first.batches);
    rig.acknowledge(&again);
    assert_eq!(deliveries.map(|delivery| offset(&delivery)), [Some(1), Some(2)]);
    rig.put(0, "c");
    assert_eq!(number(&rig.request()), (0, 3));
}

#[test]
fn batch_that_expires_unsent_uses_up_no_number() {
    let mut rig = Rig::new(Config { request_timeout: millis(1000), ..config() });
    rig.put(0, "first");
    rig.acknowledge_all();
    rig.close(rig.connection_to(1), None);
    rig.down.insert(1);
    let expired = rig.send(0, "a");
    rig.advance(TIMEOUT);
    assert_eq!(failure(&expired).time_spent().attempts, 0);

    rig.down.clear();
    let delivery = rig.send(0, "b");
    rig.advance(Duration::from_secs(5));

    let request = rig.request();
    assert_eq!(number(&request), (0, 1));
    rig.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(1));
}

#[test]
fn batch_behind_an_expired_one_goes_on_if_that_is_in_the_log() {
    let mut rig = begun();
    let expired = rig.send(0, "a");
    rig.advance(TIMEOUT / 2);
    let delivery = rig.send(0, "b");
    let sent: [Received; 2] = requests(&mut rig);
    rig.advance(TIMEOUT / 2);
    assert!(!is_pending(&expired) && is_pending(&delivery));

    for request in &sent {
        rig.acknowledge(request);
    }

    assert_eq!(offset(&delivery), Some(2));
    rig.put(0, "c");
    assert_eq!(number(&rig.request()), (0, 3));
}

#[test]
fn batch_behind_an_expired_one_begins_an_epoch_if_that_was_lost() {
    let mut rig = begun();
    let expired = rig.send(0, "a");
    rig.advance(TIMEOUT / 2);
    let delivery = rig.send(0, "b");
    let [first, second]: [Received; 2] = requests(&mut rig);
    rig.advance(TIMEOUT / 2);
    assert!(!is_pending(&expired));

    rig.reply(&first, &Reply::error(19));
    rig.acknowledge(&second);
    assert!(is_pending(&delivery), "the broker waits for the number of the one that expired");
    rig.advance(BACKOFF);

    let request = rig.request();
    assert_eq!(number(&request), (1, 0));
    rig.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(1));
    assert_eq!(rig.world.log(0), ["first", "b"]);
}

#[test]
fn epoch_is_begun_once_all_that_was_sent_has_expired() {
    for is_lost in [true, false] {
        let mut rig = begun();
        let expired = send(&mut rig, ["a", "b"]);
        let sent: [Received; 2] = requests(&mut rig);
        rig.advance(TIMEOUT);
        assert!(expired.iter().all(|delivery| !is_pending(delivery)));
        let delivery = rig.send(0, "c");
        assert!(rig.received.is_empty(), "the old numbers may still come");
        for request in &sent {
            if is_lost {
                rig.reply(request, &Reply::error(19));
            } else {
                rig.acknowledge(request);
            }
        }

        let request = rig.request();
        assert_eq!(number(&request), (1, 0));
        rig.acknowledge(&request);
        assert_eq!(offset(&delivery), Some(if is_lost { 1 } else { 3 }));
    }
}

/// The next number of the same epoch would be refused, and the answer to that may be lost as well.
#[test]
fn record_behind_an_expired_one_is_delivered_though_its_first_attempt_is_lost() {
    let mut rig = begun();
    let expired = rig.send(0, "a");
    let [lost]: [Received; 1] = requests(&mut rig);
    rig.advance(TIMEOUT);
    assert!(!is_pending(&expired));
    rig.close(lost.connection, None);
    rig.advance(Duration::from_secs(1));
    let delivery = rig.send(0, "b");
    let unanswered = rig.request();
    rig.close(unanswered.connection, None);
    rig.advance(Duration::from_secs(1));
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(1));
    assert_eq!(rig.world.log(0), ["first", "b"]);
}

#[test]
fn late_answer_of_an_earlier_epoch_says_nothing_of_the_present_one() {
    let mut rig = begun();
    let expired = rig.send(0, "a");
    let [lost]: [Received; 1] = requests(&mut rig);
    rig.advance(TIMEOUT);
    assert!(!is_pending(&expired));
    rig.close(lost.connection, None);
    rig.advance(Duration::from_secs(1));
    let delivery = rig.send(0, "b");

    let request = rig.request();
    assert_eq!(number(&request), (1, 0));
    rig.put(0, "c");
    assert!(rig.received.is_empty(), "nothing of the new epoch was acknowledged so far");
    rig.acknowledge(&request);

    assert_eq!(offset(&delivery), Some(1));
    assert_eq!(number(&rig.request()), (1, 1));
}

#[test]
fn pieces_of_a_batch_get_consecutive_numbers() {
    let mut rig = Rig::new(Config { linger: millis(5), ..config() });
    let first = rig.append(0, "first");
    rig.advance(millis(5));
    rig.acknowledge_all();
    let deliveries = ["a", "b", "c", "d"].map(|value| rig.append(0, value));
    rig.advance(millis(5));
    let request = rig.request();
    assert_eq!((request.records().len(), number(&request)), (4, (0, 1)));

    rig.reply(&request, &Reply::error(10));

    let mut numbers = Vec::new();
    while let Some(request) = rig.received.pop_front() {
        numbers.push((number(&request), request.records().len()));
        rig.acknowledge(&request);
    }
    assert_eq!(numbers, [((0, 1), 2), ((0, 3), 2)]);
    assert_eq!(offset(&first), Some(0));
    assert_eq!(deliveries.map(|delivery| offset(&delivery).unwrap()), [1, 2, 3, 4]);
}

/// Nothing else happens that would have the sender ask later.
#[test]
fn another_producer_id_is_asked_for_at_once_when_the_epochs_are_used_up() {
    let config = Config { is_idempotent: true, producer_epoch: i16::MAX, ..Config::default() };
    let mut rig = Rig::new(config);
    rig.put(0, "refused");
    let request = rig.request();
    rig.reply(&request, &Reply::error(29));

    rig.put(0, "a");

    let identity = rig.request().batches[0].identity;
    assert_eq!((identity.id, identity.sequence), (2, 0));
}

fn forgotten_after_a_minute() -> Config {
    let producer_id_lifetime = Duration::from_secs(60);
    Config { is_idempotent: true, max_outstanding: 5, producer_id_lifetime, ..Config::default() }
}

/// A sender that was idle for so long, then hands two batches to a broker that has forgotten it and refuses the first.
fn sent_behind_a_pause(pause: Duration) -> (Rig, usize) {
    let mut rig = Rig::new(forgotten_after_a_minute());
    rig.put(0, "first");
    rig.acknowledge_all();
    rig.advance(pause);
    rig.put(0, "a");
    rig.put(0, "b");
    let under_way = rig.received.len();
    (rig, under_way)
}

/// A broker that has forgotten the producer takes any first number.
#[test]
fn first_batch_behind_a_long_pause_goes_alone() {
    let minute = Duration::from_secs(60);

    let (mut rig, under_way) = sent_behind_a_pause(minute + millis(1));

    assert_eq!(under_way, 1);
    rig.world.forget_producers(0);
    let request = rig.request();
    rig.reply(&request, &Reply::error(19));
    rig.advance(millis(100));
    rig.acknowledge_all();
    assert_eq!(rig.world.log(0), ["first", "a", "b"]);
    assert_eq!(sent_behind_a_pause(minute).1, 2, "the broker remembers");
}

/// Brokers go by the timestamps of records, not by when they came.
#[test]
fn old_records_go_one_batch_at_a_time() {
    let mut rig = Rig::new(forgotten_after_a_minute());
    rig.put(0, "first");
    rig.acknowledge_all();
    rig.age = 60_001;
    rig.put(0, "a");

    for next in ["b", "c", "d"] {
        rig.put(0, next);
        let request = rig.request();
        rig.acknowledge(&request);
    }
    rig.acknowledge_all();
    rig.age = 0;
    rig.put(0, "e");
    rig.put(0, "f");
    let request = rig.request();
    assert_eq!(request.records(), ["e"], "the broker may have forgotten what is before");
    rig.acknowledge(&request);
    rig.put(0, "g");
    assert_eq!(rig.received.len(), 2);
}
