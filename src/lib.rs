//! A pure Rust producer for Apache Kafka.

// Removed when the rooms are joined.
#![expect(dead_code, reason = "the rooms are not joined yet")]

mod backoff;
mod clock;
mod metadata;
mod network;
mod protocol;
mod topic_partition;
mod wire;

pub use crate::metadata::{Cluster, Node, PartitionInfo, TopicInfo};
pub use crate::protocol::ErrorCode;
pub use crate::topic_partition::{NodeId, Topic, TopicPartition};
