//! `Health`: whether a producer gets anywhere, and what keeps it from that.

use std::time::Duration;

use crate::error::{BrokerReport, BrokerState, SendErrorKind};

/// What a producer can say of its own state, from [`KafkaProducer::health`](crate::KafkaProducer::health): what a readiness probe
/// shows, and what an operator wants to know first when nothing is delivered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Health {
    /// How each broker has fared that the producer has had to do with, those that tell most first.
    pub brokers: Vec<BrokerReport>,
    /// Time since a broker last acknowledged a record. `None` before the first time.
    pub last_delivery_age: Option<Duration>,
    /// Time since brokers described all topics in use. `None` before the first time, and after a new start from
    /// `bootstrap.servers`.
    pub metadata_age: Option<Duration>,
    /// Time since the oldest record was accepted that is neither acknowledged nor failed. `None` if there is none.
    pub oldest_waiting: Option<Duration>,
    /// Why the producer takes no records any more. `None` as long as it takes them.
    pub end: Option<SendErrorKind>,
}

impl Health {
    /// Returns whether records sent now have a chance: the producer takes records, knows the cluster, and is connected to a broker.
    ///
    /// A producer that has nothing to do may be connected to no broker, because brokers close idle connections. It then counts as
    /// ready if none of its attempts to connect has failed since.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let is_connected = self.brokers.iter().any(|broker| broker.state == BrokerState::Connected);
        let is_failing = self.brokers.iter().any(|broker| broker.failures > 0);
        self.end.is_none() && self.metadata_age.is_some() && (is_connected || !is_failing)
    }
}
