//! The harness, tried with nothing but Kafka's own clients.

use std::collections::BTreeMap;

use crate::support::ConsumedRecord;
use crate::support::Isolation;
use crate::support::KafkaCluster;
use crate::support::TimestampType;
use crate::support::Version;

const TOPIC: &str = "lines";
const RECORDS: usize = 1_000;
const KEYS: usize = 37;

#[tokio::test]
async fn both_consumers_find_what_the_console_producer_sent_on_kafka_1_0() {
    both_consumers_find_what_the_console_producer_sent(Version::V1_0_2, 1).await;
}

#[tokio::test]
async fn both_consumers_find_what_the_console_producer_sent_on_kafka_2_8() {
    both_consumers_find_what_the_console_producer_sent(Version::V2_8_2, 1).await;
}

#[tokio::test]
async fn both_consumers_find_what_the_console_producer_sent_on_kafka_4_3() {
    both_consumers_find_what_the_console_producer_sent(Version::V4_3_1, 3).await;
}

async fn both_consumers_find_what_the_console_producer_sent(version: Version, brokers: usize) {
    let Some(cluster) = KafkaCluster::start(version, brokers).await else { return };
    let replication = i16::try_from(brokers).expect("few brokers");
    cluster.create_topic(TOPIC, 3, replication, &[]).await;
    let lines: Vec<String> = (0..RECORDS).map(|i| format!("{}\tvalue {i} ä", key(i))).collect();

    cluster.console_producer(TOPIC, &lines, &[("parse.key", "true"), ("key.separator", "\t")]).await;
    let dumped = cluster.consume_all(TOPIC, Isolation::ReadUncommitted).await;
    let printed = cluster.console_consumer(TOPIC, Isolation::ReadCommitted).await;

    let sent: BTreeMap<String, Vec<String>> = by_key((0..RECORDS).map(|i| (key(i), format!("value {i} ä"))));
    assert_eq!(by_key(dumped.iter().map(key_and_value)), sent);
    assert!(dumped.iter().all(|record| record.timestamp_type == TimestampType::Create));
    assert!(dumped.iter().all(|record| record.headers.is_empty()));
    assert_eq!(cluster.end_offsets(TOPIC).await, ends(&dumped));
    assert_eq!(by_position(printed), by_position(dumped));
    let codecs = cluster.batch_codecs(TOPIC, 0).await;
    assert!(!codecs.is_empty() && codecs.iter().all(|codec| codec == "none"), "{codecs:?}");
}

#[tokio::test]
async fn java_performance_tool_and_dump_agree_on_records_stamped_by_the_broker() {
    let options = KafkaCluster::options(Version::V4_3_1, 1);
    let options = options.property("log.message.timestamp.type", "LogAppendTime");
    let Some(cluster) = options.start().await else { return };
    cluster.create_topic("load", 2, 1, &[]).await;

    let figures = cluster
        .producer_performance("load", 100_000, 100, &[("compression.type", "lz4"), ("acks", "all")])
        .await;
    let dumped = cluster.consume_all("load", Isolation::ReadUncommitted).await;

    assert!(figures.starts_with("100000 records sent"), "{figures}");
    let codecs = cluster.batch_codecs("load", 1).await;
    assert!(!codecs.is_empty() && codecs.iter().all(|codec| codec == "lz4"), "{codecs:?}");
    assert_eq!(dumped.len(), 100_000);
    assert!(dumped.iter().all(|record| record.value.as_ref().is_some_and(|value| value.len() == 100)));
    assert!(dumped.iter().all(|record| record.timestamp_type == TimestampType::Append));
}

#[tokio::test]
async fn topic_is_gone_after_deletion_and_can_be_created_again() {
    let Some(cluster) = KafkaCluster::start(Version::V2_8_2, 1).await else { return };
    cluster.create_topic("again", 3, 1, &[]).await;
    cluster.console_producer("again", &["one".to_owned()], &[]).await;

    cluster.delete_topic("again").await;
    let between = cluster.leader("again", 0).await;
    cluster.create_topic("again", 1, 1, &[]).await;

    assert_eq!(between, None);
    assert_eq!(cluster.end_offsets("again").await, BTreeMap::from([(0, 0)]));
}

#[tokio::test]
async fn leader_moves_when_its_broker_is_killed_stopped_or_ended_and_the_replicas_catch_up() {
    let Some(cluster) = KafkaCluster::start(Version::V4_3_1, 3).await else { return };
    cluster.create_topic("moving", 1, 3, &[("min.insync.replicas", "2")]).await;
    cluster.console_producer("moving", &["before".to_owned()], &[]).await;

    let killed = cluster.leader("moving", 0).await.expect("a leader");
    let pid = cluster.broker(killed).pid();
    cluster.broker(killed).kill_9();
    let second = cluster.wait_for_other_leader("moving", 0, killed).await;
    cluster.console_producer("moving", &["killed".to_owned()], &[]).await;
    cluster.broker(killed).restart().await;
    cluster.wait_for_isr("moving", 1, 3).await;
    assert_ne!(cluster.broker(killed).pid(), pid);

    cluster.broker(second).stop();
    let third = cluster.wait_for_other_leader("moving", 0, second).await;
    cluster.broker(second).cont();
    cluster.wait_for_isr("moving", 1, 3).await;

    cluster.broker(third).terminate().await;
    cluster.wait_for_other_leader("moving", 0, third).await;
    cluster.console_producer("moving", &["ended".to_owned()], &[]).await;
    cluster.broker(third).restart().await;
    cluster.wait_for_isr("moving", 1, 3).await;

    let found = cluster.console_consumer("moving", Isolation::ReadUncommitted).await;
    let values: Vec<String> = found.iter().map(|record| key_and_value(record).1).collect();
    assert_eq!(values, ["before", "killed", "ended"]);
}

fn key(i: usize) -> String {
    if i.is_multiple_of(KEYS) { String::new() } else { format!("key {} ö", i % KEYS) }
}

fn key_and_value(record: &ConsumedRecord) -> (String, String) {
    let text = |bytes: &Option<bytes::Bytes>| {
        bytes
            .as_ref()
            .map_or_else(|| "null".to_owned(), |bytes| String::from_utf8(bytes.to_vec()).expect("text"))
    };
    (text(&record.key), text(&record.value))
}

/// The values of each key, in their order.
fn by_key(records: impl Iterator<Item = (String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in records {
        values.entry(key).or_default().push(value);
    }
    values
}

fn by_position(records: Vec<ConsumedRecord>) -> BTreeMap<(i32, i64), ConsumedRecord> {
    records.into_iter().map(|record| ((record.partition, record.offset), record)).collect()
}

/// The offset after the last record of each of three partitions.
fn ends(records: &[ConsumedRecord]) -> BTreeMap<i32, i64> {
    let mut ends = BTreeMap::from([(0, 0), (1, 0), (2, 0)]);
    for record in records {
        assert_eq!(
            ends.insert(record.partition, record.offset + 1),
            Some(record.offset),
            "offsets have gaps"
        );
    }
    ends
}
