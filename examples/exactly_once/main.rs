//! Reads records of one topic, and writes for each of them one record to another, exactly once: the offsets of what was read are committed
//! in the transaction of what was written. However often this is killed, a reader with `isolation.level=read_committed` finds each result
//! once.
//!
//! `cargo run --release -p kafka-producer-examples --example exactly_once -- --bootstrap-server HOST:PORT --from TOPIC --to TOPIC
//! --group GROUP --transactional-id ID --stop-at-end`. Without `--bootstrap-server` it runs on a cluster in this process, and is
//! "killed" there again and again. `stage.rs` is the lesson.

mod source;
mod stage;

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_mock::MockCluster;
use kafka_producer::{KafkaProducer, ProducerRecord};

use self::source::Source;
use self::stage::{Failure, Stage};

const PARTITIONS: i32 = 3;
const RECORDS: usize = 1000;
/// How often the stage is stopped in the middle of something.
const STOPS: u64 = 20;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut stage = Stage {
        servers: String::new(),
        from: "orders".to_owned(),
        to: "invoices".to_owned(),
        group: "invoicing".to_owned(),
        transactional_id: "invoicing-1".to_owned(),
        stops_at_end: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--stop-at-end" {
            stage.stops_at_end = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--bootstrap-server" => stage.servers = value,
            "--from" => stage.from = value,
            "--to" => stage.to = value,
            "--group" => stage.group = value,
            "--transactional-id" => stage.transactional_id = value,
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    if stage.servers.is_empty() {
        return on_a_mock(stage).await;
    }
    let records = stage.run(async |source: &mut Source| source.committed(&stage.group).await).await?;
    println!("{records} records went from {} to {}", stage.from, stage.to);
    Ok(())
}

/// Stops the stage again and again wherever it is, which to the cluster is the same as killing it.
async fn on_a_mock(mut stage: Stage) -> Result<(), Failure> {
    let cluster = MockCluster::start(3).await?;
    cluster.create_topic(&stage.from, PARTITIONS, 3)?;
    cluster.create_topic(&stage.to, PARTITIONS, 3)?;
    stage.servers = cluster.bootstrap_servers();
    stage.stops_at_end = true;
    let producer = KafkaProducer::builder().bootstrap_servers(&*stage.servers).build()?;
    for number in 0..RECORDS {
        let partition = i32::try_from(number)? % PARTITIONS;
        let order =
            ProducerRecord::to(stage.from.clone()).partition(partition).value(format!("order {number}"));
        drop(producer.enqueue(order).await?);
    }
    producer.flush().await;

    let committed = async |_: &mut Source| Ok(committed_offsets(&cluster, &stage));
    for stop in 0..STOPS {
        let limit = Duration::from_millis(3 + 7 * stop);
        if let Ok(records) = tokio::time::timeout(limit, stage.run(&committed)).await {
            println!("Ended after {} records, before it was stopped", records?);
        }
        println!("Stopped after {limit:?}: {} records are committed", results(&cluster, &stage).len());
    }
    stage.run(&committed).await?;

    let mut results = results(&cluster, &stage);
    println!("{RECORDS} records went in, {} results are committed", results.len());
    results.sort();
    let mut expected: Vec<_> =
        (0..RECORDS).map(|number| stage::transform(&format!("order {number}"))).collect();
    expected.sort();
    if results != expected {
        return Err("a result is missing, or is there twice".into());
    }
    println!("Each result is there exactly once");
    cluster.shutdown().await;
    Ok(())
}

/// What a reader with `isolation.level=read_committed` finds.
fn results(cluster: &MockCluster, stage: &Stage) -> Vec<String> {
    let records = (0..PARTITIONS).flat_map(|partition| cluster.committed_records(&stage.to, partition));
    records.map(|record| String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned()).collect()
}

/// The mock does not serve OffsetFetch, so it is asked here.
fn committed_offsets(cluster: &MockCluster, stage: &Stage) -> BTreeMap<i32, i64> {
    let offsets = cluster.committed_offsets(&stage.group).into_iter();
    offsets.map(|((_, partition), found)| (partition, found.offset)).collect()
}
