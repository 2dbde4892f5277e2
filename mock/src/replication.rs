//! Replicas with a log each: followers that lag behind, and leaders that lack what the one before had.
//!
//! Nothing here happens by itself. Followers copy when they are told to ([`Replication::fetch`]), and a leader learns how
//! far a follower has come when that fetches again, as in Kafka.

use std::collections::{BTreeMap, BTreeSet};

use crate::log::PartitionLog;

/// The replicas of a partition other than the one whose log counts.
#[derive(Debug)]
pub(crate) struct Replication {
    /// Whose log is that of the partition: the leader, or the last one.
    owner: i32,
    followers: BTreeMap<i32, Follower>,
    /// With the owner; never empty.
    in_sync: BTreeSet<i32>,
    /// Offset up to which all replicas in sync were ever known to hold the same: what was acknowledged lies below.
    committed: i64,
    /// Batches that some replica has cut off.
    truncated: usize,
}

#[derive(Debug, Default)]
struct Follower {
    log: PartitionLog,
    /// How far the leader knows it to have come; `None` if it has heard nothing of it so far.
    confirmed: Option<i64>,
}

impl Replication {
    pub(crate) fn new(replicas: &[i32], leader: Option<i32>) -> Self {
        let owner = leader.or_else(|| replicas.first().copied()).unwrap_or(-1);
        let others = replicas.iter().copied().filter(|id| *id != owner);
        Self {
            owner,
            followers: others.map(|id| (id, Follower::default())).collect(),
            in_sync: replicas.iter().copied().collect(),
            committed: 0,
            truncated: 0,
        }
    }

    pub(crate) fn in_sync(&self) -> impl Iterator<Item = i32> {
        self.in_sync.iter().copied()
    }

    pub(crate) fn truncated(&self) -> usize {
        self.truncated
    }

    /// Has a follower copy some batches of the leader's log. It tells the leader what it held before, and is in sync if
    /// that is everything.
    pub(crate) fn fetch(&mut self, id: i32, leader: &PartitionLog, batches: usize) {
        let Some(follower) = self.followers.get_mut(&id) else { return };
        let (held, lost) = follower.log.follow(leader, batches);
        follower.confirmed = Some(held);
        self.truncated += lost;
        if held == leader.end_offset() {
            self.in_sync.insert(id);
        }
        self.committed = self.committed.max(self.high_watermark(leader));
    }

    /// A broker starts anew.
    pub(crate) fn restart(&mut self, id: i32, log: &mut PartitionLog) {
        match self.followers.get_mut(&id) {
            Some(follower) => follower.log.restart(),
            None if self.owner == id => log.restart(),
            None => {}
        }
    }

    pub(crate) fn expire_producers(&mut self, timestamp: i64) {
        self.followers.values_mut().for_each(|follower| follower.log.expire_producers(timestamp));
    }

    /// Has all followers know what the leader knows of producers.
    pub(crate) fn share_producers(&mut self, leader: &PartitionLog) {
        self.followers.values_mut().for_each(|follower| follower.log = leader.clone());
    }

    /// Whether a follower has something to copy, or something to tell, or is not in sync.
    pub(crate) fn is_behind(&self, id: i32, leader: &PartitionLog) -> bool {
        self.followers.get(&id).is_some_and(|follower| {
            !self.in_sync.contains(&id)
                || follower.confirmed != Some(leader.end_offset())
                || follower.log.end_offset() != leader.end_offset()
        })
    }

    /// Takes a replica off the list of those in sync, unless it is the last one.
    pub(crate) fn remove_from_sync(&mut self, id: i32, leader: &PartitionLog) {
        if self.in_sync.len() > 1 {
            self.in_sync.remove(&id);
            self.committed = self.committed.max(self.high_watermark(leader));
        }
    }

    /// Offset up to which all replicas in sync are known to hold what the leader holds.
    pub(crate) fn high_watermark(&self, leader: &PartitionLog) -> i64 {
        let confirmed = |id: i32| match self.followers.get(&id) {
            Some(follower) => follower.confirmed.unwrap_or(0),
            None => leader.end_offset(),
        };
        self.in_sync().map(confirmed).min().unwrap_or(0)
    }

    /// Whether a replica holds everything that was ever acknowledged.
    pub(crate) fn has_all_committed(&self, id: i32, log: &PartitionLog) -> bool {
        let committed = self.committed.max(self.high_watermark(log));
        self.followers.get(&id).is_none_or(|follower| follower.log.common_offset(log) >= committed)
    }

    /// Puts the log of the new leader in the place of the old one's.
    pub(crate) fn change_leader(&mut self, leader: i32, log: &mut PartitionLog) {
        if !self.in_sync.contains(&leader) {
            self.in_sync = BTreeSet::from([leader]);
        }
        for follower in self.followers.values_mut() {
            follower.confirmed = None;
        }
        if leader == self.owner {
            return;
        }
        let own = self.followers.remove(&leader).unwrap_or_default().log;
        let old = std::mem::replace(log, own);
        self.followers.insert(self.owner, Follower { log: old, confirmed: None });
        self.owner = leader;
    }
}
