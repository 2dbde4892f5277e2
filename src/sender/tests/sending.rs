//! From the first record to its acknowledgement.

use std::task::{Context, Waker};
use std::time::Duration;

use super::rig::{Config, Rig, failure, is_pending, millis, offset};
use super::wire::Reply;
use super::world::TOPIC;
use crate::config::Compression;
use crate::error::{DeliveryErrorKind, Persisted};
use crate::topic_partition::{NodeId, Topic};

/// Far apart enough to tell the batches of a test from each other.
const FULL: &str = concat!(
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
);

fn full(name: &str) -> String {
    format!("{name}{}", FULL.repeat(5))
}

#[test]
fn record_is_sent_and_its_offset_comes_back() {
    let mut rig = Rig::new(Config::default());

    let delivery = rig.send(0, "a");
    let request = rig.request();
    assert_eq!((request.node, request.acks, request.records()), (1, -1, vec!["a"]));
    assert!(is_pending(&delivery));
    rig.reply(&request, &Reply::ok(42));

    assert_eq!(offset(&delivery), Some(42));
    assert!(rig.is_clean());
}

#[test]
fn every_version_of_produce_is_spoken() {
    for version in 3..=13 {
        let mut rig = Rig::new(Config { produce_versions: (0, version), ..Config::default() });

        let delivery = rig.send(3, "a");
        let request = rig.request();
        assert_eq!(request.head.version, version);
        assert_eq!((request.batches[0].topic.as_str(), request.batches[0].partition), (TOPIC, 3));
        rig.acknowledge(&request);

        assert_eq!(offset(&delivery), Some(0));
    }
}

#[test]
fn batch_lingers_as_long_as_it_may_and_no_longer() {
    let mut rig = Rig::new(Config { linger: millis(20), ..Config::default() });
    let first = rig.send(0, "a");

    rig.advance(millis(10));
    let second = rig.send(0, "b");
    rig.advance(millis(9));
    assert!(rig.received.is_empty());
    rig.advance(millis(1));

    let request = rig.request();
    assert_eq!(request.records(), ["a", "b"]);
    rig.acknowledge(&request);
    assert_eq!((offset(&first), offset(&second)), (Some(0), Some(1)));
}

#[test]
fn full_batch_does_not_linger() {
    let mut rig = Rig::new(Config { linger: millis(20), ..Config::default() });

    rig.put(0, &full("a"));

    assert_eq!(rig.request().records().len(), 1);
}

#[test]
fn batch_that_others_wait_behind_does_not_linger() {
    let mut rig = Rig::new(Config { linger: millis(20), ..Config::default() });
    rig.put(0, "a");
    assert!(rig.received.is_empty());

    let second = rig.send(0, &full("b"));

    let first = rig.request();
    assert_eq!(first.records(), ["a"]);
    rig.acknowledge(&first);
    rig.acknowledge_all();
    assert_eq!(offset(&second), Some(1));
}

#[test]
fn next_batch_of_a_partition_waits_for_the_answer() {
    let mut rig = Rig::new(Config::default());
    rig.put(0, "a");
    let first = rig.request();

    let deliveries = ["b", "c"].map(|value| rig.send(0, value));
    rig.advance(millis(5000));
    assert!(rig.received.is_empty());
    rig.acknowledge(&first);

    let second = rig.request();
    assert_eq!(second.records(), ["b", "c"]);
    rig.acknowledge(&second);
    assert_eq!(deliveries.map(|delivery| offset(&delivery)), [Some(1), Some(2)]);
}

#[test]
fn batches_of_a_partition_are_pipelined_where_that_cannot_reorder() {
    let mut rig = Rig::new(Config { max_outstanding: usize::MAX, retries: 0, ..Config::default() });

    let values = ["a", "b", "c", "d", "e", "f", "g"];
    let deliveries = values.map(|value| rig.send(0, value));

    // As many as a connection may have; what comes later waits and goes together.
    let records: Vec<_> = rig.received.iter().flat_map(|request| request.records()).collect();
    assert_eq!(records, ["a", "b", "c", "d", "e"]);
    rig.acknowledge_all();
    assert_eq!(rig.world.log(0), values);
    assert_eq!(deliveries.map(|delivery| offset(&delivery).unwrap()), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn partitions_of_a_node_share_a_request_and_nodes_do_not() {
    let mut rig = Rig::new(Config { linger: millis(5), ..Config::default() });

    let deliveries = ["a", "b", "c", "d"].map(|value| rig.append((value.as_bytes()[0] - b'a').into(), value));
    rig.advance(millis(5));

    let requests: Vec<_> = rig.received.iter().map(|request| (request.node, request.records())).collect();
    assert_eq!(requests, [(1, vec!["a", "c"]), (2, vec!["b", "d"])]);
    rig.acknowledge_all();
    assert!(deliveries.iter().all(|delivery| offset(delivery) == Some(0)));
}

#[test]
fn topics_stand_together_in_a_request() {
    let mut rig = Rig::new(Config { linger: millis(5), ..Config::default() });
    rig.world.add_topic("other", 4);
    rig.core.handle_topic_wanted(&Topic::from("other"), rig.now);
    rig.settle();

    let sends = [("topic", 0), ("other", 0), ("topic", 2), ("other", 2)];
    let deliveries = sends.map(|(topic, partition)| rig.try_append(topic, partition, "x").unwrap());
    rig.advance(millis(5));

    let request = &rig.received[0];
    let topics: Vec<_> = request.batches.iter().map(|batch| batch.topic.as_str()).collect();
    assert_eq!(topics, ["other", "other", "topic", "topic"]);
    rig.acknowledge_all();
    assert!(deliveries.iter().all(|delivery| offset(delivery) == Some(0)));
}

#[test]
fn requests_stay_below_their_maximum_unless_one_batch_is_larger() {
    let mut rig = Rig::new(Config { max_request_size: 2500, linger: millis(5), ..Config::default() });
    rig.world.add_topic("other", 10);
    rig.core.handle_topic_wanted(&Topic::from("other"), rig.now);
    rig.settle();

    for partition in [0, 2, 4, 6, 8] {
        drop(rig.try_append("other", partition, &full("x")).unwrap());
    }
    let large = rig.append(0, &FULL.repeat(20));
    rig.advance(millis(5));

    let sizes: Vec<usize> = rig
        .received
        .iter()
        .map(|request| request.batches.iter().map(|batch| batch.bytes.len()).sum())
        .collect();
    assert!(sizes.iter().filter(|size| **size > 2500).count() == 1, "{sizes:?}");
    assert!(rig.received.iter().all(|request| request.batches.len() <= 2));
    rig.acknowledge_all();
    assert_eq!(offset(&large), Some(0));
    assert!(rig.is_clean());
}

#[test]
fn flush_ends_the_wait_for_more_records() {
    let mut rig = Rig::new(Config { linger: Duration::from_secs(50), ..Config::default() });
    let delivery = rig.send(0, "a");
    let accumulator = std::sync::Arc::clone(&rig.accumulator);

    assert_eq!(accumulator.begin_flush().len(), 1);
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
    assert!(rig.is_clean());
}

#[test]
fn records_behind_a_flush_linger() {
    let mut rig = Rig::new(Config { linger: Duration::from_secs(50), ..Config::default() });
    let before = rig.send(0, "a");
    let accumulator = std::sync::Arc::clone(&rig.accumulator);

    let waited_for = accumulator.begin_flush();
    let elsewhere = rig.send(1, "b");
    rig.acknowledge_all();
    let after = rig.send(0, "c");
    rig.acknowledge_all();

    assert_eq!((waited_for.len(), offset(&before)), (1, Some(0)));
    assert!(is_pending(&elsewhere) && is_pending(&after) && rig.received.is_empty());
    rig.advance(Duration::from_secs(50));
    rig.acknowledge_all();
    assert_eq!((offset(&elsewhere), offset(&after)), (Some(0), Some(1)));
}

#[test]
fn flush_of_several_batches_sends_all_of_them() {
    let mut rig = Rig::new(Config { linger: Duration::from_secs(50), ..Config::default() });
    let deliveries: Vec<_> = (0..30).map(|_| rig.send(0, &"x".repeat(200))).collect();
    let accumulator = std::sync::Arc::clone(&rig.accumulator);

    drop(accumulator.begin_flush());
    rig.acknowledge_all();

    assert!(deliveries.iter().all(|delivery| !is_pending(delivery)));
}

#[test]
fn second_flush_is_seen_like_the_first() {
    let mut rig = Rig::new(Config { linger: Duration::from_secs(50), ..Config::default() });
    let accumulator = std::sync::Arc::clone(&rig.accumulator);

    for _ in 0..3 {
        let delivery = rig.send(0, "a");
        assert!(is_pending(&delivery));
        drop(accumulator.begin_flush());
        rig.acknowledge_all();
        assert!(!is_pending(&delivery));
    }
}

#[test]
fn closing_sends_what_lingers() {
    let mut rig = Rig::new(Config { linger: Duration::from_secs(50), ..Config::default() });
    let delivery = rig.send(0, "a");

    rig.accumulator.close();
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
    assert!(rig.is_clean());
}

#[test]
fn waiting_for_memory_sends_what_lingers() {
    let config = Config { linger: Duration::from_secs(50), buffer_memory: 4096, ..Config::default() };
    let mut rig = Rig::new(config);
    let mut sent = 0;
    while rig.try_append(TOPIC, sent % 4, "a").is_some() && sent < 100 {
        sent += 1;
        rig.settle();
    }
    let accumulator = std::sync::Arc::clone(&rig.accumulator);
    let topic = accumulator.topic(&Topic::from(TOPIC), 4);
    let mut wait = std::pin::pin!(
        accumulator.wait_for_memory(accumulator.ensure_queue(&topic, 0, || true).unwrap(), 100)
    );
    let mut poll = || {
        let mut cx = Context::from_waker(Waker::noop());
        wait.as_mut().poll(&mut cx)
    };

    // Four partitions share memory for four batches; fill them up.
    let spare: Vec<_> = std::iter::from_fn(|| rig.accumulator.memory().try_take(1)).collect();
    assert!(poll().is_pending());
    rig.settle();
    assert!(!rig.received.is_empty());
    rig.acknowledge_all();
    drop(spare);

    assert!(poll().is_ready());
}

#[test]
fn compression_that_no_thread_begins_is_taken_back_in_time() {
    let mut rig = Rig::new(Config { compression: Compression::Lz4, seals: false, ..Config::default() });
    let delivery = rig.send(0, &"a".repeat(300));
    let next = rig.append(1, &"b".repeat(300));

    rig.advance(millis(4));
    assert_eq!((rig.seal_jobs.len(), rig.late_seals), (2, 0));
    rig.advance(millis(2));
    assert_eq!(rig.late_seals, 1, "what waits is taken back together");
    rig.advance(Duration::from_secs(60));
    assert!((8..40).contains(&rig.late_seals), "{}", rig.late_seals);

    rig.seal_jobs.drain(..).for_each(drop);
    rig.settle();
    rig.acknowledge_all();
    assert_eq!((offset(&delivery), offset(&next)), (Some(0), Some(0)));
    let late = rig.late_seals;
    rig.advance(Duration::from_secs(60));
    assert_eq!(rig.late_seals, late);
    assert!(rig.is_clean());
}

#[test]
fn compressed_batches_are_read_by_the_broker() {
    let codecs = [Compression::Gzip, Compression::Lz4, Compression::Snappy, Compression::Zstd];
    for compression in codecs.into_iter().filter(|codec| codec.missing_feature().is_none()) {
        let mut rig = Rig::new(Config { compression, ..Config::default() });

        let deliveries = [full("a"), "b".to_owned(), full("c")].map(|value| rig.append(0, &value));
        rig.settle();
        let request = rig.request();
        assert!(request.batches[0].is_compressed && request.batches[0].bytes.len() < 500);
        rig.acknowledge(&request);
        rig.acknowledge_all();

        assert_eq!(rig.world.log(0), [full("a"), "b".to_owned(), full("c")]);
        assert_eq!(deliveries.map(|delivery| offset(&delivery).unwrap()), [0, 1, 2]);
        assert!(rig.is_clean());
    }
}

#[test]
fn batches_wait_for_their_compression_and_keep_their_order() {
    let mut rig = Rig::new(Config { compression: Compression::Lz4, seals: false, ..Config::default() });
    let first = rig.send(0, &"a".repeat(300));
    let other = rig.send(1, &"b".repeat(300));
    assert_eq!((rig.received.len(), rig.seal_jobs.len()), (0, 2));

    let second = rig.send(0, &"c".repeat(300));
    rig.advance(millis(1000));
    assert!(rig.received.is_empty());
    for job in std::mem::take(&mut rig.seal_jobs) {
        rig.accumulator.seal(job);
    }
    rig.seals = true;
    rig.acknowledge_all();

    assert_eq!([first, second].map(|delivery| offset(&delivery)), [Some(0), Some(1)]);
    assert_eq!(offset(&other), Some(0));
    assert!(rig.is_clean());
}

#[test]
fn record_without_answer_counts_as_sent_when_it_is_written() {
    let mut rig = Rig::new(Config { acks: 0, max_outstanding: usize::MAX, ..Config::default() });
    rig.writes = false;

    let delivery = rig.send(0, "a");
    assert!(is_pending(&delivery));
    let (connection, frame) = rig.unwritten.pop_front().unwrap();
    rig.write(connection, frame);
    rig.settle();

    assert_eq!(offset(&delivery), None);
    assert_eq!(rig.request().acks, 0);
    assert!(rig.is_clean());
}

#[test]
fn records_without_answer_that_were_not_written_are_sent_again_in_their_order() {
    let mut rig = Rig::new(Config { acks: 0, max_outstanding: usize::MAX, ..Config::default() });
    rig.writes = false;
    let deliveries = ["a", "b", "c"].map(|value| rig.send(0, value));
    assert_eq!(rig.unwritten.len(), 3);

    let first = rig.unwritten[0].1.correlation_id;
    rig.close(rig.connection_to(1), Some(first));
    rig.writes = true;
    rig.advance(millis(1000));

    let records: Vec<_> = rig.received.iter().flat_map(|request| request.records()).collect();
    assert_eq!(records, ["a", "b", "c"]);
    assert!(deliveries.iter().all(|delivery| offset(delivery).is_none()));
}

#[test]
fn record_for_a_topic_that_appears_later_is_sent_then() {
    let mut rig = Rig::new(Config::default());
    let delivery = rig.try_append("later", 0, "a").unwrap();
    rig.advance(millis(3000));
    assert!(is_pending(&delivery));

    rig.world.add_topic("later", 1);
    rig.advance(millis(1000));
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn idle_sender_sleeps() {
    let mut rig = Rig::new(Config::default());
    rig.put(0, "a");
    rig.acknowledge_all();

    let before = rig.polls;
    rig.advance(Duration::from_secs(3600));

    // Metadata every five minutes, connections that have become idle, and what comes of that.
    assert!(rig.polls - before < 200, "{} polls", rig.polls - before);
}

#[test]
fn sender_that_waits_for_an_answer_sleeps() {
    let mut rig = Rig::new(Config { request_timeout: Duration::from_secs(100), ..Config::default() });
    rig.put(0, "a");
    rig.put(0, "b");

    let before = rig.polls;
    rig.advance(Duration::from_secs(90));

    assert!(rig.polls - before < 20, "{} polls", rig.polls - before);
}

#[test]
fn longest_times_neither_overflow_nor_wake_the_sender() {
    let longest = Duration::from_millis(i32::MAX.unsigned_abs().into());
    let config = Config { linger: longest, delivery_timeout: longest, ..Config::default() };
    let mut rig = Rig::new(config);

    let delivery = rig.send(0, "a");
    let before = rig.polls;
    rig.advance(Duration::from_secs(3600));

    assert!(is_pending(&delivery));
    assert!(rig.polls - before < 200, "{} polls", rig.polls - before);
}

#[test]
fn thousands_of_batches_leave_no_timers_behind() {
    let mut rig = Rig::new(Config { linger: millis(1), ..Config::default() });

    for _ in 0..2000 {
        rig.put(0, "a");
        rig.advance(millis(1));
        rig.acknowledge_all();
    }

    assert!(rig.core.partition_timers() <= 4, "{}", rig.core.partition_timers());
    assert!(rig.is_clean());
}

#[test]
fn closing_by_force_fails_what_is_left_and_tells_what_may_have_been_written() {
    let mut rig = Rig::new(Config::default());
    let sent = rig.send(0, "a");
    let queued = rig.send(0, "b");

    let mut failed = Vec::new();
    rig.core.abort(&DeliveryErrorKind::Closed, rig.now, &mut failed);

    let records: Vec<_> = failed.iter().map(|error| error.record().unwrap().value.unwrap()).collect();
    assert_eq!(records, ["a", "b"]);
    assert_eq!(failure(&sent).persisted(), Persisted::Maybe);
    assert_eq!(failure(&queued).persisted(), Persisted::No);
    assert_eq!(failure(&queued).record().unwrap().value.unwrap(), "b");
    assert!(rig.is_clean());
}

#[test]
fn closing_by_force_gives_back_records_that_are_being_compressed() {
    let mut rig = Rig::new(Config { compression: Compression::Lz4, seals: false, ..Config::default() });
    let delivery = rig.send(0, &"a".repeat(300));
    assert_eq!(rig.seal_jobs.len(), 1);

    rig.core.abort(&DeliveryErrorKind::Closed, rig.now, &mut Vec::new());

    assert_eq!(failure(&delivery).record().unwrap().value.unwrap(), "a".repeat(300));
    assert!(!rig.is_clean());
    for job in std::mem::take(&mut rig.seal_jobs) {
        rig.accumulator.seal(job);
    }
    assert!(rig.is_clean());
}

#[test]
fn partitions_take_turns_when_requests_are_small() {
    let config = Config { max_request_size: 1500, max_in_flight: 1, linger: millis(5), ..Config::default() };
    let mut rig = Rig::new(config);
    rig.world.add_topic("other", 6);
    rig.core.handle_topic_wanted(&Topic::from("other"), rig.now);
    rig.settle();

    for _ in 0..3 {
        for partition in [0, 2, 4] {
            drop(rig.try_append("other", partition, &full("x")).unwrap());
        }
    }
    rig.advance(millis(5));
    let mut order = Vec::new();
    while let Some(request) = rig.received.pop_front() {
        order.extend(request.batches.iter().map(|batch| batch.partition));
        rig.acknowledge(&request);
    }

    assert_eq!(order, [0, 2, 4, 0, 2, 4, 0, 2, 4]);
}

#[test]
fn sender_sleeps_until_the_first_batch_has_lingered() {
    let mut rig = Rig::new(Config { linger: millis(20), ..Config::default() });
    let start = rig.now;
    let sleeps_until = |rig: &Rig| rig.core.poll_timeout(rig.now).unwrap() - start;

    rig.put(0, "a");
    assert_eq!(sleeps_until(&rig), millis(20));
    rig.advance(millis(10));
    rig.put(1, "b");
    assert_eq!(sleeps_until(&rig), millis(20));
    rig.put(2, &full("c"));
    let full = rig.request();
    assert_eq!(full.records().len(), 1, "a full batch neither waits nor makes others go");
    rig.acknowledge(&full);
    rig.settle();
    assert_eq!(sleeps_until(&rig), millis(20));
    rig.advance(millis(10));

    let lingered = rig.request();
    assert_eq!(lingered.records(), ["a"]);
    rig.acknowledge(&lingered);
    rig.settle();
    assert_eq!(sleeps_until(&rig), millis(30));
}

/// A batch may become ready between two looks of one pass, when the last of its records is awaited just then.
#[test]
fn partition_that_is_ready_is_not_left_lying() {
    let mut rig = Rig::new(Config { linger: Duration::from_secs(60), ..Config::default() });
    rig.put(0, &full("connects"));
    let request = rig.request();
    rig.acknowledge(&request);
    let _pending = rig.append(0, "a");
    rig.settle();
    rig.core.list(NodeId(1), 0);

    assert_eq!(rig.core.poll_timeout(rig.now), Some(rig.now));

    rig.settle();
    assert!(rig.core.poll_timeout(rig.now) > Some(rig.now), "it was not ready after all");
}

/// Returns whether the sender was woken since the last call.
fn is_woken(rig: &Rig) -> bool {
    rig.accumulator.wake_flag().poll(&Context::from_waker(Waker::noop()))
}

#[test]
fn full_batch_waits_for_the_next_answer_but_no_longer_than_a_millisecond() {
    let mut rig = Rig::new(Config { linger: millis(5), ..Config::default() });
    rig.put(0, &full("first"));
    let first = rig.request();
    is_woken(&rig);

    drop(rig.try_append(TOPIC, 1, &full("second")).unwrap());
    assert!(!is_woken(&rig), "the answer will");
    assert_eq!(rig.core.poll_timeout(rig.now), Some(rig.now + millis(1)));
    rig.acknowledge(&first);
    rig.settle();
    assert_eq!(rig.request().records(), [full("second")]);

    drop(rig.try_append(TOPIC, 2, &full("third")).unwrap());
    assert!(!is_woken(&rig), "the answer will");
    rig.advance(millis(1));
    assert_eq!(rig.request().records(), [full("third")]);
}

#[test]
fn full_batch_wakes_the_sender_when_nothing_else_will() {
    let mut rig = Rig::new(Config { linger: millis(5), ..Config::default() });
    drop(rig.try_append(TOPIC, 0, &full("nothing is under way")).unwrap());
    assert!(is_woken(&rig));
    rig.settle();
    let _unanswered = rig.request();

    rig.advance(millis(1));
    let sleeps_until = rig.core.poll_timeout(rig.now).unwrap();
    assert!(sleeps_until > rig.now + millis(100), "nothing has happened meanwhile");
    drop(rig.try_append(TOPIC, 1, &full("the answer may take long")).unwrap());

    assert!(is_woken(&rig));
}

#[test]
fn full_batch_wakes_the_sender_if_the_linger_is_short() {
    let mut rig = Rig::new(Config { linger: millis(4), ..Config::default() });
    rig.put(0, &full("first"));
    let _unanswered = rig.request();
    is_woken(&rig);

    drop(rig.try_append(TOPIC, 1, &full("second")).unwrap());

    assert!(is_woken(&rig));
}
