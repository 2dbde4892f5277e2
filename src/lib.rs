//! A pure Rust producer for Apache Kafka.

// Removed when the rooms are joined.
#![expect(dead_code, reason = "the rooms are not joined yet")]

mod accumulator;
mod backoff;
mod buffer_memory;
mod clock;
mod delivery;
mod error;
mod metadata;
mod metrics;
mod protocol;
mod record;
mod shared_str;
mod topic_partition;
mod wire;

pub use crate::metadata::{Cluster, Node, PartitionInfo, TopicInfo};
pub use crate::protocol::ErrorCode;
pub use crate::record::{Header, HeaderName, HeaderValue, Headers, ProducerRecord};
pub use crate::topic_partition::{NodeId, Topic, TopicPartition};
