//! `IncompleteBatches`: the batches of a producer that have not ended.
//!
//! A task that waits for all of them looks here and at no queue, so the wait costs no more than there is to wait for. A batch
//! stands here from its first record until it is dropped, right after its completion. Only the deliveries of its records keep
//! the outcome of a batch, and with it the bytes of a failed one.

use std::sync::{Arc, Weak};

use crate::accumulator::partition_queue::PartitionQueue;
use crate::delivery::BatchCell;
use crate::planted::planted;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The completion cells of the batches that are queued or on their way, of all partitions.
#[derive(Debug, Default)]
pub(crate) struct IncompleteBatches(Mutex<Cells>);

#[derive(Debug, Default)]
struct Cells {
    /// How many batches there were so far.
    count: u64,
    /// Each batch keeps its place; `None` in those that are free.
    places: Vec<Option<Cell>>,
    /// The free places.
    free: Vec<usize>,
}

#[derive(Debug)]
struct Cell {
    number: u64,
    cell: Arc<BatchCell>,
    queue: Weak<PartitionQueue>,
}

/// A batch's place among those that have not ended. Dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Incomplete {
    batches: Arc<IncompleteBatches>,
    place: usize,
}

impl IncompleteBatches {
    /// Notes a batch that has begun.
    pub(crate) fn insert(self: &Arc<Self>, cell: &Arc<BatchCell>, queue: Weak<PartitionQueue>) -> Incomplete {
        let place = self.lock().insert(Arc::clone(cell), queue);
        Incomplete { batches: Arc::clone(self), place }
    }

    /// Returns all batches that have not ended, oldest first: their cells and queues.
    pub(crate) fn list(&self) -> Vec<(Arc<BatchCell>, Weak<PartitionQueue>)> {
        let cells = self.lock();
        let entry = |cell: &Cell| (cell.number, (Arc::clone(&cell.cell), Weak::clone(&cell.queue)));
        let mut list: Vec<_> = cells.places.iter().flatten().map(entry).collect();
        drop(cells);
        list.sort_unstable_by_key(|(number, _)| *number);
        list.into_iter().map(|(_, entry)| entry).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Cells> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cells {
    fn insert(&mut self, cell: Arc<BatchCell>, queue: Weak<PartitionQueue>) -> usize {
        self.count += 1;
        let cell = Cell { number: self.count, cell, queue };
        let place = self.free.pop().unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(free) => *free = Some(cell),
            None => self.places.push(Some(cell)),
        }
        place
    }

    fn remove(&mut self, place: usize) -> Option<Cell> {
        let removed = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        if self.places.len() > USUAL_BATCHES && self.is_empty() {
            *self = Self { count: self.count, ..Self::default() };
        }
        Some(removed)
    }

    fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }
}

impl Drop for Incomplete {
    fn drop(&mut self) {
        if planted!(EndedBatchesKept) {
            return;
        }
        let batch = self.batches.lock().remove(self.place);
        // Not under the lock: an error in it may be large.
        drop(batch);
    }
}

/// Places for so many are kept when all are free.
const USUAL_BATCHES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic_partition::TopicPartition;

    fn cell(partition: i32) -> Arc<BatchCell> {
        BatchCell::new(TopicPartition::new("topic", partition), None)
    }

    fn partitions(batches: &IncompleteBatches) -> Vec<i32> {
        batches.list().iter().map(|(cell, _)| cell.topic_partition().partition).collect()
    }

    #[test]
    fn batches_are_listed_oldest_first_whichever_places_were_free() {
        let batches = Arc::new(IncompleteBatches::default());
        let begin = |partition| batches.insert(&cell(partition), Weak::new());
        let (zero, one, _two) = (begin(0), begin(1), begin(2));

        drop((zero, one));
        let (_three, _four, _five) = (begin(3), begin(4), begin(5));

        assert_eq!(partitions(&batches), [2, 3, 4, 5]);
        assert!(!batches.is_empty());
    }

    #[test]
    fn batches_that_have_ended_leave_no_memory_behind() {
        let batches = Arc::new(IncompleteBatches::default());
        let open: Vec<_> = (0..1000).map(|partition| batches.insert(&cell(partition), Weak::new())).collect();

        drop(open);

        assert!(batches.is_empty() && partitions(&batches).is_empty());
        let cells = batches.lock();
        assert_eq!((cells.places.capacity(), cells.free.capacity()), (0, 0));
    }
}
