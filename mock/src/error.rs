//! What can go wrong when a test drives the cluster, and the error codes that brokers answer.

use std::sync::Arc;

use thiserror::Error;

use crate::api::Api;

/// Why the cluster did not do what it was asked to do through [`MockCluster`](crate::MockCluster).
///
/// Errors that a broker answers to a client are not here: they are numbers in responses.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum MockError {
    /// A cluster needs at least one broker.
    #[error("a cluster of {brokers} brokers cannot be started")]
    InvalidBrokerCount {
        /// Number that was asked for.
        brokers: i32,
    },
    /// The number of partitions is below one, or below the present number.
    #[error("topic {topic:?} cannot have {partitions} partitions")]
    InvalidPartitions {
        /// Name of the topic.
        topic: String,
        /// Number that was asked for.
        partitions: i32,
    },
    /// The replication factor is below one or above the number of brokers.
    #[error("topic {topic:?} cannot have {replication_factor} replicas")]
    InvalidReplicationFactor {
        /// Name of the topic.
        topic: String,
        /// Number that was asked for.
        replication_factor: i16,
    },
    /// The name is empty, `.`, `..`, longer than 249 characters, or holds something else than ASCII letters,
    /// digits, `.`, `_` and `-`.
    #[error("{topic:?} is not a valid topic name")]
    InvalidTopicName {
        /// The refused name.
        topic: String,
    },
    /// Brokers cannot speak TLS in the way that was asked for.
    #[cfg(feature = "tls")]
    #[error("brokers cannot speak TLS: {reason}")]
    InvalidTls {
        /// What is wrong.
        reason: String,
    },
    /// The lowest version is negative or above the highest.
    #[error("versions {min} to {max} cannot be offered for {api:?}")]
    InvalidVersions {
        /// The request.
        api: Api,
        /// Lowest version that was asked for.
        min: i16,
        /// Highest version that was asked for.
        max: i16,
    },
    /// A listener could not be opened.
    #[error("broker {broker} cannot listen on 127.0.0.1")]
    Listen {
        /// Id of the broker.
        broker: i32,
        /// What the operating system said.
        source: Arc<std::io::Error>,
    },
    /// A topic of this name exists.
    #[error("topic {topic:?} exists already")]
    TopicExists {
        /// Name of the topic.
        topic: String,
    },
    /// The cluster has no broker with this id.
    #[error("broker {broker} is not in the cluster")]
    UnknownBroker {
        /// The id that was asked for.
        broker: i32,
    },
    /// The mock does not know this release of Kafka.
    #[error("kafka release {release:?} is not known")]
    UnknownRelease {
        /// The release that was asked for.
        release: String,
    },
    /// The cluster does not have this topic or partition.
    #[error("topic {topic:?} has no partition {partition}, or does not exist")]
    UnknownTopicOrPartition {
        /// Name of the topic.
        topic: String,
        /// Number of the partition; -1 if the topic was meant.
        partition: i32,
    },
}

/// Error codes of Kafka's protocol that the mock answers by itself.
pub(crate) mod code {
    pub(crate) const UNKNOWN_SERVER_ERROR: i16 = -1;
    pub(crate) const NONE: i16 = 0;
    pub(crate) const OFFSET_OUT_OF_RANGE: i16 = 1;
    pub(crate) const CORRUPT_MESSAGE: i16 = 2;
    pub(crate) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub(crate) const LEADER_NOT_AVAILABLE: i16 = 5;
    pub(crate) const NOT_LEADER_OR_FOLLOWER: i16 = 6;
    pub(crate) const REQUEST_TIMED_OUT: i16 = 7;
    pub(crate) const MESSAGE_TOO_LARGE: i16 = 10;
    pub(crate) const OFFSET_METADATA_TOO_LARGE: i16 = 12;
    pub(crate) const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
    pub(crate) const COORDINATOR_NOT_AVAILABLE: i16 = 15;
    pub(crate) const NOT_COORDINATOR: i16 = 16;
    pub(crate) const INVALID_TOPIC_EXCEPTION: i16 = 17;
    pub(crate) const NOT_ENOUGH_REPLICAS: i16 = 19;
    pub(crate) const NOT_ENOUGH_REPLICAS_AFTER_APPEND: i16 = 20;
    pub(crate) const INVALID_REQUIRED_ACKS: i16 = 21;
    pub(crate) const ILLEGAL_GENERATION: i16 = 22;
    pub(crate) const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
    pub(crate) const INVALID_GROUP_ID: i16 = 24;
    pub(crate) const UNKNOWN_MEMBER_ID: i16 = 25;
    pub(crate) const INVALID_SESSION_TIMEOUT: i16 = 26;
    pub(crate) const REBALANCE_IN_PROGRESS: i16 = 27;
    pub(crate) const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
    pub(crate) const ILLEGAL_SASL_STATE: i16 = 34;
    pub(crate) const UNSUPPORTED_VERSION: i16 = 35;
    pub(crate) const TOPIC_ALREADY_EXISTS: i16 = 36;
    pub(crate) const INVALID_PARTITIONS: i16 = 37;
    pub(crate) const INVALID_REPLICATION_FACTOR: i16 = 38;
    pub(crate) const INVALID_REQUEST: i16 = 42;
    pub(crate) const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
    pub(crate) const INVALID_PRODUCER_EPOCH: i16 = 47;
    pub(crate) const INVALID_TXN_STATE: i16 = 48;
    pub(crate) const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
    pub(crate) const INVALID_TRANSACTION_TIMEOUT: i16 = 50;
    pub(crate) const CONCURRENT_TRANSACTIONS: i16 = 51;
    pub(crate) const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
    pub(crate) const OPERATION_NOT_ATTEMPTED: i16 = 55;
    pub(crate) const SASL_AUTHENTICATION_FAILED: i16 = 58;
    pub(crate) const UNKNOWN_PRODUCER_ID: i16 = 59;
    pub(crate) const GROUP_ID_NOT_FOUND: i16 = 69;
    pub(crate) const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
    pub(crate) const LISTENER_NOT_FOUND: i16 = 72;
    pub(crate) const FENCED_LEADER_EPOCH: i16 = 74;
    pub(crate) const UNKNOWN_LEADER_EPOCH: i16 = 75;
    pub(crate) const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
    pub(crate) const MEMBER_ID_REQUIRED: i16 = 79;
    pub(crate) const FENCED_INSTANCE_ID: i16 = 82;
    pub(crate) const INVALID_RECORD: i16 = 87;
    pub(crate) const UNSTABLE_OFFSET_COMMIT: i16 = 88;
    pub(crate) const PRODUCER_FENCED: i16 = 90;
    pub(crate) const UNKNOWN_TOPIC_ID: i16 = 100;
    pub(crate) const STALE_MEMBER_EPOCH: i16 = 113;
    pub(crate) const UNKNOWN_SUBSCRIPTION_ID: i16 = 117;
    pub(crate) const TELEMETRY_TOO_LARGE: i16 = 118;
    pub(crate) const TRANSACTION_ABORTABLE: i16 = 120;
    pub(crate) const REBOOTSTRAP_REQUIRED: i16 = 129;
}
