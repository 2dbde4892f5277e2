//! Under load, leaders are killed as by a power cut, or freeze, and come back.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use kafka_producer::Acks;
use kafka_producer::Delivery;
use kafka_producer::KafkaProducer;
use kafka_producer::Persisted;
use kafka_producer::ProducerRecord;

use crate::support::ConsumedRecord;
use crate::support::Isolation;
use crate::support::KafkaCluster;
use crate::support::Version;
use crate::support::wait;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 6;
const KEYS: u64 = 50;
/// Records that must come through between two faults, and after the last.
const STRETCH: u64 = 10_000;
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_records_survive_the_death_of_leaders_in_their_order() {
    let Some(cluster) = start().await else { return };
    let producer = producer(&cluster, "120000", "30000");

    let is_over = AtomicBool::new(false);
    let (load, ()) = tokio::join!(send_until(&producer, &is_over), async {
        delivered(&producer, STRETCH).await;
        for partition in [0, 1] {
            kill_and_restart_leader(&cluster, &producer, partition).await;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let fates = load.settle().await;
    let found = close_and_read(&cluster, &producer, &fates).await;

    assert_fates(&fates, &found);
    assert_order(&found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_failed_tell_truly_whether_they_are_written() {
    let Some(cluster) = start().await else { return };
    // Much shorter than the brokers take to notice that one of them is gone.
    let producer = producer(&cluster, "2000", "1000");

    let is_over = AtomicBool::new(false);
    let (load, ()) = tokio::join!(send_until(&producer, &is_over), async {
        delivered(&producer, STRETCH).await;
        freeze_and_wake_leader(&cluster, &producer, 0).await;
        kill_and_restart_leader(&cluster, &producer, 1).await;
        is_over.store(true, Ordering::Relaxed);
    });
    let fates = load.settle().await;
    let found = close_and_read(&cluster, &producer, &fates).await;

    assert!(fates.values().any(|fate| matches!(fate, Fate::Failed(_))), "nothing failed");
    assert_fates(&fates, &found);
    let acknowledged = |record: &ConsumedRecord| matches!(fates[&number(record)], Fate::Acknowledged { .. });
    assert_order(&found.into_iter().filter(acknowledged).collect::<Vec<_>>());
}

async fn start() -> Option<KafkaCluster> {
    let cluster = KafkaCluster::start(Version::V4_3_1, 3).await?;
    cluster.create_topic(TOPIC, PARTITIONS, 3, &[("min.insync.replicas", "2")]).await;
    Some(cluster)
}

fn producer(cluster: &KafkaCluster, delivery_timeout_ms: &str, request_timeout_ms: &str) -> KafkaProducer {
    KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .acks(Acks::All)
        .property("compression.type", "lz4")
        .property("delivery.timeout.ms", delivery_timeout_ms)
        .property("request.timeout.ms", request_timeout_ms)
        .build()
        .expect("a valid configuration")
}

/// Ends the producer, reads the whole topic, and prints the figures.
async fn close_and_read(
    cluster: &KafkaCluster,
    producer: &KafkaProducer,
    fates: &BTreeMap<u64, Fate>,
) -> Vec<ConsumedRecord> {
    let retries = producer.metrics().record_retries;
    let report = producer.close(LIMIT).await;
    let found = cluster.consume_all(TOPIC, Isolation::ReadUncommitted).await;
    let distinct = first_offsets(&found);
    let failed = |persisted| {
        let failed =
            fates.iter().filter(|(_, fate)| matches!(fate, Fate::Failed(said) if *said == persisted));
        let (written, not): (Vec<_>, Vec<_>) = failed.partition(|(n, _)| distinct.contains_key(n));
        format!("{} ({} of them found)", written.len() + not.len(), written.len())
    };
    println!(
        "sent {}, acknowledged {}, failed as not written {}, failed as maybe written {}, found {}, doubled {}, \
         retried {retries}, {report:?}",
        fates.len(),
        fates.values().filter(|fate| matches!(fate, Fate::Acknowledged { .. })).count(),
        failed(Persisted::No),
        failed(Persisted::Maybe),
        distinct.len(),
        found.len() - distinct.len(),
    );
    assert_eq!(found.len(), distinct.len(), "records are doubled");
    found
}

/// What the producer said of a record in the end.
#[derive(Debug)]
enum Fate {
    Acknowledged { partition: i32, offset: i64 },
    Failed(Persisted),
}

/// What was sent: record `n` has key `n % KEYS` and value `n`.
struct Load {
    accepted: Vec<(u64, Delivery)>,
    refused: BTreeMap<u64, Fate>,
}

impl Load {
    async fn settle(self) -> BTreeMap<u64, Fate> {
        let mut fates = self.refused;
        for (n, delivery) in self.accepted {
            let settled = tokio::time::timeout(2 * LIMIT, delivery).await.expect("settled in time");
            let fate = match settled {
                Ok(metadata) => {
                    let offset = metadata.offset().expect("the offset of a new record");
                    Fate::Acknowledged { partition: metadata.partition(), offset }
                }
                Err(error) => Fate::Failed(error.persisted()),
            };
            fates.insert(n, fate);
        }
        fates
    }
}

async fn send_until(producer: &KafkaProducer, is_over: &AtomicBool) -> Load {
    let mut load = Load { accepted: Vec::new(), refused: BTreeMap::new() };
    for n in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let record = ProducerRecord::to(TOPIC).key(format!("key {}", n % KEYS)).value(n.to_string());
        match producer.enqueue(record).await {
            Ok(delivery) => load.accepted.push((n, delivery)),
            Err(error) => drop(load.refused.insert(n, Fate::Failed(error.persisted()))),
        }
        if n % 10 == 0 {
            // A steady load of a few thousand records per second, which two cores bear beside three brokers.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    load
}

async fn kill_and_restart_leader(cluster: &KafkaCluster, producer: &KafkaProducer, partition: i32) {
    let leader = cluster.leader(TOPIC, partition).await.expect("a leader");
    cluster.broker(leader).kill_9();
    let next = cluster.wait_for_other_leader(TOPIC, partition, leader).await;
    delivered(producer, STRETCH).await;
    cluster.broker(leader).restart().await;
    cluster.wait_for_isr(TOPIC, PARTITIONS, 3).await;
    println!("partition {partition}: leader {leader} killed, {next} took over, {leader} is back in sync");
    delivered(producer, STRETCH).await;
}

/// The frozen leader still takes connections and requests, and works on them when it wakes, no longer the leader.
async fn freeze_and_wake_leader(cluster: &KafkaCluster, producer: &KafkaProducer, partition: i32) {
    let leader = cluster.leader(TOPIC, partition).await.expect("a leader");
    cluster.broker(leader).stop();
    let next = cluster.wait_for_other_leader(TOPIC, partition, leader).await;
    delivered(producer, STRETCH).await;
    cluster.broker(leader).cont();
    cluster.wait_for_isr(TOPIC, PARTITIONS, 3).await;
    println!("partition {partition}: leader {leader} frozen, {next} took over, {leader} is back in sync");
    delivered(producer, STRETCH).await;
}

/// Waits until `count` more records are acknowledged.
async fn delivered(producer: &KafkaProducer, count: u64) {
    let goal = producer.metrics().records_delivered + count;
    wait::wait_for(&format!("{count} more records delivered"), LIMIT, async || {
        (producer.metrics().records_delivered >= goal).then_some(())
    })
    .await;
}

/// What was acknowledged stands where the producer said; what is said not to be written is not.
fn assert_fates(fates: &BTreeMap<u64, Fate>, found: &[ConsumedRecord]) {
    let first = first_offsets(found);
    let values: BTreeMap<(i32, i64), u64> =
        found.iter().map(|record| ((record.partition, record.offset), number(record))).collect();
    for (n, fate) in fates {
        match fate {
            Fate::Acknowledged { partition, offset } => {
                assert_eq!(
                    values.get(&(*partition, *offset)),
                    Some(n),
                    "record {n} is not at {partition}@{offset}"
                );
            }
            Fate::Failed(Persisted::No) => assert!(!first.contains_key(n), "record {n} is written after all"),
            Fate::Failed(Persisted::Maybe) => {}
            Fate::Failed(Persisted::Yes) => assert!(first.contains_key(n), "record {n} is not written"),
        }
    }
    let unknown: BTreeSet<&u64> = first.keys().filter(|n| !fates.contains_key(n)).collect();
    assert!(unknown.is_empty(), "never sent: {unknown:?}");
}

/// The records of each key first appear in the order in which they were sent, all in the same partition.
fn assert_order(found: &[ConsumedRecord]) {
    let mut seen = BTreeSet::new();
    let mut last: BTreeMap<&Bytes, (i32, u64)> = BTreeMap::new();
    for record in found {
        let n = number(record);
        if !seen.insert(n) {
            continue;
        }
        let key = record.key.as_ref().expect("a key");
        if let Some((partition, before)) = last.insert(key, (record.partition, n)) {
            assert_eq!(record.partition, partition, "{key:?} in two partitions");
            assert!(n > before, "{key:?}: {n} first appears behind {before}");
        }
    }
}

/// Each number that was found, and where in its partition it first was.
fn first_offsets(found: &[ConsumedRecord]) -> BTreeMap<u64, i64> {
    let mut first = BTreeMap::new();
    for record in found {
        first.entry(number(record)).or_insert(record.offset);
    }
    first
}

fn number(record: &ConsumedRecord) -> u64 {
    let text = record.value.as_deref().and_then(|value| str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).expect("a number")
}
