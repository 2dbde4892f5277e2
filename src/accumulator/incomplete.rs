//! `IncompleteBatches`: the batches of a producer that have not ended.
//!
//! Whoever waits for all of them looks here and at no queue, so the wait costs what there is to wait for. A batch stands here
//! from its first record until it is dropped, which is right behind its completion: nothing keeps the outcome of a batch,
//! and with it the bytes of one that failed, but the deliveries of its records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::accumulator::partition_queue::PartitionQueue;
use crate::delivery::BatchCell;
use crate::planted::planted;

/// The completion cells of the batches that are queued or on their way, of all partitions.
#[derive(Debug, Default)]
pub(crate) struct IncompleteBatches(Mutex<Cells>);

#[derive(Debug, Default)]
struct Cells {
    next: u64,
    /// Oldest first.
    by_number: BTreeMap<u64, (Arc<BatchCell>, Weak<PartitionQueue>)>,
}

/// A batch's place among those that have not ended. Dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Incomplete {
    batches: Arc<IncompleteBatches>,
    number: u64,
}

impl IncompleteBatches {
    /// Notes a batch that has begun.
    pub(crate) fn insert(self: &Arc<Self>, cell: &Arc<BatchCell>, queue: Weak<PartitionQueue>) -> Incomplete {
        let mut cells = self.lock();
        let number = cells.next;
        cells.next += 1;
        cells.by_number.insert(number, (Arc::clone(cell), queue));
        Incomplete { batches: Arc::clone(self), number }
    }

    /// Returns all batches that have not ended: their cells and queues.
    pub(crate) fn list(&self) -> Vec<(Arc<BatchCell>, Weak<PartitionQueue>)> {
        self.lock().by_number.values().cloned().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().by_number.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Cells> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Incomplete {
    fn drop(&mut self) {
        if planted!(EndedBatchesKept) {
            return;
        }
        let batch = self.batches.lock().by_number.remove(&self.number);
        // Not under the lock: an error in it may be large.
        drop(batch);
    }
}
