//! Sequence numbers and epochs on their way, and what becomes of them when something fails.

use std::time::Duration;

use super::bench::{Bench, Config, Received, failure, is_pending, millis, offset};
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
fn begun() -> Bench {
    let mut bench = Bench::new(config());
    bench.put(0, "first");
    bench.acknowledge_all();
    bench
}

/// Sends records as batches of their own.
fn send<const N: usize>(bench: &mut Bench, values: [&str; N]) -> [Delivery; N] {
    values.map(|value| bench.send(0, value))
}

/// Takes the requests under way.
fn requests<const N: usize>(bench: &mut Bench) -> [Received; N] {
    bench.received.drain(..).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn producer_id_and_metadata_share_a_connection_that_takes_one_request() {
    let mut bench =
        Bench::unconnected(Config { max_in_flight: 1, request_timeout: millis(1000), ..config() });
    bench.answers_metadata = false;
    bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
    bench.settle();
    assert_eq!((bench.metadata_requests.len(), bench.producer_ids), (1, 0));

    bench.answers_metadata = true;
    bench.advance(millis(2000));
    let delivery = bench.send(0, "a");
    bench.acknowledge_all();

    assert_eq!(bench.producer_ids, 1);
    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn batches_under_way_together_are_numbered_in_their_order() {
    let mut bench = begun();
    let deliveries = send(&mut bench, ["a", "b", "c"]);

    let sent: [Received; 3] = requests(&mut bench);

    assert_eq!(sent.each_ref().map(number), [(0, 1), (0, 2), (0, 3)]);
    for request in &sent {
        bench.acknowledge(request);
    }
    assert_eq!(deliveries.map(|delivery| offset(&delivery)), [Some(1), Some(2), Some(3)]);
}

#[test]
fn batches_that_failed_together_are_sent_again_one_by_one_and_in_order() {
    let mut bench = begun();
    let deliveries = send(&mut bench, ["a", "b", "c"]);
    let sent: [Received; 3] = requests(&mut bench);

    bench.reply(&sent[0], &Reply::error(6));
    let last = bench.append(0, "d");
    for request in &sent[1..] {
        bench.acknowledge(request);
    }
    bench.advance(BACKOFF);

    for (value, expected) in [("a", (0, 1)), ("b", (0, 2)), ("c", (0, 3))] {
        let request = bench.request();
        assert_eq!((request.records(), number(&request)), (vec![value], expected));
        bench.acknowledge(&request);
        bench.advance(BACKOFF);
    }
    bench.acknowledge_all();
    assert_eq!(bench.world.log(0), ["first", "a", "b", "c", "d"]);
    assert!(deliveries.iter().chain([&last]).all(|delivery| !is_pending(delivery)));
}

#[test]
fn batches_behind_one_that_failed_for_good_get_new_numbers() {
    let mut bench = begun();
    let deliveries = send(&mut bench, ["a", "b"]);
    let [first, second]: [Received; 2] = requests(&mut bench);

    bench.reply(&first, &Reply::error(10));
    bench.acknowledge(&second);
    bench.advance(BACKOFF);

    let request = bench.request();
    assert_eq!((request.records(), number(&request)), (vec!["b"], (1, 0)));
    bench.acknowledge(&request);
    let [refused, delivered] = deliveries;
    assert!(matches!(failure(&refused).kind(), DeliveryErrorKind::Broker { .. }));
    assert_eq!(offset(&delivered), Some(1));
}

/// Kafka's `testEpochBumpOnOutOfOrderSequenceForNextBatch`; and a broker that does not know the producer, whatever the
/// start of its log.
#[test]
fn next_batch_that_the_broker_does_not_expect_begins_an_epoch() {
    for code in [45, 47, 59] {
        let mut bench = begun();
        let delivery = bench.send(0, "a");
        let request = bench.request();
        assert_eq!(number(&request), (0, 1));

        bench.reply(&request, &Reply::error(code));
        bench.advance(BACKOFF);

        let request = bench.request();
        assert_eq!((request.records(), number(&request)), (vec!["a"], (1, 0)), "{code}");
        bench.acknowledge(&request);
        assert_eq!(offset(&delivery), Some(1));
    }
}

#[test]
fn batches_that_a_forgetful_broker_refused_are_numbered_anew_in_their_order() {
    let mut bench = begun();
    let deliveries = send(&mut bench, ["a", "b"]);
    let sent: [Received; 2] = requests(&mut bench);

    for request in &sent {
        bench.reply(request, &Reply::error(59));
    }
    bench.advance(BACKOFF);

    for (value, expected) in [("a", (1, 0)), ("b", (1, 1))] {
        let request = bench.request();
        assert_eq!((request.records(), number(&request)), (vec![value], expected));
        bench.acknowledge(&request);
        bench.advance(BACKOFF);
    }
    assert_eq!(deliveries.map(|delivery| offset(&delivery)), [Some(1), Some(2)]);
}

/// Unlike in Java, where a new epoch is taken over by every partition sooner or later.
#[test]
fn epoch_of_one_partition_leaves_the_others_alone() {
    let mut bench = begun();
    bench.put(2, "other");
    bench.acknowledge_all();
    let (hit, healthy) = (bench.send(0, "a"), bench.send(2, "b"));
    let [first, second]: [Received; 2] = requests(&mut bench);

    bench.reply(&first, &Reply::error(45));
    bench.reply(&second, &Reply::error(19));
    bench.advance(BACKOFF);

    let mut again: Vec<_> = bench.received.iter().flat_map(|request| &request.batches).collect();
    again.sort_by_key(|batch| batch.partition);
    let numbers: Vec<_> = again.iter().map(|batch| (batch.identity.epoch, batch.identity.sequence)).collect();
    assert_eq!(numbers, [(1, 0), (0, 1)]);
    bench.acknowledge_all();
    assert_eq!([hit, healthy].map(|delivery| offset(&delivery)), [Some(1), Some(1)]);
    bench.put(2, "later");
    assert_eq!(number(&bench.request()), (0, 2));
}

/// The first is in the log, though its answer says otherwise.
#[test]
fn batch_behind_one_in_doubt_may_be_acknowledged_first() {
    let mut bench = begun();
    let deliveries = send(&mut bench, ["a", "b"]);
    let [first, second]: [Received; 2] = requests(&mut bench);
    bench.world.append(1, &first.batches[0]);

    bench.reply(&first, &Reply::error(7));
    bench.acknowledge(&second);
    assert!(is_pending(&deliveries[0]) && !is_pending(&deliveries[1]));
    bench.advance(BACKOFF);

    let again = bench.request();
    assert_eq!(again.batches, first.batches);
    bench.acknowledge(&again);
    assert_eq!(deliveries.map(|delivery| offset(&delivery)), [Some(1), Some(2)]);
    bench.put(0, "c");
    assert_eq!(number(&bench.request()), (0, 3));
}

#[test]
fn batch_that_expires_unsent_uses_up_no_number() {
    let mut bench = Bench::new(Config { request_timeout: millis(1000), ..config() });
    bench.put(0, "first");
    bench.acknowledge_all();
    bench.close(bench.connection_to(1), None);
    bench.down.insert(1);
    let expired = bench.send(0, "a");
    bench.advance(TIMEOUT);
    assert_eq!(failure(&expired).time_spent().attempts, 0);

    bench.down.clear();
    let delivery = bench.send(0, "b");
    bench.advance(Duration::from_secs(5));

    let request = bench.request();
    assert_eq!(number(&request), (0, 1));
    bench.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(1));
}

#[test]
fn batch_behind_an_expired_one_goes_on_if_that_is_in_the_log() {
    let mut bench = begun();
    let expired = bench.send(0, "a");
    bench.advance(TIMEOUT / 2);
    let delivery = bench.send(0, "b");
    let sent: [Received; 2] = requests(&mut bench);
    bench.advance(TIMEOUT / 2);
    assert!(!is_pending(&expired) && is_pending(&delivery));

    for request in &sent {
        bench.acknowledge(request);
    }

    assert_eq!(offset(&delivery), Some(2));
    bench.put(0, "c");
    assert_eq!(number(&bench.request()), (0, 3));
}

#[test]
fn batch_behind_an_expired_one_begins_an_epoch_if_that_was_lost() {
    let mut bench = begun();
    let expired = bench.send(0, "a");
    bench.advance(TIMEOUT / 2);
    let delivery = bench.send(0, "b");
    let [first, second]: [Received; 2] = requests(&mut bench);
    bench.advance(TIMEOUT / 2);
    assert!(!is_pending(&expired));

    bench.reply(&first, &Reply::error(19));
    bench.acknowledge(&second);
    assert!(is_pending(&delivery), "the broker waits for the number of the one that expired");
    bench.advance(BACKOFF);

    let request = bench.request();
    assert_eq!(number(&request), (1, 0));
    bench.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(1));
    assert_eq!(bench.world.log(0), ["first", "b"]);
}

#[test]
fn epoch_is_begun_once_all_that_was_sent_has_expired() {
    for is_lost in [true, false] {
        let mut bench = begun();
        let expired = send(&mut bench, ["a", "b"]);
        let sent: [Received; 2] = requests(&mut bench);
        bench.advance(TIMEOUT);
        assert!(expired.iter().all(|delivery| !is_pending(delivery)));
        let delivery = bench.send(0, "c");
        assert!(bench.received.is_empty(), "the old numbers may still come");
        for request in &sent {
            if is_lost {
                bench.reply(request, &Reply::error(19));
            } else {
                bench.acknowledge(request);
            }
        }

        let request = bench.request();
        assert_eq!(number(&request), (1, 0));
        bench.acknowledge(&request);
        assert_eq!(offset(&delivery), Some(if is_lost { 1 } else { 3 }));
    }
}

/// The next number of the same epoch would be refused, and the answer to that may be lost as well.
#[test]
fn record_behind_an_expired_one_is_delivered_though_its_first_attempt_is_lost() {
    let mut bench = begun();
    let expired = bench.send(0, "a");
    let [lost]: [Received; 1] = requests(&mut bench);
    bench.advance(TIMEOUT);
    assert!(!is_pending(&expired));
    bench.close(lost.connection, None);
    bench.advance(Duration::from_secs(1));
    let delivery = bench.send(0, "b");
    let unanswered = bench.request();
    bench.close(unanswered.connection, None);
    bench.advance(Duration::from_secs(1));
    bench.acknowledge_all();

    assert_eq!(offset(&delivery), Some(1));
    assert_eq!(bench.world.log(0), ["first", "b"]);
}

#[test]
fn late_answer_of_an_earlier_epoch_says_nothing_of_the_present_one() {
    let mut bench = begun();
    let expired = bench.send(0, "a");
    let [lost]: [Received; 1] = requests(&mut bench);
    bench.advance(TIMEOUT);
    assert!(!is_pending(&expired));
    bench.close(lost.connection, None);
    bench.advance(Duration::from_secs(1));
    let delivery = bench.send(0, "b");

    let request = bench.request();
    assert_eq!(number(&request), (1, 0));
    bench.put(0, "c");
    assert!(bench.received.is_empty(), "nothing of the new epoch was acknowledged so far");
    bench.acknowledge(&request);

    assert_eq!(offset(&delivery), Some(1));
    assert_eq!(number(&bench.request()), (1, 1));
}

#[test]
fn pieces_of_a_batch_get_consecutive_numbers() {
    let mut bench = Bench::new(Config { linger: millis(5), ..config() });
    let first = bench.append(0, "first");
    bench.advance(millis(5));
    bench.acknowledge_all();
    let deliveries = ["a", "b", "c", "d"].map(|value| bench.append(0, value));
    bench.advance(millis(5));
    let request = bench.request();
    assert_eq!((request.records().len(), number(&request)), (4, (0, 1)));

    bench.reply(&request, &Reply::error(10));

    let mut numbers = Vec::new();
    while let Some(request) = bench.received.pop_front() {
        numbers.push((number(&request), request.records().len()));
        bench.acknowledge(&request);
    }
    assert_eq!(numbers, [((0, 1), 2), ((0, 3), 2)]);
    assert_eq!(offset(&first), Some(0));
    assert_eq!(deliveries.map(|delivery| offset(&delivery).unwrap()), [1, 2, 3, 4]);
}

/// Nothing else happens that would have the sender ask later.
#[test]
fn another_producer_id_is_asked_for_at_once_when_the_epochs_are_used_up() {
    let config = Config { is_idempotent: true, producer_epoch: i16::MAX, ..Config::default() };
    let mut bench = Bench::new(config);
    bench.put(0, "refused");
    let request = bench.request();
    bench.reply(&request, &Reply::error(29));

    bench.put(0, "a");

    let identity = bench.request().batches[0].identity;
    assert_eq!((identity.id, identity.sequence), (2, 0));
}

fn forgotten_after_a_minute() -> Config {
    let producer_id_lifetime = Duration::from_secs(60);
    Config { is_idempotent: true, max_outstanding: 5, producer_id_lifetime, ..Config::default() }
}

/// A sender that was idle for so long, then hands two batches to a broker that has forgotten it and refuses the first.
fn sent_behind_a_pause(pause: Duration) -> (Bench, usize) {
    let mut bench = Bench::new(forgotten_after_a_minute());
    bench.put(0, "first");
    bench.acknowledge_all();
    bench.advance(pause);
    bench.put(0, "a");
    bench.put(0, "b");
    let under_way = bench.received.len();
    (bench, under_way)
}

/// A broker that has forgotten the producer takes any first number.
#[test]
fn first_batch_behind_a_long_pause_goes_alone() {
    let minute = Duration::from_secs(60);

    let (mut bench, under_way) = sent_behind_a_pause(minute + millis(1));

    assert_eq!(under_way, 1);
    bench.world.forget_producers(0);
    let request = bench.request();
    bench.reply(&request, &Reply::error(19));
    bench.advance(millis(100));
    bench.acknowledge_all();
    assert_eq!(bench.world.log(0), ["first", "a", "b"]);
    assert_eq!(sent_behind_a_pause(minute).1, 2, "the broker remembers");
}

/// Brokers go by the timestamps of records, not by when they came.
#[test]
fn old_records_go_one_batch_at_a_time() {
    let mut bench = Bench::new(forgotten_after_a_minute());
    bench.put(0, "first");
    bench.acknowledge_all();
    bench.age = 60_001;
    bench.put(0, "a");

    for next in ["b", "c", "d"] {
        bench.put(0, next);
        let request = bench.request();
        bench.acknowledge(&request);
    }
    bench.acknowledge_all();
    bench.age = 0;
    bench.put(0, "e");
    bench.put(0, "f");
    let request = bench.request();
    assert_eq!(request.records(), ["e"], "the broker may have forgotten what is before");
    bench.acknowledge(&request);
    bench.put(0, "g");
    assert_eq!(bench.received.len(), 2);
}
