//! When the sender hears of a queue: whenever it must, and not for every record.

use super::*;

#[test]
fn first_record_is_announced_and_those_that_join_are_not() {
    let bench = Bench::new();

    bench.append("a");
    assert!(bench.is_announced());
    bench.append("b");
    bench.queue.look();
    bench.append_all(&["c", "d"]);

    assert!(!bench.is_announced());
}

#[test]
fn one_announcement_lasts_until_the_sender_looks() {
    let bench = Bench::new();

    bench.append_all(&[&value_of(900), &value_of(900), &value_of(900)]);
    assert!(bench.is_announced());
    bench.append(&value_of(900));
    assert!(!bench.is_announced());
    bench.queue.look();
    bench.append(&value_of(900));

    assert!(bench.is_announced());
}

#[test]
fn batch_that_becomes_full_ends_the_linger() {
    let bench = Bench::new();
    bench.append(&value_of(600));
    bench.queue.look();
    assert!(bench.is_announced());

    bench.append(&value_of(BATCH - 61 - 600));

    assert!(bench.is_announced());
    assert!(bench.queue.look().unwrap().is_full);
}

#[test]
fn second_batch_ends_the_linger_of_the_first() {
    let bench = Bench::new();
    bench.append(&value_of(600));
    bench.queue.look();
    assert!(bench.is_announced());

    bench.append(&value_of(600));

    assert!(bench.is_announced());
}

#[test]
fn full_batch_behind_another_is_no_news() {
    let bench = Bench::new();
    bench.append_all(&[&value_of(900), &value_of(60)]);
    bench.queue.look();
    assert!(bench.is_announced());

    bench.append(&value_of(BATCH - 61 - 60));

    assert_eq!(bench.queue.queued_batches(), 2);
    assert!(!bench.is_announced());
}

#[test]
fn first_record_after_everything_was_taken_is_announced() {
    let bench = Bench::new();
    bench.append("a");
    bench.queue.look();
    bench.take();
    assert!(bench.is_announced());

    bench.append("b");

    assert!(bench.is_announced());
}

#[test]
fn end_of_a_batch_is_announced_though_no_record_came_in() {
    let bench = Bench::new();
    bench.append(&value_of(600));
    bench.queue.look();
    assert!(bench.is_announced());

    assert!(matches!(bench.try_append(&value_of(600), AtBatchEnd::ComeBack), TryAppend::BatchEnded));

    assert!(bench.is_announced());
    assert!(bench.queue.look().unwrap().is_full);
}

#[test]
fn end_of_compression_is_announced() {
    let bench = Bench::with(Compression::Lz4, 100 * BATCH);
    bench.append(&value_of(600));
    let TakenHead::Seal(job) = bench.queue.take_head() else { panic!() };
    assert!(bench.queue.look().unwrap().is_sealing);
    assert!(bench.is_announced());

    bench.accumulator.seal(job);

    assert!(bench.is_announced());
    assert!(!bench.queue.look().unwrap().is_sealing);
}

#[test]
fn announcement_wakes_the_sender() {
    let bench = Bench::new();
    let cx = Context::from_waker(Waker::noop());
    bench.accumulator.wake_flag().poll(&cx);

    bench.append("a");
    assert!(bench.accumulator.wake_flag().poll(&cx));
    bench.append("b");

    assert!(!bench.accumulator.wake_flag().poll(&cx));
}
