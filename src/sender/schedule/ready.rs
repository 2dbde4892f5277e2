//! `Ready`: the partitions whose head can go, by the node that leads them.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::{Slot, Slots};
use crate::accumulator::Stage;
use crate::topic_partition::NodeId;

/// Partitions whose head can go to a node, and nodes that take nothing.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// Each partition once, longest waiting first. Lists that run empty are kept, unless there are many: a producer with a few brokers would
    /// make one for each batch.
    listed: BTreeMap<NodeId, VecDeque<usize>>,
    /// Nodes that batches wait for and that take nothing, each since when (`partitioner.availability.timeout.ms`).
    stalled: BTreeMap<NodeId, Instant>,
    /// What keeps nodes from taking anything, for those for which it is more than a lack of room.
    obstacles: BTreeMap<NodeId, Stage>,
}

/// Nodes for which lists are kept.
const MOST_KEPT: usize = 32;

impl Ready {
    /// Lists a partition for a node, unless it is listed.
    pub(super) fn list(&mut self, node: NodeId, id: usize, slot: &mut Slot) {
        if !std::mem::replace(&mut slot.is_listed, true) {
            self.listed.entry(node).or_default().push_back(id);
        }
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.listed.iter().filter(|(_, listed)| !listed.is_empty()).map(|(node, _)| *node)
    }

    pub(super) fn count(&self, node: NodeId) -> usize {
        self.listed.get(&node).map_or(0, VecDeque::len)
    }

    pub(super) fn first(&self, node: NodeId) -> Option<usize> {
        self.listed.get(&node)?.front().copied()
    }

    pub(super) fn unlist_first(&mut self, node: NodeId, slots: &mut Slots) {
        let first = self.listed.get_mut(&node).and_then(VecDeque::pop_front);
        if let Some(slot) = first.and_then(|id| slots.get_mut(id)) {
            slot.is_listed = false;
        }
    }

    /// Takes all partitions off their lists, and forgets since when nodes take nothing.
    pub(super) fn clear(&mut self, slots: &mut Slots) {
        self.stalled.clear();
        for id in std::mem::take(&mut self.listed).into_values().flatten() {
            if let Some(slot) = slots.get_mut(id) {
                slot.is_listed = false;
            }
        }
    }

    /// Returns what a batch that waits for a node spends its time with.
    #[inline]
    pub(super) fn stage(&self, node: NodeId) -> Stage {
        if self.obstacles.is_empty() {
            return Stage::Queued;
        }
        self.obstacles.get(&node).copied().unwrap_or(Stage::Queued)
    }

    /// Takes in what keeps a node from taking anything, or that nothing does. Only if that is another thing than before, the clocks of
    /// batches that are listed for it are set: each takes a lock.
    #[inline]
    pub(super) fn note_obstacle(
        &mut self,
        node: NodeId,
        obstacle: Option<Stage>,
        slots: &Slots,
        now: Instant,
    ) {
        if obstacle.is_some() || !self.obstacles.is_empty() {
            self.set_obstacle(node, obstacle, slots, now);
        }
    }

    fn set_obstacle(&mut self, node: NodeId, obstacle: Option<Stage>, slots: &Slots, now: Instant) {
        let before = match obstacle {
            Some(stage) => self.obstacles.insert(node, stage),
            None => self.obstacles.remove(&node),
        };
        if before == obstacle {
            return;
        }
        let stage = self.stage(node);
        for slot in self.listed.get(&node).into_iter().flatten().filter_map(|id| slots.get(*id)) {
            slot.partition.queue.enter_stage(stage, now);
        }
    }

    /// Forgets nodes for which no partition is listed.
    pub(super) fn tidy(&mut self) {
        if self.listed.len() > MOST_KEPT {
            self.listed.retain(|_, listed| !listed.is_empty());
        }
        if !self.obstacles.is_empty() {
            self.obstacles.retain(|node, _| self.listed.get(node).is_some_and(|listed| !listed.is_empty()));
        }
    }

    /// Has the partitions that are listed for a node chosen for records, or not once it takes nothing for longer than `timeout`.
    pub(super) fn note_availability(
        &mut self,
        node: NodeId,
        can_send: bool,
        timeout: Duration,
        slots: &Slots,
        now: Instant,
    ) {
        let is_available = if can_send {
            self.stalled.remove(&node);
            true
        } else {
            let since = *self.stalled.entry(node).or_insert(now);
            now.saturating_duration_since(since) <= timeout
        };
        for slot in self.listed.get(&node).into_iter().flatten().filter_map(|id| slots.get(*id)) {
            slot.partition.queue.set_available(is_available);
        }
    }
}
