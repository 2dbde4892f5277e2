//! Cells and deliveries, polled by hand.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use crate::error::{DeliveryErrorKind, FailedBatch, Persisted, TimeSpent};

use super::batch_facts::RecordFacts;
use super::*;

#[derive(Debug, Default)]
pub(super) struct CountedWaker(AtomicUsize);

impl CountedWaker {
    pub(super) fn new() -> (Arc<Self>, Waker) {
        let counted = Arc::new(Self::default());
        (Arc::clone(&counted), Waker::from(counted))
    }

    pub(super) fn wakes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for CountedWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn partition() -> TopicPartition {
    TopicPartition::new("topic", 3)
}

pub(super) fn cell() -> Arc<BatchCell> {
    BatchCell::new(partition(), None)
}

pub(super) fn delivery(cell: &Arc<BatchCell>, index: u32) -> Delivery {
    Delivery::new(Arc::clone(cell), index)
}

impl BatchCell {
    pub(super) fn complete(self: &Arc<Self>, outcome: Outcome, notes: &[AckNote]) {
        self.end(outcome, notes, &Teller::WITHOUT_SENDER);
    }
}

pub(super) fn delivered(base_offset: i64) -> Outcome {
    Outcome::Delivered { base_offset: Some(base_offset), log_append_time: None, facts: BatchFacts::default() }
}

/// With the same facts for all records.
fn delivered_with(base_offset: Option<i64>, log_append_time: Option<i64>, record: RecordFacts) -> Outcome {
    let mut facts = BatchFacts::default();
    facts.note(0, record, 0);
    Outcome::Delivered { base_offset, log_append_time, facts }
}

pub(super) fn failed() -> Outcome {
    Outcome::Failed(Arc::new(BatchFailure {
        kind: DeliveryErrorKind::Closed,
        persisted: Persisted::No,
        topic_partition: partition(),
        time_spent: TimeSpent::default(),
        record_errors: Vec::new(),
        why: None,
        last_words: None,
        batch: FailedBatch::default(),
    }))
}

/// Where the records of a batch went: each first record with its new batch.
pub(super) fn redirected(parts: &[(u32, &Arc<BatchCell>)]) -> Outcome {
    Outcome::Redirected(
        parts.iter().map(|&(first, cell)| Redirect { first, at: 0, cell: Arc::clone(cell) }).collect(),
    )
}

pub(super) fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn offset(delivery: &mut Delivery) -> Option<i64> {
    match poll(delivery, Waker::noop()) {
        Poll::Ready(Ok(metadata)) => metadata.offset(),
        other => panic!("{other:?}"),
    }
}

fn is_pending(delivery: &mut Delivery) -> bool {
    delivery.try_result().is_none() && poll(delivery, Waker::noop()).is_pending()
}

#[test]
fn outcome_reaches_every_record_of_the_batch() {
    let cell = cell();
    let mut deliveries: Vec<_> = (0..3).map(|index| delivery(&cell, index)).collect();
    assert!(deliveries.iter_mut().all(is_pending));

    cell.complete(delivered(40), &[]);

    assert_eq!(deliveries.iter_mut().map(offset).collect::<Vec<_>>(), [Some(40), Some(41), Some(42)]);
}

#[test]
fn delivery_gives_metadata_away_once() {
    let cell = cell();
    let mut delivery = delivery(&cell, 2);
    cell.complete(delivered(7), &[]);
    assert!(matches!(delivery.try_result(), Some(Ok(metadata)) if metadata.offset() == Some(9)));
    assert_eq!(delivery.topic_partition(), cell.topic_partition());

    assert_eq!(offset(&mut delivery), Some(9));

    let is_taken = |result: &Result<RecordMetadata, DeliveryError>| {
        result.as_ref().is_err_and(|error| error.kind() == DeliveryErrorKind::ResultTaken)
    };
    for _ in 0..2 {
        assert!(matches!(poll(&mut delivery, Waker::noop()), Poll::Ready(result) if is_taken(&result)));
        assert!(delivery.try_result().is_some_and(|result| is_taken(&result)));
    }
    assert_eq!(*delivery.topic_partition(), TopicPartition::new("", -1));
    let error = delivery.try_result().unwrap().unwrap_err();
    assert!(error.record().is_none());
    assert_eq!(
        error.to_string(),
        "the delivery has given its result already; keep the result of the first poll"
    );
    // The metadata has taken over the only other reference.
    assert_eq!(Arc::strong_count(&cell), 1);
}

#[test]
fn result_that_was_waited_for_is_still_there() {
    let (from, to) = (cell(), cell());
    let mut delivery = delivery(&from, 2);
    let (woken, waker) = CountedWaker::new();
    assert!(poll(&mut Box::pin(delivery.resolved()), &waker).is_pending());
    from.complete(redirected(&[(0, &to)]), &[]);
    assert_eq!(woken.wakes(), 1);
    assert!(poll(&mut Box::pin(delivery.resolved()), &waker).is_pending());

    to.complete(delivered(7), &[]);

    assert_eq!(woken.wakes(), 2);
    for _ in 0..2 {
        assert!(poll(&mut Box::pin(delivery.resolved()), &waker).is_ready());
        assert!(matches!(delivery.try_result(), Some(Ok(metadata)) if metadata.offset() == Some(9)));
    }
    assert_eq!(offset(&mut delivery), Some(9));
    assert!(poll(&mut Box::pin(delivery.resolved()), &waker).is_ready());
}

#[test]
fn delivery_gives_an_error_again_when_polled_after_the_end() {
    let cell = cell();
    let mut delivery = delivery(&cell, 2);
    cell.complete(failed(), &[]);

    for _ in 0..2 {
        assert!(
            matches!(poll(&mut delivery, Waker::noop()), Poll::Ready(Err(error)) if error.kind() == DeliveryErrorKind::Closed)
        );
    }
}

#[test]
fn first_outcome_stays() {
    let cell = cell();
    let mut delivery = delivery(&cell, 0);

    cell.complete(delivered(1), &[]);
    cell.complete(failed(), &[]);
    cell.complete(delivered(2), &[]);

    assert_eq!(offset(&mut delivery), Some(1));
}

#[test]
fn every_waiter_is_woken_once_and_by_its_last_waker() {
    let cell = cell();
    let (mut first, mut second) = (delivery(&cell, 0), delivery(&cell, 1));
    let (old, old_waker) = CountedWaker::new();
    let (new, new_waker) = CountedWaker::new();
    let (other, other_waker) = CountedWaker::new();

    assert!(poll(&mut first, &old_waker).is_pending());
    assert!(poll(&mut second, &other_waker).is_pending());
    assert!(poll(&mut first, &new_waker).is_pending());
    assert!(poll(&mut first, &new_waker).is_pending());
    cell.complete(delivered(0), &[]);
    cell.complete(delivered(0), &[]);

    assert_eq!((old.wakes(), new.wakes(), other.wakes()), (0, 1, 1));
    assert_eq!(cell.outcome.slots(), 0);
}

#[test]
fn dropped_delivery_is_not_woken_and_its_place_is_free_again() {
    let cell = cell();
    let (woken, waker) = CountedWaker::new();
    let mut kept = delivery(&cell, 0);
    assert!(poll(&mut kept, Waker::noop()).is_pending());

    for index in 1..100 {
        let mut dropped = delivery(&cell, index);
        assert!(poll(&mut dropped, &waker).is_pending());
    }

    assert_eq!(cell.outcome.slots(), 1);
    assert_eq!(Arc::strong_count(&woken), 2);
    cell.complete(delivered(0), &[]);
    assert_eq!(woken.wakes(), 0);
}

#[test]
fn place_in_the_middle_stays_empty_without_harm() {
    let cell = cell();
    let (woken, waker) = CountedWaker::new();
    let mut deliveries: Vec<_> = (0..3).map(|index| delivery(&cell, index)).collect();
    for delivery in &mut deliveries {
        assert!(poll(delivery, &waker).is_pending());
    }

    drop(deliveries.remove(1));
    assert!(deliveries.iter_mut().all(|delivery| poll(delivery, &waker).is_pending()));
    assert_eq!(cell.outcome.slots(), 3);
    cell.complete(delivered(0), &[]);

    assert_eq!(woken.wakes(), 2);
}

#[test]
fn dropping_a_delivery_after_the_end_is_harmless() {
    let cell = cell();
    let mut delivery = delivery(&cell, 0);
    assert!(is_pending(&mut delivery));

    cell.complete(delivered(0), &[]);
    drop(delivery);

    assert!(cell.outcome().is_some());
}

#[test]
fn records_of_a_split_batch_follow_their_new_batches() {
    let (whole, left, right) = (cell(), cell(), cell());
    let (woken, waker) = CountedWaker::new();
    let mut deliveries: Vec<_> = (0..5).map(|index| delivery(&whole, index)).collect();
    assert!(poll(&mut deliveries[4], &waker).is_pending());

    whole.complete(redirected(&[(0, &left), (2, &right)]), &[]);
    assert_eq!(woken.wakes(), 1);
    assert!(deliveries.iter_mut().all(|delivery| poll(delivery, &waker).is_pending()));
    right.complete(delivered(100), &[]);
    left.complete(delivered(50), &[]);

    let offsets: Vec<_> = deliveries.iter_mut().map(offset).collect();
    assert_eq!(offsets, [50, 51, 100, 101, 102].map(Some));
    assert_eq!(woken.wakes(), 1 + 5);
}

#[test]
fn records_follow_batches_that_are_split_again() {
    let cells: Vec<_> = (0..6).map(|_| cell()).collect();
    let [whole, left, right, middle, last, single] = &cells[..] else { panic!() };
    let mut polled: Vec<_> = (0..6).map(|index| delivery(whole, index)).collect();
    let asked: Vec<_> = (0..6).map(|index| delivery(whole, index)).collect();
    assert!(polled.iter_mut().all(is_pending));

    whole.complete(redirected(&[(0, left), (1, right)]), &[]);
    right.complete(redirected(&[(0, middle), (3, last)]), &[]);
    middle.complete(redirected(&[(0, single), (1, left)]), &[]);
    for (cell, base) in [(left, 10), (last, 30), (single, 20)] {
        cell.complete(delivered(base), &[]);
    }

    let expected = [10, 20, 10, 11, 30, 31].map(Some);
    assert_eq!(polled.iter_mut().map(offset).collect::<Vec<_>>(), expected);
    let asked: Vec<_> =
        asked.iter().map(|delivery| delivery.try_result().unwrap().unwrap().offset()).collect();
    assert_eq!(asked, expected);
}

#[test]
fn delivery_of_a_batch_that_moved_on_forgets_its_waker_in_the_right_place() {
    let (whole, piece) = (cell(), cell());
    let (woken, waker) = CountedWaker::new();
    let mut moved = delivery(&whole, 0);
    assert!(poll(&mut moved, &waker).is_pending());
    whole.complete(redirected(&[(0, &piece)]), &[]);
    assert!(poll(&mut moved, &waker).is_pending());

    drop(moved);

    assert_eq!(piece.outcome.slots(), 0);
    piece.complete(delivered(0), &[]);
    assert_eq!(woken.wakes(), 1);
}

#[test]
fn whole_batch_is_complete_when_all_its_pieces_are() {
    let (whole, left, right, last) = (cell(), cell(), cell(), cell());
    let (woken, waker) = CountedWaker::new();
    let mut completed = Box::pin(Arc::clone(&whole).completed());
    assert!(poll(&mut completed, &waker).is_pending());

    whole.complete(redirected(&[(0, &left), (1, &right)]), &[]);
    assert!(poll(&mut completed, &waker).is_pending());
    left.complete(delivered(0), &[]);
    assert!(poll(&mut completed, &waker).is_pending());
    right.complete(redirected(&[(0, &last)]), &[]);
    assert!(poll(&mut completed, &waker).is_pending());
    last.complete(failed(), &[]);

    assert!(poll(&mut completed, &waker).is_ready());
    assert!(woken.wakes() >= 1);
}

#[test]
fn waits_for_a_batch_that_are_given_up_leave_nothing_behind() {
    let cell = cell();

    for _ in 0..100 {
        let mut completed = Box::pin(Arc::clone(&cell).completed());
        assert!(poll(&mut completed, Waker::noop()).is_pending());
    }

    assert_eq!(cell.outcome.slots(), 0);
}

/// Writes down whom it is told of, and whether anybody was woken by then.
#[derive(Debug)]
struct Observer {
    told: Mutex<Vec<(u32, Option<i64>)>>,
    woken: Arc<CountedWaker>,
}

impl AckObserver for Observer {
    fn acknowledged(&self, topic_partition: &TopicPartition, note: &AckNote, result: AckResult<'_>) {
        assert_eq!(*topic_partition, partition());
        assert_eq!(self.woken.wakes(), 0);
        let offset = result.ok().and_then(RecordMetadata::offset);
        self.told.lock().unwrap().push((note.index, offset));
    }
}

fn observe(outcome: Outcome) -> Vec<(u32, Option<i64>)> {
    let cell = cell();
    let (woken, waker) = CountedWaker::new();
    let observer = Arc::new(Observer { told: Mutex::default(), woken: Arc::clone(&woken) });
    let note = |index| {
        let observer = Arc::<Observer>::clone(&observer);
        AckNote { index, headers: Headers::new(), observer }
    };
    let notes = [0, 1, 2].map(note);
    let mut waiting = delivery(&cell, 0);
    assert!(poll(&mut waiting, &waker).is_pending());

    cell.complete(outcome, &notes);
    cell.complete(delivered(99), &notes);

    assert_eq!(woken.wakes(), 1);
    observer.told.lock().unwrap().clone()
}

#[test]
fn observer_is_told_once_in_order_and_before_anybody_is_woken() {
    assert_eq!(observe(delivered(5)), [(0, Some(5)), (1, Some(6)), (2, Some(7))]);
    assert_eq!(observe(failed()), [(0, None), (1, None), (2, None)]);
}

#[test]
fn observer_hears_nothing_of_records_that_moved_on() {
    assert_eq!(observe(redirected(&[(0, &cell())])), []);
}

#[test]
fn metadata_tells_where_the_record_is() {
    let cell = cell();
    let delivery = delivery(&cell, 4);
    cell.complete(delivered_with(Some(10), None, RecordFacts::new(1234, Some(0), None)), &[]);

    let metadata = delivery.try_result().unwrap().unwrap();

    assert_eq!((metadata.topic().as_str(), metadata.partition()), ("topic", 3));
    assert_eq!((metadata.offset(), metadata.timestamp()), (Some(14), 1234));
    assert_eq!((metadata.serialized_key_size(), metadata.serialized_value_size()), (Some(0), None));
    assert_eq!(metadata.to_string(), "topic-3@14");
}

#[test]
fn metadata_without_an_offset_and_with_the_time_of_the_broker() {
    let cell = cell();
    let delivery = delivery(&cell, 1);
    cell.complete(delivered_with(None, Some(777), RecordFacts::new(1234, None, None)), &[]);

    let metadata = delivery.try_result().unwrap().unwrap();

    assert_eq!((metadata.offset(), metadata.timestamp()), (None, 777));
    assert_eq!(metadata.to_string(), "topic-3");
}

#[test]
fn metadata_is_compared_by_what_it_tells() {
    let told = |base, time, record| {
        let cell = cell();
        let delivery = delivery(&cell, 1);
        cell.complete(delivered_with(base, time, record), &[]);
        delivery.try_result().unwrap().unwrap()
    };
    let record = RecordFacts::new(5, Some(1), Some(2));
    let metadata = told(Some(7), None, record);

    assert_eq!(metadata, told(Some(7), None, record));
    assert_eq!(metadata, told(Some(7), Some(5), RecordFacts::new(9, Some(1), Some(2))));
    let others = [
        told(Some(8), None, record),
        told(None, None, record),
        told(Some(7), Some(6), record),
        told(Some(7), None, RecordFacts::new(5, None, Some(2))),
        told(Some(7), None, RecordFacts::new(5, Some(1), Some(3))),
    ];
    assert!(others.iter().all(|other| metadata != *other));
}

#[test]
fn metadata_keeps_no_other_batch_and_no_queue_alive() {
    let (whole, piece) = (cell(), cell());
    let mut moved = delivery(&whole, 3);
    whole.complete(redirected(&[(0, &piece)]), &[]);
    piece.complete(delivered(50), &[]);
    let weak = Arc::downgrade(&whole);

    let Poll::Ready(Ok(metadata)) = poll(&mut moved, Waker::noop()) else { panic!() };
    drop((whole, piece));

    assert!(weak.upgrade().is_none());
    assert_eq!(metadata.offset(), Some(53));
}

#[test]
fn record_that_no_batch_has_is_somewhere_in_the_partition() {
    let cell = cell();
    let mut delivery = delivery(&cell, 0);

    cell.complete(redirected(&[(1, &self::cell())]), &[]);

    assert!(delivery.try_result().is_none());
    let Poll::Ready(Ok(metadata)) = poll(&mut delivery, Waker::noop()) else { panic!() };
    assert_eq!((metadata.to_string().as_str(), metadata.timestamp()), ("topic-3", -1));
    assert_eq!((metadata.serialized_key_size(), metadata.serialized_value_size()), (None, None));
}

#[test]
fn last_offset_does_not_overflow() {
    let cell = cell();
    let mut delivery = delivery(&cell, 9);

    cell.complete(delivered(i64::MAX), &[]);

    assert_eq!(offset(&mut delivery), Some(i64::MAX));
}

#[test]
fn spot_keeps_index_and_slot_apart() {
    let indices = [0, 1, 7, u32::MAX / 2, u32::MAX - 1, u32::MAX];
    let slots = [0, 1, 7, NO_SLOT / 2, NO_SLOT - 1, NO_SLOT];
    for (index, slot) in indices.into_iter().flat_map(|index| slots.map(|slot| (index, slot))) {
        let mut spot = Spot::new(index);
        assert_eq!((spot.index(), spot.slot(), spot.has_slot()), (index, NO_SLOT, false));

        spot.set_slot(slot);

        assert_eq!((spot.index(), spot.slot(), spot.has_slot()), (index, slot, slot != NO_SLOT));
    }
}

#[test]
fn delivery_is_small_and_movable() {
    fn assert_unpin<T: Unpin + Send + Sync + 'static>() {}
    assert_unpin::<Delivery>();

    assert!(size_of::<Option<Delivery>>() <= 16);
    assert!(size_of::<RecordMetadata>() <= 16);
}

#[test]
fn completion_in_another_thread_is_never_missed() {
    for round in 0..2000_usize {
        let cell = cell();
        let (woken, waker) = CountedWaker::new();
        let mut delivery = delivery(&cell, 0);
        let other = Arc::clone(&cell);
        let completing = std::thread::spawn(move || {
            for _ in 0..round % 50 {
                std::hint::spin_loop();
            }
            other.complete(delivered(1), &[]);
        });

        let was_pending = poll(&mut delivery, &waker).is_pending();
        completing.join().unwrap();

        assert_eq!(woken.wakes(), usize::from(was_pending));
        assert!(poll(&mut delivery, &waker).is_ready());
    }
}

#[test]
fn chain_of_cells_is_let_go_without_recursion() {
    let links = 100_000;
    let held = std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
        let first = cell();
        let mut last = Arc::clone(&first);
        for _ in 0..links {
            let next = cell();
            last.redirect(vec![Redirect { first: 0, at: 0, cell: Arc::clone(&next) }]);
            last = next;
        }
        let weak = Arc::downgrade(&last);
        drop(last);
        assert!(weak.upgrade().is_some());
        drop(first);
        weak.upgrade().is_some()
    });

    assert!(!held.unwrap().join().unwrap());
}
