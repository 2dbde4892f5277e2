//! A pure Rust producer for Apache Kafka: high-level, ordered, bounded in memory.
//!
//! [`KafkaProducer`] takes records, gathers them into batches per partition, and sends them to the brokers that lead
//! these partitions, keeping up with whatever the cluster does meanwhile. It speaks to Kafka 1.0 and later, ZooKeeper
//! or KRaft. There is no C in it unless zstd is asked for, and no thread of its own: one task on the tokio runtime does the work.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use kafka_producer::{KafkaProducer, ProducerRecord};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let producer: KafkaProducer = KafkaProducer::builder().bootstrap_servers("localhost:9092").build()?;
//!
//! let metadata = producer.send(ProducerRecord::to("orders").key("customer-7").value("2 apples")).await?;
//! println!("partition {}, offset {:?}", metadata.partition(), metadata.offset());
//!
//! let report = producer.close(Duration::from_secs(30)).await;
//! assert!(report.undelivered.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - Every record that was accepted ends in [`RecordMetadata`] or in one [`DeliveryError`], which gives the record back
//!   and says by [`Persisted`] whether it may stand in the log.
//! - Records of one partition are written in the order in which they were accepted, through retries and leader changes.
//! - Batches hold at most `buffer.memory` bytes, the pieces of a batch that a broker found too large and batches that are
//!   numbered anew excepted. When they hold that much, [`enqueue`](KafkaProducer::enqueue)
//!   waits, first come first served, and [`try_enqueue`](KafkaProducer::try_enqueue) says so.
//! - With `acks=all`, the default, a record is in the log **once**, whatever answers are lost and however often it was sent
//!   (`enable.idempotence`, on by default). An idempotent producer never dies of a sequence error: what a broker has
//!   forgotten is healed by a new epoch.
//!
//! Transactions, TLS and SASL are missing so far; the keys for them are refused by name.
//! Choosing other `acks`, or `enable.idempotence=false`, gives up the "once": a batch whose answer was lost may then be
//! written twice. Its order is kept all the same, by sending one batch of a partition at a time.
//!
//! # Two stages, and throughput
//!
//! [`send`](KafkaProducer::send) waits for the acknowledgement. Awaiting each record before the next one costs a round
//! trip per record, and [`linger.ms`](ProducerConfig::linger) too if that was set. To go fast, [`enqueue`](KafkaProducer::enqueue) many and
//! await their [`Delivery`]s later, or use [`send_all`](KafkaProducer::send_all), or send from many tasks at once:
//!
//! ```no_run
//! # use kafka_producer::{KafkaProducer, ProducerRecord};
//! # async fn example(producer: KafkaProducer) -> Result<(), Box<dyn std::error::Error>> {
//! let mut deliveries = Vec::new();
//! for number in 0..10_000 {
//!     let record = ProducerRecord::to("numbers").value(number.to_string());
//!     deliveries.push(producer.enqueue(record).await?);
//! }
//! for delivery in deliveries {
//!     delivery.await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! LZ4 is always there; each further [codec](Compression) is a feature, and refused by name without it:
//!
//! - `gzip`, on by default;
//! - `snappy`, on by default;
//! - `zstd`, off by default: the only one that needs a C compiler.
//!
//! Batches of gzip and zstd that become full are compressed on the runtime's blocking threads, at most as many at a time as
//! there are cores, so that one task that sends is not bound to the speed of one. When all of these are busy, the call that
//! fills a batch compresses it itself, and so does every call with LZ4 and snappy.
//!
//! # Cancel safety
//!
//! Dropping the future of `enqueue` (or of `send`, before the record is accepted) withdraws the record. Once it is
//! accepted it is sent, whatever is dropped: a [`Delivery`] only watches. A timeout around `send` therefore means that
//! the caller has stopped waiting, not that the record was not written.
//!
//! # Coming from Java or librdkafka
//!
//! Kafka's property names work as they are, from a map or a `.properties` text ([`ProducerConfig::from_properties`],
//! [`ProducerConfig::from_properties_text`]); ranges and defaults are those of Kafka 4.4. What is wrong with them is
//! reported together, and an unknown key is an error that names the nearest known one. Some things are done otherwise
//! than in Java, on purpose:
//!
//! - A partition that cannot be sent does not hold up the other partitions of its broker.
//! - The default of `linger.ms` does not hold up a batch whose records are all awaited, if nothing is under way to its
//!   broker; one that was set does.
//! - A retry waits for its backoff and not for `linger.ms` once more.
//! - A partitioner's choice that is out of range is refused at once.
//! - `batch.size` above `buffer.memory` is refused when the producer is built.
//! - `delivery.timeout.ms` counts from a batch's first record, and a batch takes records for `linger.ms` and a hundredth
//!   of `delivery.timeout.ms` only, so no record inherits the age of an old batch.
//! - A batch takes at least `batch.size` before compression, however badly the ones before it compressed, and one that
//!   compression would not make smaller goes out as it is.
//! - One partition takes at most half of `buffer.memory`, so that one that cannot be sent to does not hold up the others.
//! - Memory is taken as batches grow; a partition with few records does not reserve `batch.size` when memory is short.

#![warn(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    missing_docs,
    missing_debug_implementations,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::print_stdout
)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::panic))]

#[cfg(feature = "__internals")]
#[doc(hidden)]
#[path = "internals.rs"]
#[expect(clippy::exhaustive_structs, reason = "not part of the public API")]
pub mod __internals;
mod accumulator;
mod backoff;
mod buffer_memory;
mod clock;
mod config;
mod delivery;
mod error;
mod fence;
mod log;
mod metadata;
mod metrics;
#[cfg(loom)]
#[doc(hidden)]
#[path = "../loom/models/models.rs"]
pub mod models;
mod network;
mod pipeline;
mod planted;
mod producer;
mod protocol;
mod record;
mod sender;
mod shared_str;
mod sync;
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
pub use crate::sender::Purge;
pub use crate::topic_partition::{NodeId, Topic, TopicPartition};
