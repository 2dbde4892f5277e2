//! Metrics that the producer pushes, as a plugin of the broker receives them (KIP-714).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kafka_mock::{PushedKind, PushedMetric};
use kafka_producer::ClientInstanceIdError;
use kafka_producer::KafkaProducer;
use kafka_producer::ProducerRecord;

use crate::support::KafkaCluster;
use crate::support::Version;
use crate::support::wait;

const TOPIC: &str = "measured";
const RECORDS: u64 = 50;
const LIMIT: Duration = Duration::from_secs(60);

/// What the plugin has written of one push.
struct Push {
    is_last: bool,
    client_instance_id: [u8; 16],
    metrics: Vec<PushedMetric>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_with_a_receiver_gets_what_the_producer_counts() {
    let directory = std::env::temp_dir().join(format!("kafka-producer-telemetry-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.to_str().expect("a path of text").to_owned();
    let options = KafkaCluster::options(Version::V4_3_1, 1);
    let options =
        options.property("metric.reporters", "TelemetryReceiver").property("tests.telemetry", &path);
    let Some(cluster) = options.start().await else { return };
    cluster.subscribe_to_metrics("all", &[("metrics", "*"), ("interval.ms", "200")]).await;
    // A broker takes in what has happened in order: one that knows the topic knows the subscription, too.
    cluster.create_topic(TOPIC, 2, 1, &[]).await;
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .client_rack("rack-a")
        .build()
        .expect("a valid configuration");

    for number in 0..RECORDS {
        producer.send(ProducerRecord::to(TOPIC).value(number.to_string())).await.expect("delivered");
    }
    let id = producer.client_instance_id(LIMIT).await.expect("an id");
    wait::wait_for("three pushes", LIMIT, async || (pushes(&directory).len() >= 3).then_some(())).await;
    let metrics = producer.metrics();
    let report = producer.close(LIMIT).await;

    let pushes = pushes(&directory);
    std::fs::remove_dir_all(&directory).expect("the directory");
    let last = pushes.iter().filter(|push| push.is_last).count();
    println!("{} pushes of Kafka {}, {last} of them the last", pushes.len(), Version::V4_3_1.number());
    assert_eq!(report.delivered, RECORDS);
    assert!(last == 1 && pushes.last().is_some_and(|push| push.is_last));
    assert!(pushes.iter().all(|push| push.client_instance_id == *id.as_bytes()));
    // Brokers of Kafka ask for deltas.
    let sum = |name: &str| -> f64 {
        let name = format!("org.apache.kafka.producer.{name}");
        let of = |push: &Push| push.metrics.iter().filter(|metric| metric.name == name).cloned().collect();
        let found: Vec<PushedMetric> =
            pushes.iter().flat_map(|push| -> Vec<PushedMetric> { of(push) }).collect();
        assert!(found.iter().all(|metric| metric.kind == PushedKind::DeltaSum), "{name}");
        found.iter().map(|metric| metric.value).sum()
    };
    assert_eq!(sum("topic.record.send.total"), RECORDS as f64);
    assert_eq!(sum("topic.byte.total"), metrics.bytes_sent as f64);
    assert_eq!(sum("connection.creation.total"), metrics.connections_created as f64);
    let names: BTreeMap<&str, &PushedMetric> =
        pushes.iter().flat_map(|push| &push.metrics).map(|metric| (&*metric.name, metric)).collect();
    for required in [
        "connection.creation.rate",
        "connection.creation.total",
        "node.request.latency.avg",
        "node.request.latency.max",
        "produce.throttle.time.avg",
        "produce.throttle.time.max",
        "record.queue.time.avg",
        "record.queue.time.max",
    ] {
        let name = format!("org.apache.kafka.producer.{required}");
        assert!(names.contains_key(&*name), "{name} is required by KIP-714");
    }
    let latency = names["org.apache.kafka.producer.node.request.latency.max"];
    assert!(latency.attributes.contains_key("node_id") && latency.value > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_without_a_receiver_are_left_alone() {
    for version in [Version::V2_8_2, Version::V4_3_1] {
        let Some(cluster) = KafkaCluster::start(version, 1).await else { return };
        cluster.create_topic(TOPIC, 1, 1, &[]).await;
        let producer: KafkaProducer = KafkaProducer::builder()
            .bootstrap_servers(cluster.bootstrap_servers())
            .build()
            .expect("a valid configuration");

        producer.send(ProducerRecord::to(TOPIC).value("x")).await.expect("delivered");
        let id = producer.client_instance_id(LIMIT).await;

        assert!(matches!(id, Err(ClientInstanceIdError::NotOffered)), "{id:?}");
        assert_eq!(producer.metrics().connections_closed, 0);
        assert_eq!(producer.close(LIMIT).await.delivered, 1);
    }
}

/// Reads what has been pushed so far.
fn pushes(directory: &Path) -> Vec<Push> {
    let files =
        std::fs::read_dir(directory).expect("the directory").map(|entry| entry.expect("a file").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_none()).collect();
    files.sort();
    let read = files.into_iter().map(|path| {
        let bytes = std::fs::read(&path).expect("a file");
        let (head, data) = bytes.split_at(17);
        Push {
            is_last: head[0] == 1,
            client_instance_id: head[1..].try_into().expect("16 bytes"),
            metrics: PushedMetric::read_all(data).expect("metrics"),
        }
    });
    read.collect()
}
