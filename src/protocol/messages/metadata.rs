//! Metadata: brokers, topics, partitions and their leaders.

use crate::wire::Uuid;

/// Asks for brokers and for the named topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataRequest {
    /// `None` asks for every topic, an empty list for none.
    pub(crate) topics: Option<Vec<MetadataRequestTopic>>,
    pub(crate) allow_auto_topic_creation: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataRequestTopic {
    pub(crate) topic_id: Uuid,
    pub(crate) name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MetadataResponse {
    pub(crate) throttle_time_ms: i32,
    pub(crate) brokers: Vec<MetadataResponseBroker>,
    pub(crate) cluster_id: Option<String>,
    pub(crate) controller_id: i32,
    pub(crate) topics: Vec<MetadataResponseTopic>,
    /// Top-level error, version 13 and later (KIP-1102).
    pub(crate) error_code: i16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataResponseBroker {
    pub(crate) node_id: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) rack: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataResponseTopic {
    pub(crate) error_code: i16,
    pub(crate) name: Option<String>,
    /// Zero before version 10.
    pub(crate) topic_id: Uuid,
    pub(crate) is_internal: bool,
    pub(crate) partitions: Vec<MetadataResponsePartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataResponsePartition {
    pub(crate) error_code: i16,
    pub(crate) partition_index: i32,
    /// -1 while there is no leader.
    pub(crate) leader_id: i32,
    /// -1 before version 7; trustworthy from version 9 on.
    pub(crate) leader_epoch: i32,
    pub(crate) replica_nodes: Vec<i32>,
    pub(crate) isr_nodes: Vec<i32>,
    pub(crate) offline_replicas: Vec<i32>,
}
