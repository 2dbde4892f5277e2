//! A pure Rust producer for Apache Kafka: high-level, ordered, bounded in memory.
//!
//! [`KafkaProducer`] takes records, gathers them into batches per partition, and sends them to the brokers that lead
//! these partitions. It follows what the cluster does meanwhile: leaders move, brokers restart, topics get new partitions.
//! It speaks to Kafka 1.0 and later, ZooKeeper or KRaft. It contains no C code unless you enable a feature that says so. One
//! task on the tokio runtime does the work; [Threads](#threads) names the few threads beside it.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use kafka_producer::{KafkaProducer, ProducerRecord};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let producer = KafkaProducer::builder().bootstrap_servers("localhost:9092").build()?;
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
//! - Batches hold at most `buffer.memory` bytes. When they hold that much, [`enqueue`](KafkaProducer::enqueue) waits, and
//!   serves the calls for one partition in their order; [`try_enqueue`](KafkaProducer::try_enqueue) returns an error. Two rare
//!   cases may exceed the limit for a while: the pieces of a batch that a broker found too large or refused in part, and
//!   batches that get new sequence numbers.
//! - With `acks=all`, the default, a record is in the log **once**, whatever answers are lost and however often it was sent
//!   (`enable.idempotence`, on by default). A sequence error never ends an idempotent producer: if a broker has forgotten
//!   the producer's numbers, the producer begins a new epoch and goes on.
//!
//! - A [`TransactionalProducer`] writes records to many partitions together or not at all, and commits a consumer's offsets with them. A
//!   [`TransactionalProducerPool`] has several of them.
//!
//! If you choose other `acks`, or `enable.idempotence=false`, you give up the "once": a batch whose answer was lost may then
//! be written twice. With `acks=1`, and with `acks=all`, the order stays the same, because the producer then sends one batch
//! of a partition at a time.
//!
//! # Two stages, and throughput
//!
//! [`send`](KafkaProducer::send) waits for the acknowledgement. Awaiting each record before the next one costs a round
//! trip per record, and [`linger.ms`](ProducerConfig::linger) too if you set it. To go fast, [`enqueue`](KafkaProducer::enqueue)
//! many records and await their [`Delivery`]s later, or use [`send_all`](KafkaProducer::send_all), or send from many tasks at
//! once. [`flush`](KafkaProducer::flush) waits for all that was accepted before, if no result is of interest by itself:
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
//! [`KafkaProducer::topic`] returns a handle for records of one topic, which borrows keys and values. Its
//! [`enqueue_all`](TopicHandle::enqueue_all) takes a slice of records, and less than half the time of `enqueue` for each.
//!
//! # Streams, sinks and services
//!
//! [`send_stream`](KafkaProducer::send_stream) turns a stream of records into the stream of their results, in the same order, with a bound on
//! those that are unanswered. [`sink`](KafkaProducer::sink) returns a `Sink` of the crate `futures`. With the feature `tower` a producer is a
//! `tower::Service` for records. Transactions have all three by [`Transaction::handle`].
//!
//! # From threads
//!
//! A program without async code has the producer make a runtime of its own, and calls what blocks:
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use kafka_producer::{KafkaProducer, ProducerRecord, block_on};
//!
//! let producer = KafkaProducer::builder().bootstrap_servers("localhost:9092").build_blocking()?;
//!
//! let metadata = producer.send_blocking(ProducerRecord::to("orders").key("customer-7").value("2 apples"))?;
//! println!("written to {metadata}");
//!
//! let one = producer.enqueue_blocking(ProducerRecord::to("orders").value("3 pears"))?;
//! let other = producer.enqueue_blocking(ProducerRecord::to("orders").value("5 plums"))?;
//! for delivery in [one, other] {
//!     println!("written to {}", block_on(delivery)??);
//! }
//!
//! println!("{}", producer.close_blocking(Duration::from_secs(30))?);
//! # Ok(())
//! # }
//! ```
//!
//! Any number of threads may share a producer: clone it, or lend it. These calls go with any producer, also with one whose task runs on
//! a runtime of the application:
//!
//! | To do | In async code | On a thread |
//! |---|---|---|
//! | build, with the task on the current runtime | [`build`](KafkaProducerBuilder::build) | `build`, after `Runtime::enter` |
//! | build, with the task on a thread of its own | [`build_blocking`](KafkaProducerBuilder::build_blocking) | `build_blocking` |
//! | send, and wait | [`send`](KafkaProducer::send) | [`send_blocking`](KafkaProducer::send_blocking) |
//! | hand over | [`enqueue`](KafkaProducer::enqueue) | [`enqueue_blocking`](KafkaProducer::enqueue_blocking) |
//! | hand over, or get it back at once | [`try_enqueue`](KafkaProducer::try_enqueue) | `try_enqueue` |
//! | wait for all | [`flush`](KafkaProducer::flush) | [`flush_blocking`](KafkaProducer::flush_blocking) |
//! | close | [`close`](KafkaProducer::close) | [`close_blocking`](KafkaProducer::close_blocking) |
//! | anything else | `.await` | [`block_on`] |
//!
//! In async code a blocking call would hold up its runtime, perhaps the very task that it waits for. So it refuses to wait there, without a
//! panic: [`SendErrorKind::BlockingRefused`] gives the record back, and the other calls return [`BlockingRefused`]. Threads of
//! `spawn_blocking` may block.
//!
//! The async calls need no runtime around them either: any executor will do, such as that of the crate `futures`. All limits of time hold on
//! every thread. What a call waits for comes only while some thread drives the runtime in which the producer was built; a
//! current-thread runtime is driven by its `block_on` alone.
//!
//! # Features
//!
//! LZ4 is always there. Each other [codec](Compression) is a feature, and so is [`Sasl`]; without the feature the producer refuses
//! the properties that need it, and names the feature:
//!
//! - `gzip`, on by default;
//! - `sasl`, on by default;
//! - `snappy`, on by default;
//! - `zstd`, off by default; it needs a C compiler.
//!
//! `tls`, off by default, is for [`SecurityProtocol::Ssl`] and [`SecurityProtocol::SaslSsl`]. It needs no C compiler: the
//! cryptography is graviola's, which is Rust and assembly, and younger than others. It runs on x86-64 (with AVX2, ADX and AES
//! instructions) and aarch64 (with AES instructions). It needs Rust 1.89. On other processors the building of a producer fails and
//! names the two features that help there. Each of them implies `tls`, comes before graviola, and needs a C compiler:
//!
//! - `tls-aws-lc-rs`, the cryptography of AWS-LC: in use for long, with post-quantum key exchange; a FIPS module with the feature `fips` of
//!   rustls;
//! - `tls-ring`, that of ring: in use for long, and small.
//!
//! All three are about equally fast. If the application has installed a default provider of rustls for its process, the producer
//! uses that one. [`Tls::client_config`](crate::Tls) takes a whole configuration of rustls.
//!
//! `trace-context`, off by default, has an interceptor that puts the trace context of W3C into the headers of records, and makes a span for each
//! record. It brings no crate.
//!
//! `keystores`, off by default, adds to `tls` that certificates and keys may stand in Java's stores, PKCS#12 and JKS, encrypted by
//! any cipher that Java or OpenSSL has used for them. It brings the crate `rc2`, and code for `des` and `sha1`, which are too old
//! for anything else. Without it, errors name the command that makes PEM of such a file.
//!
//! `telemetry`, off by default, pushes metrics to brokers whose operators have subscribed to them (KIP-714), under Kafka's names, unless
//! [`enable_metrics_push`](KafkaProducerBuilder::enable_metrics_push) is false. Brokers that do not ask get nothing. It brings no crate.
//!
//! `serde`, off by default, has `Deserialize` for [`ProducerConfig`], out of a map of Kafka's property names whose values are text, numbers or
//! booleans. It brings no crate.
//!
//! `json`, `protobuf` and `uuid`, off by default, have serializers for whatever `serde` serializes, for messages of the crate `prost`, and for
//! the crate `uuid`.
//!
//! `tower`, off by default, makes the producer a `Service` of the crate `tower`. It brings the crate `tower-service`, which has no dependencies.
//!
//! `test-util`, off by default, has `MockProducer` and constructors of results, for the [tests](#testing) of applications. It brings no crate.
//!
//! `metrics`, off by default, brings `MetricsBridge`, which writes snapshots into the recorder of the crate `metrics`.
//!
//! # Seeing inside
//!
//! [`KafkaProducer::metrics`] gives a snapshot: counters, levels, ages and histograms of the producer, of each topic, broker and
//! partition. [`Metrics`] has them as fields, [`Metrics::iter`] one after the other for an exporter, and [`Metrics::prometheus`] as
//! text for a scrape.
//!
//! [`KafkaProducer::health`] tells how each broker has fared, for how long nothing was acknowledged and how long the oldest record has
//! waited. [`KafkaProducer::ready`] waits until brokers have described the cluster and the topics that
//! [`pin_topics`](KafkaProducerBuilder::pin_topics) has named. The first record for one of these does not wait for metadata, and
//! [`try_enqueue`](KafkaProducer::try_enqueue) takes it at once.
//!
//! # Threads
//!
//! The producer's task runs on the tokio runtime in which the producer was built, or on a thread of its own, named `kafka-producer`
//! ([`build_blocking`](KafkaProducerBuilder::build_blocking)). Other threads do this:
//!
//! - The runtime's blocking threads compress full batches with gzip and zstd, at most as many at a time as there are cores,
//!   so that a single sending task can use all cores. When all of these are busy, the call that fills a batch compresses it
//!   itself. With LZ4 and snappy the call always does.
//! - The runtime's blocking threads look up the names of brokers. If they have begun no lookup after 5 ms, threads named
//!   `kafka-producer-lookup` do, at most eight in a process. They end when nothing is left to look up.
//! - One thread named `kafka-producer-timer` in a process ends the waits of callers in time (`max.block.ms`, and the timeout of
//!   [`close`](KafkaProducer::close)), even if no thread drives the runtime. It starts with the first call that has to wait, and
//!   ends some seconds after the last.
//!
//! # Logs
//!
//! The producer logs through the crate `tracing`, under the target `kafka_producer`. Nothing is shown until the application installs a
//! subscriber, for instance that of the crate `tracing-subscriber`:
//!
//! ```no_run
//! tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).init();
//! ```
//!
//! `WARN` is for what an operator should look at:
//!
//! - a broker cannot be reached, does not answer, refuses the producer, loses connections or throttles: at most one line a minute for each
//!   broker and cause;
//! - nothing is delivered although records or callers wait: a line that says what the oldest waits for, after 2 s (and
//!   [`linger.ms`](ProducerConfig::linger)), 10 s and 60 s, then once a minute;
//! - records failed: a line for each topic and cause at once, after pauses of 10 s, 20 s and 40 s, then once a minute, with the number of
//!   records and of those that may have been written;
//! - calls were refused, because `buffer.memory` is full, a record is too large or the producer is closed: at most one line a minute for
//!   each reason.
//!
//! What comes up again within that time is counted, and the next line has the count in its field `folded`. `INFO` adds that a broker is
//! connected again, that records are delivered again, and what happens once in a while. So a producer that works logs nothing, and the
//! restart of a broker makes two lines at most. `DEBUG` has each connection and retry, `TRACE` what the sender waits for. Lines name the
//! producer by the field `client_id`. Keys, values, headers and secrets are never logged.
//!
//! At `DEBUG` there are spans, too: each request with records is one, with the target `kafka_producer::request`, and each of its batches
//! another below it, with the target `kafka_producer::batch`. They begin when the request is handed to its connection, and end with
//! its answer. Their fields have the names of OpenTelemetry's conventions for messaging: `messaging.destination.name`,
//! `messaging.batch.message_count`, `server.address` and so on, and `error.type` if the attempt failed. A batch that is sent again has a
//! span for each attempt.
//!
//! Errors do not need the log: each says in one line what failed and why, what became of the record, and what to do about it.
//!
//! # Testing
//!
//! Three things stand in for Kafka in the tests of an application, from the fastest to the most faithful:
//!
//! - **`MockProducer`** (feature `test-util`) keeps the records that it was sent, and delivers or fails each as the test says, with neither
//!   brokers nor time. Code that is to be tested with it asks for [`SendRecords`], a trait that [`KafkaProducer`], [`Transaction`] and
//!   [`TransactionHandle`] implement, too. The same feature has constructors of results, for code that is given these alone:
//!   `RecordMetadata::new`, `Delivery::ready`, `DeliveryError::of`, `SendError::new` and more.
//! - **[`kafka-mock`](https://docs.rs/kafka-mock)** is a cluster in the process of the test. It speaks Kafka's protocol, so the producer itself
//!   is part of the test, with its time limits, retries and transactions; brokers may die, refuse and be slow as the test says.
//! - **Kafka itself**, for instance in a container of the crate `testcontainers`, if what counts is how brokers behave.
//!
//! In `Cargo.toml` the first two are for tests alone:
//!
//! ```toml
//! [dev-dependencies]
//! kafka-producer = { version = "0.1", features = ["test-util"] }
//! kafka-mock = "0.1"
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future of `enqueue` (or of `send`, before the record is accepted) withdraws the record. Once the producer
//! has accepted a record it sends it, whatever you drop: a [`Delivery`] only watches. If a timeout around `send` ends, the
//! caller has stopped waiting; the record may still be written. [`send_timeout`](KafkaProducer::send_timeout) has a time limit of its own,
//! withdraws what was not sent by then, and says what is the case.
//!
//! # Coming from Java or librdkafka
//!
//! Kafka's property names work as they are, from a map or a `.properties` file ([`ProducerConfig::from_properties`],
//! [`ProducerConfig::from_properties_file`]), and so do the names of Kafka's classes for serializers and partitioners that are here, too.
//! [`ProducerConfig::remove`] takes back what a shared file has for others. Ranges and defaults are those of Kafka 4.4. One error lists everything that is
//! wrong with them; for an unknown key it names the nearest known one. Some things differ from Java on purpose:
//!
//! - A partition that cannot be sent does not hold up the other partitions of its broker.
//! - If you do not set `linger.ms`, a batch does not wait for it while each of its records is awaited and nothing is under way
//!   to its broker. If you set it, every batch waits.
//! - A retry waits for its backoff and not for `linger.ms` once more.
//! - A partitioner's choice that is out of range is refused at once.
//! - `batch.size` above `buffer.memory` is refused when the producer is built.
//! - `delivery.timeout.ms` counts from a batch's first record, and a batch takes records for `linger.ms` and a hundredth
//!   of `delivery.timeout.ms` only, so no record inherits the age of an old batch.
//! - A batch takes at least `batch.size` before compression, however badly the ones before it compressed. If compression would
//!   not make a batch smaller, the producer sends it uncompressed.
//! - One partition takes at most half of `buffer.memory`. So if the producer cannot send to one partition, the others still
//!   get memory.
//! - Batches take memory as they grow; when memory is short, a partition with few records does not reserve `batch.size`.

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
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "__internals")]
#[doc(hidden)]
#[path = "internals.rs"]
#[expect(clippy::exhaustive_structs, reason = "not part of the public API")]
pub mod __internals;
mod accumulator;
#[cfg(feature = "sasl")]
mod aws;
mod aws_credentials;
mod backoff;
mod base64;
mod buffer_memory;
mod calendar;
mod clock;
mod config;
mod delivery;
mod error;
mod fence;
#[cfg(doctest)]
mod guide;
mod http;
mod json;
#[cfg(feature = "gssapi")]
mod kerberos;
mod log;
mod login;
mod metadata;
mod metrics;
#[cfg(loom)]
#[doc(hidden)]
#[path = "../loom/models/models.rs"]
pub mod models;
mod network;
mod oidc;
mod own_threads;
mod pipeline;
mod planted;
mod producer;
mod protocol;
mod record;
mod secret;
mod secret_file;
mod security_failure;
mod sender;
mod shared_str;
mod sync;
#[cfg(any(test, feature = "test-util"))]
mod testing;
#[cfg(feature = "tls")]
mod tls;
mod token;
mod topic_partition;
#[cfg(feature = "trace-context")]
mod trace_context;
mod wire;

pub use crate::aws_credentials::{AwsCredentials, AwsCredentialsFuture, AwsCredentialsProvider, AwsRole};
pub use crate::config::{
    Acks, BootstrapServers, Compression, ConfigError, ConfigProblem, ConfigReason, MetadataRecoveryStrategy,
    Oidc, OidcAssertion, OidcSignature, ProducerConfig, Sasl, SecurityProtocol, Tls, TlsVersion,
};
pub use crate::delivery::{Deliveries, Delivery, RecordMetadata};
pub use crate::error::{
    BrokerFailure, BrokerReport, BrokerState, ConnectionStep, DeliveryError, DeliveryErrorKind, Disposition,
    Persisted, SendError, SendErrorKind, TimeSpent, TransactionError, TransactionErrorKind,
};
pub use crate::metadata::{Cluster, Node, PartitionInfo, TopicInfo};
#[cfg(feature = "metrics")]
pub use crate::metrics::MetricsBridge;
pub use crate::metrics::{
    BrokerMetrics, HistogramSnapshot, MetricGroup, MetricKind, MetricUnit, MetricValue, Metrics,
    PartitionMetrics, Sample, TopicMetrics,
};
pub use crate::network::dialer::{ByteStream, DialTarget, DialWith, Dialer, Dialing, dial_with};
#[cfg(feature = "json")]
pub use crate::pipeline::JsonSerializer;
#[cfg(feature = "protobuf")]
pub use crate::pipeline::ProtobufSerializer;
#[cfg(feature = "uuid")]
pub use crate::pipeline::UuidSerializer;
pub use crate::pipeline::{
    Acknowledgement, BoxError, BytesSerializer, DoubleSerializer, FloatSerializer, IntegerSerializer,
    LibrdkafkaPartitioner, LongSerializer, Partitioner, PartitionerRecord, ProducerInterceptor,
    RegisteredSchema, RoundRobinPartitioner, Serializable, SerializeToVec, SerializeWith, Serializer,
    ShortSerializer, StringSerializer, UnknownPartitioner, murmur2, partition_for_key, serialize_to_vec,
    serialize_with,
};
#[cfg(feature = "tower")]
pub use crate::producer::SendFuture;
pub use crate::producer::{
    AsRecord, BlockingRefused, BuildError, CloseReport, ConsumerGroupMetadata, Enqueueing, Flushing, Health,
    KafkaProducer, KafkaProducerBuilder, NotReady, OffsetAndMetadata, PoolError, PooledProducer, RecordSink,
    SendRecords, SendStream, Sending, TopicHandle, Transaction, TransactionHandle, TransactionalProducer,
    TransactionalProducerPool, block_on,
};
#[cfg(feature = "telemetry")]
pub use crate::producer::{ClientInstanceId, ClientInstanceIdError};
pub use crate::protocol::ErrorCode;
pub use crate::record::{Header, HeaderName, HeaderValue, Headers, ProducerRecord};
pub use crate::sender::Purge;
#[cfg(any(test, feature = "test-util"))]
pub use crate::testing::MockProducer;
#[cfg(feature = "tls")]
pub use crate::tls::{CertificateError, CertificateFuture, CertificateProvider};
pub use crate::token::{AccessToken, TokenError, TokenFuture, TokenProvider};
pub use crate::topic_partition::{NodeId, Topic, TopicPartition};
#[cfg(feature = "trace-context")]
pub use crate::trace_context::{TraceContext, TraceContextError, TraceContextInterceptor};
#[cfg(feature = "tls")]
pub use rustls;
