//! Batches cut into pieces.

use std::sync::Mutex;

use super::*;
use crate::accumulator::salvage;
use crate::delivery::{AckNote, AckObserver, AckResult};
use crate::fence::broken::BrokenLog;
use crate::planted::{Bug, plant};
use crate::topic_partition::TopicPartition;

fn cut(bench: &Bench) -> Result<usize, Box<ProducerBatch>> {
    split(*take_sealed(bench), &bench.queue, bench.accumulator.settings().batch_size, bench.now)
}

/// Takes a batch that may have to be compressed first.
fn take_sealed(bench: &Bench) -> Box<ProducerBatch> {
    match bench.queue.take_head() {
        TakenHead::Batch(batch) => batch,
        TakenHead::Seal(job) => {
            bench.accumulator.seal(job);
            bench.take()
        }
        TakenHead::Nothing => panic!("there is no batch"),
    }
}

#[test]
fn pieces_keep_records_order_age_and_codec() {
    for compression in [Compression::None, Compression::Lz4] {
        let bench = Bench::with(compression, 100 * BATCH);
        let names = ["a", "b", "c", "d", "e"].map(|name| name.repeat(150));
        let deliveries = bench.append_all(&names.each_ref().map(String::as_str));
        bench.append(&value_of(900));

        let pieces = cut(&bench).unwrap();

        assert!((2..=3).contains(&pieces), "{pieces}");
        let mut records = Vec::new();
        let mut next_offset = 0;
        for _ in 0..pieces {
            let mut piece = take_sealed(&bench);
            assert_eq!((piece.created(), piece.attempts(), piece.is_split()), (bench.now, 0, true));
            assert_eq!(piece.wanted_compression(), compression);
            let (decoded, _) = piece.decode().unwrap();
            assert!(decoded.iter().all(|record| record.timestamp == 5 && record.headers.len() == 1));
            records.extend(values(&mut piece));
            let count = i64::from(piece.record_count());
            deliver(*piece, next_offset);
            next_offset += count;
        }
        assert_eq!(records, names);
        assert!(deliveries.iter().map(offset).eq((0..5).map(Some)));
        assert_eq!(bench.queue.queued_batches(), 1);
    }
}

#[test]
fn results_of_records_in_pieces_tell_their_own_sizes_and_timestamps() {
    let bench = Bench::new();
    let sizes = [150, 150, 7, 150, 300, 9];
    let values = sizes.map(|size| "x".repeat(size));
    let deliveries = bench.append_all(&values.each_ref().map(String::as_str));

    assert!(cut(&bench).unwrap() > 1);
    while bench.queue.queued_batches() > 0 {
        deliver(*bench.take(), 0);
    }

    let told = deliveries.iter().map(|delivery| {
        let metadata = delivery.try_result().unwrap().unwrap();
        (metadata.serialized_key_size(), metadata.serialized_value_size(), metadata.timestamp())
    });
    assert!(told.eq(sizes.map(|size| (None, Some(size), 5))));
}

#[test]
fn pieces_take_their_memory_at_once_and_give_it_back() {
    let bench = Bench::with(Compression::None, BATCH);
    bench.append_all(&[&value_of(313), &value_of(313), &value_of(313)]);
    assert_eq!(bench.accumulator.memory().available(), 0);

    let pieces = cut(&bench).unwrap();

    // Half of the records each: 61 + 470 bytes.
    assert_eq!((pieces, bench.accumulator.memory().available()), (3, 0));
    assert!(matches!(bench.try_append("d", AtBatchEnd::BeginNext), TryAppend::NoMemory { .. }));
    deliver(*bench.take(), 0);
    assert_eq!(bench.accumulator.memory().available(), 0);
    deliver(*bench.take(), 1);
    assert_eq!(bench.accumulator.memory().available(), BATCH - 531);
    deliver(*bench.take(), 2);
    assert!(bench.has_all_memory());
}

#[test]
fn single_record_cannot_be_cut() {
    let bench = Bench::new();
    let delivery = bench.append("a").delivery();

    let batch = cut(&bench).unwrap_err();

    assert!(delivery.try_result().is_none());
    deliver(*batch, 4);
    assert_eq!(offset(&delivery), Some(4));
}

#[test]
fn cutting_again_and_again_ends_at_single_records() {
    let bench = Bench::new();
    let names: Vec<_> = (0..31).map(|number| format!("{number}")).collect();
    let deliveries = bench.append_all(&names.iter().map(String::as_str).collect::<Vec<_>>());

    let mut records = Vec::new();
    while bench.queue.queued_batches() > 0 {
        if let Err(mut single) = cut(&bench) {
            records.extend(values(&mut single));
            deliver(*single, i64::try_from(records.len()).unwrap() - 1);
        }
    }

    assert_eq!(records, names);
    assert!(deliveries.iter().map(offset).eq((0..31).map(Some)));
    assert!(bench.accumulator.is_complete());
}

#[derive(Debug, Default)]
struct Told(Mutex<Vec<(u32, Option<i64>)>>);

impl AckObserver for Told {
    fn acknowledged(&self, _: &TopicPartition, note: &AckNote, result: AckResult<'_>) {
        assert_eq!(note.headers.len(), 1);
        let offset = result.unwrap().offset();
        self.0.lock().unwrap().push((note.index, offset));
    }
}

#[test]
fn interceptors_hear_of_every_record_once_with_its_own_offset() {
    let mut bench = Bench::new();
    let told = Arc::<Told>::default();
    bench.observer = Some(Arc::<Told>::clone(&told));
    bench.append_all(&["a", "b", "c", "d", "e"].map(|_| "x".repeat(150)).each_ref().map(String::as_str));

    let pieces = cut(&bench).unwrap();
    for piece in 0..pieces {
        let base = 100 * i64::try_from(piece).unwrap();
        bench.take().deliver(Some(base), None, &Teller::WITHOUT_SENDER);
    }

    let told = told.0.lock().unwrap();
    assert_eq!(told.len(), 5);
    assert!(told.iter().all(|(index, offset)| offset.unwrap() % 100 == i64::from(*index)));
    assert!(told.is_sorted_by_key(|(_, offset)| *offset));
}

#[test]
fn each_observer_hears_of_its_own_records_alone() {
    let mut bench = Bench::new();
    let told = [Arc::<Told>::default(), Arc::<Told>::default()];
    // Records 0 to 7: the second has no observer, nor has the last.
    for observer in [Some(0), None, Some(1), Some(0), Some(1), Some(1), Some(0), None] {
        bench.observer = observer.map(|at: usize| Arc::<Told>::clone(&told[at]) as _);
        bench.append(&"x".repeat(90));
    }

    let pieces = cut(&bench).unwrap();
    let mut base = 0;
    for _ in 0..pieces {
        let piece = bench.take();
        let count = i64::from(piece.record_count());
        piece.deliver(Some(base), None, &Teller::WITHOUT_SENDER);
        base += count;
    }

    assert!(pieces > 1);
    let offsets = |told: &Told| told.0.lock().unwrap().iter().map(|told| told.1.unwrap()).collect::<Vec<_>>();
    assert_eq!(told.each_ref().map(|told| offsets(told)), [vec![0, 3, 6], vec![2, 4, 5]]);
}

/// The batch gives its memory back while it is cut, at the latest with the last record that was read from it. That wakes a
/// caller whose waker panics, and so does the log that hears of it.
#[test]
fn records_of_a_batch_are_saved_once_from_a_panic_while_it_is_cut() {
    struct Panics;

    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a bug of the application");
        }
    }

    type Cut = fn(ProducerBatch, &Bench);
    let cuts: [Cut; 3] = [
        |batch, bench| drop(split(batch, &bench.queue, bench.accumulator.settings().batch_size, bench.now)),
        |batch, bench| drop(halve(batch, &bench.queue, bench.now)),
        |batch, bench| std::mem::forget(rescue(batch, &[(1, None)].into(), &bench.queue, bench.now)),
    ];
    // Records without anything in them hold on to nothing of the batch.
    for (cut, values) in cuts.into_iter().flat_map(|cut| [(cut, [Some("a"); 4]), (cut, [None; 4])]) {
        let bench = Bench::with(Compression::None, 2 * BATCH);
        let other = bench.accumulator.topic(&Topic::from("topic"), 2);
        let deliveries = values.map(|value| append_bare(&bench, value));
        let batch = bench.take();
        // Less than a buffer is free; a whole one will be, for the pieces take less than the batch.
        let _held = bench.accumulator.memory().try_take_exactly(BATCH / 4).unwrap();
        let queue = bench.accumulator.ensure_queue(&other, 1, || true).unwrap();
        let mut wait = std::pin::pin!(bench.accumulator.wait_for_memory(queue, 1));
        let waker = Waker::from(Arc::new(Panics));
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

        plant(Some(Bug::LogNotFenced));
        let (done, lost) =
            BrokenLog::during("a waker panicked", 1, || salvage::catch_unwind(|| cut(*batch, &bench)));
        plant(None);

        assert!(done.is_err());
        let saved: Vec<_> = lost.into_iter().chain(bench.queue.take_all()).collect();
        assert_eq!(saved.iter().map(|batch| batch.record_count()).sum::<u32>(), 4);
        saved.into_iter().for_each(|batch| deliver(batch, 0));
        assert!(deliveries.iter().all(|delivery| delivery.try_result().is_some()));
    }
}

fn append_bare(bench: &Bench, value: Option<&str>) -> Delivery {
    let headers = Headers::new();
    let record = RecordRef { timestamp: 5, key: None, value: value.map(str::as_bytes), headers: &headers };
    let (payload_len, waits) = (record.payload_len(), EnqueueWaits::default());
    let append =
        Append { record, payload_len, waits, transaction: NO_TRANSACTION, observer: None, now: bench.now };
    match bench.accumulator.try_append(&bench.queue, &append, AtBatchEnd::BeginNext, &mut None) {
        TryAppend::Done(done) => done.delivery(),
        other => panic!("{other:?}"),
    }
}
