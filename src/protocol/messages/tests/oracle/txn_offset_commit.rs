//! TxnOffsetCommit against `kafka-protocol`.

use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TopicName, TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use kafka_protocol::protocol::StrBytes;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{Tags, nullable_string, read_by_oracle, read_from_oracle, string, tags};
use crate::protocol::messages::txn_offset_commit as ours;
use crate::topic_partition::Topic;
use crate::wire::Uuid;

/// The oracle knows no later version.
const KNOWN: i16 = 5;

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response()
-> impl Strategy<Value = (i16, ours::TxnOffsetCommitResponse, TxnOffsetCommitResponse)> {
    let topic = (string(), vec(any::<(i32, i16)>(), 0..4))
        .prop_map(|(name, partitions)| ours::CommittedTopicResult { name, topic_id: Uuid::ZERO, partitions });
    (0..=KNOWN, any::<i32>(), vec(topic, 0..4), tags()).prop_map(
        |(version, throttle_time_ms, topics, tags)| {
            let ours = ours::TxnOffsetCommitResponse { throttle_time_ms, topics };
            let theirs = theirs(&ours, &if version >= 3 { tags } else { Tags::new() });
            (version, ours, theirs)
        },
    )
}

fn theirs(response: &ours::TxnOffsetCommitResponse, tags: &Tags) -> TxnOffsetCommitResponse {
    let topics = response.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|(index, code)| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(*index)
                .with_error_code(*code)
                .with_unknown_tagged_fields(tags.clone())
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic.name.clone())))
            .with_partitions(partitions.collect())
            .with_unknown_tagged_fields(tags.clone())
    });
    TxnOffsetCommitResponse::default()
        .with_throttle_time_ms(response.throttle_time_ms)
        .with_topics(topics.collect())
        .with_unknown_tagged_fields(tags.clone())
}

fn member() -> impl Strategy<Value = ours::GroupMember> {
    (any::<i32>(), string(), nullable_string()).prop_map(
        |(generation_id_or_member_epoch, member_id, group_instance_id)| ours::GroupMember {
            generation_id_or_member_epoch,
            member_id,
            group_instance_id,
        },
    )
}

fn topics() -> impl Strategy<Value = Vec<ours::CommittedTopic>> {
    let partition = (any::<i32>(), any::<i64>(), any::<i32>(), nullable_string()).prop_map(
        |(index, offset, leader_epoch, metadata)| ours::CommittedPartition {
            index,
            offset,
            leader_epoch,
            metadata,
        },
    );
    let topic = (string(), vec(partition, 0..4)).prop_map(|(name, partitions)| ours::CommittedTopic {
        name: Topic::from(name),
        topic_id: Uuid::ZERO,
        partitions,
    });
    vec(topic, 0..4)
}

proptest! {
    #[test]
    fn oracle_reads_our_request(
        version in 0_i16..=KNOWN,
        ids in (string(), string()),
        (producer_id, producer_epoch) in any::<(i64, i16)>(),
        member in member(),
        topics in topics(),
    ) {
        let (transactional_id, group_id) = ids;
        let member = if version >= 3 { member } else { ours::GroupMember::NONE };
        let request = ours::TxnOffsetCommitRequest {
            transactional_id, group_id, producer_id, producer_epoch, member, topics,
        };
        let read: TxnOffsetCommitRequest = read_by_oracle(&request, version);

        prop_assert_eq!(read.transactional_id.to_string(), request.transactional_id);
        prop_assert_eq!(read.group_id.to_string(), request.group_id);
        prop_assert_eq!((read.producer_id.0, read.producer_epoch), (producer_id, producer_epoch));
        prop_assert_eq!(read.generation_id, request.member.generation_id_or_member_epoch);
        prop_assert_eq!(read.member_id.as_str(), request.member.member_id);
        let instance = read.group_instance_id.as_ref().map(|id| id.to_string());
        prop_assert_eq!(instance, request.member.group_instance_id);
        prop_assert_eq!(read.topics.len(), request.topics.len());
        for (read, topic) in read.topics.iter().zip(&request.topics) {
            prop_assert_eq!(read.name.as_str(), topic.name.as_str());
            let partitions = read.partitions.iter().map(|partition| ours::CommittedPartition {
                index: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.as_ref().map(|text| text.to_string()),
            });
            let told = topic.partitions.iter().cloned().map(|partition| ours::CommittedPartition {
                leader_epoch: if version >= 2 { partition.leader_epoch } else { -1 },
                ..partition
            });
            prop_assert_eq!(partitions.collect::<Vec<_>>(), told.collect::<Vec<_>>());
        }
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        prop_assert_eq!(read_from_oracle::<ours::TxnOffsetCommitResponse>(&theirs, version), ours);
    }
}
