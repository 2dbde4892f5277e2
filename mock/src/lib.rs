//! An in-process Apache Kafka cluster over TCP on loopback, for tests and examples.
//!
//! A [`MockCluster`] is a number of brokers that listen on 127.0.0.1, on ports that the operating system chooses.
//! Clients of any language talk to it as to Apache Kafka 4: it serves ApiVersions, Metadata, Produce with
//! idempotence and transactions, Fetch, ListOffsets, InitProducerId, FindCoordinator, AddPartitionsToTxn, AddOffsetsToTxn,
//! TxnOffsetCommit, EndTxn, CreateTopics and DeleteTopics, and the requests of consumer groups ([`Api`]), checks every record batch as
//! strictly as a broker does or more so, and keeps the records in memory, where a test can look at them. Clients authenticate by SASL PLAIN and SCRAM if a test wants it
//! ([`MockClusterBuilder::sasl_user`]), or by OAUTHBEARER ([`MockClusterBuilder::sasl_token`]), and speak TLS with the feature
//! `tls` (`MockClusterBuilder::tls`).
//!
//! What makes it useful are the things that a real cluster does only at night: leaders move, brokers die, hang
//! and come back, answers are late or never come, error codes appear where a test wants them ([`Fault`]), and old
//! releases answer in old versions ([`MockClusterBuilder::kafka_release`]).
//!
//! # Examples
//!
//! Any client will do; this one writes the fourteen bytes of an ApiVersions request by hand.
//!
//! ```
//! use kafka_mock::{Api, Fault, MockCluster};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::TcpStream;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = MockCluster::start(1).await?;
//! cluster.create_topic("orders", 2, 1)?;
//! cluster.inject(Fault::error_code(35).api(Api::ApiVersions).times(1));
//!
//! let mut client = TcpStream::connect(cluster.bootstrap_servers()).await?;
//! client.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 255, 255]).await?;
//! let _length = client.read_i32().await?;
//! assert_eq!(client.read_i32().await?, 7); // correlation id
//! assert_eq!(client.read_i16().await?, 35); // error code
//!
//! assert_eq!(cluster.requests().of(Api::ApiVersions), 1);
//! assert_eq!(cluster.leader("orders", 1), Some(0));
//! assert!(cluster.records("orders", 1).is_empty());
//! cluster.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Time
//!
//! Delays and waits follow tokio's clock. Beware of `start_paused`, though: a paused clock jumps ahead whenever
//! all tasks wait, and tasks that wait for a socket count as waiting, so that timeouts may pass while bytes are
//! still on their way.
//!
//! # Transactions
//!
//! Producers with a `transactional.id` find coordinators, which decide as Kafka 4.3's do, by the protocol before KIP-890 and by the one
//! since: see [`MockClusterBuilder::transaction_version`] and [`MockCluster::set_transaction_version`]. Consumers with
//! `isolation.level=read_committed` read up to the last stable offset and are told what was aborted. A test looks at
//! [`MockCluster::transactions`], [`MockCluster::committed_records`] and [`MockCluster::committed_offsets`], keeps transactions from ending
//! ([`MockCluster::hold_markers`]), has them time out ([`MockCluster::time_out_transaction`]) and moves coordinators
//! ([`MockCluster::move_transaction_coordinator`]).
//!
//! # Consumer groups
//!
//! Consumers find the coordinator of their group, join it and commit offsets as with Kafka 4.3, by the classic protocol. Coordinators decide as
//! Kafka's `GroupCoordinator` does: about generations, the choice of a protocol, the time that members have for joining and between signs of
//! life, and static members (KIP-345). A test looks at [`MockCluster::groups`] and [`MockCluster::committed_offsets`], has a member time out
//! ([`MockCluster::time_out_group_member`]) and moves coordinators ([`MockCluster::move_group_coordinator`]).
//!
//! # What differs from Kafka
//!
//! - All replicas of a partition share one log, so a new leader never lacks records; [`sans_io`] has replication.
//! - Topics that Metadata creates can be used at once; Kafka first answers that they are not there yet.
//! - Records are judged more strictly: offsets, counts and timestamps in the header of a batch must agree with
//!   its records.
//! - A request with bytes after its end is refused. [`MockCluster::refusals`] tells why connections were closed.
//! - Transactions stay open until their producers or a test end them: their time passes in [`sans_io`] only. Markers are written before
//!   EndTxn is answered, unless a test holds them, and bear the time of the newest record of their producer.
//! - Groups use the classic protocol; the coordinator never decides (KIP-848), and there are no share groups. A group that no member has
//!   joined lets every producer commit, unless a test has named members ([`MockCluster::set_group_member`]). Offsets do not expire.
//! - Quotas are announced ([`Fault::throttle`]) but not enforced.

#![warn(missing_docs)]

mod access_tokens;
mod api;
mod aws;
mod batch;
mod broker;
mod builder;
mod clock;
mod cluster;
mod compact;
mod compression;
mod connections;
mod coordinators;
mod dispatch;
mod end_marker;
mod error;
mod faults;
mod features;
mod groups;
mod handlers;
mod log;
mod offset_commit;
mod otlp;
mod producer_state;
mod reaction;
mod record;
mod record_judge;
mod releases;
mod replication;
mod reply;
mod request;
mod requests;
pub mod sans_io;
mod sasl;
mod server;
mod shape;
mod socket;
mod state;
mod telemetry;
#[cfg(feature = "tls")]
mod tls;
mod token_endpoint;
mod topic;
mod transactions;
mod versions;

pub use access_tokens::MockToken;
pub use api::Api;
pub use batch::MockBatch;
pub use builder::MockClusterBuilder;
pub use cluster::MockCluster;
pub use compression::Compression;
pub use error::MockError;
pub use faults::{Fault, ParseFaultError};
pub use groups::{CommittedOffset, GroupProtocol, GroupState, MockGroup, MockGroupMember};
pub use otlp::{PushedKind, PushedMetric};
pub use record::MockRecord;
pub use requests::Requests;
pub use sasl::SaslMechanism;
pub use telemetry::{PushedMetrics, TelemetrySubscription};
#[cfg(feature = "tls")]
pub use tls::{MockCertificate, MockTls, TlsConnection, TlsFault, TlsVersion};
pub use token_endpoint::{MockTokenEndpoint, TokenAnswer, TokenRequest};
pub use transactions::{MockTransaction, TransactionState};

/// Runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
