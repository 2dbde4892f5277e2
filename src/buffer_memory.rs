//! The budget of `buffer.memory` bytes, and the buffers that batches are built in.
//!
//! Every byte of a batch's buffer is covered by a permit that lives inside the [`BatchBuffer`] itself, so memory is
//! given back when the last holder of the bytes lets go (the batch, or the socket that still writes it), never
//! earlier and never twice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{Semaphore, TryAcquireError};

use crate::planted::planted;
/// Smallest buffer that is worth an allocation.
const SMALLEST_BUFFER: usize = 1024;

/// The memory that all batches of a producer share: `buffer.memory`.
#[derive(Debug)]
pub(crate) struct BufferMemory {
    total: usize,
    /// Size of a full buffer, `batch.size`; only buffers of this size are kept for reuse.
    poolable: usize,
    /// Bytes not taken. Serves waiters first come, first served.
    available: Semaphore,
    /// Idle buffers. They count as available: when the budget needs their bytes they are freed.
    pool: Mutex<Vec<Vec<u8>>>,
    waiters: AtomicUsize,
}

/// The producer was closed while a record waited for memory.
#[derive(Debug)]
pub(crate) struct MemoryClosed;

impl BufferMemory {
    pub(crate) fn new(total: usize, batch_size: usize) -> Arc<Self> {
        let total = total.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            total,
            poolable: batch_size.max(1),
            available: Semaphore::new(total),
            pool: Mutex::default(),
            waiters: AtomicUsize::new(0),
        })
    }

    /// Takes a buffer of at least `least` bytes if nobody waits and memory is left.
    ///
    /// While more than half of the budget is free the buffer has a whole `batch.size`; after that it starts small
    /// and grows with its batch, so that ten thousand thin partitions do not reserve ten thousand full buffers.
    pub(crate) fn try_take(self: &Arc<Self>, least: usize) -> Option<BatchBuffer> {
        let generous = least.max(self.poolable);
        if self.available() >= self.total / 2 + generous
            && let Some(buffer) = self.try_take_exactly(generous)
        {
            return Some(buffer);
        }
        self.try_take_exactly(least.max(SMALLEST_BUFFER.min(self.poolable)))
    }

    /// Takes a buffer of `capacity` bytes if nobody waits and memory is left.
    pub(crate) fn try_take_exactly(self: &Arc<Self>, capacity: usize) -> Option<BatchBuffer> {
        let permits = u32::try_from(capacity).ok()?;
        match self.available.try_acquire_many(permits) {
            Ok(permit) => {
                permit.forget();
                Some(self.buffer(capacity))
            }
            Err(TryAcquireError::Closed | TryAcquireError::NoPermits) => None,
        }
    }

    /// Waits for a buffer of at least `least` bytes; waiters are served in the order in which they came.
    ///
    /// Asks for a whole `batch.size`: a small buffer could not grow while memory is short, and batches of a few
    /// records each would keep it short.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up its place and takes nothing.
    pub(crate) async fn take(self: &Arc<Self>, least: usize) -> Result<BatchBuffer, MemoryClosed> {
        let capacity = least.max(self.poolable);
        let permits = u32::try_from(capacity).map_err(|_| MemoryClosed)?;
        let _waiting = Waiting::new(&self.waiters);
        let permit = self.available.acquire_many(permits).await.map_err(|_| MemoryClosed)?;
        permit.forget();
        Ok(self.buffer(capacity))
    }

    /// Fails everybody who waits now or later.
    pub(crate) fn close(&self) {
        self.available.close();
    }

    /// Returns whether somebody waits for memory. Every partition is then worth sending.
    pub(crate) fn is_contended(&self) -> bool {
        self.waiters.load(Ordering::Relaxed) > 0
    }

    /// Returns how many waits for memory are under way.
    pub(crate) fn waiters(&self) -> usize {
        self.waiters.load(Ordering::Relaxed)
    }

    /// Returns the bytes that no batch holds.
    pub(crate) fn available(&self) -> usize {
        self.available.available_permits()
    }

    /// Returns the whole budget.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    fn buffer(self: &Arc<Self>, capacity: usize) -> BatchBuffer {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let pooled = if capacity == self.poolable { pool.pop() } else { None };
        // Idle buffers may only occupy what is not taken.
        while pool.len() * self.poolable > self.available() {
            pool.pop();
        }
        drop(pool);
        let bytes = pooled.unwrap_or_else(|| Vec::with_capacity(capacity));
        BatchBuffer { bytes, reserved: capacity, memory: Some(Arc::clone(self)) }
    }

    fn give_back(&self, mut bytes: Vec<u8>, reserved: usize) {
        if bytes.capacity() == self.poolable && reserved == self.poolable {
            bytes.clear();
            let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
            if (pool.len() + 1) * self.poolable <= self.available() + reserved {
                pool.push(bytes);
            }
        } else {
            drop(bytes);
        }
        self.available.add_permits(reserved);
    }
}

/// Counts a waiter for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiters: &'a AtomicUsize) -> Self {
        waiters.fetch_add(1, Ordering::Relaxed);
        Self(waiters)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A batch's bytes together with the permit for their memory.
#[derive(Debug)]
pub(crate) struct BatchBuffer {
    bytes: Vec<u8>,
    /// Bytes of the budget that this buffer holds. The vector never grows beyond it.
    reserved: usize,
    /// `None` for a buffer outside of the budget.
    memory: Option<Arc<BufferMemory>>,
}

impl BatchBuffer {
    /// Makes a buffer that no budget covers.
    pub(crate) fn outside_of_budget(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), reserved: capacity, memory: None }
    }

    /// Returns how many bytes fit in all.
    pub(crate) fn capacity(&self) -> usize {
        self.reserved
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives access for appending; the caller keeps within [`BatchBuffer::capacity`].
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Moves the contents into a larger buffer.
    pub(crate) fn move_into(self, mut larger: Self) -> Self {
        larger.bytes.extend_from_slice(&self.bytes);
        larger
    }

    /// Puts other, shorter contents in place and gives the difference back to the budget.
    pub(crate) fn replace_by(&mut self, shorter: Vec<u8>) {
        debug_assert!(shorter.len() <= self.reserved, "contents may only get shorter");
        let kept = shorter.len().min(self.reserved);
        drop(std::mem::replace(&mut self.bytes, shorter));
        let reserved = std::mem::replace(&mut self.reserved, kept);
        if let Some(memory) = self.memory.as_ref().filter(|_| !planted!(CreditNotReturned)) {
            memory.available.add_permits(reserved - kept);
        }
    }

    /// Freezes the bytes; they return to the pool when the last clone is dropped.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for BatchBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for BatchBuffer {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory.give_back(std::mem::take(&mut self.bytes), self.reserved);
        }
    }
}

#[cfg(test)]
mod tests;
