//! What is read is what was sent: every field, every order, with every kind of acknowledgement and compression.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_producer::Acks;
use kafka_producer::Delivery;
use kafka_producer::KafkaProducer;
use kafka_producer::ProducerRecord;
use kafka_producer::RecordMetadata;
#[cfg(feature = "zstd")]
use kafka_producer::{Compression, DeliveryErrorKind, Disposition, Persisted};
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::codecs;
use super::epoch_millis;
use super::samples::Samples;
use crate::support::ConsumedRecord;
use crate::support::Isolation;
use crate::support::KafkaCluster;
use crate::support::TimestampType;
use crate::support::Version;
use crate::support::wait;

const PARTITIONS: i32 = 5;
const RECORDS: usize = 100_000;
const ACKS: [Acks; 3] = [Acks::None, Acks::Leader, Acks::All];
/// The producer reckons from its monotonic clock and looks at the wall clock once per second; a busy machine may let time
/// pass between the two looks.
const CLOCK_TOLERANCE_MS: i64 = 100;
const CLOSE_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_sent_to_kafka_1_0_is_read_as_it_was() {
    everything_sent_is_read_as_it_was(Version::V1_0_2, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_sent_to_kafka_2_8_is_read_as_it_was() {
    everything_sent_is_read_as_it_was(Version::V2_8_2, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_sent_to_kafka_4_3_is_read_as_it_was() {
    everything_sent_is_read_as_it_was(Version::V4_3_1, 3).await;
}

async fn everything_sent_is_read_as_it_was(version: Version, brokers: usize) {
    let Some(cluster) = KafkaCluster::start(version, brokers).await else { return };
    let replication = i16::try_from(brokers).expect("few brokers");
    let combinations: Vec<(Acks, &str)> =
        ACKS.into_iter().flat_map(|acks| codecs(version).map(move |codec| (acks, codec))).collect();
    let each = RECORDS.div_ceil(combinations.len());
    for (seed, (acks, codec)) in (1..).zip(combinations) {
        let topic = format!("acks-{}-{codec}", acks_name(acks));
        cluster.create_topic(&topic, PARTITIONS, replication, &[]).await;
        let samples = Samples::new(seed, &topic, PARTITIONS, epoch_millis()).take(each);

        let begin = wait::now();
        let sent = send(&cluster, acks, codec, samples).await;
        let sending = begin.elapsed();
        wait_until_arrived(&cluster, &topic, each).await;
        let found = cluster.consume_all(&topic, Isolation::ReadUncommitted).await;
        let codecs = cluster.batch_codecs(&topic, 0).await;

        println!(
            "{topic} on Kafka {}: {} sent in {sending:?}, {} found; partition 0 has {} batches, {} of them {codec}; \
             seed {seed}",
            version.number(),
            sent.len(),
            found.len(),
            codecs.len(),
            codecs.iter().filter(|found| *found == codec).count(),
        );
        assert_same(&topic, acks, sent, found);
        assert!(codecs.iter().any(|found| found == codec), "{topic}: {codecs:?}");
        // A batch that compression would not make smaller is sent as it is.
        assert!(codecs.iter().all(|found| found == codec || found == "none"), "{topic}: {codecs:?}");
    }
}

/// A codec that keeps something of a batch that it could not make smaller damages the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_compressed_behind_noise_is_read_back() {
    let Some(cluster) = KafkaCluster::start(Version::V4_3_1, 1).await else { return };
    cluster.create_topic("noisy", 1, 1, &[]).await;
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .property("compression.type", "gzip")
        .compression_gzip_level(1)
        .build()
        .expect("a valid configuration");
    let mut random = StdRng::seed_from_u64(1);
    let mut values: Vec<Bytes> = Vec::new();
    for _ in 0..6 {
        let mut noise = vec![0; 15_000];
        random.fill_bytes(&mut noise);
        values.push(noise.into());
    }
    values.push("compresses well ".repeat(500).into());

    for value in &values {
        producer.send(ProducerRecord::to("noisy").value(value.clone())).await.expect("delivered");
    }

    let found = cluster.consume_all("noisy", Isolation::ReadUncommitted).await;
    let codecs = cluster.batch_codecs("noisy", 0).await;
    let found: Vec<Bytes> = found.into_iter().filter_map(|record| record.value).collect();
    assert!(found == values, "{} records came back, not all as they were", found.len());
    assert_eq!(codecs.last().map(String::as_str), Some("gzip"), "{codecs:?}");
}

/// A broker that does not know zstd would say of it that something unexpected has happened.
#[cfg(feature = "zstd")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_1_0_is_too_old_for_zstd_and_gets_none() {
    let Some(cluster) = KafkaCluster::start(Version::V1_0_2, 1).await else { return };
    cluster.create_topic("old", 1, 1, &[]).await;
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .compression(Compression::Zstd)
        .build()
        .expect("a valid configuration");

    let text = "compresses well ".repeat(100);
    let refused = producer.send(ProducerRecord::to("old").value(text.clone())).await;
    // Compression would make it longer.
    let taken = producer.send(ProducerRecord::to("old").value("tiny")).await;

    let error = refused.expect_err("the broker is too old");
    let kind = error.delivery_error().expect("it was accepted").kind();
    assert_eq!(kind, DeliveryErrorKind::UnsupportedCompression(Compression::Zstd));
    assert_eq!((error.persisted(), error.disposition()), (Persisted::No, Disposition::FixConfiguration));
    assert_eq!(error.record().and_then(|record| record.value), Some(Bytes::from(text)));
    assert_eq!(taken.expect("no codec is needed").offset(), Some(0));
    let report = producer.close(CLOSE_LIMIT).await;
    assert_eq!((report.delivered, report.failed), (1, 1));
}

/// A record that was sent, when, and what the producer said of it.
struct Sent {
    record: ProducerRecord,
    earliest: i64,
    latest: i64,
    metadata: RecordMetadata,
}

async fn send(
    cluster: &KafkaCluster,
    acks: Acks,
    codec: &str,
    records: impl Iterator<Item = ProducerRecord>,
) -> Vec<Sent> {
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .acks(acks)
        .property("compression.type", codec)
        .build()
        .expect("a valid configuration");
    let mut pending: Vec<(ProducerRecord, i64, i64, Delivery)> = Vec::new();
    for record in records {
        let earliest = epoch_millis();
        let delivery = producer.enqueue(record.clone()).await.expect("accepted");
        pending.push((record, earliest, epoch_millis(), delivery));
    }
    producer.flush().await;
    let mut sent = Vec::with_capacity(pending.len());
    for (record, earliest, latest, delivery) in pending {
        let chosen = delivery.topic_partition().partition;
        let settled = delivery.try_result().expect("settled by the flush");
        let metadata = settled.unwrap_or_else(|error| panic!("{error}: {error:?}"));
        assert_eq!(metadata.partition(), chosen, "moved after it was accepted");
        sent.push(Sent { record, earliest, latest, metadata });
    }
    let report = producer.close(CLOSE_LIMIT).await;
    assert_eq!((report.delivered, report.failed), (u64::try_from(sent.len()).expect("few"), 0));
    sent
}

/// With `acks=0` the producer is done when the bytes have left, the broker a little later.
async fn wait_until_arrived(cluster: &KafkaCluster, topic: &str, count: usize) {
    let count = i64::try_from(count).expect("few");
    wait::wait_for(&format!("{count} records in {topic}"), Duration::from_secs(30), async || {
        let ends = cluster.end_offsets(topic).await;
        (ends.into_values().sum::<i64>() >= count).then_some(())
    })
    .await;
}

fn assert_same(topic: &str, acks: Acks, sent: Vec<Sent>, found: Vec<ConsumedRecord>) {
    assert_eq!(found.len(), sent.len(), "{topic}");
    let mut logs: BTreeMap<i32, std::vec::IntoIter<ConsumedRecord>> = BTreeMap::new();
    for (partition, log) in by_partition(found) {
        logs.insert(partition, log.into_iter());
    }
    for (i, sent) in sent.into_iter().enumerate() {
        let partition = sent.metadata.partition();
        let found = logs.get_mut(&partition).and_then(Iterator::next);
        let found = found.unwrap_or_else(|| panic!("{topic}: record {i} is not in partition {partition}"));
        if let Some(difference) = difference(acks, &sent, &found) {
            panic!("{topic}: record {i} in {partition} at offset {}: {difference}", found.offset);
        }
    }
}

fn by_partition(records: Vec<ConsumedRecord>) -> BTreeMap<i32, Vec<ConsumedRecord>> {
    let mut logs: BTreeMap<i32, Vec<ConsumedRecord>> = BTreeMap::new();
    for record in records {
        logs.entry(record.partition).or_default().push(record);
    }
    logs
}

/// The first thing in which a record that was found is not the one that was sent.
fn difference(acks: Acks, sent: &Sent, found: &ConsumedRecord) -> Option<String> {
    let record = &sent.record;
    if record.key != found.key {
        return Some(format!("key {:?} instead of {:?}", found.key, record.key));
    }
    if record.value != found.value {
        let length = |value: &Option<Bytes>| value.as_ref().map(Bytes::len);
        return Some(format!(
            "value of {:?} bytes, not of {:?}",
            length(&found.value),
            length(&record.value)
        ));
    }
    let headers = record
        .headers
        .iter()
        .map(|header| (header.name().to_owned(), header.value().map(Bytes::copy_from_slice)));
    if !headers.eq(found.headers.iter().cloned()) {
        return Some(format!("headers {:?}", found.headers));
    }
    if record.partition.is_some_and(|partition| partition != found.partition) {
        return Some(format!("partition {:?} was demanded", record.partition));
    }
    if found.timestamp_type != TimestampType::Create || found.timestamp != sent.metadata.timestamp() {
        return Some(format!("timestamp {} instead of {}", found.timestamp, sent.metadata.timestamp()));
    }
    let right = match record.timestamp {
        Some(timestamp) => timestamp..=timestamp,
        None => sent.earliest - CLOCK_TOLERANCE_MS..=sent.latest + 1,
    };
    if !right.contains(&found.timestamp) {
        return Some(format!("timestamp {} is not in {right:?}", found.timestamp));
    }
    let offset = (acks != Acks::None).then_some(found.offset);
    (sent.metadata.offset() != offset).then(|| format!("offset {:?} was reported", sent.metadata.offset()))
}

const fn acks_name(acks: Acks) -> &'static str {
    match acks {
        Acks::None => "0",
        Acks::Leader => "1",
        Acks::All => "all",
    }
}
