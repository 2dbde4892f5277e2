//! Each way into a broker, with each mechanism and each codec: what Kafka's consumer reads is what was sent.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_producer::KafkaProducer;
use kafka_producer::ProducerRecord;

use super::CLOSE_LIMIT;
use super::client;
use super::client::Mechanism;
use crate::producer::codecs;
use crate::support::Isolation;
use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::Version;
use crate::support::wait;

const TOPIC: &str = "matrix";

/// One producer of the matrix, which has a partition for itself.
#[derive(Debug)]
struct Cell {
    listener: Listener,
    mechanism: Option<Mechanism>,
    codec: &'static str,
}

pub(super) async fn every_way_takes_what_is_read_back(cluster: &KafkaCluster) {
    let cells = cells(cluster.version());
    let records = if super::is_whole() { 20_000 } else { 200 };
    cluster.create_topic(TOPIC, i32::try_from(cells.len()).expect("few cells"), 1, &[]).await;

    for (partition, cell) in (0..).zip(&cells) {
        send(cluster, cell, partition, records).await;
    }
    let mut found: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for record in cluster.consume_all(TOPIC, Isolation::ReadUncommitted).await {
        let value = record.value.expect("a value").to_vec();
        found.entry(record.partition).or_default().push(String::from_utf8(value).expect("text"));
    }

    for (partition, cell) in (0..).zip(&cells) {
        let sent: Vec<String> = (0..records).map(|number| text(partition, number)).collect();
        assert!(found.get(&partition) == Some(&sent), "{cell:?}: other records came back");
    }
}

fn cells(version: Version) -> Vec<Cell> {
    let mut cells = Vec::new();
    for listener in Listener::all(version).into_iter().filter(|listener| listener.has_everything_right()) {
        for mechanism in client::mechanisms_of(listener, version) {
            cells.extend(codecs(version).map(|codec| Cell { listener, mechanism, codec }));
        }
    }
    cells
}

/// Sends to a partition that only this producer writes to, by one connection.
async fn send(cluster: &KafkaCluster, cell: &Cell, partition: i32, records: u64) {
    let properties = client::properties(cluster, cell.listener, cell.mechanism);
    let begin = wait::now();
    let producer = client::producer(&format!("{properties}compression.type={}\n", cell.codec));
    let first = send_one(&producer, partition, 0).await;
    let elapsed = begin.elapsed();
    let mut deliveries = vec![first];
    for number in 1..records {
        deliveries.push(send_one(&producer, partition, number).await);
    }
    for (delivery, offset) in deliveries.into_iter().zip(0..) {
        let metadata = delivery.await.unwrap_or_else(|error| panic!("{cell:?}: {error}"));
        assert_eq!(metadata.offset(), Some(offset), "{cell:?}");
    }
    let metrics = producer.metrics();
    let report = producer.close(CLOSE_LIMIT).await;
    let name = cell.mechanism.map_or("no mechanism", Mechanism::name);
    println!("{:?} with {name} and {}: accepted after {elapsed:?}", cell.listener, cell.codec);
    assert_eq!((report.delivered, report.failed), (records, 0), "{cell:?}");
    assert_eq!((metrics.connections_created, metrics.record_retries), (1, 0), "{cell:?}");
}

async fn send_one(producer: &KafkaProducer, partition: i32, number: u64) -> kafka_producer::Delivery {
    let record = ProducerRecord::to(TOPIC).partition(partition).value(text(partition, number));
    let accepted = tokio::time::timeout(Duration::from_secs(30), producer.enqueue(record)).await;
    accepted.expect("accepted soon").unwrap_or_else(|error| panic!("partition {partition}: {error}"))
}

/// Long enough that the codecs have something to do.
fn text(partition: i32, number: u64) -> String {
    format!("{partition} {number} {}", "compresses well ".repeat(6))
}
