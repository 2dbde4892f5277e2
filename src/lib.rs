//! A pure Rust producer for Apache Kafka.

// Removed when the rooms are joined.
#![expect(dead_code, reason = "the rooms are not joined yet")]

mod clock;
mod config;
mod protocol;
mod topic_partition;
mod wire;

pub use crate::config::{Acks, Compression, ConfigError, ConfigProblem, ConfigReason};
pub use crate::config::{MetadataRecoveryStrategy, ProducerConfig};
pub use crate::topic_partition::{NodeId, Topic, TopicPartition};
