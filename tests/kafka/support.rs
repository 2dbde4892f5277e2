//! Starts real Kafka clusters and looks into them with Kafka's own tools.
//!
//! [`KafkaCluster`] is the way in: it starts brokers (`cluster`), gives out each as a [`broker::Broker`] that can be
//! killed, stopped and started again, and has the methods of `admin` (requests written by hand, because
//! a JVM per request costs a second), of `transactions`, and of `tools` and `dump` (Kafka's own clients, which are the judges).
//! `listener`, `security` and `issuer` are for brokers that demand something of their clients.

pub(crate) mod admin;
pub(crate) mod broker;
pub(crate) mod cluster;
pub(crate) mod consumed_record;
pub(crate) mod dump;
pub(crate) mod issuer;
pub(crate) mod jars;
#[cfg(feature = "gssapi")]
pub(crate) mod kdc;
pub(crate) mod listener;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod properties;
pub(crate) mod security;
pub(crate) mod tools;
pub(crate) mod transactions;
pub(crate) mod version;
pub(crate) mod wait;
pub(crate) mod wire;
pub(crate) mod work_dir;

pub(crate) use cluster::KafkaCluster;
pub(crate) use consumed_record::ConsumedRecord;
pub(crate) use consumed_record::TimestampType;
pub(crate) use listener::Listener;
pub(crate) use tools::Isolation;
pub(crate) use version::Version;
