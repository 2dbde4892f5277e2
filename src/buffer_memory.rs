//! The budget of `buffer.memory` bytes, and the buffers that batches are built in.
//!
//! Every byte of a batch's buffer is covered by a permit that lives inside the [`BatchBuffer`] itself, so memory is
//! given back when the last holder of the bytes lets go (the batch, or the socket that still writes it), never
//! earlier and never twice.
//!
//! ```text
//!  BatchBuffer ──► PartitionMemory ──► BufferMemory { FairMemory { Budget }, idle buffers }
//!                     TopicMemory ──────┘
//! ```

use bytes::Bytes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::planted::planted;
use crate::sync::{Mutex, PoisonError};

pub(crate) mod budget;
pub(crate) mod fair_memory;
mod hungry;
mod topic_memory;

use self::budget::{Budget, Line, PartitionId};
use self::fair_memory::FairMemory;
pub(crate) use self::fair_memory::MemoryClosed;
pub(crate) use self::topic_memory::TopicMemory;

/// For [`BatchBuffer::fetch_ahead`], in bytes.
const FETCHED_AT_ONCE: usize = 4096;
const FETCHED_BEFORE: usize = 512;
const CACHE_LINE: usize = 64;

/// Smallest buffer that is worth an allocation.
const SMALLEST_BUFFER: usize = 1024;

/// The memory that all batches of a producer share: `buffer.memory`.
#[derive(Debug)]
pub(crate) struct BufferMemory {
    total: usize,
    /// Size of a full buffer, `batch.size`; only buffers of this size are kept for reuse.
    poolable: usize,
    fair: FairMemory,
    /// Idle buffers. They count as available: when the budget needs their bytes they are freed.
    pool: Mutex<Vec<Vec<u8>>>,
    /// Changed under the lock of `pool`: nothing is kept any more.
    is_closed: AtomicBool,
}

impl BufferMemory {
    pub(crate) fn new(total: usize, batch_size: usize) -> Arc<Self> {
        let poolable = batch_size.max(1);
        let fair = FairMemory::new(Budget::new(total, poolable, SMALLEST_BUFFER));
        Arc::new(Self {
            total,
            poolable,
            fair,
            pool: Mutex::new(Vec::new()),
            is_closed: AtomicBool::new(false),
        })
    }

    /// Makes the share of a partition that belongs to no topic.
    #[cfg(test)]
    pub(crate) fn partition(self: &Arc<Self>) -> Arc<PartitionMemory> {
        let partition = PartitionMemory { id: self.fair.open(None), memory: Arc::clone(self), _topic: None };
        self.serve_waits();
        Arc::new(partition)
    }

    /// Ends the waits whose turn has come.
    pub(crate) fn serve_waits(&self) {
        self.fair.serve_waits();
    }

    /// Fails all callers that wait now or later, and frees the idle buffers: threads that have sent records may keep this alive
    /// for a long time after.
    pub(crate) fn close(&self) {
        self.fair.close();
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_closed.store(true, Ordering::Relaxed);
        *pool = Vec::new();
    }

    /// Returns whether a caller waits for memory. Every partition is then worth sending.
    pub(crate) fn is_contended(&self) -> bool {
        self.fair.waits() > 0
    }

    /// Returns how many waits for memory are under way.
    pub(crate) fn waiters(&self) -> usize {
        self.fair.waits()
    }

    /// Returns the bytes that no batch holds.
    pub(crate) fn available(&self) -> usize {
        self.fair.free()
    }

    /// Returns the whole budget.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Takes an idle buffer, or makes one of bytes that have been taken from the budget.
    fn make(&self, capacity: usize) -> Vec<u8> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let pooled = if capacity == self.poolable { pool.pop() } else { None };
        // Idle buffers may only occupy what is not taken.
        while pool.len() * self.poolable > self.available() {
            pool.pop();
        }
        drop(pool);
        pooled.unwrap_or_else(|| vec![0; capacity])
    }

    /// Keeps a whole buffer of `reserved` bytes, which are about to be given back to the budget.
    fn keep(&self, bytes: Vec<u8>, reserved: usize) {
        if bytes.len() == self.poolable && reserved == self.poolable {
            let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
            let has_room = (pool.len() + 1) * self.poolable <= self.available() + reserved;
            if has_room && !self.is_closed.load(Ordering::Relaxed) {
                pool.push(bytes);
            }
        }
    }
}

/// What one partition takes of the memory, and how much of it that may be: see [`Budget`].
#[derive(Debug)]
pub(crate) struct PartitionMemory {
    memory: Arc<BufferMemory>,
    id: PartitionId,
    /// Its place in the budget is that of the topic for as long as the partition has one.
    _topic: Option<Arc<TopicMemory>>,
}

impl PartitionMemory {
    /// Takes a buffer of at least `least` bytes if that needs no waiting.
    pub(crate) fn try_take(self: &Arc<Self>, least: usize) -> Option<BatchBuffer> {
        let capacity = self.memory.fair.try_take(self.id, least)?;
        Some(self.buffer(capacity))
    }

    /// Takes a buffer of `capacity` bytes, in place of one of `replaced`, if that needs no waiting.
    pub(crate) fn try_take_larger(self: &Arc<Self>, capacity: usize, replaced: usize) -> Option<BatchBuffer> {
        self.memory.fair.try_take_exactly(self.id, capacity, replaced).then(|| self.buffer(capacity))
    }

    /// Takes a buffer of `capacity` bytes at once, beyond the budget if need be. Other records wait until the excess is gone.
    pub(crate) fn take_beyond(self: &Arc<Self>, capacity: usize) -> BatchBuffer {
        self.memory.fair.take_beyond(self.id, capacity);
        self.buffer(capacity)
    }

    /// Waits for a buffer of at least `least` bytes.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up its place and takes nothing.
    pub(crate) async fn take(self: &Arc<Self>, least: usize) -> Result<BatchBuffer, MemoryClosed> {
        let (_, capacity) = self.memory.fair.take(Line::Partition(self.id), least).await?;
        Ok(self.buffer(capacity))
    }

    /// Returns the bytes that the partition could take now.
    pub(crate) fn available(&self) -> usize {
        self.memory.fair.free_for(self.id)
    }

    /// Returns the bytes that the batches of the partition hold.
    pub(crate) fn held(&self) -> usize {
        self.memory.fair.held_by(self.id)
    }

    /// Returns whether a caller waits for this partition and no other.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.memory.fair.is_partition_waited_for(self.id)
    }

    /// Asks whether the partition takes no records, or none that may go elsewhere.
    pub(crate) fn set_shut(&self, is_shut: impl FnOnce() -> bool) {
        self.memory.fair.set_shut(self.id, is_shut);
    }

    fn buffer(self: &Arc<Self>, capacity: usize) -> BatchBuffer {
        let bytes = self.memory.make(capacity);
        BatchBuffer { bytes, filled: 0, fetched: 0, reserved: capacity, partition: Some(Arc::clone(self)) }
    }
}

impl Drop for PartitionMemory {
    fn drop(&mut self) {
        // Buffers and waits keep it alive, so there are none.
        self.memory.fair.close_partition(self.id);
    }
}

/// A batch's bytes together with the permit for their memory.
#[derive(Debug)]
pub(crate) struct BatchBuffer {
    /// As long as it will ever be, so that nothing is checked or cleared when a record is written.
    bytes: Vec<u8>,
    /// How much of it has contents.
    filled: usize,
    /// Up to here the processor has the memory at hand: see [`BatchBuffer::fetch_ahead`].
    fetched: usize,
    /// Bytes of the budget that this buffer holds. The vector is never longer.
    reserved: usize,
    /// On whose account; `None` for a buffer outside of the budget.
    partition: Option<Arc<PartitionMemory>>,
}

impl BatchBuffer {
    /// Makes a buffer that no budget covers.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn outside_of_budget(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity], filled: 0, fetched: 0, reserved: capacity, partition: None }
    }

    /// Returns how many bytes fit in all.
    pub(crate) fn capacity(&self) -> usize {
        self.reserved
    }

    /// Returns how many of them have contents.
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    /// Returns the contents.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Gives access to the contents.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.filled).unwrap_or_default()
    }

    /// Lets `write` write after the contents. The bytes that it says it has written are then contents, too.
    #[inline]
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut [u8]) -> usize) {
        let room = self.bytes.get_mut(self.filled..).unwrap_or_default();
        let most = room.len();
        self.filled += write(room).min(most);
    }

    /// Lets `write` write after the contents and before the byte `end`. The bytes that it says it has written, if it has, are then
    /// contents, too.
    #[inline]
    pub(crate) fn try_write(
        &mut self,
        end: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        let end = end.min(self.bytes.len());
        let room = self.bytes.get_mut(self.filled..end)?;
        let most = room.len();
        let written = write(room)?.min(most);
        self.filled += written;
        Some(written)
    }

    /// Has the processor fetch the memory of the records to come, before a record is written that comes alone.
    ///
    /// The thread that has sent the buffer last was most likely another, and the memory is in the cache of that one's processor. Each
    /// lock behind a record would wait until the memory of that record is here; that of many records comes in the time of one.
    #[inline]
    pub(crate) fn fetch_ahead(&mut self) {
        if self.filled + FETCHED_BEFORE > self.fetched {
            self.fetch();
        }
    }

    #[cold]
    #[inline(never)]
    fn fetch(&mut self) {
        let from = self.fetched.max(self.filled);
        let ahead = self.bytes.get_mut(from..).unwrap_or_default();
        // Nothing reads what stands there.
        ahead.iter_mut().take(FETCHED_AT_ONCE).step_by(CACHE_LINE).for_each(|byte| *byte = 0);
        self.fetched = if ahead.len() > FETCHED_AT_ONCE { from + FETCHED_AT_ONCE } else { usize::MAX };
    }

    /// Writes the contents into a larger buffer, which is empty.
    pub(crate) fn copy_into(&self, larger: &mut Self) {
        larger.write(|room| match room.split_at_mut_checked(self.filled) {
            Some((place, _)) => {
                place.copy_from_slice(self.bytes());
                place.len()
            }
            None => 0,
        });
    }

    /// Puts other, shorter contents in place. Returns what is left over; dropping it gives the difference back to the budget,
    /// which may wake others.
    #[must_use]
    pub(crate) fn replace_by(&mut self, shorter: Vec<u8>) -> Self {
        debug_assert!(shorter.len() <= self.reserved, "contents may only get shorter");
        let kept = shorter.len().min(self.reserved);
        self.filled = shorter.len();
        let bytes = std::mem::replace(&mut self.bytes, shorter);
        let reserved = std::mem::replace(&mut self.reserved, kept);
        let partition = self.partition.as_ref().filter(|_| !planted!(CreditNotReturned)).map(Arc::clone);
        Self { bytes, filled: 0, fetched: 0, reserved: reserved - kept, partition }
    }

    /// Books the bytes on another partition.
    pub(crate) fn move_to(&mut self, partition: &Arc<PartitionMemory>) {
        if let Some(from) = &self.partition
            && !Arc::ptr_eq(from, partition)
        {
            from.memory.fair.transfer(from.id, partition.id, self.reserved);
            self.partition = Some(Arc::clone(partition));
        }
    }

    /// Freezes the bytes; they return to the pool when the last clone is dropped.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for BatchBuffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Drop for BatchBuffer {
    fn drop(&mut self) {
        if let Some(PartitionMemory { memory, id, .. }) = self.partition.as_deref() {
            memory.keep(std::mem::take(&mut self.bytes), self.reserved);
            memory.fair.give_back(*id, self.reserved);
        }
    }
}

#[cfg(test)]
mod tests;
