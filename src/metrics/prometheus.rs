//! The text format of Prometheus.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use super::histogram::HistogramSnapshot;
use super::sample::{MetricGroup, MetricKind, MetricUnit, MetricValue, Sample};
use super::table::Metrics;

/// The media type of [`Metrics::prometheus`].
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Metrics {
    /// What an HTTP server should give as `Content-Type` for [`prometheus`](Self::prometheus).
    pub const PROMETHEUS_CONTENT_TYPE: &'static str = CONTENT_TYPE;

    /// Returns the snapshot in the text format of Prometheus, for a scrape.
    ///
    /// A name is `kafka_producer_`, `topic_`, `node_` or `partition_` if it is not a number of the whole producer, Kafka's name with
    /// `_` for `-`, and the base unit: `kafka_producer_request_latency_seconds`. The label `client_id` tells producers apart. For an
    /// application with several producers there is [`prometheus_of`](Self::prometheus_of).
    ///
    /// ```no_run
    /// # fn example(producer: kafka_producer::KafkaProducer) {
    /// let body = producer.metrics().prometheus();
    /// assert!(body.contains("# TYPE kafka_producer_request_total counter"));
    /// # }
    /// ```
    #[must_use]
    pub fn prometheus(&self) -> String {
        Self::prometheus_of([self])
    }

    /// Returns snapshots of several producers in the text format of Prometheus. Each should have a `client.id` of its own.
    pub fn prometheus_of<'a>(snapshots: impl IntoIterator<Item = &'a Self>) -> String {
        // The format wants all samples of a name together.
        let mut families = BTreeMap::<String, Vec<Sample<'a>>>::new();
        for sample in snapshots.into_iter().flat_map(Self::iter) {
            families.entry(family_name(&sample)).or_default().push(sample);
        }
        let mut text = String::new();
        for (name, samples) in &families {
            write_family(&mut text, name, samples);
        }
        text
    }
}

/// Returns the name under which Prometheus has the sample.
pub(super) fn family_name(sample: &Sample<'_>) -> String {
    name_of(sample.group, sample.name, sample.unit, sample.kind)
}

/// Returns the name under which Prometheus has a number.
pub(super) fn name_of(group: MetricGroup, name: &str, unit: MetricUnit, kind: MetricKind) -> String {
    let group = match group {
        MetricGroup::Node => "node_",
        MetricGroup::Partition => "partition_",
        MetricGroup::Producer => "",
        MetricGroup::Topic => "topic_",
    };
    let stem = name.strip_suffix("-total").unwrap_or(name);
    let unit = match unit {
        MetricUnit::Bytes if !stem.contains("byte") => "_bytes",
        MetricUnit::Ratio => "_ratio",
        MetricUnit::Seconds => "_seconds",
        _ => "",
    };
    let total = if kind == MetricKind::Counter { "_total" } else { "" };
    format!("kafka_producer_{group}{}{unit}{total}", stem.replace('-', "_"))
}

fn write_family(text: &mut String, name: &str, samples: &[Sample<'_>]) {
    let Some(first) = samples.first() else { return };
    let kind = match first.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    };
    // To write to a string never fails.
    let _ = writeln!(text, "# HELP {name} {}", escaped(first.help, false));
    let _ = writeln!(text, "# TYPE {name} {kind}");
    for sample in samples {
        let labels = Labels(&sample.labels);
        match sample.value {
            MetricValue::Float(value) => line(text, name, &labels, None, &value.to_string()),
            MetricValue::Histogram(histogram) => write_histogram(text, name, &labels, histogram),
            MetricValue::Integer(value) => line(text, name, &labels, None, &value.to_string()),
        }
    }
}

fn write_histogram(text: &mut String, name: &str, labels: &Labels<'_>, histogram: &HistogramSnapshot) {
    let bucket = format!("{name}_bucket");
    for power in ends(histogram.unit()) {
        let end = histogram.in_base_unit(1 << power).to_string();
        line(text, &bucket, labels, Some(&end), &histogram.count_up_to(power).to_string());
    }
    let count = histogram.count().to_string();
    line(text, &bucket, labels, Some("+Inf"), &count);
    line(text, &format!("{name}_sum"), labels, None, &histogram.sum().to_string());
    line(text, &format!("{name}_count"), labels, None, &count);
}

/// Returns which powers of two end buckets. These stay the same, as Prometheus wants it.
fn ends(unit: MetricUnit) -> Range<u32> {
    match unit {
        // 64 bytes to 16 megabytes.
        MetricUnit::Bytes => 6..25,
        // 1.6 % to 102.4 %.
        MetricUnit::Ratio => 4..11,
        // 128 microseconds to 134 seconds.
        MetricUnit::Seconds => 7..28,
        // 1 to 65536.
        _ => 0..17,
    }
}

fn line(text: &mut String, name: &str, labels: &Labels<'_>, end: Option<&str>, value: &str) {
    text.push_str(name);
    let mut separator = '{';
    let own = labels.0.iter().map(|(name, value)| (name.replace('-', "_"), value.as_ref()));
    for (name, value) in own.chain(end.map(|end| ("le".to_owned(), end))) {
        let _ = write!(text, "{separator}{name}=\"{}\"", escaped(value, true));
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

struct Labels<'a>(&'a [(&'static str, Cow<'a, str>)]);

fn escaped(text: &str, is_quoted: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if is_quoted { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Counters;

    fn sample(name: &'static str, kind: MetricKind, unit: MetricUnit) -> Sample<'static> {
        let value = MetricValue::Integer(7);
        Sample {
            group: MetricGroup::Topic,
            name,
            is_kafkas: false,
            labels: Vec::new(),
            kind,
            unit,
            help: "",
            value,
        }
    }

    #[test]
    fn names_end_with_the_unit_and_counters_with_total() {
        let name = |name, kind, unit| family_name(&sample(name, kind, unit));

        assert_eq!(
            name("record-retry-total", MetricKind::Counter, MetricUnit::Records),
            "kafka_producer_topic_record_retry_total"
        );
        assert_eq!(
            name("throttle-time-total", MetricKind::Counter, MetricUnit::Seconds),
            "kafka_producer_topic_throttle_time_seconds_total"
        );
        assert_eq!(
            name("byte-total", MetricKind::Counter, MetricUnit::Bytes),
            "kafka_producer_topic_byte_total"
        );
        assert_eq!(
            name("batch-size", MetricKind::Histogram, MetricUnit::Bytes),
            "kafka_producer_topic_batch_size_bytes"
        );
    }

    #[test]
    fn label_values_are_escaped() {
        let mut text = String::new();
        let labels = [("client-id", Cow::Borrowed("a\"b\\c\nd"))];

        line(&mut text, "name", &Labels(&labels), None, "1");

        assert_eq!(text, "name{client_id=\"a\\\"b\\\\c\\nd\"} 1\n");
    }

    #[test]
    fn buckets_add_up() {
        let counters = Counters::default();
        for size in [100, 5000, 1 << 30] {
            counters.batch_size.record(size);
        }
        let mut text = String::new();

        write_histogram(&mut text, "size", &Labels(&[]), &counters.batch_size.snapshot(MetricUnit::Bytes));

        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.first(), Some(&"size_bucket{le=\"64\"} 0"));
        assert!(lines.contains(&"size_bucket{le=\"128\"} 1"));
        assert!(lines.contains(&"size_bucket{le=\"8192\"} 2"));
        assert_eq!(
            lines[lines.len() - 3..],
            ["size_bucket{le=\"+Inf\"} 3", "size_sum 1073746924", "size_count 3"]
        );
    }
}
