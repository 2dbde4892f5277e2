//! What happens to a record on the caller's own task before it takes memory.
//!
//! ```text
//!  ProducerRecord<K, V>
//!        │ 1  InterceptorChain::on_send       may put another record in its place
//!        │ 2  (the producer waits until the topic is known)
//!        │ 3  Serializer, key then value      may add headers; null passes by
//!        │ 4  RoutingRules::route             its own partition, the Partitioner's, the key's, or any
//!        ▼
//!  topic, partition, timestamp, key bytes, value bytes, headers
//! ```
//!
//! In this room: the three hooks that users implement ([`ProducerInterceptor`], [`Serializer`], [`Partitioner`]), what Kafka
//! provides for each, and the choice of a partition (`route.rs`). Everything is synchronous; time and random numbers are
//! arguments. Not here: the order of the steps in code (`producer/walk.rs`), batches, memory and nodes.
//!
//! Start with the three traits; the one file with a trap is `route/sticky.rs`, whose state all tasks that send share.

mod interceptor;
mod partitioner;
mod route;
mod serializer;

use std::error::Error;

pub(crate) use self::interceptor::{AckOutcome, InterceptorChain};
pub use self::interceptor::{Acknowledgement, ProducerInterceptor};
pub use self::partitioner::{
    LibrdkafkaPartitioner, Partitioner, PartitionerRecord, RoundRobinPartitioner, UnknownPartitioner,
    murmur2, partition_for_key,
};
pub(crate) use self::route::{
    Backlog, DeadEnd, NoRoute, QueueView, Route, RoutingRules, Step, TopicRoutes, TopicView,
};
pub use self::serializer::{
    BytesSerializer, DoubleSerializer, FloatSerializer, IntegerSerializer, LongSerializer, RegisteredSchema,
    Serializable, SerializeToVec, SerializeWith, Serializer, ShortSerializer, StringSerializer,
    serialize_to_vec, serialize_with,
};

#[cfg(feature = "json")]
pub use self::serializer::JsonSerializer;
#[cfg(feature = "protobuf")]
pub use self::serializer::ProtobufSerializer;
#[cfg(feature = "uuid")]
pub use self::serializer::UuidSerializer;

/// Any error of a user's own interceptor, serializer or partitioner.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;
