//! The producer's metrics, as a table and as JSON.

use std::fmt::Write as _;

use kafka_producer::{HistogramSnapshot, MetricGroup, MetricUnit, MetricValue, Metrics, Sample};

use crate::json::{number, quoted};

/// Prints all numbers but those of single partitions.
pub(crate) fn print(metrics: &Metrics) {
    let mut group = None;
    for sample in metrics.iter().filter(|sample| sample.group != MetricGroup::Partition) {
        let labels = labels_of(&sample);
        let heading = (sample.group, labels.clone());
        if group.replace(heading.clone()).as_ref() != Some(&heading) {
            println!("\n{} {labels}", sample.group);
        }
        match sample.value {
            MetricValue::Float(value) => println!("{:<26} {value:>14.3}", sample.name),
            MetricValue::Histogram(histogram) => println!("{:<26} {}", sample.name, summary(histogram)),
            MetricValue::Integer(value) => println!("{:<26} {value:>14}", sample.name),
            _ => {}
        }
    }
}

/// Returns all numbers as a JSON array.
pub(crate) fn json(metrics: &Metrics) -> String {
    let samples: Vec<_> = metrics.iter().map(|sample| sample_as_json(&sample)).collect();
    format!("[{}]", samples.join(","))
}

fn labels_of(sample: &Sample<'_>) -> String {
    let own = sample.labels.iter().filter(|(name, _)| *name != "client-id");
    own.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn summary(histogram: &HistogramSnapshot) -> String {
    let (factor, unit) = match histogram.unit() {
        MetricUnit::Seconds => (1e3, " ms"),
        _ => (1.0, ""),
    };
    let shown = |value: Option<f64>| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{:.3}{unit}", value * factor))
    };
    format!(
        "{:>14} counted, {} avg, {} 50th, {} 99th, {} max",
        histogram.count(),
        shown(histogram.mean()),
        shown(histogram.percentile(50.0)),
        shown(histogram.percentile(99.0)),
        shown(histogram.max()),
    )
}

fn sample_as_json(sample: &Sample<'_>) -> String {
    let mut text =
        format!("{{\"group\":{},\"name\":{}", quoted(&sample.group.to_string()), quoted(sample.name));
    for (name, value) in &sample.labels {
        // To write to a string never fails.
        let _ = write!(text, ",{}:{}", quoted(name), quoted(value));
    }
    let value = match sample.value {
        MetricValue::Float(value) => number(Some(value)),
        MetricValue::Histogram(histogram) => histogram_as_json(histogram),
        MetricValue::Integer(value) => value.to_string(),
        _ => "null".to_owned(),
    };
    let _ = write!(text, ",\"value\":{value}}}");
    text
}

fn histogram_as_json(histogram: &HistogramSnapshot) -> String {
    let percentile = |percent| number(histogram.percentile(percent));
    format!(
        "{{\"count\":{},\"sum\":{},\"max\":{},\"p50\":{},\"p95\":{},\"p99\":{},\"p99.9\":{}}}",
        histogram.count(),
        number(Some(histogram.sum())),
        number(histogram.max()),
        percentile(50.0),
        percentile(95.0),
        percentile(99.0),
        percentile(99.9),
    )
}
