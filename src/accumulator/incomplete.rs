//! `IncompleteBatches`: the batches of a producer that have not ended.
//!
//! A task that waits for all of them looks here and at no queue, so the wait costs no more than there is to wait for. A batch
//! stands here from its first record until it is dropped, right after its completion. Only the deliveries of its records keep
//! the outcome of a batch, and with it the bytes of a failed one.

use std::sync::{Arc, Weak};
use std::time::Instant;

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
    /// When its first record was appended.
    created: Instant,
}

/// A batch's place among those that have not ended. Dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Incomplete {
    batches: Arc<IncompleteBatches>,
    place: usize,
}

impl IncompleteBatches {
    /// Notes a batch that has begun.
    pub(crate) fn insert(
        self: &Arc<Self>,
        cell: &Arc<BatchCell>,
        queue: Weak<PartitionQueue>,
        created: Instant,
    ) -> Incomplete {
        let place = self.lock().insert(Arc::clone(cell), queue, created);
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

    /// Returns when the first record of the oldest batch was appended, if there is a batch.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.lock().places.iter().flatten().map(|cell| cell.created).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Cells> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cells {
    fn insert(&mut self, cell: Arc<BatchCell>, queue: Weak<PartitionQueue>, created: Instant) -> usize {
        self.count += 1;
        let cell = Cell { number: self.count, cell, queue, created };
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

impl Incomplete {
    /// Returns the queue of the batch, if there still is one.
    pub(crate) fn queue(&self) -> Option<Arc<PartitionQueue>> {
        let cells = self.batches.lock();
        let cell = cells.places.get(self.place).and_then(Option::as_ref);
        cell.and_then(|cell| cell.queue.upgrade())
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
    use std::time::Duration;

    use super::*;
    use crate::clock;
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
        let now = clock::now();
        let begin = |partition| batches.insert(&cell(partition), Weak::new(), now);
        let (zero, one, _two) = (begin(0), begin(1), begin(2));

        drop((zero, one));
        let (_three, _four, _five) = (begin(3), begin(4), begin(5));

        assert_eq!(partitions(&batches), [2, 3, 4, 5]);
        assert!(!batches.is_empty());
    }

    #[test]
    fn oldest_batch_is_known_by_its_first_record() {
        let batches = Arc::new(IncompleteBatches::default());
        let now = clock::now();
        let later = now + Duration::from_secs(1);
        assert_eq!(batches.oldest(), None);

        let young = batches.insert(&cell(0), Weak::new(), later);
        let piece = batches.insert(&cell(1), Weak::new(), now);

        assert_eq!(batches.oldest(), Some(now));
        drop(piece);
        assert_eq!(batches.oldest(), Some(later));
        drop(young);
    }

    #[test]
    fn batches_that_have_ended_leave_no_memory_behind() {
        let batches = Arc::new(IncompleteBatches::default());
        let now = clock::now();
        let begin = |partition| batches.insert(&cell(partition), Weak::new(), now);
        let open: Vec<_> = (0..1000).map(begin).collect();

        drop(open);

        assert!(batches.is_empty() && partitions(&batches).is_empty());
        let cells = batches.lock();
        assert_eq!((cells.places.capacity(), cells.free.capacity()), (0, 0));
    }
}
