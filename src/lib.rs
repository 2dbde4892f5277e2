//! A pure Rust producer for Apache Kafka.

mod accumulator;
mod backoff;
mod buffer_memory;
mod clock;
mod config;
mod delivery;
mod error;
mod metadata;
mod metrics;
mod network;
mod pipeline;
mod producer;
mod protocol;
mod record;
mod sender;
mod shared_str;
mod topic_partition;
mod wire;

pub use crate::config::{
    Acks, Compression, ConfigError, ConfigProblem, ConfigReason, MetadataRecoveryStrategy, ProducerConfig,
};
pub use crate::delivery::{Delivery, RecordMetadata};
pub use crate::error::{
    DeliveryError, DeliveryErrorKind, Disposition, Persisted, SendError, SendErrorKind, TimeSpent,
};
pub use crate::metadata::{Cluster, Node, PartitionInfo, TopicInfo};
pub use crate::metrics::Metrics;
pub use crate::pipeline::{
    Acknowledgement, BoxError, BytesSerializer, DoubleSerializer, FloatSerializer, IntegerSerializer,
    LongSerializer, Partitioner, PartitionerRecord, ProducerInterceptor, RoundRobinPartitioner, Serializable,
    SerializeToVec, SerializeWith, Serializer, ShortSerializer, StringSerializer, murmur2, partition_for_key,
    serialize_to_vec, serialize_with,
};
pub use crate::producer::{BuildError, CloseReport, KafkaProducer, KafkaProducerBuilder};
pub use crate::protocol::ErrorCode;
pub use crate::record::{Header, HeaderName, HeaderValue, Headers, ProducerRecord};
pub use crate::topic_partition::{NodeId, Topic, TopicPartition};
