//! Keyed records go where Kafka's own producer sends them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use kafka_producer::KafkaProducer;
use kafka_producer::ProducerRecord;

use crate::support::ConsumedRecord;
use crate::support::Isolation;
use crate::support::KafkaCluster;
use crate::support::Version;

/// Neither a power of two nor a divisor of one, so that every bit of the hash has a say.
const PARTITIONS: i32 = 7;

#[tokio::test]
async fn keys_go_to_the_partitions_that_the_console_producer_of_kafka_1_0_chooses() {
    keys_go_to_the_partitions_that_the_console_producer_chooses(Version::V1_0_2).await;
}

#[tokio::test]
async fn keys_go_to_the_partitions_that_the_console_producer_of_kafka_2_8_chooses() {
    keys_go_to_the_partitions_that_the_console_producer_chooses(Version::V2_8_2).await;
}

#[tokio::test]
async fn keys_go_to_the_partitions_that_the_console_producer_of_kafka_4_3_chooses() {
    keys_go_to_the_partitions_that_the_console_producer_chooses(Version::V4_3_1).await;
}

async fn keys_go_to_the_partitions_that_the_console_producer_chooses(version: Version) {
    let Some(cluster) = KafkaCluster::start(version, 1).await else { return };
    cluster.create_topic("theirs", PARTITIONS, 1, &[]).await;
    cluster.create_topic("ours", PARTITIONS, 1, &[]).await;
    let keys = keys();
    let producer: KafkaProducer =
        KafkaProducer::builder().bootstrap_servers(cluster.bootstrap_servers()).build().expect("valid");

    let lines: Vec<String> = keys.iter().map(|key| format!("{key}\tvalue")).collect();
    cluster.console_producer("theirs", &lines, &[("parse.key", "true"), ("key.separator", "\t")]).await;
    let records = keys.iter().map(|key| ProducerRecord::to("ours").key(key.clone()).value("value"));
    for result in producer.send_all(records).await {
        result.expect("delivered");
    }

    let theirs = partitions_by_key(cluster.consume_all("theirs", Isolation::ReadUncommitted).await);
    let ours = partitions_by_key(cluster.consume_all("ours", Isolation::ReadUncommitted).await);
    assert_eq!(theirs.len(), keys.len());
    assert_eq!(ours, theirs);
}

/// Text keys: none, one, two and three bytes per character, and every length up to some and one that is long.
fn keys() -> BTreeSet<String> {
    let mut keys: BTreeSet<String> = (0..300).map(|i| format!("customer-{i}")).collect();
    keys.extend((0..70).map(|length| "abcdefg".chars().cycle().take(length).collect()));
    keys.extend(["ö", "naïve café", "漢字", "é中😀", "пример", " ", "a b ", "null"].map(str::to_owned));
    keys.insert("long ключ ".repeat(2_000));
    keys
}

fn partitions_by_key(records: Vec<ConsumedRecord>) -> BTreeMap<String, i32> {
    let mut partitions = BTreeMap::new();
    for record in records {
        let key = record.key.expect("a key that is not null");
        let key = String::from_utf8(key.into()).expect("text");
        assert_eq!(partitions.insert(key, record.partition), None, "the key is there twice");
    }
    partitions
}
