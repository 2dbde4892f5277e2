//! Snapshots in the recorder of the crate `metrics`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kafka_producer::{Compression, MetricsBridge};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, with_local_recorder,
};

use crate::support::{TOPIC, TestResult, builder, cluster_with, record_for, seconds, soon};

/// Keeps what is recorded, by name and labels.
#[derive(Default, Clone)]
struct Book(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    counters: BTreeMap<String, u64>,
    gauges: BTreeMap<String, f64>,
    histograms: BTreeMap<String, Vec<f64>>,
    units: BTreeMap<String, Option<Unit>>,
}

/// One number in the book.
struct Line(Book, String);

impl Book {
    fn counter(&self, name: &str) -> u64 {
        self.0.lock().unwrap().counters[name]
    }

    fn gauge(&self, name: &str) -> f64 {
        self.0.lock().unwrap().gauges[name]
    }

    fn histogram(&self, name: &str) -> Vec<f64> {
        self.0.lock().unwrap().histograms.get(name).cloned().unwrap_or_default()
    }

    fn line(&self, key: &Key) -> Arc<Line> {
        let labels = key.labels().filter(|label| label.key() != "client_id");
        let labels = labels.map(|label| format!(" {}={}", label.key(), label.value())).collect::<String>();
        Arc::new(Line(self.clone(), format!("{}{labels}", key.name())))
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>) {
        let former = self.0.lock().unwrap().units.insert(name.as_str().to_owned(), unit);
        assert!(former.is_none(), "{} is described twice", name.as_str());
    }
}

impl CounterFn for Line {
    fn increment(&self, _: u64) {
        panic!("counters are absolute");
    }

    fn absolute(&self, value: u64) {
        self.0.0.lock().unwrap().counters.insert(self.1.clone(), value);
    }
}

impl GaugeFn for Line {
    fn increment(&self, _: f64) {
        panic!("gauges are set");
    }

    fn decrement(&self, _: f64) {
        panic!("gauges are set");
    }

    fn set(&self, value: f64) {
        self.0.0.lock().unwrap().gauges.insert(self.1.clone(), value);
    }
}

impl HistogramFn for Line {
    fn record(&self, value: f64) {
        self.0.0.lock().unwrap().histograms.entry(self.1.clone()).or_default().push(value);
    }
}

impl Recorder for Book {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.line(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.line(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.line(key))
    }
}

#[tokio::test]
async fn recorder_gets_counters_gauges_and_the_values_of_histograms() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).compression(Compression::Lz4).build()?;
    let (book, mut bridge) = (Book::default(), MetricsBridge::new());
    let mut record = || {
        let metrics = producer.metrics();
        with_local_recorder(&book, || bridge.record(metrics.clone()));
        metrics
    };

    for number in 0..3 {
        soon("send", producer.send(record_for(0, number))).await?;
    }
    let first = record();
    assert_eq!(book.counter("kafka_producer_record_delivered_total"), 3);
    assert_eq!(book.counter("kafka_producer_topic_record_send_total topic=orders"), 3);
    assert_eq!(
        book.counter("kafka_producer_node_response_total node_id=node-0"),
        first.brokers[1].responses_received
    );
    assert_eq!(book.gauge("kafka_producer_connection_count"), 1.0);
    assert_eq!(book.gauge("kafka_producer_buffer_total_bytes"), first.buffer_total_bytes as f64);
    assert_eq!(book.histogram("kafka_producer_records_per_batch"), [1.0, 1.0, 1.0]);

    for number in 0..2 {
        soon("send", producer.send(record_for(0, number))).await?;
    }
    let second = record();
    assert_eq!(book.counter("kafka_producer_record_delivered_total"), 5);
    assert_eq!(book.histogram("kafka_producer_records_per_batch").len(), 5, "each value comes once");
    let latencies = book.histogram("kafka_producer_request_latency_seconds");
    assert_eq!(latencies.len() as u64, second.request_latency.count());
    let sum: f64 = latencies.iter().sum();
    assert!((sum - second.request_latency.sum()).abs() <= second.request_latency.sum() / 8.0 + 1e-6);
    let units = &book.0.lock().unwrap().units;
    assert_eq!(units["kafka_producer_request_latency_seconds"], Some(Unit::Seconds));
    assert_eq!(units["kafka_producer_bufferpool_wait_time_nanoseconds_total"], Some(Unit::Nanoseconds));
    Ok(())
}

#[tokio::test]
async fn counters_of_a_topic_that_was_forgotten_go_on() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).metadata_max_idle(seconds(5)).build()?;
    let (book, mut bridge) = (Book::default(), MetricsBridge::new());
    soon("send", producer.send(record_for(0, "x"))).await?;
    let before = producer.metrics();
    let mut anew = before.clone();
    with_local_recorder(&book, || bridge.record(before));
    for topic in &mut anew.topics {
        assert_eq!(topic.topic.as_str(), TOPIC);
        topic.records_sent = 0;
    }
    with_local_recorder(&book, || bridge.record(anew.clone()));
    for topic in &mut anew.topics {
        topic.records_sent = 4;
    }

    with_local_recorder(&book, || bridge.record(anew));

    assert_eq!(book.counter("kafka_producer_topic_record_send_total topic=orders"), 5);
    Ok(())
}

#[test]
fn nothing_happens_without_a_recorder() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cluster = cluster_with(1, 1).await;
        let producer = builder(&cluster).build().unwrap();
        MetricsBridge::new().record(producer.metrics());
    });
}
