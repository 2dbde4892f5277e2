//! Sends a few thousand records from several tasks at once, and shows where they went and what it cost.
//!
//! `cargo run --release --example quickstart` needs nothing but Rust: it starts a Kafka cluster of three brokers in this
//! process. With `-- --bootstrap-server HOST:PORT --topic NAME` it sends to a real one.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use kafka_mock::{MockCluster, MockRecord};
use kafka_producer::{KafkaProducer, ProducerRecord, RecordMetadata};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Failure, Target};

const TASKS: usize = 8;
const RECORDS_PER_TASK: usize = 1_000;
const KEYS_PER_TASK: usize = 25;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let target = Target::from_args("topic-demo", 4).await?;
    let producer = KafkaProducer::builder().bootstrap_servers(&*target.servers).build()?;

    println!("Sending {} keyed records from {TASKS} tasks", TASKS * RECORDS_PER_TASK);
    let started = now();
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        tasks.push(tokio::spawn(send_orders(producer.clone(), target.topic.clone(), task)));
    }
    let mut sent = Vec::new();
    for task in tasks {
        sent.extend(task.await??);
    }
    let elapsed = started.elapsed();

    println!();
    match &target.mock {
        Some(mock) => show_logs(mock, &target.topic, &sent)?,
        None => show_acknowledgements(&sent),
    }
    println!();
    show_cost(&producer, sent.len(), elapsed);

    let report = producer.close(Duration::from_secs(10)).await;
    println!("Closed: {} delivered, {} failed", report.delivered, report.failed);
    target.shutdown().await;
    Ok(())
}

/// A record that was sent, and where the cluster says it stands.
struct Sent {
    key: String,
    value: String,
    metadata: RecordMetadata,
}

/// Hands all records over first and awaits their deliveries afterwards: nothing waits for a round trip in between.
async fn send_orders(producer: KafkaProducer, topic: String, task: usize) -> Result<Vec<Sent>, Failure> {
    let mut pending = Vec::with_capacity(RECORDS_PER_TASK);
    for order in 0..RECORDS_PER_TASK {
        let key = format!("customer-{}", task * KEYS_PER_TASK + order % KEYS_PER_TASK);
        let value = format!("{{\"order\": {order}, \"apples\": {}}}", order % 7);
        let record = ProducerRecord::to(topic.clone()).key(key.clone()).value(value.clone());
        pending.push((key, value, producer.enqueue(record).await?));
    }
    let mut sent = Vec::with_capacity(pending.len());
    for (key, value, delivery) in pending {
        sent.push(Sent { key, value, metadata: delivery.await? });
    }
    Ok(sent)
}

/// Reads the partitions back and compares them with what was sent.
fn show_logs(mock: &MockCluster, topic: &str, sent: &[Sent]) -> Result<(), Failure> {
    println!("Read back from the cluster:");
    println!("{HEADING}");
    let mut log = HashMap::new();
    for partition in 0.. {
        if mock.end_offset(topic, partition).is_err() {
            break;
        }
        let records = mock.records(topic, partition);
        let offsets = records.first().zip(records.last()).map(|(first, last)| (first.offset, last.offset));
        show_row(partition, records.len(), offsets, &sample_key(&records));
        log.extend(records.into_iter().map(|record| ((partition, record.offset), record)));
    }

    if log.len() != sent.len() {
        return Err(format!("{} records were sent and {} are in the logs", sent.len(), log.len()).into());
    }
    for Sent { key, value, metadata } in sent {
        let found = metadata.offset().and_then(|offset| log.get(&(metadata.partition(), offset)));
        let is_same = |record: &&MockRecord| {
            record.key.as_deref() == Some(key.as_bytes()) && record.value.as_deref() == Some(value.as_bytes())
        };
        if found.filter(is_same).is_none() {
            return Err(format!("{metadata} does not hold the record that was acknowledged there").into());
        }
    }
    check_order(sent)?;
    println!("All {} records are there once, where they were acknowledged, in order by key.", sent.len());
    Ok(())
}

/// What the acknowledgements say. This crate has no consumer to read a real cluster back with.
fn show_acknowledgements(sent: &[Sent]) {
    println!("From the acknowledgements (this crate cannot read them back: see `kafka-console-consumer`):");
    println!("{HEADING}");
    let mut partitions: BTreeMap<i32, Vec<&Sent>> = BTreeMap::new();
    for record in sent {
        partitions.entry(record.metadata.partition()).or_default().push(record);
    }
    for (partition, records) in partitions {
        let offsets = || records.iter().filter_map(|record| record.metadata.offset());
        let sample = records.first().map_or("-", |record| &record.key);
        show_row(partition, records.len(), offsets().min().zip(offsets().max()), sample);
    }
    if let Err(error) = check_order(sent) {
        println!("{error}");
    }
}

/// Records of one key were sent by one task, so their offsets must ascend.
fn check_order(sent: &[Sent]) -> Result<(), Failure> {
    let mut newest = HashMap::new();
    for Sent { key, metadata, .. } in sent {
        let place = (metadata.partition(), metadata.offset());
        if let Some(before) = newest.insert(key, place)
            && (before.0 != place.0 || before.1 >= place.1)
        {
            return Err(format!("records of {key} are out of order at {metadata}").into());
        }
    }
    Ok(())
}

fn show_cost(producer: &KafkaProducer, records: usize, elapsed: Duration) {
    let metrics = producer.metrics();
    println!("Time      {:>10.3} s", elapsed.as_secs_f64());
    println!("Rate      {:>10.0} records/s", records as f64 / elapsed.as_secs_f64());
    println!("Requests  {:>10}", metrics.produce_requests_sent);
    println!("Batches   {:>10}", metrics.batches_completed);
    println!("Bytes     {:>10}", metrics.bytes_sent);
}

const HEADING: &str = "partition    records  first offset  last offset  a key";

fn show_row(partition: i32, records: usize, offsets: Option<(i64, i64)>, key: &str) {
    let (first, last) = match offsets {
        Some((first, last)) => (first.to_string(), last.to_string()),
        None => ("-".to_owned(), "-".to_owned()),
    };
    println!("{partition:>9} {records:>10} {first:>13} {last:>12}  {key}");
}

fn sample_key(records: &[MockRecord]) -> String {
    let key = records.first().and_then(|record| record.key.as_deref());
    key.map_or_else(|| "-".to_owned(), |key| String::from_utf8_lossy(key).into_owned())
}

#[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
fn now() -> Instant {
    Instant::now()
}
