//! What the sender does to a queue.

use super::*;
use crate::error::{DeliveryErrorKind, Persisted};

#[test]
fn head_is_described_and_taken() {
    let bench = Bench::new();
    assert!(bench.queue.look().is_none());
    assert!(matches!(bench.queue.take_head(), TakenHead::Nothing));
    let deliveries = bench.append_all(&["a", "b"]);

    let head = bench.queue.look().unwrap();
    assert_eq!((head.created, head.attempts, head.is_full, head.is_sealing), (bench.now, 0, false, false));
    let mut batch = bench.take();
    assert_eq!(batch.len(), head.len);
    assert_eq!(values(&mut batch), ["a", "b"]);
    assert_eq!(bench.queue.queued_batches(), 0);
    deliver(*batch, 7);

    assert_eq!(deliveries.iter().map(offset).collect::<Vec<_>>(), [Some(7), Some(8)]);
    assert!(bench.has_all_memory());
}

#[test]
fn taken_batch_takes_no_more_records() {
    let bench = Bench::new();
    bench.append("a");
    let mut first = bench.take();

    bench.append("b");

    assert_eq!(values(&mut first), ["a"]);
    assert_eq!(values(&mut bench.take()), ["b"]);
}

#[test]
fn batches_that_come_back_stand_in_their_order_whatever_the_order_in_which_they_come() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let bench = Bench::new();
        let names = ["a", "b", "c", "d"].map(|name| format!("{name}{}", value_of(600)));
        bench.append_all(&names.each_ref().map(String::as_str));
        let mut taken: Vec<_> = (0..3).map(|_| Some(*bench.take())).collect();

        for index in order {
            bench.queue.put_back(taken[index].take().into_iter());
        }

        assert_eq!(bench.queue.queued_batches(), 4);
        let back: Vec<_> = (0..4).flat_map(|_| values(&mut bench.take())).collect();
        assert_eq!(back, names);
    }
}

#[test]
fn batch_that_comes_back_takes_no_more_records() {
    let bench = Bench::new();
    bench.append("a");
    let batch = *bench.take();

    bench.queue.put_back(std::iter::once(batch));
    bench.append("b");

    assert_eq!(bench.queue.queued_batches(), 2);
    assert!(bench.queue.look().unwrap().is_full);
}

#[test]
fn every_attempt_sends_the_same_bytes() {
    let bench = Bench::with(Compression::Lz4, 100 * BATCH);
    bench.append(&value_of(600));
    let TakenHead::Seal(job) = bench.queue.take_head() else { panic!() };
    bench.accumulator.seal(job);
    let mut batch = *bench.take();
    let first = batch.freeze();

    bench.queue.put_back(std::iter::once(batch));

    assert_eq!(bench.take().freeze(), first);
}

#[test]
fn batches_expire_from_the_front_and_exactly_in_time() {
    let mut bench = Bench::new();
    let start = bench.now;
    let timeout = Duration::from_secs(10);
    for seconds in [0, 1, 2] {
        bench.now = start + Duration::from_secs(seconds);
        bench.append(&value_of(600));
    }

    let expired = |at: Duration| bench.queue.expire(start + at, timeout).len();
    assert_eq!(expired(timeout - Duration::from_nanos(1)), 0);
    assert_eq!(expired(timeout), 1);
    assert_eq!(expired(timeout + Duration::from_secs(2)), 2);

    assert_eq!(bench.queue.queued_batches(), 0);
    assert!(bench.has_all_memory());
}

#[test]
fn batch_of_the_future_is_not_expired() {
    let mut bench = Bench::new();
    let before = bench.now;
    bench.now += Duration::from_secs(5);
    bench.append("a");

    assert!(bench.queue.expire(before, Duration::from_nanos(1)).is_empty());
}

#[test]
fn longest_timeout_does_not_overflow() {
    let bench = Bench::new();
    bench.append("a");

    assert!(bench.queue.expire(bench.now + Duration::from_secs(1000), Duration::MAX).is_empty());
}

#[test]
fn closed_queue_gives_everything_and_takes_nothing() {
    let bench = Bench::new();
    let deliveries = bench.append_all(&[&value_of(600), &value_of(600)]);

    let batches = bench.queue.close();

    assert!(matches!(bench.try_append("c", AtBatchEnd::BeginNext), TryAppend::Closed));
    assert_eq!((batches.len(), bench.queue.queued_batches()), (2, 0));
    for batch in batches {
        batch.fail(DeliveryErrorKind::Closed, Persisted::No, Vec::new(), &Teller::WITHOUT_SENDER);
    }
    assert!(deliveries.iter().all(|delivery| matches!(delivery.try_result(), Some(Err(_)))));
    assert!(bench.has_all_memory() && bench.accumulator.is_complete());
}

#[test]
fn records_are_incomplete_until_their_batch_has_an_outcome() {
    let bench = Bench::new();
    assert!(bench.accumulator.is_complete());
    bench.append_all(&[&value_of(600), &value_of(600)]);
    assert_eq!(bench.accumulator.incomplete().len(), 2);

    let (first, second) = (bench.take(), bench.take());
    assert!(!bench.accumulator.is_complete(), "on its way is not complete");
    deliver(*second, 1);
    assert_eq!(bench.accumulator.incomplete().len(), 1);
    deliver(*first, 0);

    assert!(bench.accumulator.is_complete() && bench.accumulator.incomplete().is_empty());
    assert_eq!(bench.queue.appended_records(), 2);
}

#[test]
fn nothing_but_its_deliveries_keeps_the_outcome_of_a_batch() {
    let bench = Bench::new();
    let deliveries = bench.append_all(&[&value_of(600)]);
    let batch = bench.take();
    let cell = Arc::downgrade(batch.cell());

    batch.fail(DeliveryErrorKind::Closed, Persisted::No, Vec::new(), &Teller::WITHOUT_SENDER);
    assert!(cell.upgrade().is_some());
    drop(deliveries);

    assert!(cell.upgrade().is_none(), "a copy of the bytes of every failed batch would stay");
}

#[test]
fn announcement_that_the_sender_has_not_seen_does_not_outlive_it() {
    let Bench { accumulator, queue, .. } = {
        let bench = Bench::new();
        bench.append_all(&[&value_of(600)]);
        bench
    };
    let weak = Arc::downgrade(&queue);

    // What the sender does when it ends.
    accumulator.end();
    drop((accumulator, queue));

    assert!(weak.upgrade().is_none(), "the queue and the list of changes would hold each other");
}

#[test]
fn batches_under_way_are_not_among_those_that_are_queued() {
    let bench = Bench::new();
    let deliveries = bench.append_all(&[&value_of(600), &value_of(600), &value_of(600)]);
    let under_way = bench.take();

    let queued = bench.queue.take_all();
    assert_eq!((queued.len(), bench.queue.queued_batches()), (2, 0));
    for batch in queued {
        batch.fail(DeliveryErrorKind::Closed, Persisted::No, Vec::new(), &Teller::WITHOUT_SENDER);
    }

    assert!(deliveries[0].try_result().is_none());
    assert!(deliveries[1..].iter().all(|delivery| matches!(delivery.try_result(), Some(Err(_)))));
    deliver(*under_way, 3);
    assert_eq!(offset(&deliveries[0]), Some(3));
    assert!(bench.has_all_memory() && bench.accumulator.is_complete());
}
