//! Compression, by the thread that closed a batch.

use super::*;
use crate::error::{DeliveryErrorKind, Persisted};
use crate::planted::{Bug, plant};

fn bench() -> Bench {
    Bench::with(Compression::Lz4, 100 * BATCH)
}

fn job(bench: &Bench) -> SealJob {
    match bench.queue.take_head() {
        TakenHead::Seal(job) => job,
        other => panic!("{other:?}"),
    }
}

fn fail(batch: ProducerBatch) {
    batch.fail(DeliveryErrorKind::Closed, Persisted::No, Vec::new(), &Teller::WITHOUT_SENDER);
}

#[test]
fn batch_is_compressed_and_gives_back_what_that_saved() {
    let bench = bench();
    bench.append(&value_of(900));
    let before = bench.accumulator.memory().available();

    let job = job(&bench);
    assert!(bench.queue.look().unwrap().is_sealing);
    assert!(matches!(bench.queue.take_head(), TakenHead::Nothing));
    bench.accumulator.seal(job);

    let mut batch = bench.take();
    assert!(batch.len() < 200);
    assert_eq!(bench.accumulator.memory().available(), before + BATCH - batch.len());
    assert_eq!(values(&mut batch), [value_of(900)]);
}

#[test]
fn batch_that_gets_no_smaller_stays_as_it_is() {
    let bench = bench();
    bench.append("tiny");
    let before = bench.queue.look().unwrap().len;

    bench.accumulator.seal(job(&bench));

    let mut batch = bench.take();
    assert_eq!((batch.len(), batch.wanted_compression()), (before, Compression::Lz4));
    // No codec in the attributes.
    assert_eq!(batch.freeze()[22] & 7, 0);
}

#[test]
fn caller_compresses_the_batch_that_its_record_found_full() {
    let bench = bench();
    bench.append_all(&[&value_of(900), &value_of(900)]);

    let head = bench.queue.look().unwrap();
    assert!(!head.is_sealing && head.len < 200);
    assert_eq!(values(&mut bench.take()), [value_of(900)]);
}

#[test]
fn batch_whose_compression_is_dropped_is_sent_uncompressed() {
    let bench = bench();
    bench.append(&value_of(900));
    let job = job(&bench);
    bench.queue.look();
    assert!(bench.is_announced());

    drop(job);

    assert!(bench.is_announced());
    let head = bench.queue.look().unwrap();
    assert_eq!((head.is_sealing, head.len), (false, 61 + 900));
    assert_eq!(values(&mut bench.take()), [value_of(900)]);
}

#[test]
fn panic_inside_a_codec_costs_no_record() {
    let bench = bench();
    bench.append_all(&[&value_of(900)]);

    plant(Some(Bug::CodecPanics));
    // One batch is compressed for the sender, one by the caller whose record found it full.
    bench.accumulator.seal(job(&bench));
    bench.append_all(&[&value_of(800), &value_of(850)]);
    plant(None);

    for len in [900, 800] {
        let mut batch = bench.take();
        // No codec in the attributes.
        assert_eq!((batch.len(), batch.freeze()[22] & 7), (61 + len, 0));
        assert_eq!(values(&mut batch), [value_of(len)]);
    }
}

#[test]
fn dropped_compression_does_not_swallow_later_announcements() {
    let bench = bench();
    bench.append(&value_of(900));
    let job = job(&bench);
    bench.queue.look();
    assert!(bench.is_announced());

    drop(job);
    bench.append("next");

    assert!(bench.is_announced());
}

#[test]
fn batch_may_expire_while_it_is_compressed() {
    let bench = bench();
    let delivery = bench.append(&value_of(900)).delivery();
    let job = job(&bench);

    let expired = bench.queue.expire(bench.now + WINDOW, WINDOW);
    expired.into_iter().for_each(fail);

    let Some(Err(error)) = delivery.try_result() else { panic!() };
    assert_eq!(error.record().unwrap().value.unwrap(), value_of(900));
    assert!(!bench.has_all_memory(), "the bytes are still being read");
    bench.accumulator.seal(job);
    assert!(bench.has_all_memory() && bench.accumulator.is_complete());
}

#[test]
fn compression_that_ends_after_the_queue_was_closed_is_of_no_account() {
    let bench = bench();
    let delivery = bench.append(&value_of(900)).delivery();
    let job = job(&bench);
    bench.is_announced();
    bench.queue.look();

    bench.queue.close().into_iter().for_each(fail);
    bench.accumulator.seal(job);

    assert!(matches!(delivery.try_result(), Some(Err(_))));
    assert!(!bench.is_announced() && bench.has_all_memory());
}

#[test]
fn pieces_of_the_queue_are_compressed_independently() {
    let bench = bench();
    bench.append(&value_of(900));
    let first = job(&bench);
    bench.append_all(&[&value_of(800), &value_of(900)]);

    assert!(bench.queue.look().unwrap().is_sealing, "the second is done, the first is not");
    bench.accumulator.seal(first);

    let lens: Vec<_> = (0..2).map(|_| values(&mut bench.take())[0].len()).collect();
    assert_eq!(lens, [900 - 13, 800 - 13]);
}

/// Wakes like an executor that runs the task at once: it looks at the queue, which takes its lock.
struct Looking(Arc<PartitionQueue>, AtomicUsize);

impl std::task::Wake for Looking {
    fn wake(self: Arc<Self>) {
        self.0.look();
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn waker_may_look_at_the_queue_whose_batch_gives_memory_back() {
    let bench = bench();
    bench.append(&value_of(900));
    let job = job(&bench);
    let topic = bench.accumulator.topic(&Topic::from("other"), 2);
    let waking = Arc::new(Looking(Arc::clone(&bench.queue), AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&waking));
    let mut taken = Vec::new();
    while let Some(buffer) = [0, 1]
        .iter()
        .find_map(|number| bench.accumulator.ensure_queue(&topic, *number, || true)?.memory().try_take(1))
    {
        taken.push(buffer);
    }
    let memory = Arc::clone(bench.accumulator.ensure_queue(&topic, 0, || true).unwrap().memory());
    let mut wait = std::pin::pin!(memory.take(1));
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

    bench.accumulator.seal(job);
    taken.clear();

    assert_eq!(waking.1.load(Ordering::Relaxed), 1);
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}
