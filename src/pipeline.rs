//! What happens to a record on the caller's own task before it takes memory.
//!
//! ```text
//!  ProducerRecord<K, V>
//!        │ 1  InterceptorChain::on_send       may put another record in its place
//!        │ 2  (the producer waits until the topic is known)
//!        │ 3  Serializer, key then value      may add headers; null passes by
//!        │ 4  partition:  the record's own  >  custom Partitioner  >  hash of the key  >  StickyPartitioner
//!        ▼
//!  topic, partition, timestamp, key bytes, value bytes, headers
//! ```
//!
//! In this room: the three hooks that users implement ([`ProducerInterceptor`], [`Serializer`], [`Partitioner`]), what Kafka
//! provides for each, and the choice of a partition for records without a key. Everything is synchronous and reads no clock;
//! random numbers are arguments. Not here: the order of the steps in code (`producer`), batches, memory and nodes.
//!
//! Start with the three traits; the one file with a trap is `partitioner/sticky.rs`, whose state all tasks that send share.

mod interceptor;
mod partitioner;
mod serializer;

use std::error::Error;

pub(crate) use self::interceptor::{AckOutcome, InterceptorChain};
pub use self::interceptor::{Acknowledgement, ProducerInterceptor};
pub(crate) use self::partitioner::{LoadTable, StickyPartitioner, choose_partition};
pub use self::partitioner::{
    Partitioner, PartitionerRecord, RoundRobinPartitioner, murmur2, partition_for_key,
};
pub use self::serializer::{
    BytesSerializer, DoubleSerializer, FloatSerializer, IntegerSerializer, LongSerializer, Serializable,
    SerializeToVec, SerializeWith, Serializer, ShortSerializer, StringSerializer, serialize_to_vec,
    serialize_with,
};

/// Any error of a user's own interceptor, serializer or partitioner.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;
