//! What becomes of a record: the future that a caller holds, and the cell in which its batch is completed.
//!
//! One [`BatchCell`] serves all records of a batch. A [`Delivery`] is an `Arc` of it and an index, so a record costs
//! no allocation of its own; completing a batch stores one [`Outcome`] and wakes the tasks that asked. What the results of the records tell
//! beside that ([`BatchFacts`]) is part of the outcome.
//!
//! ```text
//!  Delivery ──┐
//!  Delivery ──┼──► BatchCell { outcome, wakers } ◄── ProducerBatch (accumulator, then sender)
//!  Delivery ──┘
//! ```

use std::fmt;
use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use crate::error::{BatchFailure, DeliveryError};
use crate::planted::planted;
use crate::record::Headers;
use crate::sync::{AtomicBool, AtomicU32, Ordering};
use crate::topic_partition::TopicPartition;

pub(crate) mod batch_facts;
pub(crate) mod completion;
mod deliveries;
mod record_metadata;

use self::batch_facts::BatchFacts;
use self::completion::{Completion, NO_SLOT};
pub use self::deliveries::Deliveries;
pub use self::record_metadata::RecordMetadata;

/// The place where the outcome of one batch appears.
#[derive(Debug)]
pub(crate) struct BatchCell {
    topic_partition: TopicPartition,
    /// Set once, by the thread that completes the batch.
    outcome: Completion<Outcome>,
    /// Set right behind an outcome that is [`Outcome::Delivered`]: usually a delivery looks at nothing else.
    is_delivered: AtomicBool,
    /// Records in the batch while it grows.
    records: AtomicU32,
    /// The cell tells it when every record of the batch is awaited. It is not kept alive: only its place in memory is.
    watcher: Option<Weak<dyn BatchWatcher>>,
    /// The watcher does not know it yet. With many tasks that each await every record it becomes true with each of them.
    is_news: AtomicBool,
}

/// Is told when every record of a batch is awaited: each caller then waits for this batch, so no caller will add a record to it.
pub(crate) trait BatchWatcher: fmt::Debug + Send + Sync {
    /// Takes in that every record of a batch is awaited. The cell calls this once after each time that the watcher has asked
    /// [`BatchCell::is_all_awaited`]. It may not be true any more by then.
    fn handle_all_awaited(self: Arc<Self>);
}

/// How a batch ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The broker has it. `base_offset` is unknown with `acks=0` and for some duplicates.
    Delivered { base_offset: Option<i64>, log_append_time: Option<i64>, facts: BatchFacts },
    /// It failed, all records alike or each with its own reason.
    Failed(Arc<BatchFailure>),
    /// Its records went into other batches: from index `first` of this one on, record `first + i` is record `at + i`
    /// there.
    /// Ascending; covers every record.
    Redirected(Box<[Redirect]>),
}

/// The right to tell records what has become of them. The settlement of the sender has the only one, so no other file can end
/// a batch (clippy checks this: `clippy.toml`).
#[derive(Debug)]
pub(crate) struct Teller(());

impl Teller {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// For tests and benches, which end batches without a sender.
    #[cfg(any(test, feature = "__internals", feature = "test-util"))]
    pub(crate) const WITHOUT_SENDER: Self = Self(());
}

/// One stretch of a batch's records that moved into another batch.
#[derive(Debug, Clone)]
pub(crate) struct Redirect {
    pub(crate) first: u32,
    pub(crate) at: u32,
    pub(crate) cell: Arc<BatchCell>,
}

impl Redirect {
    /// Returns where a record of this stretch is now.
    fn position_of(&self, index: u32) -> u32 {
        index - self.first + self.at
    }
}

impl Drop for BatchCell {
    /// Records may have moved on again and again. Their cells are let go one by one: each within the one before it would use up the stack.
    fn drop(&mut self) {
        let mut left = self.take_redirects().into_vec();
        while let Some(Redirect { cell, .. }) = left.pop() {
            if let Some(mut cell) = Arc::into_inner(cell) {
                left.extend(cell.take_redirects());
            }
        }
    }
}

impl BatchCell {
    pub(crate) fn new(topic_partition: TopicPartition, watcher: Option<Weak<dyn BatchWatcher>>) -> Arc<Self> {
        Arc::new(Self {
            topic_partition,
            outcome: Completion::new(),
            is_delivered: AtomicBool::new(false),
            records: AtomicU32::new(0),
            watcher,
            is_news: AtomicBool::new(true),
        })
    }

    /// Notes how many records the batch has.
    pub(crate) fn set_record_count(&self, records: u32) {
        self.records.store(records, Ordering::Relaxed);
    }

    /// Returns whether a task waits for each record of the batch. If not, the cell tells the watcher when that changes.
    pub(crate) fn is_all_awaited(&self) -> bool {
        // The flag is set before the look: a task that parks its waker after the look sees it.
        if !planted!(AwaitedAskedTooEarly) {
            self.is_news.store(true, Ordering::SeqCst);
        }
        let is_all_awaited = self.are_all_parked();
        if planted!(AwaitedAskedTooEarly) {
            self.is_news.store(true, Ordering::SeqCst);
        }
        if is_all_awaited {
            self.is_news.store(false, Ordering::SeqCst);
        }
        is_all_awaited
    }

    fn are_all_parked(&self) -> bool {
        self.outcome.parked() >= self.records.load(Ordering::Relaxed)
    }

    /// Tells the records what has become of them: sets the outcome, tells observers, and wakes the tasks that wait. Only the
    /// first call has an effect.
    pub(crate) fn end(self: &Arc<Self>, outcome: Outcome, notes: &[AckNote], _: &Teller) {
        self.set(outcome, notes);
    }

    /// Tells where the records are now. Only the first call has an effect.
    pub(crate) fn redirect(self: &Arc<Self>, redirects: Vec<Redirect>) {
        self.set(Outcome::Redirected(redirects.into()), &[]);
    }

    fn set(self: &Arc<Self>, outcome: Outcome, notes: &[AckNote]) {
        let is_delivered = matches!(outcome, Outcome::Delivered { .. });
        if !self.outcome.set(outcome) {
            return;
        }
        if is_delivered {
            self.is_delivered.store(true, Ordering::Release);
        }
        tell_observers(self, notes);
        self.outcome.wake();
    }

    /// Returns whether the broker has the batch; a moment after that it may still say no.
    #[inline]
    fn is_delivered(&self) -> bool {
        self.is_delivered.load(Ordering::Acquire)
    }

    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    pub(crate) fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// Returns the batch in which a record of this one is now, and its place there.
    pub(crate) fn place_now(self: &Arc<Self>, index: u32) -> (Arc<Self>, u32) {
        let (mut cell, mut index) = (Arc::clone(self), index);
        while let Some(Outcome::Redirected(parts)) = cell.outcome()
            && let Some(part) = redirect(parts, index)
        {
            index = part.position_of(index);
            let next = Arc::clone(&part.cell);
            cell = next;
        }
        (cell, index)
    }

    /// Waits until the batch, and every batch that its records moved to, is complete.
    pub(crate) async fn completed(self: Arc<Self>) {
        let mut open = vec![self];
        while let Some(cell) = open.pop() {
            let mut parked = Parked { cell: &cell, slot: NO_SLOT };
            let outcome = poll_fn(|cx| match cell.poll_outcome(cx, &mut parked.slot, 1) {
                Poll::Ready(Outcome::Redirected(parts)) => {
                    Poll::Ready(parts.iter().map(|part| Arc::clone(&part.cell)).collect())
                }
                Poll::Ready(_) => Poll::Ready(Vec::new()),
                Poll::Pending => Poll::Pending,
            })
            .await;
            open.extend(outcome);
        }
    }

    /// Takes out where the records are now.
    fn take_redirects(&mut self) -> Box<[Redirect]> {
        match self.outcome.take() {
            Some(Outcome::Redirected(parts)) => parts,
            _ => Box::default(),
        }
    }

    /// Returns the outcome, or parks the waker of a task that awaits so many records of the batch.
    #[inline]
    fn poll_outcome(&self, cx: &Context<'_>, slot: &mut u32, records: u32) -> Poll<&Outcome> {
        let polled = self.outcome.poll(cx, slot, records);
        if polled.is_pending() {
            self.tell_watcher();
        }
        polled
    }

    fn tell_watcher(&self) {
        if let Some(watcher) = &self.watcher
            && self.is_news.load(Ordering::SeqCst)
            && self.are_all_parked()
            && self.is_news.swap(false, Ordering::SeqCst)
            && let Some(watcher) = watcher.upgrade()
        {
            watcher.handle_all_awaited();
        }
    }

    fn forget_waker(&self, slot: u32) {
        self.outcome.forget(slot);
    }
}

/// The waker of a task that waits for a whole batch, taken back when the task gives that up.
struct Parked<'a> {
    cell: &'a BatchCell,
    slot: u32,
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.cell.forget_waker(self.slot);
    }
}

/// The pending result of a record that the producer has accepted.
///
/// It resolves when the broker has acknowledged the record as `acks` demands, or when the record has failed. It is small,
/// `Unpin` and costs no allocation.
///
/// # Cancel safety
///
/// If you drop it, you do not learn the result; the producer sends the record all the same. It gives [`RecordMetadata`] away once: if
/// you poll it after that, it resolves to [`DeliveryErrorKind::ResultTaken`](crate::DeliveryErrorKind::ResultTaken). An error it gives
/// again and again. [`resolved`](Self::resolved) waits for the result and leaves it.
#[must_use = "a dropped `Delivery` hides whether the record was delivered"]
pub struct Delivery {
    /// `None` once the metadata was given away: it has taken over the reference, so that a record counts one and not two.
    cell: Option<Arc<BatchCell>>,
    spot: Spot,
}

/// Where a record is in its batch, and where the waker of its delivery is parked in the cell. As one number that is never 0, so that
/// a [`Delivery`] and an `Option` of one travel in two registers.
#[derive(Debug, Clone, Copy)]
struct Spot(NonZeroU64);

impl Spot {
    #[inline]
    fn new(index: u32) -> Self {
        Self::with_slot(index, NO_SLOT)
    }

    #[inline]
    fn with_slot(index: u32, slot: u32) -> Self {
        // One more than the slot, so that `NO_SLOT` is 0.
        let slot = slot.wrapping_add(1) & NO_SLOT;
        Self(NonZeroU64::MIN | u64::from(index) << 1 | u64::from(slot) << 33)
    }

    #[inline]
    fn index(self) -> u32 {
        (self.0.get() >> 1) as u32
    }

    #[inline]
    fn has_slot(self) -> bool {
        self.0.get() >> 33 != 0
    }

    /// Returns `NO_SLOT` if no waker is parked.
    #[inline]
    fn slot(self) -> u32 {
        ((self.0.get() >> 33) as u32).wrapping_sub(1) & NO_SLOT
    }

    #[inline]
    fn set_slot(&mut self, slot: u32) {
        *self = Self::with_slot(self.index(), slot);
    }
}

/// Where a record was appended: its batch, and its index there. As small as can be, so that it travels in registers.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) cell: Arc<BatchCell>,
    pub(crate) index: u32,
}

impl From<Place> for Delivery {
    #[inline]
    fn from(Place { cell, index }: Place) -> Self {
        Self::new(cell, index)
    }
}

impl Delivery {
    #[inline]
    pub(crate) fn new(cell: Arc<BatchCell>, index: u32) -> Self {
        Self { cell: Some(cell), spot: Spot::new(index) }
    }

    /// Returns the batch that the record was in last, as far as this delivery knows, and its place there. `None` if the metadata was
    /// given away.
    pub(crate) fn place(&self) -> Option<(&Arc<BatchCell>, u32)> {
        Some((self.cell.as_ref()?, self.spot.index()))
    }

    /// Returns the partition that the record was given to. Once the delivery has resolved to [`RecordMetadata`], that tells it, and this is
    /// partition -1 of a topic without a name.
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        match &self.cell {
            Some(cell) => cell.topic_partition(),
            None => TopicPartition::nowhere(),
        }
    }

    /// Returns the result if it is known already, without waiting. It is not taken: you may ask again, or await it.
    ///
    /// # Errors
    ///
    /// Those of the delivery; [`DeliveryErrorKind::ResultTaken`](crate::DeliveryErrorKind::ResultTaken) if it has resolved to metadata.
    #[must_use]
    #[inline]
    pub fn try_result(&self) -> Option<Result<RecordMetadata, DeliveryError>> {
        let Some((cell, index)) = self.place() else { return Some(Err(DeliveryError::result_taken())) };
        if cell.is_delivered() {
            return Some(Ok(RecordMetadata::of(Arc::clone(cell), index)));
        }
        self.find_result()
    }

    /// Waits until the result is known, and leaves it here for [`try_result`](Self::try_result), or for awaiting the delivery itself.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time.
    ///
    /// ```no_run
    /// # async fn example(mut delivery: kafka_producer::Delivery) {
    /// delivery.resolved().await;
    /// assert!(delivery.try_result().is_some());
    /// # }
    /// ```
    pub fn resolved(&mut self) -> impl Future<Output = ()> + Send + '_ {
        poll_fn(|cx| self.poll_resolved(cx))
    }

    pub(crate) fn poll_resolved(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.cell.as_ref().is_some_and(|cell| cell.is_delivered()) {
            return Poll::Ready(());
        }
        self.follow(cx)
    }

    fn find_result(&self) -> Option<Result<RecordMetadata, DeliveryError>> {
        let (mut cell, mut index) = self.place()?;
        loop {
            match cell.outcome()? {
                Outcome::Redirected(parts) => {
                    let part = redirect(parts, index)?;
                    if !planted!(WrongOffset) {
                        index = part.position_of(index);
                    }
                    cell = &part.cell;
                }
                outcome => return Some(result(cell, outcome, index)),
            }
        }
    }

    /// Takes the waker back. A cell that has its outcome lets go of all of them by itself.
    fn forget_waker(&self) {
        if let Some(cell) = &self.cell
            && cell.outcome().is_none()
        {
            cell.forget_waker(self.spot.slot());
        }
    }

    /// Follows the record to where it is, and waits there.
    fn follow(&mut self, cx: &Context<'_>) -> Poll<()> {
        while let Some(cell) = &self.cell {
            let index = self.spot.index();
            let mut slot = self.spot.slot();
            let polled = cell.poll_outcome(cx, &mut slot, 1);
            self.spot.set_slot(if polled.is_ready() { NO_SLOT } else { slot });
            let Outcome::Redirected(parts) = ready!(polled) else { break };
            let Some(part) = redirect(parts, index).cloned() else { break };
            self.spot = Spot::new(part.position_of(index));
            self.cell = Some(part.cell);
        }
        Poll::Ready(())
    }

    /// Waits for the result where it is not known to be metadata.
    fn poll_slowly(&mut self, cx: &Context<'_>) -> Poll<Result<RecordMetadata, DeliveryError>> {
        ready!(self.follow(cx));
        Poll::Ready(self.take_result())
    }

    /// Takes the result, which is known: metadata for good, an error as a clone.
    fn take_result(&mut self) -> Result<RecordMetadata, DeliveryError> {
        let index = self.spot.index();
        if let Some(Outcome::Failed(failure)) = self.cell.as_ref().and_then(|cell| cell.outcome()) {
            return Err(DeliveryError::new(Arc::clone(failure), index));
        }
        self.cell.take().map(|cell| RecordMetadata::of(cell, index)).ok_or_else(DeliveryError::result_taken)
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, DeliveryError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.cell.take_if(|cell| cell.is_delivered()) {
            Some(cell) => Poll::Ready(Ok(RecordMetadata::of(cell, self.spot.index()))),
            None => self.poll_slowly(cx),
        }
    }
}

impl Drop for Delivery {
    #[inline]
    fn drop(&mut self) {
        if self.spot.has_slot() {
            self.forget_waker();
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("topic_partition", self.topic_partition())
            .field("is_ready", &self.try_result().is_some())
            .finish_non_exhaustive()
    }
}

fn redirect(parts: &[Redirect], index: u32) -> Option<&Redirect> {
    parts.get(parts.partition_point(|part| part.first <= index).checked_sub(1)?)
}

fn result(cell: &Arc<BatchCell>, outcome: &Outcome, index: u32) -> Result<RecordMetadata, DeliveryError> {
    match outcome {
        Outcome::Failed(failure) => Err(DeliveryError::new(Arc::clone(failure), index)),
        Outcome::Delivered { .. } | Outcome::Redirected(_) => Ok(RecordMetadata::of(Arc::clone(cell), index)),
    }
}

/// What interceptors learn about one record. Its batch keeps it if the record went through interceptors.
#[derive(Debug, Clone)]
pub(crate) struct AckNote {
    /// The record's position in its batch.
    pub(crate) index: u32,
    pub(crate) headers: Headers,
    pub(crate) observer: Arc<dyn AckObserver>,
}

/// Is told the outcome of each of its records, batch by batch, in the order of the records.
///
/// Interceptors are in a higher room; acknowledgements reach them through this trait.
pub(crate) trait AckObserver: fmt::Debug + Send + Sync {
    fn acknowledged(&self, topic_partition: &TopicPartition, note: &AckNote, result: AckResult<'_>);
}

/// The outcome of one record for an [`AckObserver`].
pub(crate) type AckResult<'a> = Result<&'a RecordMetadata, &'a DeliveryError>;

/// Tells observers about the records that `notes` describe.
fn tell_observers(cell: &Arc<BatchCell>, notes: &[AckNote]) {
    for note in notes {
        let delivery = Delivery::new(Arc::clone(cell), note.index);
        match delivery.try_result() {
            Some(Ok(metadata)) => note.observer.acknowledged(&cell.topic_partition, note, Ok(&metadata)),
            Some(Err(error)) => note.observer.acknowledged(&cell.topic_partition, note, Err(&error)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
