//! What Kafka's own console consumer shows of the producer's records.
//!
//! It prints text, so the records are text; `contents` has the others. Kafka 1.0 shows no headers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_producer::Acks;
use kafka_producer::HeaderValue;
use kafka_producer::KafkaProducer;
use kafka_producer::ProducerRecord;

use super::codecs;
use crate::support::ConsumedRecord;
use crate::support::Isolation;
use crate::support::KafkaCluster;
use crate::support::TimestampType;
use crate::support::Version;

const TOPIC: &str = "shown";
const PARTITIONS: i32 = 3;
const RECORDS_OF_CODEC: i64 = 8_000;
const FIRST_TIMESTAMP: i64 = 1_700_000_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn console_consumer_of_kafka_1_0_shows_what_was_sent() {
    console_consumer_shows_what_was_sent(Version::V1_0_2, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn console_consumer_of_kafka_2_8_shows_what_was_sent() {
    console_consumer_shows_what_was_sent(Version::V2_8_2, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn console_consumer_of_kafka_4_3_shows_what_was_sent() {
    console_consumer_shows_what_was_sent(Version::V4_3_1, 3).await;
}

async fn console_consumer_shows_what_was_sent(version: Version, brokers: usize) {
    let Some(cluster) = KafkaCluster::start(version, brokers).await else { return };
    let replication = i16::try_from(brokers).expect("few brokers");
    cluster.create_topic(TOPIC, PARTITIONS, replication, &[]).await;

    let mut expected: BTreeMap<i32, Vec<ConsumedRecord>> = BTreeMap::new();
    for (part, codec) in (0..).zip(codecs(version)) {
        let numbers = part * RECORDS_OF_CODEC..(part + 1) * RECORDS_OF_CODEC;
        for record in send(&cluster, codec, numbers, version.prints_positions()).await {
            expected.entry(record.partition).or_default().push(record);
        }
    }
    let mut shown: BTreeMap<i32, Vec<ConsumedRecord>> = BTreeMap::new();
    for record in cluster.console_consumer(TOPIC, Isolation::ReadCommitted).await {
        shown.entry(record.partition).or_default().push(record);
    }

    let records: usize = expected.values().map(Vec::len).sum();
    println!("Kafka {}: {records} records in {} partitions", version.number(), expected.len());
    assert_eq!(expected.len(), 3);
    assert_eq!(shown, expected);
}

/// Sends records, and returns them as they should be found.
async fn send(
    cluster: &KafkaCluster,
    codec: &str,
    numbers: std::ops::Range<i64>,
    has_headers: bool,
) -> Vec<ConsumedRecord> {
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .acks(Acks::All)
        .property("compression.type", codec)
        .build()
        .expect("a valid configuration");
    let mut accepted = Vec::new();
    for number in numbers {
        let record = record(number);
        accepted.push((record.clone(), producer.enqueue(record).await.expect("accepted")));
    }
    let mut expected = Vec::with_capacity(accepted.len());
    for (record, delivery) in accepted {
        let metadata = delivery.await.expect("delivered");
        let headers = record.headers.iter().filter(|_| has_headers);
        expected.push(ConsumedRecord {
            partition: metadata.partition(),
            offset: metadata.offset().expect("all acks tell offsets"),
            timestamp: record.timestamp.expect("every record has one"),
            timestamp_type: TimestampType::Create,
            key: record.key.clone(),
            value: record.value.clone(),
            headers: headers
                .map(|header| (header.name().to_owned(), header.value().map(Bytes::copy_from_slice)))
                .collect(),
        });
    }
    assert!(producer.close(Duration::from_secs(60)).await.undelivered.is_empty());
    expected
}

/// Keys, values and headers that are null, empty or text, some partitions given and the others chosen.
fn record(number: i64) -> ProducerRecord {
    let mut record = ProducerRecord::to(TOPIC).timestamp(FIRST_TIMESTAMP + number * 7 % 100_000);
    record = match number % 4 {
        0 => record,
        1 => record.key(""),
        2 => record.key(format!("Kunde {} ö漢", number % 500)),
        _ => record.key(format!("k{number}")).partition(i32::try_from(number % 3).expect("small")),
    };
    record = match number % 5 {
        0 => record,
        1 => record.value(""),
        2 => record.value("x".repeat(usize::try_from(number % 2_000).expect("small"))),
        _ => record.value(format!("value {number}")),
    };
    match number % 3 {
        0 => record,
        1 => record.header("one", format!("h{number}")),
        _ => record.header("twice", "a").header("twice", HeaderValue::NULL).header("empty", ""),
    }
}
