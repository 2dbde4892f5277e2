//! `NotReady`: why a producer cannot do its work yet.

use std::time::Duration;

use crate::error::SendErrorKind;
use crate::protocol::ErrorCode;
use crate::topic_partition::Topic;

/// Why a producer is not ready, from [`KafkaProducer::ready`](crate::KafkaProducer::ready).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// No broker has described the cluster in time.
    #[error(
        "no broker has described the cluster within {waited:?}{obstacle}",
        obstacle = clause(obstacle.as_deref())
    )]
    #[non_exhaustive]
    NoCluster {
        /// How long was waited.
        waited: Duration,
        /// What stood in the way, if that is known.
        obstacle: Option<String>,
    },
    /// No broker has described a pinned topic in time.
    #[error(
        "topic \"{topic}\" not in metadata within {waited:?}{cause}{obstacle}",
        cause = clause(cause.map(|cause| cause.to_string()).as_deref()), obstacle = clause(obstacle.as_deref())
    )]
    #[non_exhaustive]
    NoTopic {
        /// The topic.
        topic: Topic,
        /// How long was waited.
        waited: Duration,
        /// What brokers say about the topic, if they do.
        cause: Option<ErrorCode>,
        /// What stood in the way, if that is known.
        obstacle: Option<String>,
    },
    /// Waiting does not help: a pinned topic cannot be used, brokers do not let the producer in, or the producer has ended.
    #[error(transparent)]
    Refused(#[from] SendErrorKind),
}

fn clause(text: Option<&str>) -> String {
    text.map(|text| format!(": {text}")).unwrap_or_default()
}
