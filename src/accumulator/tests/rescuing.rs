//! Batches parted into innocent records and those that a broker refused.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::delivery::{AckNote, AckObserver, AckResult};
use crate::error::{DeliveryErrorKind, Persisted};
use crate::protocol::ErrorCode;
use crate::topic_partition::TopicPartition;

fn part(bench: &Bench, named: &[u32]) -> Result<Rescue, Box<ProducerBatch>> {
    let named: BTreeMap<_, _> = named.iter().map(|index| (*index, Some(format!("no {index}")))).collect();
    rescue(*bench.take(), &named, &bench.queue, bench.now)
}

/// Fails the culprits as the sender does.
fn fail(Rescue { culprits, messages }: Rescue) {
    let kind = DeliveryErrorKind::Broker { code: ErrorCode::InvalidRecord, message: None };
    culprits.fail(kind, Persisted::No, messages, &Teller::WITHOUT_SENDER);
}

#[test]
fn every_record_keeps_its_contents_on_either_side() {
    let bench = Bench::new();
    let names = ["a", "b", "c", "d", "e", "f"];
    let deliveries = bench.append_all(&names);

    let rescued = part(&bench, &[0, 1, 4]).unwrap();
    fail(rescued);
    let mut innocent = bench.take();

    assert_eq!((innocent.created(), innocent.attempts()), (bench.now, 0));
    assert_eq!(values(&mut innocent), ["c", "d", "f"]);
    deliver(*innocent, 70);
    let results: Vec<_> = deliveries.iter().map(|delivery| delivery.try_result().unwrap()).collect();
    for (at, message) in [(0, "no 0"), (1, "no 1"), (4, "no 4")] {
        let error = results[at].as_ref().unwrap_err();
        let message = Some(message.to_owned());
        assert_eq!(error.kind(), DeliveryErrorKind::Broker { code: ErrorCode::InvalidRecord, message });
        let record = error.record().unwrap();
        assert_eq!((record.value.unwrap(), record.headers.len()), (names[at].into(), 1));
    }
    for (at, offset) in [(2, 70), (3, 71), (5, 72)] {
        assert_eq!(results[at].as_ref().unwrap().offset(), Some(offset));
    }
    assert!(bench.has_all_memory() && bench.accumulator.is_complete());
}

#[test]
fn results_of_innocent_records_tell_their_own_sizes() {
    let bench = Bench::new();
    let sizes = [3, 1, 1, 2, 1];
    let values = sizes.map(|size| "x".repeat(size));
    let deliveries = bench.append_all(&values.each_ref().map(String::as_str));

    fail(part(&bench, &[1, 2]).unwrap());
    deliver(*bench.take(), 0);

    let innocent = [0, 3, 4].map(|at: usize| deliveries[at].try_result().unwrap().unwrap());
    assert_eq!(innocent.map(|metadata| metadata.serialized_value_size()), [3, 2, 1].map(Some));
}

#[test]
fn batch_without_a_record_to_save_comes_back() {
    for named in [&[][..], &[7, 9], &[0, 1, 2]] {
        let bench = Bench::new();
        bench.append_all(&["a", "b", "c"]);

        let mut batch = part(&bench, named).unwrap_err();

        assert_eq!(values(&mut batch), ["a", "b", "c"]);
        assert_eq!(bench.queue.queued_batches(), 0);
    }
}

#[test]
fn innocent_records_are_incomplete_until_they_are_delivered() {
    let bench = Bench::new();
    bench.append_all(&["a", "b"]);

    fail(part(&bench, &[0]).unwrap());

    assert!(!bench.accumulator.is_complete());
    assert_eq!(bench.accumulator.incomplete().len(), 1);
    deliver(*bench.take(), 0);
    assert!(bench.accumulator.is_complete());
}

#[derive(Debug, Default)]
struct Told(Mutex<Vec<Result<i64, String>>>);

impl AckObserver for Told {
    fn acknowledged(&self, _: &TopicPartition, note: &AckNote, result: AckResult<'_>) {
        assert_eq!(note.headers.len(), 1);
        let told = match result {
            Ok(metadata) => Ok(metadata.offset().unwrap()),
            Err(error) => Err(error.kind().to_string()),
        };
        self.0.lock().unwrap().push(told);
    }
}

#[test]
fn interceptors_hear_of_every_record_once() {
    let mut bench = Bench::new();
    let told = Arc::<Told>::default();
    bench.observer = Some(Arc::<Told>::clone(&told));
    bench.append_all(&["a", "b", "c", "d"]);

    fail(part(&bench, &[1, 2]).unwrap());
    bench.take().deliver(Some(30), None, &Teller::WITHOUT_SENDER);

    let told = told.0.lock().unwrap();
    assert!(told[0].as_ref().unwrap_err().ends_with("no 1"), "{told:?}");
    assert!(told[1].as_ref().unwrap_err().ends_with("no 2"), "{told:?}");
    assert_eq!(told[2..], [Ok(30), Ok(31)]);
}

#[test]
fn observer_hears_of_its_records_on_either_side() {
    let mut bench = Bench::new();
    let told = Arc::<Told>::default();
    for is_observed in [false, true, true, false, true] {
        bench.observer = is_observed.then(|| Arc::<Told>::clone(&told) as _);
        bench.append("x");
    }

    fail(part(&bench, &[0, 2]).unwrap());
    bench.take().deliver(Some(30), None, &Teller::WITHOUT_SENDER);

    let told = told.0.lock().unwrap();
    assert!(told[0].as_ref().unwrap_err().ends_with("no 2"), "{told:?}");
    assert_eq!(told[1..], [Ok(30), Ok(32)]);
}

/// Withdraws records of the only batch in the queue, as the sender does. Returns whether there was any.
fn take_back(bench: &Bench, cell: &Arc<BatchCell>, indices: &[u32]) -> bool {
    let Some(batch) = bench.queue.take_unsent(cell) else { return false };
    match withdraw(batch, &indices.iter().copied().collect(), &bench.queue, bench.now) {
        Ok((withdrawn, seal)) => {
            if let Some(seal) = seal {
                bench.accumulator.seal(seal);
            }
            let kind = DeliveryErrorKind::Withdrawn;
            withdrawn.fail(kind, Persisted::No, Vec::new(), &Teller::WITHOUT_SENDER);
            true
        }
        Err(batch) => {
            bench.queue.put_back(std::iter::once(*batch));
            false
        }
    }
}

fn cell_of(delivery: &Delivery) -> Arc<BatchCell> {
    Arc::clone(delivery.place().unwrap().0)
}

fn is_withdrawn(delivery: &Delivery) -> bool {
    let result = delivery.try_result();
    result.is_some_and(|result| result.is_err_and(|error| error.kind() == DeliveryErrorKind::Withdrawn))
}

#[test]
fn withdrawn_records_leave_the_others_in_their_order_and_place() {
    let cases = [(Compression::None, false), (Compression::Lz4, false), (Compression::Lz4, true)];
    for (compression, is_sealed) in cases {
        let bench = Bench::with(compression, 100 * BATCH);
        let names = ["a", "b", "c", "d", "e", "f"];
        let deliveries = bench.append_all(&names);
        if is_sealed && let TakenHead::Seal(job) = bench.queue.take_head() {
            bench.accumulator.seal(job);
        }

        assert!(take_back(&bench, &cell_of(&deliveries[0]), &[0, 3, 4]));
        let behind = bench.append("behind").delivery();

        for at in [0, 3, 4] {
            let error = deliveries[at].try_result().unwrap().unwrap_err();
            assert_eq!((error.kind(), error.persisted()), (DeliveryErrorKind::Withdrawn, Persisted::No));
            assert_eq!(error.record().unwrap().value.unwrap(), names[at]);
        }
        let mut rest = take_compressed(&bench);
        assert_eq!((rest.is_unsent(), rest.wanted_compression()), (true, compression));
        assert_eq!(values(&mut rest), ["b", "c", "f"]);
        deliver(*rest, 70);
        deliver(*take_compressed(&bench), 73);
        assert!([1, 2, 5].map(|at| offset(&deliveries[at])).into_iter().eq([70, 71, 72].map(Some)));
        assert_eq!(offset(&behind), Some(73));
        assert!(bench.has_all_memory() && bench.accumulator.is_complete());
    }
}

fn take_compressed(bench: &Bench) -> Box<ProducerBatch> {
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
fn records_are_withdrawn_one_after_the_other_however_often_they_have_moved() {
    let bench = Bench::new();
    let names: Vec<_> = (0..40).map(|number| format!("{number}")).collect();
    let deliveries = bench.append_all(&names.iter().map(String::as_str).collect::<Vec<_>>());

    for at in (0..40).filter(|at| at % 3 > 0) {
        let (cell, index) = deliveries[at].place().unwrap();
        let (cell, index) = cell.place_now(index);
        assert!(take_back(&bench, &cell, &[index]), "{at}");
    }

    let mut rest = bench.take();
    let left: Vec<_> = (0..40).filter(|at| at % 3 == 0).collect();
    assert_eq!(values(&mut rest), left.iter().map(|at| names[*at].clone()).collect::<Vec<_>>());
    deliver(*rest, 0);
    for (at, delivery) in deliveries.iter().enumerate() {
        assert_eq!(is_withdrawn(delivery), at % 3 > 0, "{at}");
    }
    assert!(left.iter().map(|at| offset(&deliveries[*at])).eq((0..).map(Some).take(left.len())));
    assert!(bench.has_all_memory() && bench.accumulator.is_complete());
}

#[test]
fn batch_whose_records_are_all_withdrawn_leaves_nothing() {
    let bench = Bench::new();
    let deliveries = bench.append_all(&["a", "b"]);

    assert!(take_back(&bench, &cell_of(&deliveries[0]), &[0, 1]));

    assert!(deliveries.iter().all(is_withdrawn));
    assert_eq!(bench.queue.queued_batches(), 0);
    assert!(bench.has_all_memory() && bench.accumulator.is_complete());
}

#[test]
fn what_was_sent_or_is_elsewhere_is_not_withdrawn() {
    let bench = Bench::new();
    let deliveries = bench.append_all(&["a", "b"]);
    let cell = cell_of(&deliveries[0]);
    let other = cell_of(&Bench::new().append("of another producer").delivery());

    assert!(!take_back(&bench, &other, &[0]));
    assert!(!take_back(&bench, &cell, &[2]));
    let mut batch = bench.take();
    assert!(!take_back(&bench, &cell, &[0]));
    batch.sent(None, bench.now);
    batch.unsent();
    bench.queue.put_back(std::iter::once(*batch));
    assert!(!take_back(&bench, &cell, &[0]));

    assert_eq!(values(&mut bench.take()), ["a", "b"]);
    assert!(deliveries.iter().all(|delivery| delivery.try_result().is_none()));
}

#[test]
fn interceptors_hear_of_withdrawn_records_too() {
    let mut bench = Bench::new();
    let told = Arc::<Told>::default();
    bench.observer = Some(Arc::<Told>::clone(&told));
    let deliveries = bench.append_all(&["a", "b", "c"]);

    let batch = bench.queue.take_unsent(&cell_of(&deliveries[0])).unwrap();
    let (withdrawn, _) = withdraw(batch, &[1].into(), &bench.queue, bench.now).unwrap();
    let kind = DeliveryErrorKind::Withdrawn;
    withdrawn.fail(kind, Persisted::No, Vec::new(), &Teller::WITHOUT_SENDER);
    bench.take().deliver(Some(30), None, &Teller::WITHOUT_SENDER);

    let told = told.0.lock().unwrap();
    assert_eq!(*told, [Err(DeliveryErrorKind::Withdrawn.to_string()), Ok(30), Ok(31)]);
}

#[test]
fn rest_holds_no_more_memory_than_the_batch_held() {
    for (compression, value, count) in
        [(Compression::Lz4, "a".repeat(300), 20), (Compression::None, "b".to_owned(), 30)]
    {
        let bench = Bench::with(compression, 100 * BATCH);
        // From one compressed batch on, the queue knows how well they compress, and lets them grow.
        for _ in 0..40 {
            bench.append(&value);
        }
        while bench.queue.queued_batches() > 0 {
            deliver(*take_compressed(&bench), 0);
        }
        let deliveries: Vec<_> = (0..count).map(|_| bench.append(&value).delivery()).collect();
        if let (Some(job), _) = bench.queue.close_open_batch() {
            bench.accumulator.seal(job);
        }
        let before = bench.accumulator.memory().available();

        assert!(take_back(&bench, &cell_of(&deliveries[0]), &[0]));

        let after = bench.accumulator.memory().available();
        assert!(after >= before, "{compression}: {before} bytes were free before, {after} after");
    }
}
