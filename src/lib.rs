//! A pure Rust producer for Apache Kafka.

// Removed when the rooms are joined.
#![expect(dead_code, unused_imports, reason = "the rooms are not joined yet")]

mod accumulator;
mod backoff;
mod buffer_memory;
mod clock;
mod delivery;
mod error;
mod metadata;
mod metrics;
mod pipeline;
mod config;
mod protocol;
mod record;
mod shared_str;
mod topic_partition;
mod wire;

pub use crate::metadata::{Cluster, Node, PartitionInfo, TopicInfo};
pub use crate::pipeline::{
    Acknowledgement, BoxError, BytesSerializer, DoubleSerializer, FloatSerializer, IntegerSerializer,
    LongSerializer, Partitioner, PartitionerRecord, ProducerInterceptor, RoundRobinPartitioner, Serializable,
    SerializeToVec, SerializeWith, Serializer, ShortSerializer, StringSerializer, murmur2, partition_for_key,
    serialize_to_vec, serialize_with,
};
pub use crate::protocol::ErrorCode;
pub use crate::record::{Header, HeaderName, HeaderValue, Headers, ProducerRecord};
pub use crate::config::{Acks, Compression, ConfigError, ConfigProblem, ConfigReason};
pub use crate::config::{MetadataRecoveryStrategy, ProducerConfig};
pub use crate::topic_partition::{NodeId, Topic, TopicPartition};
