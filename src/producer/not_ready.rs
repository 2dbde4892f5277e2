//! `NotReady`: why a producer cannot do its work yet.

use std::fmt;
use std::time::Duration;

use crate::error::{BrokerReport, SendErrorKind, Spent};
use crate::protocol::ErrorCode;
use crate::topic_partition::Topic;

/// Why a producer is not ready, from [`KafkaProducer::ready`](crate::KafkaProducer::ready).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// No broker has described the cluster in time.
    #[error("no broker has described the cluster within {}{}", Spent(*waited), Why(None, obstacle.as_deref(), brokers))]
    #[non_exhaustive]
    NoCluster {
        /// How long was waited.
        waited: Duration,
        /// What stood in the way, if it is known and is no connection.
        obstacle: Option<String>,
        /// How each broker has fared. The one that tells most comes first.
        brokers: Vec<BrokerReport>,
    },
    /// No broker has described a pinned topic in time.
    #[error("topic \"{topic}\" not in metadata within {}{}", Spent(*waited), Why(*cause, obstacle.as_deref(), brokers))]
    #[non_exhaustive]
    NoTopic {
        /// The topic.
        topic: Topic,
        /// How long was waited.
        waited: Duration,
        /// What brokers say of the topic, if they do.
        cause: Option<ErrorCode>,
        /// What stood in the way, if it is known and is no connection.
        obstacle: Option<String>,
        /// How each broker has fared. The one that tells most comes first.
        brokers: Vec<BrokerReport>,
    },
    /// Waiting does not help: a pinned topic cannot be used, brokers do not let the producer in, or the producer has ended.
    #[error(transparent)]
    Refused(#[from] SendErrorKind),
}

/// The end of a message: the first of these that is known.
struct Why<'a>(Option<ErrorCode>, Option<&'a str>, &'a [BrokerReport]);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(cause, obstacle, brokers) = self;
        let failing = brokers.iter().find(|broker| broker.failures > 0);
        match (cause, obstacle, failing) {
            (Some(cause), ..) => write!(f, ": {cause}"),
            (_, Some(obstacle), _) => write!(f, ": {obstacle}"),
            (.., Some(broker)) => write!(f, ": {broker}"),
            _ => Ok(()),
        }
    }
}
