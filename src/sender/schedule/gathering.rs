//! `Gathering`: partitions whose batch goes as soon as their node has answered everything.
//!
//! All records of the batch are awaited, so no caller will add to it, and to linger would only make them wait. But while
//! something is under way to the node, more records may come, and larger requests of it.

use std::collections::BTreeMap;

use super::{Slot, Slots};
use crate::topic_partition::NodeId;

/// Partitions whose batches would go at once if nothing were under way to the node.
#[derive(Debug, Default)]
pub(super) struct Gathering(BTreeMap<NodeId, Vec<usize>>);

impl Gathering {
    /// Adds a partition, unless it is there or has no leader.
    pub(super) fn add(&mut self, id: usize, slot: &mut Slot) {
        if let Some(leader) = slot.partition.leader()
            && !std::mem::replace(&mut slot.is_gathering, true)
        {
            self.0.entry(leader).or_default().push(id);
        }
    }

    /// Takes the partitions that wait for a node that is idle.
    pub(super) fn take(&mut self, is_idle: impl Fn(NodeId) -> bool, slots: &mut Slots) -> Vec<usize> {
        let nodes: Vec<_> = self.0.keys().copied().filter(|node| is_idle(*node)).collect();
        let taken: Vec<_> = nodes.iter().filter_map(|node| self.0.remove(node)).flatten().collect();
        for id in &taken {
            if let Some(slot) = slots.get_mut(*id) {
                slot.is_gathering = false;
            }
        }
        taken
    }
}
