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
