//! `QueueTable`: the queues of a topic by partition number, found without a lock.

use std::sync::Arc;

use crate::accumulator::partition_queue::PartitionQueue;
use crate::sync::OnceLock;

/// A place for the queue of each partition of a topic. Most places may stay empty for ever.
///
/// To find a queue takes no lock. Places for partitions beyond the first few are made block by block: a topic may have millions
/// of partitions, and records for three of them.
#[derive(Debug)]
pub(super) struct QueueTable {
    len: usize,
    /// Of the first partitions, at most [`BLOCK`].
    near: Box<[OnceLock<Arc<PartitionQueue>>]>,
    /// Of those behind them, by blocks.
    far: Box<[OnceLock<Block>]>,
}

type Block = Box<[OnceLock<Arc<PartitionQueue>>; BLOCK]>;

/// Places in a block: 4 KiB. Topics with more partitions are rare, and a look-up beyond takes a few instructions more.
const BLOCK: usize = 256;

impl QueueTable {
    pub(super) fn new(len: usize) -> Self {
        Self {
            len,
            near: (0..len.min(BLOCK)).map(|_| OnceLock::new()).collect(),
            far: (0..len.saturating_sub(BLOCK).div_ceil(BLOCK)).map(|_| OnceLock::new()).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn get(&self, partition: usize) -> Option<&Arc<PartitionQueue>> {
        match self.near.get(partition) {
            Some(place) => place.get(),
            None => self.get_far(partition),
        }
    }

    fn get_far(&self, partition: usize) -> Option<&Arc<PartitionQueue>> {
        let at = partition.checked_sub(BLOCK)?;
        self.far.get(at / BLOCK)?.get()?.get(at % BLOCK)?.get()
    }

    /// Puts a queue into its place, if there is one. What is there stays: it is the same.
    pub(super) fn set(&self, partition: usize, queue: &Arc<PartitionQueue>) -> Option<&Arc<PartitionQueue>> {
        if partition >= self.len {
            return None;
        }
        let place = match self.near.get(partition) {
            Some(place) => place,
            None => {
                let at = partition.checked_sub(BLOCK)?;
                let block = || Box::new(std::array::from_fn(|_| OnceLock::new()));
                self.far.get(at / BLOCK)?.get_or_init(block).get(at % BLOCK)?
            }
        };
        Some(place.get_or_init(|| Arc::clone(queue)))
    }

    /// Returns how many places [`QueueTable::iter`] looks at. Nearly all may be empty.
    pub(super) fn places(&self) -> usize {
        let blocks = self.far.iter().filter(|block| block.get().is_some()).count();
        self.near.len() + self.far.len() + blocks * BLOCK
    }

    /// Returns the queues that are there, by partition number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<PartitionQueue>> {
        let far = self.far.iter().filter_map(OnceLock::get).flat_map(|block| block.iter());
        self.near.iter().chain(far).filter_map(OnceLock::get)
    }
}
