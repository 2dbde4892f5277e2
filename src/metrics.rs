//! What a producer counts, and how it is read.
//!
//! The sender counts in [`Counters`], per batch or request and never per record. A snapshot of it is [`Metrics`], whose numbers stand
//! in one table (`table.rs`). Exporters need nothing but [`Metrics::iter`]. What belongs to callers or to memory is read when the
//! snapshot is taken (`producer/observing.rs`).

mod counters;
#[cfg(test)]
mod documentation;
#[cfg(feature = "metrics")]
mod facade;
mod histogram;
#[cfg(feature = "telemetry")]
mod otlp;
mod prometheus;
#[cfg(feature = "telemetry")]
mod pushed;
mod sample;
mod table;

pub(crate) use self::counters::{BrokerCounters, Counters, TopicCounters};
#[cfg(feature = "metrics")]
pub use self::facade::MetricsBridge;
pub use self::histogram::HistogramSnapshot;
#[cfg(feature = "telemetry")]
pub(crate) use self::otlp::{Temporality, encode};
#[cfg(feature = "telemetry")]
pub(crate) use self::pushed::{Detail, Window, points};
pub use self::sample::{MetricGroup, MetricKind, MetricUnit, MetricValue, Sample};
pub use self::table::{BrokerMetrics, Metrics, PartitionMetrics, TopicMetrics};
