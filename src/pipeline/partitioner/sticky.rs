use std::cell::LazyCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The partition to which records without a key of one topic go at the moment, and how much has gone there.
///
/// It stays with a partition until about `batch.size` bytes have gone there and then moves on (KIP-794), so that batches fill
/// although there are many partitions. Moving on in the middle of a batch would leave a small batch behind; it therefore
/// waits for the end of one, but not for longer than a second `batch.size`.
///
/// One append goes:
///
/// ```text
/// loop {
///     partition = peek(..)
///     lock the queue of the partition
///     if !still_on(partition, is the last batch full, ..) { continue }
///     append
///     appended(partition, bytes, is the last batch full, ..)
///     break
/// }
/// ```
///
/// Only records for which nothing else decides the partition are counted.
///
/// No lock is taken and nothing allocated. `next` is called only when another partition is needed, which is at most once in
/// each call, and in `still_on` and `appended` while the caller holds the lock of the queue: it must not lock another queue.
#[derive(Debug)]
pub(crate) struct StickyPartitioner {
    /// At least 1.
    batch_size: u64,
    /// A packed `Sticky`. No other memory depends on it, so `Relaxed` is enough.
    state: AtomicU64,
}

impl StickyPartitioner {
    /// `batch_size` in bytes; 0, which Kafka allows for `batch.size`, counts as 1.
    pub(crate) fn new(batch_size: u32) -> Self {
        Self { batch_size: u64::from(batch_size.max(1)), state: AtomicU64::new(Sticky::NONE.pack()) }
    }

    /// Returns the current partition if one has been chosen and it exists.
    #[inline]
    pub(crate) fn current(&self, partition_count: usize) -> Option<usize> {
        let partition = Sticky::unpack(self.state.load(Ordering::Relaxed)).partition;
        usize::try_from(partition).ok().filter(|partition| *partition < partition_count)
    }

    /// Returns the current partition, or `None` for a topic without partitions.
    ///
    /// Takes what `next` says at the first call, and again if the topic has been made anew with fewer partitions.
    pub(crate) fn peek(&self, partition_count: usize, next: impl FnOnce() -> Option<i32>) -> Option<i32> {
        let exists =
            |partition| usize::try_from(partition).is_ok_and(|partition| partition < partition_count);
        let mut current = self.state.load(Ordering::Relaxed);
        let next = LazyCell::new(next);
        loop {
            let partition = Sticky::unpack(current).partition;
            if exists(partition) {
                return Some(partition);
            }
            let fresh = Sticky::fresh((*next)?);
            match self.replace(current, fresh) {
                Ok(()) => return Some(fresh.partition),
                Err(actual) => current = actual,
            }
        }
    }

    /// Says whether `partition`, which was peeked before its queue was locked, is still the current one.
    ///
    /// `at_batch_boundary` is whether the queue is empty or its last batch is full. If so, a move that `appended` put off is
    /// made now.
    pub(crate) fn still_on(
        &self,
        partition: i32,
        at_batch_boundary: bool,
        next: impl FnOnce() -> Option<i32>,
    ) -> bool {
        if at_batch_boundary {
            self.appended(partition, 0, true, next);
        }
        Sticky::unpack(self.state.load(Ordering::Relaxed)).partition == partition
    }

    /// Counts `bytes` that went to `partition`, and moves on if it is time. Returns whether it moved.
    ///
    /// `bytes` is by how much the append has made the batch grow, headers of a new batch included. `at_batch_boundary` is
    /// whether the queue is empty or its last batch is full, after the append.
    pub(crate) fn appended(
        &self,
        partition: i32,
        bytes: u32,
        at_batch_boundary: bool,
        next: impl FnOnce() -> Option<i32>,
    ) -> bool {
        let mut current = self.state.load(Ordering::Relaxed);
        let sticky = Sticky::unpack(current);
        // Nearly every append: it stays where it is.
        if sticky.partition == partition
            && let Some(produced) = sticky.produced.checked_add(bytes)
            && u64::from(produced) < self.batch_size
            && bytes > 0
        {
            match self.replace(current, Sticky { produced, ..sticky }) {
                Ok(()) => return false,
                Err(actual) => current = actual,
            }
        }
        let next = LazyCell::new(|| next().unwrap_or(partition));
        loop {
            let sticky = Sticky::unpack(current);
            // The partition was left since it was peeked. An unconditional add would count these bytes for the one that came
            // after it.
            if sticky.partition != partition {
                return false;
            }
            let grown = Sticky { produced: sticky.produced.saturating_add(bytes), ..sticky };
            let is_due = self.is_due(grown.produced, at_batch_boundary);
            if !is_due && bytes == 0 {
                return false;
            }
            match self.replace(current, if is_due { Sticky::fresh(*next) } else { grown }) {
                Ok(()) => return is_due,
                Err(actual) => current = actual,
            }
        }
    }

    fn is_due(&self, produced: u32, at_batch_boundary: bool) -> bool {
        let produced = u64::from(produced);
        // A `batch.size` above 2 GiB would never be reached twice by a saturated count.
        let at_last = (self.batch_size * 2).min(u64::from(u32::MAX));
        produced >= at_last || at_batch_boundary && produced >= self.batch_size
    }

    #[inline]
    fn replace(&self, current: u64, new: Sticky) -> Result<(), u64> {
        self.state
            .compare_exchange_weak(current, new.pack(), Ordering::Relaxed, Ordering::Relaxed)
            .map(|_| ())
    }
}

/// What is packed into the one atomic: the partition above, the count below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sticky {
    /// Negative before the first record.
    partition: i32,
    /// Bytes since the partition was chosen; saturates.
    produced: u32,
}

impl Sticky {
    const NONE: Self = Self::fresh(-1);

    const fn fresh(partition: i32) -> Self {
        Self { partition, produced: 0 }
    }

    #[inline]
    fn pack(self) -> u64 {
        u64::from(self.partition.cast_unsigned()) << 32 | u64::from(self.produced)
    }

    #[inline]
    fn unpack(packed: u64) -> Self {
        Self { partition: ((packed >> 32) as u32).cast_signed(), produced: packed as u32 }
    }
}

#[cfg(test)]
mod tests;
