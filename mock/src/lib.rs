//! An in-process Apache Kafka cluster over TCP on loopback, for tests and examples.

mod api;
mod batch;
mod broker;
mod builder;
mod clock;
mod cluster;
mod compression;
mod connections;
mod error;
mod faults;
mod log;
mod producer_state;
mod record;
mod releases;
mod request;
mod requests;
mod server;
mod shape;
mod state;
mod topic;

pub use api::Api;
pub use batch::MockBatch;
pub use builder::MockClusterBuilder;
pub use cluster::MockCluster;
pub use compression::Compression;
pub use error::MockError;
pub use faults::Fault;
pub use record::MockRecord;
pub use requests::Requests;
