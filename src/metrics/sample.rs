//! `Sample`: one number of a snapshot, with all that an exporter needs to know of it.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use super::histogram::HistogramSnapshot;

/// One number of a snapshot, from [`Metrics::iter`](super::Metrics::iter).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Sample<'a> {
    /// What it is a number of.
    pub group: MetricGroup,
    /// Kafka's name where Kafka has the number, such as `record-retry-total`; else a name of the same form. Unique within the group.
    pub name: &'static str,
    /// Whether Kafka's producer has a number of this name, maybe as an average, a maximum or a rate of it.
    pub is_kafkas: bool,
    /// Names and values that tell samples of one name apart. Names have Kafka's form: `client-id`, `topic`, `node-id`.
    pub labels: Vec<(&'static str, Cow<'a, str>)>,
    /// How the number behaves.
    pub kind: MetricKind,
    /// What it counts.
    pub unit: MetricUnit,
    /// One sentence that says what it is.
    pub help: &'static str,
    /// The number.
    pub value: MetricValue<'a>,
}

/// What a number belongs to. `Display` gives Kafka's name of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MetricGroup {
    /// A broker: `producer-node-metrics`.
    Node,
    /// A partition: `producer-partition-metrics`, which Kafka does not have.
    Partition,
    /// The producer: `producer-metrics`.
    Producer,
    /// A topic: `producer-topic-metrics`.
    Topic,
}

impl fmt::Display for MetricGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "producer-node-metrics",
            Self::Partition => "producer-partition-metrics",
            Self::Producer => "producer-metrics",
            Self::Topic => "producer-topic-metrics",
        })
    }
}

/// How a number behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only goes up, and begins anew with the producer.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It tells how often each size has occurred.
    Histogram,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricUnit {
    /// Batches of records.
    Batches,
    /// Bytes.
    Bytes,
    /// Calls of the application.
    Calls,
    /// Connections to brokers.
    Connections,
    /// A share of something: 1 is all of it.
    Ratio,
    /// Records.
    Records,
    /// Requests to brokers.
    Requests,
    /// Seconds. A point in time is in seconds since 1970.
    Seconds,
}

impl MetricUnit {
    /// Returns in how many parts a histogram counts the unit.
    pub(super) fn parts(self) -> f64 {
        match self {
            Self::Ratio => 1e3,
            Self::Seconds => 1e6,
            _ => 1.0,
        }
    }
}

/// The value of a sample, in the base unit.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum MetricValue<'a> {
    /// A number with a fraction.
    Float(f64),
    /// How often each size has occurred.
    Histogram(&'a HistogramSnapshot),
    /// A whole number.
    Integer(u64),
}

/// What can be the value of a field of the table.
pub(super) trait Measured {
    /// Returns the value; `None` if it is not known at the moment.
    fn measured(&self) -> Option<MetricValue<'_>>;
}

impl Measured for u64 {
    fn measured(&self) -> Option<MetricValue<'_>> {
        Some(MetricValue::Integer(*self))
    }
}

impl Measured for usize {
    fn measured(&self) -> Option<MetricValue<'_>> {
        Some(MetricValue::Integer(*self as u64))
    }
}

impl Measured for Duration {
    fn measured(&self) -> Option<MetricValue<'_>> {
        Some(MetricValue::Float(self.as_secs_f64()))
    }
}

impl Measured for SystemTime {
    fn measured(&self) -> Option<MetricValue<'_>> {
        let since = self.duration_since(Self::UNIX_EPOCH).unwrap_or_default();
        Some(MetricValue::Float(since.as_secs_f64()))
    }
}

impl Measured for HistogramSnapshot {
    fn measured(&self) -> Option<MetricValue<'_>> {
        Some(MetricValue::Histogram(self))
    }
}

impl<T: Measured> Measured for Option<T> {
    fn measured(&self) -> Option<MetricValue<'_>> {
        self.as_ref().and_then(Measured::measured)
    }
}
