//! `StickyPartitioner`: the partition to which a topic's records go if they may go to any, and how long they stay there.
//! `pipeline/route.rs` chooses the next one.

use std::cell::LazyCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The partition to which a topic's records without a key go at the moment, and how much has gone there.
///
/// They stay with a partition until about `batch.size` bytes have gone there and then move on (KIP-794), so that batches
/// fill although there are many partitions. Moving on in the middle of a batch would leave a small batch behind; so they
/// move on when a batch ends, or after a second `batch.size` at the latest.
///
/// ```text
///  peek      which partition is it?
///  count     so many bytes went there: another partition after two batches
///  leave     a batch has ended there: another partition if that one had its batch
///  move_to   that partition cannot take the record: this one instead
/// ```
///
/// If another thread has moved the records on meanwhile, a call that names the partition from before does nothing.
///
/// No lock is taken and nothing allocated. `next` is called only when another partition is needed, at most once in each call.
#[derive(Debug)]
pub(crate) struct StickyPartitioner {
    /// At least 1.
    batch_size: u32,
    /// A packed `Sticky`. No other memory depends on it, so `Relaxed` is enough.
    state: AtomicU64,
}

impl StickyPartitioner {
    /// `batch_size` in bytes; 0, which Kafka allows for `batch.size`, counts as 1.
    pub(crate) fn new(batch_size: usize) -> Self {
        Self { batch_size: to_u32(batch_size).max(1), state: AtomicU64::new(Sticky::NONE.pack()) }
    }

    /// Returns the current partition if one has been chosen and it exists.
    #[inline]
    pub(crate) fn current(&self, partition_count: usize) -> Option<usize> {
        Sticky::unpack(self.state.load(Ordering::Relaxed)).within(partition_count)
    }

    /// Returns the current partition, or `None` for a topic without partitions.
    ///
    /// Takes what `next` says at the first call, and again if the topic has been made anew with fewer partitions.
    pub(crate) fn peek(&self, partition_count: usize, next: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let mut current = self.state.load(Ordering::Relaxed);
        let next = LazyCell::new(next);
        loop {
            if let Some(partition) = Sticky::unpack(current).within(partition_count) {
                return Some(partition);
            }
            let chosen = (*next)?;
            match self.replace(current, Sticky::fresh(to_u32(chosen))) {
                Ok(()) => return Some(chosen),
                Err(actual) => current = actual,
            }
        }
    }

    /// Counts `bytes` that went to `partition`, the headers of new batches included. Moves on if that was the second
    /// `batch.size`, and returns whether it moved.
    pub(crate) fn count(&self, partition: usize, bytes: usize, next: impl FnOnce() -> Option<usize>) -> bool {
        let at_last = self.batch_size.saturating_mul(2);
        let counted =
            |produced: u32| Some(produced.saturating_add(to_u32(bytes))).filter(|sum| *sum < at_last);
        self.update(partition, counted, next)
    }

    /// Moves on from `partition`, where a batch has ended or none is queued, if it had a whole `batch.size`. Returns whether
    /// it moved.
    pub(crate) fn leave(&self, partition: usize, next: impl FnOnce() -> Option<usize>) -> bool {
        self.update(partition, |produced| Some(produced).filter(|sum| *sum < self.batch_size), next)
    }

    /// Moves on from a partition to another, however little went there.
    pub(crate) fn move_to(&self, from: usize, to: usize) {
        self.update(from, |_| None, || Some(to));
    }

    /// Has `counted` say how many bytes went to `partition`, or that it is time for another. Returns whether it moved.
    fn update(
        &self,
        partition: usize,
        counted: impl Fn(u32) -> Option<u32>,
        next: impl FnOnce() -> Option<usize>,
    ) -> bool {
        let mut current = self.state.load(Ordering::Relaxed);
        let next = LazyCell::new(|| next().unwrap_or(partition));
        loop {
            let sticky = Sticky::unpack(current);
            // The partition was left since it was peeked. An unconditional add would count these bytes for the one that came
            // after it.
            if sticky.partition != to_u32(partition) {
                return false;
            }
            let counted = counted(sticky.produced);
            let new = match counted {
                Some(produced) if produced == sticky.produced => return false,
                Some(produced) => Sticky { produced, ..sticky },
                None => Sticky::fresh(to_u32(*next)),
            };
            match self.replace(current, new) {
                Ok(()) => return counted.is_none(),
                Err(actual) => current = actual,
            }
        }
    }

    fn replace(&self, current: u64, new: Sticky) -> Result<(), u64> {
        self.state
            .compare_exchange_weak(current, new.pack(), Ordering::Relaxed, Ordering::Relaxed)
            .map(|_| ())
    }
}

/// What is packed into the one atomic: the partition above, the count below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sticky {
    /// `u32::MAX` before the first record: Kafka's partitions end at `i32::MAX`.
    partition: u32,
    /// Bytes since the partition was chosen; saturates.
    produced: u32,
}

impl Sticky {
    const NONE: Self = Self::fresh(u32::MAX);

    const fn fresh(partition: u32) -> Self {
        Self { partition, produced: 0 }
    }

    #[inline]
    fn within(self, partition_count: usize) -> Option<usize> {
        usize::try_from(self.partition).ok().filter(|partition| *partition < partition_count)
    }

    fn pack(self) -> u64 {
        u64::from(self.partition) << 32 | u64::from(self.produced)
    }

    #[inline]
    fn unpack(packed: u64) -> Self {
        Self { partition: (packed >> 32) as u32, produced: packed as u32 }
    }
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
