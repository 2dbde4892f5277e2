//! Produce: record batches to partition leaders.

use bytes::Bytes;

use crate::wire::Uuid;

/// One record batch for each of some partitions led by one broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProduceRequest {
    pub(crate) transactional_id: Option<String>,
    /// 0, 1 or -1 (all).
    pub(crate) acks: i16,
    pub(crate) timeout_ms: i32,
    pub(crate) topics: Vec<TopicProduceData>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicProduceData {
    /// On the wire up to version 12.
    pub(crate) name: crate::topic_partition::Topic,
    /// On the wire from version 13 on.
    pub(crate) topic_id: Uuid,
    pub(crate) partitions: Vec<PartitionProduceData>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionProduceData {
    pub(crate) index: i32,
    /// A whole record batch; it goes onto the wire without being copied.
    pub(crate) records: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ProduceResponse {
    pub(crate) topics: Vec<TopicProduceResponse>,
    pub(crate) throttle_time_ms: i32,
    /// Endpoints of the new leaders that partitions name (KIP-951).
    pub(crate) node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicProduceResponse {
    /// Empty from version 13 on.
    pub(crate) name: String,
    /// Zero before version 13.
    pub(crate) topic_id: Uuid,
    pub(crate) partitions: Vec<PartitionProduceResponse>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionProduceResponse {
    pub(crate) index: i32,
    pub(crate) error_code: i16,
    pub(crate) base_offset: i64,
    /// -1 unless the topic uses LogAppendTime.
    pub(crate) log_append_time_ms: i64,
    pub(crate) log_start_offset: i64,
    pub(crate) record_errors: Vec<RecordError>,
    pub(crate) error_message: Option<String>,
    /// The leader that the broker believes in, -1 when it says nothing (KIP-951).
    pub(crate) current_leader_id: i32,
    pub(crate) current_leader_epoch: i32,
}

/// Why one record made the broker refuse its batch (KIP-467).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordError {
    pub(crate) batch_index: i32,
    pub(crate) message: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeEndpoint {
    pub(crate) node_id: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) rack: Option<String>,
}
