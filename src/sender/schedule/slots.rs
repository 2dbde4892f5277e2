//! `Slots`: the partitions that have had records, each with where it stands in the schedule.

use std::sync::Arc;
use std::time::Instant;

use super::PartitionWait;
use crate::accumulator::PartitionQueue;
use crate::metadata::Cluster;
use crate::sender::partition::Partition;

/// A partition, and where it stands.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) partition: Partition,
    /// When the sender looks again if nothing happens before, which is its place among the timers, and why.
    pub(super) timer: Option<(Instant, PartitionWait)>,
    /// True while it stands in the list of a node that can be sent to.
    pub(super) is_listed: bool,
    /// True while it waits for a node to have answered everything, so that a batch need not linger.
    pub(super) is_gathering: bool,
    /// Its place among those that have something to do, while it is one of them.
    pub(super) active_at: Option<usize>,
}

impl Slot {
    /// Whether anything refers to it: a batch or an unanswered request, or a list of the schedule's.
    pub(super) fn is_in_use(&self) -> bool {
        self.active_at.is_some() || self.is_listed || self.is_gathering || self.partition.is_in_use()
    }
}

/// By the id of the queue; empty places are partitions that had no records so far, or have idled out.
#[derive(Debug, Default)]
pub(super) struct Slots(Vec<Option<Box<Slot>>>);

impl Slots {
    pub(super) fn get(&self, id: usize) -> Option<&Slot> {
        self.0.get(id).and_then(Option::as_deref)
    }

    pub(super) fn get_mut(&mut self, id: usize) -> Option<&mut Slot> {
        self.0.get_mut(id).and_then(Option::as_deref_mut)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.0.iter().filter_map(Option::as_deref)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.0.iter_mut().filter_map(Option::as_deref_mut)
    }

    /// Makes the slot of a queue unless there is one. Returns its id.
    pub(super) fn ensure(&mut self, queue: Arc<PartitionQueue>, cluster: &Cluster) -> usize {
        let id = queue.id();
        if self.0.len() <= id {
            self.0.resize_with(id + 1, || None);
        }
        if let Some(place @ None) = self.0.get_mut(id) {
            let mut partition = Partition::new(queue);
            partition.update_leader(cluster);
            let slot =
                Slot { partition, timer: None, is_listed: false, is_gathering: false, active_at: None };
            *place = Some(Box::new(slot));
        }
        id
    }

    pub(super) fn remove(&mut self, id: usize) -> Option<Box<Slot>> {
        self.0.get_mut(id).and_then(Option::take)
    }

    /// Gives memory back after slots were removed.
    pub(super) fn shrink(&mut self) {
        while let Some(None) = self.0.last() {
            self.0.pop();
        }
        if self.0.capacity() / 4 > self.0.len().max(USUAL_PARTITIONS) {
            self.0.shrink_to(self.0.len() * 2);
        }
    }
}

/// A table of so many partitions is kept.
const USUAL_PARTITIONS: usize = 64;
