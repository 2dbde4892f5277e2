//! The room as callers and the sender use it, without either.

mod announcing;
mod appending;
mod batches;
mod compressing;
mod handing_over;
mod random;
mod rescuing;
mod sealing;
mod splitting;
mod taking;

use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::clock;
use crate::delivery::{AckObserver, Delivery, Teller};
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::RecordRef;
use crate::record::Headers;

use super::*;

const BATCH: usize = 1000;
/// Of gzip and of zstd.
const LEVEL: i32 = 3;
const WINDOW: Duration = Duration::from_millis(100);

/// One partition of a producer, and a clock that stands still until it is moved.
struct Bench {
    accumulator: RecordAccumulator,
    queue: Arc<PartitionQueue>,
    /// Who hears what becomes of the records that are appended next.
    observer: Option<Arc<dyn AckObserver>>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self::with(Compression::None, 100 * BATCH)
    }

    fn with(compression: Compression, memory: usize) -> Self {
        let settings = Settings {
            batch_size: BATCH,
            compression,
            compression_level: LEVEL,
            max_plain: 8 * BATCH,
            append_window: WINDOW,
            spares_awaited: false,
        };
        let accumulator = RecordAccumulator::new(settings, BufferMemory::new(memory, BATCH));
        let topic = accumulator.topic(&Topic::from("topic"), 1);
        let queue = Arc::clone(accumulator.ensure_queue(&topic, 0, || true).unwrap());
        Self { accumulator, queue, observer: None, now: clock::now() }
    }

    fn try_append(&self, value: &str, at_end: AtBatchEnd) -> TryAppend {
        let headers = Headers::from([("h", "1")]);
        let record = RecordRef { timestamp: 5, key: None, value: Some(value.as_bytes()), headers: &headers };
        let payload_len = record.payload_len();
        let waits = EnqueueWaits::default();
        let append = Append {
            record,
            payload_len,
            waits,
            transaction: NO_TRANSACTION,
            observer: self.observer.as_ref(),
            now: self.now,
        };
        self.accumulator.try_append(&self.queue, &append, at_end, &mut None)
    }

    fn append(&self, value: &str) -> Done {
        match self.try_append(value, AtBatchEnd::BeginNext) {
            TryAppend::Done(done) => done,
            other => panic!("{other:?}"),
        }
    }

    fn append_all(&self, values: &[&str]) -> Vec<Delivery> {
        values.iter().map(|value| self.append(value).delivery()).collect()
    }

    fn take(&self) -> Box<ProducerBatch> {
        match self.queue.take_head() {
            TakenHead::Batch(batch) => batch,
            other => panic!("{other:?}"),
        }
    }

    /// Whether the sender was told of the queue since the last call.
    fn is_announced(&self) -> bool {
        let mut changed = Vec::new();
        self.accumulator.take_changed(&mut changed);
        assert!(changed.iter().all(|queue| Arc::ptr_eq(queue, &self.queue)));
        !changed.is_empty()
    }

    fn has_all_memory(&self) -> bool {
        let memory = self.accumulator.memory();
        memory.available() == memory.total()
    }
}

/// The values of a batch.
fn values(batch: &mut ProducerBatch) -> Vec<String> {
    let (records, _) = batch.decode().unwrap();
    let value = |value: Option<bytes::Bytes>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    records.into_iter().map(|record| value(record.value)).collect()
}

fn deliver(batch: ProducerBatch, base_offset: i64) {
    Box::new(batch).deliver(Some(base_offset), None, &Teller::WITHOUT_SENDER);
}

fn offset(delivery: &Delivery) -> Option<i64> {
    match delivery.try_result() {
        Some(Ok(metadata)) => metadata.offset(),
        other => panic!("{other:?}"),
    }
}

/// A value that makes a record of `len` bytes, as the first of its batch.
fn value_of(len: usize) -> String {
    // Length 2, attributes, timestamp, offset, key, value length 2, header 5.
    "v".repeat(len - 13)
}

#[test]
fn topics_are_extended_and_keep_their_queues() {
    let accumulator = Bench::new().accumulator;
    let name = Topic::from("wide");

    let two = accumulator.topic(&name, 2);
    two.touch(9);
    let early = accumulator.ensure_queue(&two, 1, || true).unwrap();
    let four = accumulator.topic(&name, 4);
    let same = accumulator.topic(&name, 3);

    assert_eq!((two.len(), four.len(), same.len()), (2, 4, 4));
    assert!(Arc::ptr_eq(&four, &same));
    assert!(Arc::ptr_eq(early, four.queue(1).unwrap()));
    assert_eq!((four.last_used(), four.topic()), (9, &name));
    assert!(
        accumulator.ensure_queue(&four, 4, || true).is_none()
            && accumulator.ensure_queue(&two, 2, || true).is_none()
    );
    // Through either table, a partition has one queue.
    let late = accumulator.ensure_queue(&two, 0, || true).unwrap();
    assert!(Arc::ptr_eq(late, accumulator.ensure_queue(&four, 0, || true).unwrap()));
    let added = accumulator.ensure_queue(&four, 3, || true).unwrap();
    assert!(Arc::ptr_eq(added, &accumulator.queue("wide", 3).unwrap()));
    // The bench has one of its own.
    let ids: Vec<_> =
        four.made().iter().map(|queue| (queue.topic_partition().partition, queue.id())).collect();
    assert_eq!(ids, [(0, 2), (1, 1), (3, 3)]);
}

#[test]
fn partition_has_no_queue_before_it_is_asked_for() {
    let accumulator = Bench::new().accumulator;
    let topic = accumulator.topic(&Topic::from("wide"), 1_000_000);
    let made = || topic.made().iter().map(|queue| queue.topic_partition().partition).collect::<Vec<_>>();
    assert!(made().is_empty() && accumulator.queue("wide", 7).is_none());

    for partition in [999_999, 0, 255, 256, 511, 512] {
        let queue = accumulator.ensure_queue(&topic, partition, || true).unwrap();
        assert!(Arc::ptr_eq(queue, topic.queue(partition).unwrap()));
        assert_eq!(queue.topic_partition().partition, partition as i32);
    }

    assert_eq!(made(), [0, 255, 256, 511, 512, 999_999]);
    assert!(topic.iter().zip(topic.made()).all(|(one, other)| Arc::ptr_eq(one, &other)));
    assert!(
        topic.queue(1_000_000).is_none() && accumulator.ensure_queue(&topic, 1_000_000, || true).is_none()
    );
}

#[test]
fn places_that_a_look_at_all_queues_takes_are_counted() {
    let accumulator = Bench::new().accumulator;
    let topic = |partitions| accumulator.topic(&Topic::from(format!("of {partitions}")), partitions);
    assert_eq!([0, 3, 256].map(|partitions| topic(partitions).places()), [0, 3, 256]);

    let wide = topic(1_000_000);
    // Those that are flat, and one for each block behind them.
    let flat = 256 + (1_000_000_usize - 256).div_ceil(256);
    assert_eq!(wide.places(), flat);
    for partition in [0, 255, 256, 511, 512, 999_999] {
        accumulator.ensure_queue(&wide, partition, || true).unwrap();
    }
    assert_eq!(wide.places(), flat + 3 * 256);
}

#[test]
fn callers_who_come_first_together_get_the_same_queue() {
    for _ in 0..50 {
        let accumulator = Bench::new().accumulator;
        let name = Topic::from("wide");
        let topics = [accumulator.topic(&name, 300), accumulator.topic(&name, 600)];
        let together = std::sync::Barrier::new(4);

        let queues: Vec<_> = std::thread::scope(|scope| {
            let caller = |index: usize| {
                let (accumulator, topic, together) = (&accumulator, &topics[index % 2], &together);
                scope.spawn(move || {
                    together.wait();
                    Arc::clone(accumulator.ensure_queue(topic, 299, || true).unwrap())
                })
            };
            let callers = [0, 1, 2, 3].map(caller);
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });

        assert!(queues.iter().all(|queue| Arc::ptr_eq(queue, &queues[0])));
        assert_eq!(queues[0].id(), 1);
    }
}

#[test]
fn topic_that_was_given_up_gets_no_queues() {
    let accumulator = Bench::new().accumulator;
    let name = Topic::from("wide");
    let old = accumulator.topic(&name, 2);
    let first = Arc::clone(accumulator.ensure_queue(&old, 0, || true).unwrap());

    assert!(accumulator.retire_topic(&name, |_| false).is_some());
    let new = accumulator.topic(&name, 2);

    assert!(old.is_retired() && first.is_retired() && !new.is_retired());
    assert!(accumulator.ensure_queue(&old, 1, || true).is_none());
    assert_eq!(accumulator.ensure_queue(&new, 1, || true).unwrap().id(), first.id(), "ids are used again");
    assert_eq!(new.made().len(), 1);
}

#[test]
fn closed_accumulator_refuses_records_for_old_and_new_topics() {
    let mut bench = Bench::new();
    let delivery = bench.append("a").delivery();

    bench.accumulator.close();

    assert!(bench.accumulator.is_closed() && bench.accumulator.is_urgent());
    assert!(matches!(bench.try_append("b", AtBatchEnd::BeginNext), TryAppend::Closed));
    let topic = bench.accumulator.topic(&Topic::from("new"), 1);
    bench.queue = Arc::clone(bench.accumulator.ensure_queue(&topic, 0, || true).unwrap());
    assert!(matches!(bench.try_append("c", AtBatchEnd::BeginNext), TryAppend::Closed));
    assert!(delivery.try_result().is_none(), "what was accepted is still to be sent");
    assert!(!bench.accumulator.is_complete());
    assert_eq!(bench.accumulator.appended_records(), 1);
}

/// While `close` goes from queue to queue, those that it has not come to take records.
#[test]
fn producer_has_not_ended_while_a_queue_takes_records() {
    let bench = Bench::new();
    bench.accumulator.is_closed.store(true, Ordering::Release);

    assert!(bench.accumulator.is_closed() && bench.accumulator.is_complete());
    assert!(!bench.accumulator.has_ended());
    let delivery = bench.append("accepted").delivery();
    bench.accumulator.close();
    assert!(!bench.accumulator.has_ended());
    deliver(*bench.take(), 0);

    assert!(bench.accumulator.has_ended());
    assert_eq!(offset(&delivery), Some(0));
}

/// An end that is seen stays one, whenever callers and `close` meet.
#[test]
fn producer_that_has_ended_accepts_no_record() {
    for _ in 0..40 {
        let bench = Bench::new();
        let topic = bench.accumulator.topic(&Topic::from("wide"), 50);
        let queue = Arc::clone(bench.accumulator.ensure_queue(&topic, 49, || true).unwrap());
        let last = Bench { queue, ..bench };

        let at_the_end = std::thread::scope(|scope| {
            let caller = scope.spawn(|| {
                while let TryAppend::Done(_) = last.try_append("a", AtBatchEnd::BeginNext) {
                    deliver(*last.take(), 0);
                }
            });
            scope.spawn(|| last.accumulator.close());
            while !last.accumulator.has_ended() {
                std::hint::spin_loop();
            }
            let at_the_end = last.accumulator.appended_records();
            caller.join().unwrap();
            at_the_end
        });

        assert_eq!(last.accumulator.appended_records(), at_the_end);
    }
}

#[test]
fn flush_tells_the_sender_once_and_returns_what_is_to_be_waited_for() {
    let bench = Bench::new();
    assert!(bench.accumulator.begin_flush().is_empty() && !bench.is_announced());
    bench.append_all(&[&value_of(600), &value_of(600)]);
    assert!(bench.is_announced());
    assert!(!bench.queue.look().unwrap().is_flushed);
    let _under_way = bench.take();

    assert_eq!(bench.accumulator.begin_flush().len(), 2);

    assert!(bench.is_announced() && bench.queue.look().unwrap().is_flushed);
    assert_eq!(bench.accumulator.begin_flush().len(), 2);
    assert!(!bench.is_announced());
    assert!(bench.append("small").delivery().try_result().is_none(), "an open batch still takes records");
    assert_eq!(bench.queue.queued_batches(), 1);
}

#[test]
fn shortage_of_memory_is_urgent() {
    let bench = Bench::with(Compression::None, 2 * BATCH);
    let accumulator = &bench.accumulator;
    assert!(!accumulator.is_urgent());

    accumulator.want_memory();
    assert!(accumulator.is_urgent());
    bench.append("there is some again");
    assert!(!accumulator.is_urgent());
}

#[test]
fn sender_is_woken_for_a_wait_for_memory_once_it_counts() {
    let bench = Bench::with(Compression::None, 2 * BATCH);
    let accumulator = &bench.accumulator;
    let held = accumulator.memory().try_take_exactly(2 * BATCH).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(!accumulator.wake_flag().poll(&cx));

    let mut wait = std::pin::pin!(accumulator.wait_for_memory(&bench.queue, 100));
    assert!(wait.as_mut().poll(&mut cx).is_pending());

    assert!(accumulator.is_urgent());
    assert!(accumulator.wake_flag().poll(&cx));
    assert!(wait.as_mut().poll(&mut cx).is_pending());
    assert!(!accumulator.wake_flag().poll(&cx), "once is enough");
    drop(held);
    assert!(matches!(wait.as_mut().poll(&mut cx), Poll::Ready(Ok(buffer)) if buffer.capacity() == BATCH));
    assert!(!accumulator.is_urgent());
}

#[test]
fn closing_fails_waits_for_memory() {
    let bench = Bench::with(Compression::None, 2 * BATCH);
    let _held = bench.accumulator.memory().try_take_exactly(2 * BATCH).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut wait = std::pin::pin!(bench.accumulator.wait_for_memory(&bench.queue, 100));
    assert!(wait.as_mut().poll(&mut cx).is_pending());

    bench.accumulator.close();

    assert!(matches!(wait.as_mut().poll(&mut cx), Poll::Ready(Err(MemoryClosed))));
}

#[test]
fn wake_up_before_the_sleep_is_not_lost() {
    let flag = WakeFlag::default();
    let cx = Context::from_waker(Waker::noop());

    flag.wake();
    flag.wake();

    assert!(flag.poll(&cx));
    assert!(!flag.poll(&cx));
}

#[test]
fn wake_up_during_the_sleep_comes_once_until_the_sleeper_looks() {
    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let cx = Context::from_waker(&waker);
    let flag = WakeFlag::default();
    assert!(!flag.poll(&cx));

    flag.wake();
    flag.wake();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(flag.poll(&cx));
    flag.wake();

    assert_eq!(count.0.load(Ordering::Relaxed), 2);
}
