//! Metrics that clients push (KIP-714): what the cluster asks for, and what has come.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::compression::Compression;
use crate::otlp::{self, PushedMetric};

/// Which metrics brokers ask clients for; for [`MockClusterBuilder::telemetry`](crate::MockClusterBuilder::telemetry).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use kafka_mock::{Compression, TelemetrySubscription};
///
/// let wanted = TelemetrySubscription::all(Duration::from_secs(60))
///     .metrics(["org.apache.kafka.producer.record."])
///     .compressions([Compression::Lz4])
///     .delta(true);
/// ```
#[derive(Debug, Clone)]
pub struct TelemetrySubscription {
    pub(crate) metrics: Vec<String>,
    pub(crate) interval: Duration,
    pub(crate) max_bytes: i32,
    pub(crate) is_delta: bool,
    pub(crate) compressions: Vec<Compression>,
}

impl TelemetrySubscription {
    /// Asks for all metrics at this interval, in any compression, of at most a megabyte, counted from the start of the client.
    pub fn all(interval: Duration) -> Self {
        Self {
            metrics: vec!["*".to_owned()],
            interval,
            max_bytes: 1024 * 1024,
            is_delta: false,
            compressions: vec![Compression::Zstd, Compression::Lz4, Compression::Gzip, Compression::Snappy],
        }
    }

    /// Sets how the names begin of what is asked for; none asks for nothing.
    #[must_use]
    pub fn metrics<M: Into<String>>(mut self, prefixes: impl IntoIterator<Item = M>) -> Self {
        self.metrics = prefixes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the size of the largest push (`telemetry.max.bytes`); larger ones get TELEMETRY_TOO_LARGE.
    #[must_use]
    pub fn max_bytes(mut self, bytes: i32) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets whether counters are asked for as what was counted since the push before.
    #[must_use]
    pub fn delta(mut self, is_delta: bool) -> Self {
        self.is_delta = is_delta;
        self
    }

    /// Sets which codecs are accepted, the best one first. Metrics that are not compressed always are.
    #[must_use]
    pub fn compressions(mut self, codecs: impl IntoIterator<Item = Compression>) -> Self {
        self.compressions = codecs.into_iter().collect();
        self
    }
}

/// One push that a broker has taken, from [`MockCluster::pushed_metrics`](crate::MockCluster::pushed_metrics).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PushedMetrics {
    /// The broker.
    pub broker: i32,
    /// The id that a broker has given to the client.
    pub client_instance_id: u128,
    /// Whether the client said that this is its last push.
    pub is_terminating: bool,
    /// The codec that the client has chosen.
    pub compression: Compression,
    /// `MetricsData` of OpenTelemetry, as protobuf and without compression.
    pub data: Bytes,
    /// When it came, in time since the cluster began: zero over TCP.
    pub at: Duration,
}

impl PushedMetrics {
    /// Reads the metrics.
    ///
    /// # Errors
    ///
    /// What is wrong with the bytes.
    pub fn metrics(&self) -> Result<Vec<PushedMetric>, String> {
        PushedMetric::read_all(&self.data)
    }

    /// Reads the attributes of the client, such as `client_rack`.
    ///
    /// # Errors
    ///
    /// What is wrong with the bytes.
    pub fn resource(&self) -> Result<BTreeMap<String, String>, String> {
        otlp::resource(&self.data)
    }
}

/// What the brokers know of telemetry.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    /// `None` if the cluster does not offer it.
    pub(crate) subscription: Option<TelemetrySubscription>,
    /// Changes with the subscription.
    pub(crate) subscription_id: i32,
    pub(crate) pushed: Vec<PushedMetrics>,
    last_client: u128,
}

impl Telemetry {
    pub(crate) fn subscribe(&mut self, subscription: TelemetrySubscription) {
        self.subscription = Some(subscription);
        self.subscription_id = self.subscription_id.wrapping_add(1);
    }

    /// Returns an id for a client that has none.
    pub(crate) fn next_client(&mut self) -> u128 {
        self.last_client += 1;
        CLIENT_IDS | self.last_client
    }

    pub(crate) fn keep(&mut self, push: PushedMetrics) {
        if self.pushed.len() == KEPT_PUSHES {
            self.pushed.remove(0);
        }
        self.pushed.push(push);
    }
}

/// A random id of version 4, but for its end.
const CLIENT_IDS: u128 = 0x6b61_666b_616d_4f63_9a00_0000_0000_0000;

/// The newest pushes that are kept.
const KEPT_PUSHES: usize = 1000;
