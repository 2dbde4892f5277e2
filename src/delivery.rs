//! What becomes of a record: the future that a caller holds, and the cell in which its batch is completed.
//!
//! One [`BatchCell`] serves all records of a batch. A [`Delivery`] is an `Arc` of it and an index, so a record costs
//! no allocation of its own; completing a batch stores one [`Outcome`] and wakes the tasks that asked.
//!
//! ```text
//!  Delivery ──┐
//!  Delivery ──┼──► BatchCell { outcome, wakers } ◄── ProducerBatch (accumulator, then sender)
//!  Delivery ──┘
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use crate::error::{BatchFailure, DeliveryError};
use crate::planted::planted;
use crate::record::Headers;
use crate::sync::{AtomicBool, AtomicU32, Ordering};
use crate::topic_partition::{Topic, TopicPartition};

pub(crate) mod completion;

use self::completion::{Completion, NO_SLOT};

/// The place where the outcome of one batch appears.
#[derive(Debug)]
pub(crate) struct BatchCell {
    topic_partition: TopicPartition,
    /// Set once, by the thread that completes the batch.
    outcome: Completion<Outcome>,
    /// Records in the batch while it grows.
    records: AtomicU32,
    /// The cell tells it when every record of the batch is awaited.
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
    Delivered { base_offset: Option<i64>, log_append_time: Option<i64> },
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
        let (outcome, records, is_news) = (Completion::new(), AtomicU32::new(0), AtomicBool::new(true));
        Arc::new(Self { topic_partition, outcome, records, watcher, is_news })
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
        if !self.outcome.set(outcome) {
            return;
        }
        tell_observers(self, notes);
        self.outcome.wake();
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
            let outcome = std::future::poll_fn(|cx| match cell.poll_outcome(cx, &mut parked.slot) {
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

    #[inline]
    fn poll_outcome(&self, cx: &Context<'_>, slot: &mut u32) -> Poll<&Outcome> {
        let before = *slot;
        let polled = self.outcome.poll(cx, slot);
        if polled.is_pending() && before != *slot {
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
/// If you drop it, you do not learn the result; the producer sends the record all the same. After it has resolved, polling it
/// again gives the same result again.
#[must_use = "a dropped `Delivery` hides whether the record was delivered"]
pub struct Delivery {
    cell: Arc<BatchCell>,
    record: RecordFacts,
    /// Where the waker is parked in the cell, or `NO_SLOT`.
    slot: u32,
}

/// What a delivery must know of its record beside its batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordFacts {
    /// The record's position in its batch.
    pub(crate) index: u32,
    pub(crate) timestamp: i64,
    /// -1 for null, as on the wire.
    pub(crate) key_size: i32,
    pub(crate) value_size: i32,
}

impl Delivery {
    pub(crate) fn new(cell: Arc<BatchCell>, record: RecordFacts) -> Self {
        Self { cell, record, slot: NO_SLOT }
    }

    /// Returns the batch that the record was in last, as far as this delivery knows, and its place there.
    pub(crate) fn place(&self) -> (&Arc<BatchCell>, u32) {
        (&self.cell, self.record.index)
    }

    pub(crate) fn facts(&self) -> RecordFacts {
        self.record
    }

    /// Returns the partition that the record was given to.
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        self.cell.topic_partition()
    }

    /// Returns the result if it is known already, without waiting.
    #[must_use]
    pub fn try_result(&self) -> Option<Result<RecordMetadata, DeliveryError>> {
        let mut cell = &self.cell;
        let mut record = self.record;
        loop {
            match cell.outcome()? {
                Outcome::Redirected(parts) => {
                    let part = redirect(parts, record.index)?;
                    if !planted!(WrongOffset) {
                        record.index = part.position_of(record.index);
                    }
                    cell = &part.cell;
                }
                outcome => return Some(result(cell, outcome, record)),
            }
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, DeliveryError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let this = &mut *self;
            let part = match this.cell.poll_outcome(cx, &mut this.slot) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(outcome) => {
                    this.slot = NO_SLOT;
                    let part = match outcome {
                        Outcome::Redirected(parts) => redirect(parts, this.record.index),
                        Outcome::Delivered { .. } | Outcome::Failed(_) => None,
                    };
                    let Some(part) = part else {
                        return Poll::Ready(result(&this.cell, outcome, this.record));
                    };
                    part.clone()
                }
            };
            this.record.index = part.position_of(this.record.index);
            this.cell = part.cell;
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if self.slot != NO_SLOT {
            self.cell.forget_waker(self.slot);
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
    parts.iter().rev().find(|part| part.first <= index)
}

#[inline]
fn result(cell: &BatchCell, outcome: &Outcome, record: RecordFacts) -> Result<RecordMetadata, DeliveryError> {
    match outcome {
        Outcome::Failed(failure) => Err(DeliveryError::new(Arc::clone(failure), record.index)),
        Outcome::Delivered { base_offset, log_append_time } => {
            Ok(RecordMetadata::of(&cell.topic_partition, record, *base_offset, *log_append_time))
        }
        Outcome::Redirected(_) => Ok(RecordMetadata::of(&cell.topic_partition, record, None, None)),
    }
}

/// Where a record stands in the log.
///
/// It is cheap to clone, and keeps nothing of the producer alive.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordMetadata {
    topic: Topic,
    partition: i32,
    /// -1 if it is not known, as on the wire.
    offset: i64,
    timestamp: i64,
    /// -1 for null, as on the wire.
    key_size: i32,
    value_size: i32,
}

impl RecordMetadata {
    #[inline]
    pub(crate) fn of(
        at: &TopicPartition,
        record: RecordFacts,
        base: Option<i64>,
        log_append_time: Option<i64>,
    ) -> Self {
        Self {
            topic: at.topic.clone(),
            partition: at.partition,
            offset: base.map_or(-1, |base| base.saturating_add(i64::from(record.index))),
            timestamp: log_append_time.unwrap_or(record.timestamp),
            key_size: record.key_size,
            value_size: record.value_size,
        }
    }

    /// Returns the topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Returns the partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Returns the offset of the record in its partition.
    ///
    /// `None` with `acks=0`, because the broker does not answer, and for a batch that the broker has recognised as one that it
    /// has already, if it did not say where.
    #[must_use]
    pub fn offset(&self) -> Option<i64> {
        Some(self.offset).filter(|offset| *offset >= 0)
    }

    /// Returns the timestamp of the record in milliseconds since 1970: the broker's if the topic has
    /// `message.timestamp.type=LogAppendTime`, the record's own otherwise.
    #[must_use]
    pub fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// Returns the bytes of the serialized key, `None` for a null key.
    #[must_use]
    pub fn serialized_key_size(&self) -> Option<usize> {
        usize::try_from(self.key_size).ok()
    }

    /// Returns the bytes of the serialized value, `None` for a null value.
    #[must_use]
    pub fn serialized_value_size(&self) -> Option<usize> {
        usize::try_from(self.value_size).ok()
    }
}

impl fmt::Debug for RecordMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordMetadata")
            .field("topic", self.topic())
            .field("partition", &self.partition())
            .field("offset", &self.offset())
            .field("timestamp", &self.timestamp())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for RecordMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset() {
            Some(offset) => write!(f, "{}-{}@{offset}", self.topic, self.partition),
            None => write!(f, "{}-{}", self.topic, self.partition),
        }
    }
}

/// What interceptors learn about one record. Its batch keeps it if the record went through interceptors.
#[derive(Debug, Clone)]
pub(crate) struct AckNote {
    pub(crate) record: RecordFacts,
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
        let delivery = Delivery::new(Arc::clone(cell), note.record);
        match delivery.try_result() {
            Some(Ok(metadata)) => note.observer.acknowledged(&cell.topic_partition, note, Ok(&metadata)),
            Some(Err(error)) => note.observer.acknowledged(&cell.topic_partition, note, Err(&error)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
