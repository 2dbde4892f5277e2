//! What is pushed to brokers: Kafka's numbers under the names of KIP-714, as Java's producer has them.
//!
//! Rates, averages and maxima are over the time since the last push.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::otlp::{Point, PointKind, PointValue, Temporality};
use super::sample::{MetricGroup, MetricKind, MetricUnit, MetricValue, Sample};
use super::table::Metrics;

/// The time that a push is about.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    /// As of the last push; `None` before the first.
    pub(crate) before: Option<&'a Metrics>,
    /// From then, or from the start, until now.
    pub(crate) length: Duration,
    /// When it began, in nanoseconds since 1970.
    pub(crate) start: u64,
    /// When the producer began, in nanoseconds since 1970.
    pub(crate) producer_start: u64,
    pub(crate) temporality: Temporality,
}

/// How much of the metrics is pushed, if there is a limit to their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    /// The numbers of the producer alone.
    Producer,
    /// Those of brokers, too.
    Brokers,
    /// Those of topics, too.
    All,
}

/// Returns what the names ask for, as it is pushed.
pub(crate) fn points(
    metrics: &Metrics,
    window: &Window<'_>,
    detail: Detail,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<Point> {
    let before: BTreeMap<_, _> = window
        .before
        .into_iter()
        .flat_map(Metrics::iter)
        .map(|sample| (key(&sample), sample.value))
        .collect();
    let mut drawer = Drawer { window, is_wanted, points: Vec::new() };
    for sample in metrics.iter().filter(|sample| is_pushed(sample, detail)) {
        drawer.add(&sample, before.get(&key(&sample)).copied());
    }
    drawer.points
}

/// Whether Kafka's producer would push the number, too. When a producer was started stands in another group there.
fn is_pushed(sample: &Sample<'_>, detail: Detail) -> bool {
    let needs = match sample.group {
        MetricGroup::Node => Detail::Brokers,
        MetricGroup::Producer => Detail::Producer,
        MetricGroup::Partition | MetricGroup::Topic => Detail::All,
    };
    sample.is_kafkas && detail >= needs && sample.name != "start-time"
}

fn key<'a>(sample: &Sample<'a>) -> (MetricGroup, &'static str, Vec<Cow<'a, str>>) {
    (sample.group, sample.name, sample.labels.iter().map(|(_, value)| value.clone()).collect())
}

/// Makes points of samples.
struct Drawer<'a, F> {
    window: &'a Window<'a>,
    is_wanted: F,
    points: Vec<Point>,
}

impl<F: Fn(&str) -> bool> Drawer<'_, F> {
    fn add(&mut self, sample: &Sample<'_>, before: Option<MetricValue<'_>>) {
        let stem = sample.name.strip_suffix("-total").unwrap_or(sample.name);
        match (sample.kind, sample.value) {
            (MetricKind::Histogram, MetricValue::Histogram(now)) => {
                let since = match before {
                    Some(MetricValue::Histogram(before)) => &now.since(before),
                    _ => now,
                };
                let scale = if sample.unit == MetricUnit::Seconds { 1e3 } else { 1.0 };
                // What nothing was measured of has no average; but no throttling is a throttling of 0.
                let nothing = (stem == "produce-throttle-time").then_some(0.0);
                if let Some(mean) = since.mean().or(nothing) {
                    self.gauge(sample, stem, "-avg", PointValue::Float(mean * scale), self.window.start);
                }
                if let Some(max) = since.max().or(nothing).filter(|_| sample.unit != MetricUnit::Ratio) {
                    self.gauge(sample, stem, "-max", PointValue::Float(max * scale), self.window.start);
                }
            }
            (MetricKind::Counter, MetricValue::Integer(now)) => {
                let earlier = match before {
                    // A topic that was forgotten meanwhile counts anew.
                    Some(MetricValue::Integer(before)) if before <= now => before,
                    _ => 0,
                };
                self.sum(sample, stem, PointValue::Integer(now), PointValue::Integer(now - earlier));
                let seconds = self.window.length.as_secs_f64();
                if seconds > 0.0 {
                    let rate = PointValue::Float((now - earlier) as f64 / seconds);
                    self.gauge(sample, stem, "-rate", rate, self.window.start);
                }
            }
            (MetricKind::Counter, MetricValue::Float(now)) => {
                let earlier = match before {
                    Some(MetricValue::Float(before)) if before <= now => before,
                    _ => 0.0,
                };
                // Kafka counts times in nanoseconds, and says so.
                let stem = format!("{stem}-ns");
                let nanos = |seconds: f64| PointValue::Float((seconds * 1e9).round());
                self.sum(sample, &stem, nanos(now), nanos(now - earlier));
            }
            (_, MetricValue::Integer(now)) => self.gauge(sample, stem, "", PointValue::Integer(now), 0),
            (_, MetricValue::Float(now)) => self.gauge(sample, stem, "", PointValue::Float(now), 0),
            (_, MetricValue::Histogram(_)) => {}
        }
    }

    fn sum(&mut self, sample: &Sample<'_>, stem: &str, now: PointValue, since: PointValue) {
        let temporality = self.window.temporality;
        let (value, start) = match temporality {
            Temporality::Cumulative => (now, self.window.producer_start),
            Temporality::Delta => (since, self.window.start),
        };
        self.point(sample, stem, "-total", value, PointKind::Sum(temporality), start);
    }

    fn gauge(&mut self, sample: &Sample<'_>, stem: &str, end: &str, value: PointValue, start: u64) {
        self.point(sample, stem, end, value, PointKind::Gauge, start);
    }

    fn point(
        &mut self,
        sample: &Sample<'_>,
        stem: &str,
        end: &str,
        value: PointValue,
        kind: PointKind,
        start: u64,
    ) {
        let group = match sample.group {
            MetricGroup::Node => "node-",
            MetricGroup::Partition => "partition-",
            MetricGroup::Producer => "",
            MetricGroup::Topic => "topic-",
        };
        let name = format!("{PREFIX}{}", format!("{group}{stem}{end}").replace('-', "."));
        if !(self.is_wanted)(&name) {
            return;
        }
        // Brokers know by themselves which client it is.
        let labels = sample.labels.iter().filter(|(label, _)| *label != "client-id");
        let attributes = labels.map(|(label, value)| (label.replace('-', "_"), value.to_string())).collect();
        self.points.push(Point { name, attributes, value, kind, start });
    }
}

const PREFIX: &str = "org.apache.kafka.producer.";

#[cfg(test)]
mod tests;
