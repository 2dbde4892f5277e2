//! What a transactional producer asks coordinators, and what they answer.

use std::fmt;

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    ApiKey, EndTxnRequest, EndTxnResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    InitProducerIdRequest, InitProducerIdResponse, TopicName, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::{Decodable, StrBytes};

use super::{Head, frame};

/// A request to a coordinator, or for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Question {
    AddOffsets { producer: (i64, i16), group: String },
    AddPartitions { producer: (i64, i16), partitions: Vec<(String, i32)> },
    CommitOffsets { producer: (i64, i16), group: String, member: String, offsets: Vec<(String, i32, i64)> },
    End { producer: (i64, i16), commit: bool },
    FindCoordinator { is_of_group: bool, key: String },
    InitProducerId { producer: (i64, i16) },
}

/// What a broker answers.
#[derive(Debug, Clone)]
pub(in super::super) struct Said {
    /// Of a partition, and of everything that is not about partitions: this, unless `others` has it.
    pub(in super::super) code: i16,
    /// Codes of partitions by their index. A partition with `None` is left out.
    pub(in super::super) others: Vec<(i32, Option<i16>)>,
    pub(in super::super) throttle_time_ms: i32,
    /// The coordinator.
    pub(in super::super) node: i32,
    pub(in super::super) producer: (i64, i16),
}

impl Question {
    /// `None` if it is that of a producer without transactions for an id.
    pub(super) fn read(api: ApiKey, frame: &mut Bytes, version: i16) -> Option<Self> {
        let question = match api {
            ApiKey::AddOffsetsToTxn => {
                let request = AddOffsetsToTxnRequest::decode(frame, version).unwrap();
                let producer = (request.producer_id.0, request.producer_epoch);
                Self::AddOffsets { producer, group: request.group_id.to_string() }
            }
            ApiKey::AddPartitionsToTxn => read_partitions(frame, version),
            ApiKey::EndTxn => {
                let request = EndTxnRequest::decode(frame, version).unwrap();
                let producer = (request.producer_id.0, request.producer_epoch);
                Self::End { producer, commit: request.committed }
            }
            ApiKey::FindCoordinator => {
                let request = FindCoordinatorRequest::decode(frame, version).unwrap();
                let key = if version >= 4 { request.coordinator_keys[0].clone() } else { request.key };
                Self::FindCoordinator { is_of_group: request.key_type == 0, key: key.to_string() }
            }
            ApiKey::InitProducerId => {
                let request = InitProducerIdRequest::decode(frame, version).unwrap();
                request.transactional_id?;
                Self::InitProducerId { producer: (request.producer_id.0, request.producer_epoch) }
            }
            ApiKey::TxnOffsetCommit => read_offsets(frame, version),
            other => panic!("{other:?}"),
        };
        assert!(frame.is_empty(), "{} bytes left over", frame.len());
        Some(question)
    }

    /// Who asks, as far as the request says so.
    pub(in super::super) fn producer(&self) -> Option<(i64, i16)> {
        match self {
            Self::AddOffsets { producer, .. }
            | Self::AddPartitions { producer, .. }
            | Self::CommitOffsets { producer, .. }
            | Self::End { producer, .. } => Some(*producer),
            Self::FindCoordinator { .. } | Self::InitProducerId { .. } => None,
        }
    }

    pub(in super::super) fn answer(&self, head: Head, said: &Said) -> Bytes {
        let (code, throttle_time_ms) = (said.code, said.throttle_time_ms);
        match self {
            Self::AddOffsets { .. } => {
                let body = AddOffsetsToTxnResponse::default().with_error_code(code);
                frame(head, &body.with_throttle_time_ms(throttle_time_ms))
            }
            Self::AddPartitions { partitions, .. } => {
                let body = AddPartitionsToTxnResponse::default().with_throttle_time_ms(throttle_time_ms);
                frame(head, &body.with_results_by_topic_v3_and_below(added(partitions, said)))
            }
            Self::CommitOffsets { offsets, .. } => {
                let body = TxnOffsetCommitResponse::default().with_throttle_time_ms(throttle_time_ms);
                frame(head, &body.with_topics(committed(offsets, said)))
            }
            Self::End { .. } => {
                let body = EndTxnResponse::default().with_error_code(code);
                let body = body.with_throttle_time_ms(throttle_time_ms);
                // The oracle cannot write them in versions that have no place for them.
                let (id, epoch) = if head.version >= 5 && code == 0 { said.producer } else { (-1, -1) };
                frame(head, &body.with_producer_id(id.into()).with_producer_epoch(epoch))
            }
            Self::FindCoordinator { key, .. } => frame(head, &found(head, key, said)),
            Self::InitProducerId { .. } => {
                let body = InitProducerIdResponse::default().with_error_code(code);
                let body = body.with_throttle_time_ms(throttle_time_ms);
                let (id, epoch) = if code == 0 { said.producer } else { (-1, -1) };
                frame(head, &body.with_producer_id(id.into()).with_producer_epoch(epoch))
            }
        }
    }
}

fn read_partitions(frame: &mut Bytes, version: i16) -> Question {
    let request = AddPartitionsToTxnRequest::decode(frame, version).unwrap();
    let topics = request.v3_and_below_topics.into_iter();
    let partitions = topics.flat_map(|topic| {
        let name = topic.name.to_string();
        topic.partitions.into_iter().map(move |index| (name.clone(), index))
    });
    Question::AddPartitions {
        producer: (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch),
        partitions: partitions.collect(),
    }
}

fn read_offsets(frame: &mut Bytes, version: i16) -> Question {
    let request = TxnOffsetCommitRequest::decode(frame, version).unwrap();
    let instance = request.group_instance_id.map_or_else(String::new, |id| id.to_string());
    let offsets = request.topics.into_iter().flat_map(|topic| {
        let name = topic.name.to_string();
        let partitions = topic.partitions.into_iter();
        partitions.map(move |partition| (name.clone(), partition.partition_index, partition.committed_offset))
    });
    Question::CommitOffsets {
        producer: (request.producer_id.0, request.producer_epoch),
        group: request.group_id.to_string(),
        member: format!("{}/{}/{instance}", request.member_id, request.generation_id),
        offsets: offsets.collect(),
    }
}

fn added(partitions: &[(String, i32)], said: &Said) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = partitions.chunk_by(|one, other| one.0 == other.0).map(|topic| {
        let results = topic.iter().filter_map(|(_, index)| {
            let result = AddPartitionsToTxnPartitionResult::default().with_partition_index(*index);
            Some(result.with_partition_error_code(said.of_partition(*index)?))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(TopicName(StrBytes::from_string(topic[0].0.clone())))
            .with_results_by_partition(results.collect())
    });
    topics.collect()
}

fn committed(offsets: &[(String, i32, i64)], said: &Said) -> Vec<TxnOffsetCommitResponseTopic> {
    let topics = offsets.chunk_by(|one, other| one.0 == other.0).map(|topic| {
        let results = topic.iter().filter_map(|(_, index, _)| {
            let result = TxnOffsetCommitResponsePartition::default().with_partition_index(*index);
            Some(result.with_error_code(said.of_partition(*index)?))
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic[0].0.clone())))
            .with_partitions(results.collect())
    });
    topics.collect()
}

fn found(head: Head, key: &str, said: &Said) -> FindCoordinatorResponse {
    let body = FindCoordinatorResponse::default();
    let body = if head.version >= 1 { body.with_throttle_time_ms(said.throttle_time_ms) } else { body };
    let node = if said.code == 0 { said.node } else { -1 };
    let host = StrBytes::from_string(format!("kafka-{node}"));
    if head.version < 4 {
        return body.with_error_code(said.code).with_node_id(node.into()).with_host(host).with_port(9092);
    }
    let coordinator = Coordinator::default()
        .with_key(StrBytes::from_string(key.to_owned()))
        .with_error_code(said.code)
        .with_node_id(node.into())
        .with_host(host)
        .with_port(9092);
    body.with_coordinators(vec![coordinator])
}

impl Said {
    fn of_partition(&self, index: i32) -> Option<i16> {
        let other = self.others.iter().find(|(other, _)| *other == index);
        other.map_or(Some(self.code), |(_, code)| *code)
    }
}

/// The request as tests name it.
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddOffsets { group, .. } => write!(f, "AddOffsetsToTxn {group}"),
            Self::AddPartitions { partitions, .. } => {
                write!(f, "AddPartitionsToTxn")?;
                partitions.iter().try_for_each(|(topic, index)| write!(f, " {topic}-{index}"))
            }
            Self::CommitOffsets { group, offsets, .. } => {
                write!(f, "TxnOffsetCommit {group}")?;
                offsets.iter().try_for_each(|(topic, index, offset)| write!(f, " {topic}-{index}={offset}"))
            }
            Self::End { commit: true, .. } => write!(f, "EndTxn commit"),
            Self::End { commit: false, .. } => write!(f, "EndTxn abort"),
            Self::FindCoordinator { is_of_group: true, key } => write!(f, "FindCoordinator group {key}"),
            Self::FindCoordinator { is_of_group: false, key } => write!(f, "FindCoordinator {key}"),
            Self::InitProducerId { producer: (id, epoch) } => write!(f, "InitProducerId {id}/{epoch}"),
        }
    }
}
