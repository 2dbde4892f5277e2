//! [`Deliveries`]: the pending results of many records, batch by batch.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;

use super::completion::NO_SLOT;
use super::{BatchCell, Delivery, Outcome, RecordMetadata, Redirect, result};
use crate::error::DeliveryError;

/// The pending results of records that the producer has accepted, in the order of the records.
///
/// [`TopicHandle::enqueue_all`](crate::TopicHandle::enqueue_all) fills it. For records that follow each other in one batch, as those without
/// keys do, it keeps one entry of 16 bytes and not one for each, and [`settle`](Self::settle) looks at them once.
///
/// As a `Stream` it yields the result of each record, and ends when there is none to come. It may be filled again then.
///
/// # Cancel safety
///
/// If you drop it, you do not learn the results; the producer sends the records all the same.
#[derive(Default)]
#[must_use = "dropped `Deliveries` hide whether the records were delivered"]
pub struct Deliveries {
    /// None of them is empty.
    runs: VecDeque<Run>,
    len: usize,
    /// Where the waker is parked in the cell of the first run, if there is a slot.
    slot: Option<u32>,
}

/// Records that were appended to a batch one after the other.
struct Run {
    cell: Arc<BatchCell>,
    first: u32,
    count: u32,
}

impl Deliveries {
    /// Makes one without results.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many records there are whose results were not taken yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether every result was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds the result of a record behind the others. A delivery that has resolved to metadata adds nothing.
    pub fn push(&mut self, delivery: Delivery) {
        if let Some((cell, index)) = delivery.place() {
            self.push_run(cell, index, 1);
        }
    }

    /// Adds the results of `count` records of a batch, from record `first` on.
    pub(crate) fn push_run(&mut self, cell: &Arc<BatchCell>, first: u32, count: u32) {
        if count == 0 {
            return;
        }
        self.len += count as usize;
        if let Some(last) = self.runs.back_mut()
            && Arc::ptr_eq(&last.cell, cell)
            && last.first + last.count == first
        {
            last.count += count;
            return;
        }
        self.runs.push_back(Run { cell: Arc::clone(cell), first, count });
    }

    /// Waits until no more than `outstanding` records are without a result, and takes the results of those before them, oldest first.
    /// With 0 it waits for all of them.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time: no result is lost.
    ///
    /// # Errors
    ///
    /// The first record that has failed. Its result is taken, too; to go on with those behind it, call this again.
    pub async fn settle(&mut self, outstanding: usize) -> Result<(), DeliveryError> {
        while self.len > outstanding {
            match poll_fn(|cx| self.poll_first(cx)).await {
                Settled::Failed(error) => return Err(error),
                Settled::Delivered => {
                    let Some(run) = self.runs.pop_front() else { return Ok(()) };
                    self.len -= run.count as usize;
                }
            }
        }
        Ok(())
    }

    /// Waits for the outcome of the first run; a record that failed is taken out.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Settled> {
        loop {
            let Some(run) = self.runs.front() else { return Poll::Ready(Settled::Delivered) };
            let mut slot = self.slot.unwrap_or(NO_SLOT);
            let outcome = run.cell.poll_outcome(cx, &mut slot, self.awaited_with(run));
            self.slot = (outcome.is_pending() && slot != NO_SLOT).then_some(slot);
            let outcome = ready!(outcome);
            if let Outcome::Delivered { .. } = outcome {
                return Poll::Ready(Settled::Delivered);
            }
            if let Err(error) = result(&run.cell, outcome, run.first) {
                self.take_first_record();
                return Poll::Ready(Settled::Failed(error));
            }
            let parts = match outcome {
                Outcome::Redirected(parts) => run.within(parts),
                Outcome::Delivered { .. } | Outcome::Failed(_) => Vec::new(),
            };
            if parts.is_empty() {
                return Poll::Ready(Settled::Delivered);
            }
            self.runs.pop_front();
            parts.into_iter().rev().for_each(|part| self.runs.push_front(part));
        }
    }

    /// Returns how many records of the first run's batch are awaited here, the nearer runs included.
    fn awaited_with(&self, first: &Run) -> u32 {
        let runs = self.runs.iter().take(NEAR).filter(|run| Arc::ptr_eq(&run.cell, &first.cell));
        runs.map(|run| run.count).sum()
    }

    fn take_first_record(&mut self) {
        if let Some(run) = self.runs.front_mut() {
            self.len -= 1;
            run.first += 1;
            run.count -= 1;
            if run.count == 0 {
                self.runs.pop_front();
            }
        }
    }
}

/// Runs that are looked through for records of one batch. A batch that is open and shares more runs with others is full soon.
const NEAR: usize = 64;

/// What became of the first record, or of all of the first run.
enum Settled {
    Delivered,
    Failed(DeliveryError),
}

impl Run {
    /// Returns where its records are now, in their order, if they moved on to other batches.
    fn within(&self, parts: &[Redirect]) -> Vec<Self> {
        let end = self.first + self.count;
        let mut runs = Vec::new();
        let begun = parts.partition_point(|part| part.first <= self.first).saturating_sub(1);
        for (at, part) in parts.iter().enumerate().skip(begun).take_while(|(_, part)| part.first < end) {
            let part_end = parts.get(at + 1).map_or(u32::MAX, |next| next.first);
            let (first, last) = (self.first.max(part.first), end.min(part_end));
            if first < last {
                let cell = Arc::clone(&part.cell);
                runs.push(Self { cell, first: part.position_of(first), count: last - first });
            }
        }
        runs
    }
}

impl Stream for Deliveries {
    type Item = Result<RecordMetadata, DeliveryError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        if let Settled::Failed(error) = ready!(self.poll_first(cx)) {
            return Poll::Ready(Some(Err(error)));
        }
        let first = self.runs.front().and_then(|run| Some(result(&run.cell, run.cell.outcome()?, run.first)));
        self.take_first_record();
        Poll::Ready(first)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl Extend<Delivery> for Deliveries {
    fn extend<I: IntoIterator<Item = Delivery>>(&mut self, deliveries: I) {
        for delivery in deliveries {
            self.push(delivery);
        }
    }
}

impl FromIterator<Delivery> for Deliveries {
    fn from_iter<I: IntoIterator<Item = Delivery>>(deliveries: I) -> Self {
        let mut all = Self::new();
        all.extend(deliveries);
        all
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        if let Some(slot) = self.slot
            && let Some(run) = self.runs.front()
        {
            run.cell.forget_waker(slot);
        }
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
