//! `LeaderEpochs`: which answers about the leaders of a topic are newer than what is known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::planted::planted;
use crate::topic_partition::NodeId;

use super::doubt::Doubt;

/// The leader epochs of a topic's partitions, and what speaks against them.
///
/// An answer with a lower epoch than one that was seen comes from a broker that lags behind, as a rule. But an election
/// among replicas that are not in sync may throw the newer epochs away for good, so what contradicts them is counted.
#[derive(Debug, Default)]
pub(super) struct LeaderEpochs {
    /// The highest epoch seen of each partition since the last that was given up.
    highest: BTreeMap<i32, i32>,
    doubts: BTreeMap<i32, Option<Doubt<Claim>>>,
    /// Partitions whose known leader says that it does not lead them.
    denied: BTreeSet<i32>,
}

/// What an answer says against what is known of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    NoLeader,
    Older { leader: NodeId, epoch: i32 },
}

impl LeaderEpochs {
    /// Takes an epoch as the highest, whatever it was before.
    pub(super) fn set(&mut self, partition: i32, epoch: i32) {
        if self.highest.insert(partition, epoch) != Some(epoch) {
            self.settle(partition);
        }
    }

    pub(super) fn forget(&mut self, partition: i32) {
        self.highest.remove(&partition);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(i32) -> bool) {
        // Built anew in order, a map takes half the memory that it does after one insertion behind the other.
        let highest = std::mem::take(&mut self.highest);
        self.highest = highest.into_iter().filter(|(partition, _)| is_kept(*partition)).collect();
        self.doubts.retain(|partition, _| is_kept(*partition));
        self.denied.retain(|partition| is_kept(*partition));
    }

    /// Notes that the leader of a partition denies to lead it.
    pub(super) fn deny(&mut self, partition: i32) {
        self.denied.insert(partition);
    }

    /// Counts an answer that contradicts what is known of a partition. Returns whether it is to be believed.
    pub(super) fn contradict(&mut self, partition: i32, claim: Claim, is_urgent: bool, now: Instant) -> bool {
        Doubt::count(self.doubts.entry(partition).or_default(), claim, is_urgent, now)
            && !planted!(EpochsNeverGoBack)
    }

    /// Notes that an answer agrees with what is known of a partition. That weighs nothing if the leader itself denies.
    pub(super) fn confirm(&mut self, partition: i32) {
        if !self.is_denied(partition) {
            self.doubts.remove(&partition);
        }
    }

    /// Notes that a partition has another leader than the one in doubt.
    pub(super) fn settle(&mut self, partition: i32) {
        self.doubts.remove(&partition);
        self.denied.remove(&partition);
    }

    pub(super) fn highest(&self, partition: i32) -> Option<i32> {
        self.highest.get(&partition).copied()
    }

    pub(super) fn is_denied(&self, partition: i32) -> bool {
        self.denied.contains(&partition)
    }

    pub(super) fn is_any_denied(&self) -> bool {
        !self.denied.is_empty()
    }
}
