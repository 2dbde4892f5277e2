//! OffsetCommit: keeps where a group goes on.

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestPartition};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use crate::broker::Broker;
use crate::coordinators::Coordinated;
use crate::error::code;
use crate::faults::{FaultPlan, Target};
use crate::groups::{CommittedOffset, Committer, Offsets};

/// From here on clients know GROUP_ID_NOT_FOUND and STALE_MEMBER_EPOCH (KIP-848).
const FIRST_WITH_NEWER_ERRORS: i16 = 9;

impl Broker<'_> {
    pub(crate) fn offset_commit(
        &mut self,
        commit: &OffsetCommitRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> OffsetCommitResponse {
        let outcome = self.check_committer(commit, version, plan);
        let mut offsets = Offsets::new();
        let mut topics = Vec::new();
        for topic in &commit.topics {
            let partitions = topic.partitions.iter().map(|partition| {
                let error = match outcome {
                    Ok(()) => self.refusal_of_offset(&topic.name, partition, plan),
                    Err(error) => error,
                };
                if error == code::NONE {
                    let key = (topic.name.as_str().to_owned(), partition.partition_index);
                    offsets.insert(key, committed(partition));
                }
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(error)
            });
            let partitions = partitions.collect();
            topics.push(
                OffsetCommitResponseTopic::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions),
            );
        }
        if !offsets.is_empty() {
            self.state.groups.commit(&commit.group_id, offsets);
        }
        let response = OffsetCommitResponse::default().with_topics(topics);
        if version >= 3 { response.with_throttle_time_ms(plan.throttle_time_ms()) } else { response }
    }

    fn check_committer(
        &mut self,
        commit: &OffsetCommitRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> Result<(), i16> {
        if plan.request_error() != code::NONE {
            return Err(plan.request_error());
        }
        let group = &commit.group_id;
        self.state.check_coordinator(&Coordinated::Group(group.as_str().to_owned()), self.id)?;
        let committer = Committer {
            member_id: &commit.member_id,
            instance_id: commit.group_instance_id.as_deref(),
            generation: commit.generation_id_or_member_epoch,
            is_transactional: false,
            knows_newer_errors: version >= FIRST_WITH_NEWER_ERRORS,
        };
        let now = self.state.now;
        self.state.groups.check_member(group, committer, now)
    }

    fn refusal_of_offset(
        &self,
        topic: &str,
        partition: &OffsetCommitRequestPartition,
        plan: &FaultPlan,
    ) -> i16 {
        let index = partition.partition_index;
        if let Some(error) = plan.error(topic, Some(index)) {
            return error.code;
        }
        let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
        if self.state.partition(topic, index).is_none() {
            code::UNKNOWN_TOPIC_OR_PARTITION
        } else if metadata.len() > MAX_METADATA_BYTES {
            code::OFFSET_METADATA_TOO_LARGE
        } else {
            code::NONE
        }
    }
}

pub(crate) fn targets(commit: &OffsetCommitRequest) -> Vec<Target> {
    let partitions = commit.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|partition| (topic.name.as_str().to_owned(), partition.partition_index))
    });
    partitions.map(|(topic, partition)| Target { topic, partition: Some(partition) }).collect()
}

fn committed(partition: &OffsetCommitRequestPartition) -> CommittedOffset {
    CommittedOffset {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_deref().map(str::to_owned),
    }
}

/// `offset.metadata.max.bytes`.
const MAX_METADATA_BYTES: usize = 4096;
