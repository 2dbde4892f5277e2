use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use super::*;
use crate::clock;
use crate::metrics::histogram::Histogram;
use crate::metrics::{Counters, TopicCounters};
use crate::topic_partition::{NodeId, Topic};

/// A producer whose numbers a test sets.
struct Bench {
    counters: Counters,
    topic: TopicCounters,
    began: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { counters: Counters::default(), topic: TopicCounters::default(), began: clock::now() }
    }

    fn metrics(&self, after: Duration) -> Metrics {
        let counters = &self.counters;
        let snapshot = |histogram: &Histogram, unit| histogram.snapshot(unit);
        Metrics {
            client_id: "client".to_owned(),
            taken_at: self.began + after,
            topics: vec![self.topic.snapshot(Topic::from("orders"), 7)],
            brokers: counters.brokers(),
            partitions: Vec::new(),
            batches_completed: 0,
            batch_splits: 0,
            buffer_available_bytes: 60,
            buffer_total_bytes: 100,
            buffered_bytes: 40,
            buffered_records: 4,
            certificate_ends: None,
            connections: counters.connections.value(),
            connections_closed: 0,
            connections_created: counters.connections_created.value(),
            failed_authentications: 0,
            requests_in_flight: 0,
            requests_sent: 0,
            responses_received: 0,
            produce_requests_sent: 0,
            metadata_requests_sent: 0,
            records_accepted: 7,
            records_delivered: 0,
            record_errors: 0,
            record_retries: 0,
            bytes_sent: 0,
            waiting_for_memory: 0,
            memory_timeouts: 0,
            memory_wait: counters.calls.memory_wait(),
            metadata_wait: Duration::ZERO,
            metadata_age: None,
            last_delivery_age: None,
            oldest_batch_age: None,
            start_time: SystemTime::UNIX_EPOCH,
            batch_size: snapshot(&counters.batch_size, MetricUnit::Bytes),
            compression_ratio: snapshot(&counters.compression_ratio, MetricUnit::Ratio),
            queue_time: snapshot(&counters.queue_time, MetricUnit::Seconds),
            records_per_batch: snapshot(&counters.records_per_batch, MetricUnit::Records),
            request_latency: snapshot(&counters.queue_time, MetricUnit::Seconds),
            throttle_time: snapshot(&counters.throttle_time, MetricUnit::Seconds),
        }
    }
}

const START: u64 = 1_000;
const SINCE: u64 = 5_000;

fn window(before: Option<&Metrics>, temporality: Temporality) -> Window<'_> {
    let length = Duration::from_secs(10);
    Window { before, length, start: SINCE, producer_start: START, temporality }
}

fn by_name(points: &[Point]) -> BTreeMap<&str, &Point> {
    points.iter().map(|point| (point.name.strip_prefix(PREFIX).unwrap(), point)).collect()
}

fn all(metrics: &Metrics, window: &Window<'_>) -> Vec<Point> {
    points(metrics, window, Detail::All, |_| true)
}

#[test]
fn names_that_kip_714_requires_are_there() {
    let bench = Bench::new();
    bench.counters.broker(NodeId(3)).note_answer(Duration::from_millis(8));
    bench.counters.queue_time.record_time(Duration::from_millis(4));
    bench.counters.connections_created.add(5);
    let metrics = bench.metrics(Duration::from_secs(10));

    let points = all(&metrics, &window(None, Temporality::Cumulative));

    let found = by_name(&points);
    let required = [
        ("connection.creation.rate", 0.5),
        ("connection.creation.total", 5.0),
        ("node.request.latency.avg", 8.0),
        ("node.request.latency.max", 8.0),
        ("produce.throttle.time.avg", 0.0),
        ("produce.throttle.time.max", 0.0),
        ("record.queue.time.avg", 4.0),
        ("record.queue.time.max", 4.0),
    ];
    for (name, expected) in required {
        let value = match found[name].value {
            PointValue::Float(value) => value,
            PointValue::Integer(value) => value as f64,
        };
        assert!((value - expected).abs() < 1e-9, "{name}: {value}");
    }
    assert_eq!(found["node.request.latency.avg"].attributes, [("node_id".to_owned(), "node-3".to_owned())]);
    assert_eq!(found["topic.byte.total"].attributes, [("topic".to_owned(), "orders".to_owned())]);
}

#[test]
fn numbers_that_kafka_has_not_are_left_out() {
    let bench = Bench::new();
    let metrics = bench.metrics(Duration::from_secs(10));

    let points = all(&metrics, &window(None, Temporality::Cumulative));

    for name in by_name(&points).keys() {
        let ours = ["buffered", "buffer.used", "delivered", "per.batch", "start.time", "partition"];
        assert!(ours.iter().all(|part| !name.contains(part)), "{name}");
    }
}

#[test]
fn sums_count_from_the_start_or_since_the_last_push() {
    let bench = Bench::new();
    bench.counters.connections_created.add(5);
    let before = bench.metrics(Duration::from_secs(10));
    bench.counters.connections_created.add(2);
    bench.counters.calls.note_memory_wait(Duration::from_millis(30));
    let now = bench.metrics(Duration::from_secs(20));

    for (temporality, created, start) in [(Temporality::Cumulative, 7, START), (Temporality::Delta, 2, SINCE)]
    {
        let points = all(&now, &window(Some(&before), temporality));
        let found = by_name(&points);
        let total = found["connection.creation.total"];
        assert_eq!((total.value, total.start), (PointValue::Integer(created), start));
        assert_eq!(total.kind, PointKind::Sum(temporality));
        assert_eq!(found["connection.creation.rate"].value, PointValue::Float(0.2));
        assert_eq!(found["bufferpool.wait.time.ns.total"].value, PointValue::Float(30e6));
    }
}

#[test]
fn topic_that_was_forgotten_meanwhile_counts_anew() {
    let mut bench = Bench::new();
    bench.topic.bytes_sent.add(900);
    let before = bench.metrics(Duration::from_secs(10));
    bench.topic = TopicCounters::default();
    bench.topic.bytes_sent.add(50);
    let now = bench.metrics(Duration::from_secs(20));

    let points = all(&now, &window(Some(&before), Temporality::Delta));

    assert_eq!(by_name(&points)["topic.byte.total"].value, PointValue::Integer(50));
}

#[test]
fn averages_are_over_the_time_since_the_last_push() {
    let bench = Bench::new();
    bench.counters.queue_time.record_time(Duration::from_secs(3));
    let before = bench.metrics(Duration::from_secs(10));
    bench.counters.queue_time.record_time(Duration::from_millis(4));
    let now = bench.metrics(Duration::from_secs(20));
    let value = |metrics: &Metrics, before: &Metrics| {
        let points = all(metrics, &window(Some(before), Temporality::Cumulative));
        by_name(&points).get("record.queue.time.avg").map(|point| point.value)
    };

    assert_eq!(value(&now, &before), Some(PointValue::Float(4.0)));
    assert_eq!(value(&now, &now), None, "nothing was measured");
}

#[test]
fn less_detail_leaves_out_topics_and_then_brokers() {
    let bench = Bench::new();
    bench.counters.broker(NodeId(3)).note_answer(Duration::from_millis(8));
    let metrics = bench.metrics(Duration::from_secs(10));
    let count = |detail, part: &str| {
        let points = points(&metrics, &window(None, Temporality::Delta), detail, |_| true);
        points.iter().filter(|point| point.name.contains(part)).count()
    };

    assert!(count(Detail::All, ".topic.") > 0);
    assert!(count(Detail::Brokers, ".topic.") == 0 && count(Detail::Brokers, ".node.") > 0);
    assert!(count(Detail::Producer, ".node.") == 0 && count(Detail::Producer, ".request.") > 0);
}

#[test]
fn names_choose() {
    let bench = Bench::new();
    let metrics = bench.metrics(Duration::from_secs(10));
    let is_wanted = |name: &str| name.starts_with("org.apache.kafka.producer.connection.creation");

    let points = points(&metrics, &window(None, Temporality::Delta), Detail::All, is_wanted);

    let names: Vec<_> = by_name(&points).into_keys().collect();
    assert_eq!(names, ["connection.creation.rate", "connection.creation.total"]);
}
