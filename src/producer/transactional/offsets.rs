//! Offsets of a consumer group, in plain types: any consumer's fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::metadata::Cluster;
use crate::protocol::messages::txn_offset_commit::GroupMember;
use crate::sender::{GroupOffsets, OffsetToCommit};
use crate::topic_partition::{Topic, TopicPartition};
use crate::wire::Uuid;

/// How far a group has come in a partition (Java: `OffsetAndMetadata`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    offset: i64,
    leader_epoch: Option<i32>,
    metadata: String,
}

/// What a consumer says of its place in its group (Java: `ConsumerGroupMetadata`, KIP-447).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroupMetadata {
    group_id: Arc<str>,
    member: GroupMember,
}

impl OffsetAndMetadata {
    /// Returns an offset: that of the next record to read.
    #[must_use]
    pub fn new(offset: i64) -> Self {
        Self { offset, leader_epoch: None, metadata: String::new() }
    }

    /// Adds the leader epoch of the record that was read last, so that a consumer notices if the log was cut off (KIP-320).
    #[must_use]
    pub fn leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.leader_epoch = Some(leader_epoch);
        self
    }

    /// Adds a text that is kept with the offset.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = metadata.into();
        self
    }
}

impl ConsumerGroupMetadata {
    /// Returns a group without a member: the coordinator does not check that its consumer still has the partitions.
    #[must_use]
    pub fn new(group_id: impl Into<String>) -> Self {
        Self { group_id: Arc::from(group_id.into()), member: GroupMember::NONE }
    }

    /// Adds the member: its id and the generation of the group, or the member's epoch with the newer protocol of groups (KIP-848).
    #[must_use]
    pub fn member(mut self, member_id: impl Into<String>, generation_id: i32) -> Self {
        self.member.member_id = member_id.into();
        self.member.generation_id_or_member_epoch = generation_id;
        self
    }

    /// Adds the id of a static member (`group.instance.id`, KIP-345).
    #[must_use]
    pub fn group_instance_id(mut self, group_instance_id: impl Into<String>) -> Self {
        self.member.group_instance_id = Some(group_instance_id.into());
        self
    }

    pub(super) fn offsets(
        &self,
        offsets: impl IntoIterator<Item = (TopicPartition, OffsetAndMetadata)>,
        cluster: &Cluster,
    ) -> GroupOffsets {
        let mut topics = BTreeMap::<Topic, (Uuid, BTreeMap<i32, OffsetToCommit>)>::new();
        for (TopicPartition { topic, partition }, offset) in offsets {
            let id = cluster.topic_id(&topic);
            let (_, offsets) = topics.entry(topic).or_insert_with(|| (id, BTreeMap::new()));
            // The last word on a partition counts.
            offsets.insert(partition, offset.to_commit(partition));
        }
        let listed =
            topics.into_iter().map(|(topic, (id, offsets))| (topic, (id, offsets.into_values().collect())));
        GroupOffsets {
            group: Arc::clone(&self.group_id),
            member: self.member.clone(),
            topics: listed.collect(),
        }
    }
}

impl OffsetAndMetadata {
    fn to_commit(&self, partition: i32) -> OffsetToCommit {
        OffsetToCommit {
            partition,
            offset: self.offset,
            leader_epoch: self.leader_epoch.unwrap_or(-1),
            metadata: Some(self.metadata.clone()),
        }
    }
}
