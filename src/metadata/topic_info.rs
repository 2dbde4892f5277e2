//! `TopicInfo` and `PartitionInfo`: a topic as brokers have described it.

use std::sync::Arc;

use crate::topic_partition::{NodeId, Topic};
use crate::wire::Uuid;

use super::LeaderHint;
use super::leader_epochs::LeaderEpochs;

/// A topic and its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    name: Topic,
    /// All zero when the brokers are too old to give ids.
    id: Uuid,
    is_internal: bool,
    /// Counts how often brokers have not described the topic, though it was known, and have again. Odd while they do not.
    denials: u32,
    /// Partition `i` is at index `i`.
    partitions: Vec<PartitionInfo>,
    /// Numbers of the partitions that have a leader, ascending.
    available: Box<[i32]>,
}

impl TopicInfo {
    /// Describes a topic by its partitions, in any order.
    ///
    /// Of two partitions with one number the first counts. A number that is left out stands for a partition
    /// without a leader; negative numbers, and numbers far beyond the count of partitions, are dropped.
    #[must_use]
    pub fn new(name: impl Into<Topic>, partitions: impl IntoIterator<Item = PartitionInfo>) -> Self {
        Self {
            name: name.into(),
            id: Uuid::default(),
            is_internal: false,
            denials: 0,
            partitions: by_number(partitions.into_iter().collect()),
            available: Box::default(),
        }
        .with_available()
    }

    pub(crate) fn with_id(mut self, id: Uuid) -> Self {
        self.id = id;
        self
    }

    pub(super) fn with_denials(mut self, denials: u32) -> Self {
        self.denials = denials;
        self
    }

    pub(crate) fn with_internal(mut self, is_internal: bool) -> Self {
        self.is_internal = is_internal;
        self
    }

    /// Returns the name of the topic.
    #[must_use]
    pub fn name(&self) -> &Topic {
        &self.name
    }

    /// Tells whether the topic belongs to Kafka itself, such as `__consumer_offsets`.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.is_internal
    }

    /// Returns all partitions: partition `i` is at index `i`.
    #[must_use]
    pub fn partitions(&self) -> &[PartitionInfo] {
        &self.partitions
    }

    /// Returns the numbers of the partitions that have a leader, ascending.
    #[must_use]
    pub fn available_partitions(&self) -> &[i32] {
        &self.available
    }

    /// Returns a partition by its number.
    #[must_use]
    pub fn partition(&self, number: i32) -> Option<&PartitionInfo> {
        self.partitions.get(usize::try_from(number).ok()?)
    }

    /// Returns a number that changes whenever brokers do not describe the topic, and when they do again: it may be another of
    /// the same name, and what was heard in between may be of the old one.
    pub(crate) fn denials(&self) -> u32 {
        self.denials
    }

    /// Returns the number for a topic that brokers do not describe: an odd one.
    pub(super) fn denials_when_denied(&self) -> u32 {
        self.denials.wrapping_add(if self.is_denied() { 2 } else { 1 })
    }

    /// Returns the number for a topic that brokers describe: an even one.
    pub(super) fn denials_when_described(&self) -> u32 {
        self.denials.wrapping_add(u32::from(self.is_denied()))
    }

    fn is_denied(&self) -> bool {
        self.denials % 2 == 1
    }

    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// Whether there are partitions and all of them have leaders.
    pub(super) fn is_complete(&self) -> bool {
        !self.partitions.is_empty() && self.available.len() == self.partitions.len()
    }

    /// Counts leaders that `is_known` knows, and only those, as leaders.
    pub(super) fn resolve_leaders(mut self, is_known: impl Fn(NodeId) -> bool) -> Self {
        for partition in &mut self.partitions {
            partition.is_leader_known = partition.reported_leader().is_some_and(&is_known);
        }
        self.with_available()
    }

    /// Whether `resolve_leaders` would change nothing.
    pub(super) fn leaders_are_resolved(&self, is_known: impl Fn(NodeId) -> bool) -> bool {
        self.partitions.iter().all(|p| p.is_leader_known == p.reported_leader().is_some_and(&is_known))
    }

    /// Returns the topic as it is if `hint` is right, or `None` unless its epoch is newer than any in `epochs`.
    pub(super) fn with_newer_leader(&self, hint: &LeaderHint, epochs: &mut LeaderEpochs) -> Option<Self> {
        let index = usize::try_from(hint.partition).ok()?;
        let partition = self.partitions.get(index)?;
        let epoch = epochs.highest(hint.partition).or_else(|| partition.leader_epoch()).unwrap_or(-1);
        if hint.leader_epoch <= epoch {
            return None;
        }

        epochs.set(hint.partition, hint.leader_epoch);
        let mut topic = self.clone();
        if let Some(partition) = topic.partitions.get_mut(index) {
            partition.set_leader(Some(hint.leader));
            partition.leader_epoch = hint.leader_epoch;
        }
        Some(topic.with_available())
    }

    fn with_available(mut self) -> Self {
        self.available =
            self.partitions.iter().filter(|p| p.leader().is_some()).map(PartitionInfo::partition).collect();
        self
    }
}

/// A partition of a topic as the brokers describe it.
///
/// Topics may have millions of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionInfo {
    partition: i32,
    /// [`NO_LEADER`] if brokers name none.
    reported_leader: NodeId,
    /// Negative if brokers do not tell it.
    leader_epoch: i32,
    /// Whether there is a reported leader and the cluster snapshot has that node.
    is_leader_known: bool,
    /// `None` if there are none of either kind.
    replicas: Option<Arc<Replicas>>,
}

/// Not the id of any broker, nor of an entry of `bootstrap.servers`.
const NO_LEADER: NodeId = NodeId(i32::MIN);

/// The nodes that hold a partition. Partitions of one topic share what is the same of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replicas {
    all: Box<[NodeId]>,
    in_sync: Box<[NodeId]>,
}

impl Replicas {
    /// Returns `None` if there are none of either kind.
    pub(super) fn new(all: Box<[NodeId]>, in_sync: Box<[NodeId]>) -> Option<Arc<Self>> {
        (!all.is_empty() || !in_sync.is_empty()).then(|| Arc::new(Self { all, in_sync }))
    }
}

impl PartitionInfo {
    /// Describes a partition by its number and leader.
    #[must_use]
    pub fn new(partition: i32, leader: Option<NodeId>) -> Self {
        let mut info = Self {
            partition,
            reported_leader: NO_LEADER,
            leader_epoch: -1,
            is_leader_known: false,
            replicas: None,
        };
        info.set_leader(leader);
        info
    }

    /// Sets the nodes that hold the partition, and those of them that are in sync with the leader.
    #[must_use]
    pub fn with_replicas(self, replicas: Vec<NodeId>, in_sync_replicas: Vec<NodeId>) -> Self {
        self.with_shared_replicas(Replicas::new(replicas.into(), in_sync_replicas.into()))
    }

    pub(super) fn with_shared_replicas(mut self, replicas: Option<Arc<Replicas>>) -> Self {
        self.replicas = replicas;
        self
    }

    pub(crate) fn with_leader_epoch(mut self, leader_epoch: Option<i32>) -> Self {
        self.leader_epoch = leader_epoch.unwrap_or(-1);
        self
    }

    fn set_leader(&mut self, leader: Option<NodeId>) {
        self.reported_leader = leader.unwrap_or(NO_LEADER);
        self.is_leader_known = self.reported_leader != NO_LEADER;
    }

    /// Returns the leader that brokers name, whether or not it can be reached.
    pub(crate) fn reported_leader(&self) -> Option<NodeId> {
        Some(self.reported_leader).filter(|leader| *leader != NO_LEADER)
    }

    pub(super) fn has_reported_leader_of(&self, other: &Self) -> bool {
        self.reported_leader == other.reported_leader
    }

    /// Whether the brokers report the same leader and replicas, epochs aside.
    pub(super) fn is_reported_like(&self, other: &Self) -> bool {
        self.reported_leader == other.reported_leader && self.replicas == other.replicas
    }

    /// Returns the number of the partition, from 0.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Returns the leader, or `None` while the partition has none that can be reached.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.reported_leader().filter(|_| self.is_leader_known)
    }

    /// Returns the epoch of the leader, which grows with every election, if the brokers tell it.
    #[must_use]
    pub fn leader_epoch(&self) -> Option<i32> {
        Some(self.leader_epoch).filter(|epoch| *epoch >= 0)
    }

    /// Returns the nodes that hold the partition.
    #[must_use]
    pub fn replicas(&self) -> &[NodeId] {
        self.replicas.as_deref().map_or(&[], |replicas| &replicas.all)
    }

    /// Returns the nodes that hold the partition and are in sync with its leader.
    #[must_use]
    pub fn in_sync_replicas(&self) -> &[NodeId] {
        self.replicas.as_deref().map_or(&[], |replicas| &replicas.in_sync)
    }
}

/// Puts partition `i` at index `i` and fills holes.
fn by_number(mut listed: Vec<PartitionInfo>) -> Vec<PartitionInfo> {
    // Brokers number partitions without holes. A wild number must not have the producer allocate for all below it.
    let end = i32::try_from(listed.len()).unwrap_or(i32::MAX).saturating_mul(2).saturating_add(HOLES);
    listed.retain(|p| (0..end).contains(&p.partition));
    listed.sort_by_key(|p| p.partition);
    listed.dedup_by_key(|p| p.partition);

    let mut partitions = Vec::with_capacity(listed.len());
    let mut next = 0;
    for partition in listed {
        partitions.extend((next..partition.partition).map(|hole| PartitionInfo::new(hole, None)));
        next = partition.partition + 1;
        partitions.push(partition);
    }
    partitions
}

/// How many partitions an answer may leave out while those after them still count. Brokers leave out none.
const HOLES: i32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn led(number: i32, leader: i32) -> PartitionInfo {
        PartitionInfo::new(number, Some(NodeId(leader)))
    }

    fn numbers(topic: &TopicInfo) -> Vec<i32> {
        topic.partitions().iter().map(PartitionInfo::partition).collect()
    }

    #[test]
    fn partitions_are_indexed_by_number_whatever_their_order() {
        let topic = TopicInfo::new("t", [led(2, 5), led(0, 3), led(1, 4)]);

        assert_eq!(numbers(&topic), [0, 1, 2]);
        assert_eq!(topic.partition(1).unwrap().leader(), Some(NodeId(4)));
        assert_eq!(topic.partition(3), None);
        assert_eq!(topic.partition(-1), None);
    }

    #[test]
    fn hole_is_a_partition_without_leader() {
        let topic = TopicInfo::new("t", [led(0, 1), led(3, 1)]);

        assert_eq!(numbers(&topic), [0, 1, 2, 3]);
        assert_eq!(topic.available_partitions(), [0, 3]);
        assert_eq!(topic.partition(2).unwrap().leader(), None);
    }

    #[test]
    fn negative_and_wild_numbers_are_dropped() {
        let topic = TopicInfo::new("t", [led(i32::MIN, 1), led(-1, 1), led(0, 1), led(i32::MAX, 1)]);

        assert_eq!(numbers(&topic), [0]);
    }

    #[test]
    fn first_of_two_equal_numbers_counts() {
        let topic = TopicInfo::new("t", [led(0, 1), led(0, 2)]);

        assert_eq!(numbers(&topic), [0]);
        assert_eq!(topic.partition(0).unwrap().leader(), Some(NodeId(1)));
    }

    #[test]
    fn leader_without_node_counts_as_none_until_the_node_appears() {
        let topic = TopicInfo::new("t", [led(0, 1), led(1, 2)]);

        let topic = topic.resolve_leaders(|node| node == NodeId(1));
        assert_eq!(topic.available_partitions(), [0]);
        assert!(!topic.leaders_are_resolved(|_| true));

        let topic = topic.resolve_leaders(|_| true);
        assert_eq!(topic.available_partitions(), [0, 1]);
    }
}
