//! `Subscription`: what brokers want to be told.

use std::time::Duration;

use crate::metrics::Temporality;
use crate::protocol::compression::Compression;
use crate::protocol::messages::get_telemetry_subscriptions::GetTelemetrySubscriptionsResponse;
use crate::sender::telemetry::DEFAULT_INTERVAL;

/// What the operators of the brokers have subscribed to.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: i32,
    /// At least [`SHORTEST_INTERVAL`].
    pub(super) interval: Duration,
    pub(super) max_bytes: usize,
    pub(super) temporality: Temporality,
    /// Those that the broker takes and the crate is built with, the broker's favourite first.
    pub(super) codecs: Vec<Compression>,
    metrics: Vec<String>,
}

/// Brokers of Kafka accept no shorter one.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

impl Subscription {
    pub(super) fn is_empty(&self) -> bool {
        self.metrics.is_empty()
    }

    /// Whether the operators want the metric of a name.
    pub(super) fn wants(&self, name: &str) -> bool {
        // An empty name is a beginning of every name.
        self.metrics.iter().any(|wanted| name.starts_with(wanted) || wanted == "*")
    }
}

impl From<GetTelemetrySubscriptionsResponse> for Subscription {
    fn from(response: GetTelemetrySubscriptionsResponse) -> Self {
        let interval = match u64::try_from(response.push_interval_ms) {
            Ok(millis @ 1..) => Duration::from_millis(millis).max(SHORTEST_INTERVAL),
            _ => DEFAULT_INTERVAL,
        };
        let temporality =
            if response.delta_temporality { Temporality::Delta } else { Temporality::Cumulative };
        let codecs = response.accepted_compression_types.into_iter().filter_map(Compression::of_number);
        Self {
            id: response.subscription_id,
            interval,
            max_bytes: usize::try_from(response.telemetry_max_bytes).unwrap_or(0),
            temporality,
            codecs: codecs.filter(|codec| codec.missing_feature().is_none()).collect(),
            metrics: response.requested_metrics,
        }
    }
}
