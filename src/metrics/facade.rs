//! The facade `metrics`: snapshots for whatever recorder the application has installed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ::metrics::{Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

use super::histogram::HistogramSnapshot;
use super::prometheus::family_name;
use super::sample::{MetricGroup, MetricKind, MetricUnit, MetricValue, Sample};
use super::table::Metrics;

/// Writes snapshots of a producer into the recorder that the application has installed for the crate `metrics`, with the feature
/// `metrics`.
///
/// Give it a snapshot at regular intervals, such as each 10 s. Keep one for each producer: it remembers the snapshot before.
///
/// Names and labels are those of [`Metrics::prometheus`], but for times that only go up: a counter of the facade is a whole number, so
/// these are in nanoseconds, such as `kafka_producer_bufferpool_wait_time_nanoseconds_total`. Counters are written as absolute
/// values. A histogram gets the values that have come since the snapshot before, each as the middle of its bucket, which is right to
/// within an eighth; so its sum is, too. What is not known at the moment, such as the age of metadata that has never come, is left as
/// it was.
///
/// Without a recorder nothing happens.
///
/// ```no_run
/// # async fn example(producer: kafka_producer::KafkaProducer) {
/// use std::time::Duration;
///
/// use kafka_producer::MetricsBridge;
///
/// let mut bridge = MetricsBridge::new();
/// let mut ticks = tokio::time::interval(Duration::from_secs(10));
/// loop {
///     ticks.tick().await;
///     bridge.record(producer.metrics());
/// }
/// # }
/// ```
#[derive(Debug, Default)]
pub struct MetricsBridge {
    before: Option<Metrics>,
    /// What counters have come to, and what they were in the snapshot before. A topic that was forgotten counts anew in snapshots,
    /// and goes on here.
    totals: BTreeMap<SampleKey, Total>,
    described: BTreeSet<String>,
}

/// Tells a sample from all others: group, name and the values of labels.
type SampleKey = (MetricGroup, &'static str, Vec<String>);

#[derive(Debug, Clone, Copy, Default)]
struct Total {
    sum: u64,
    before: u64,
}

impl MetricsBridge {
    /// Returns a bridge that has seen no snapshot.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a snapshot. It takes a look at each number, so once a second is often enough.
    pub fn record(&mut self, metrics: Metrics) {
        ::metrics::with_recorder(|recorder| self.record_into(recorder, &metrics));
        self.before = Some(metrics);
    }

    fn record_into(&mut self, recorder: &dyn Recorder, metrics: &Metrics) {
        let before = self.before.take();
        let before: BTreeMap<SampleKey, HistogramSnapshot> = before
            .iter()
            .flat_map(Metrics::iter)
            .filter_map(|sample| match sample.value {
                MetricValue::Histogram(histogram) => Some((key_of(&sample), histogram.clone())),
                _ => None,
            })
            .collect();
        let mut totals = BTreeMap::new();
        for sample in metrics.iter() {
            let name = name_of(&sample);
            if self.described.insert(name.clone()) {
                describe(recorder, &sample, &name);
            }
            let sample_key = key_of(&sample);
            let key = Key::from_parts(name, labels_of(&sample));
            match (sample.kind, sample.value) {
                (MetricKind::Counter, value) => {
                    let total = self.totals.get(&sample_key).copied().unwrap_or_default().advanced(value);
                    recorder.register_counter(&key, &METADATA).absolute(total.sum);
                    totals.insert(sample_key, total);
                }
                (_, MetricValue::Float(value)) => recorder.register_gauge(&key, &METADATA).set(value),
                (_, MetricValue::Integer(value)) => {
                    recorder.register_gauge(&key, &METADATA).set(value as f64);
                }
                (_, MetricValue::Histogram(histogram)) => {
                    let since = match before.get(&sample_key) {
                        Some(before) => Cow::Owned(histogram.since(before)),
                        None => Cow::Borrowed(histogram),
                    };
                    let target = recorder.register_histogram(&key, &METADATA);
                    for (value, count) in since.middles() {
                        target.record_many(value, usize::try_from(count).unwrap_or(usize::MAX));
                    }
                }
            }
        }
        self.totals = totals;
    }
}

impl Total {
    /// Takes in what the counter is now.
    fn advanced(self, value: MetricValue<'_>) -> Self {
        let now = match value {
            MetricValue::Float(seconds) => (seconds * 1e9).round() as u64,
            MetricValue::Integer(count) => count,
            MetricValue::Histogram(_) => return self,
        };
        let more = if now >= self.before { now - self.before } else { now };
        Self { sum: self.sum.saturating_add(more), before: now }
    }
}

fn key_of(sample: &Sample<'_>) -> SampleKey {
    (sample.group, sample.name, sample.labels.iter().map(|(_, value)| value.to_string()).collect())
}

fn name_of(sample: &Sample<'_>) -> String {
    let name = family_name(sample);
    match name.strip_suffix("_seconds_total") {
        Some(stem) => format!("{stem}_nanoseconds_total"),
        None => name,
    }
}

fn labels_of(sample: &Sample<'_>) -> Vec<Label> {
    sample.labels.iter().map(|(name, value)| Label::new(name.replace('-', "_"), value.to_string())).collect()
}

fn describe(recorder: &dyn Recorder, sample: &Sample<'_>, name: &str) {
    let (name, help) = (KeyName::from(name.to_owned()), SharedString::const_str(sample.help));
    match sample.kind {
        MetricKind::Counter => {
            let unit =
                if sample.unit == MetricUnit::Seconds { Unit::Nanoseconds } else { unit_of(sample.unit) };
            recorder.describe_counter(name, Some(unit), help);
        }
        MetricKind::Gauge => recorder.describe_gauge(name, Some(unit_of(sample.unit)), help),
        MetricKind::Histogram => recorder.describe_histogram(name, Some(unit_of(sample.unit)), help),
    }
}

fn unit_of(unit: MetricUnit) -> Unit {
    match unit {
        MetricUnit::Bytes => Unit::Bytes,
        MetricUnit::Seconds => Unit::Seconds,
        _ => Unit::Count,
    }
}

static METADATA: Metadata<'static> = Metadata::new("kafka_producer", Level::INFO, Some("kafka_producer"));
