//! Records that brokers refuse, between others that they take.

use std::time::Duration;

use bytes::Bytes;
use kafka_producer::DeliveryErrorKind;
use kafka_producer::ErrorCode;
use kafka_producer::KafkaProducer;
use kafka_producer::Persisted;
use kafka_producer::ProducerRecord;

use super::epoch_millis;
use crate::support::Isolation;
use crate::support::KafkaCluster;
use crate::support::Version;

const RECORDS: usize = 9;
const CULPRIT: usize = 4;
const HOUR_MS: i64 = 3_600_000;

/// That version names no record in its refusals.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn culprit_alone_fails_on_kafka_1_0() {
    // A record without a key counts as corrupt there.
    let bound = "message.timestamp.difference.max.ms";
    culprit_alone_fails(Version::V1_0_2, ErrorCode::CorruptMessage, bound).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn culprit_alone_fails_on_kafka_4_3() {
    let bound = "message.timestamp.before.max.ms";
    culprit_alone_fails(Version::V4_3_1, ErrorCode::InvalidRecord, bound).await;
}

async fn culprit_alone_fails(version: Version, code_without_key: ErrorCode, bound: &str) {
    let Some(cluster) = KafkaCluster::start(version, 1).await else { return };
    cluster.create_topic("compacted", 1, 1, &[("cleanup.policy", "compact")]).await;
    cluster.create_topic("punctual", 1, 1, &[(bound, &HOUR_MS.to_string())]).await;
    let good = |topic, n: usize| ProducerRecord::to(topic).key(format!("k{n}")).value(n.to_string());
    let without_key = |n| match n {
        CULPRIT => ProducerRecord::to("compacted").value(n.to_string()),
        n => good("compacted", n),
    };
    let long_ago = epoch_millis() - 48 * HOUR_MS;
    let late = |n| match n {
        CULPRIT => good("punctual", n).timestamp(long_ago),
        n => good("punctual", n),
    };

    let code = fails_alone(&cluster, "compacted", (0..RECORDS).map(without_key)).await;
    assert_eq!(code, code_without_key);
    let code = fails_alone(&cluster, "punctual", (0..RECORDS).map(late)).await;
    assert_eq!(code, ErrorCode::InvalidTimestamp);
}

/// Sends the records, whose values are their numbers, and returns what the broker said of the culprit.
async fn fails_alone(
    cluster: &KafkaCluster,
    topic: &'static str,
    records: impl Iterator<Item = ProducerRecord>,
) -> ErrorCode {
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        // So that the innocent ones are likely to be in the culprit's batch.
        .linger(Duration::from_millis(300))
        .build()
        .expect("a valid configuration");
    producer.partitions_for(topic).await.expect("a topic");
    let mut deliveries = Vec::new();
    for record in records {
        deliveries.push(producer.enqueue(record).await.expect("accepted"));
    }
    let (mut offsets, mut failures) = (Vec::new(), Vec::new());
    for (n, delivery) in deliveries.into_iter().enumerate() {
        match delivery.await {
            Ok(metadata) => offsets.push(metadata.offset()),
            Err(error) => failures.push((n, error)),
        }
    }

    let version = cluster.version().number();
    let (requests, retries) = (producer.metrics().produce_requests_sent, producer.metrics().record_retries);
    println!(
        "{topic} on Kafka {version}: sent {RECORDS}, acknowledged {}, failed {} ({}), {requests} requests, \
         {retries} records sent again",
        offsets.len(),
        failures.len(),
        failures.iter().map(|(n, error)| format!("{n}: {error}")).collect::<Vec<_>>().join(", "),
    );
    let [(CULPRIT, error)] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!(error.persisted(), Persisted::No);
    assert_eq!(offsets, (0..8).map(Some).collect::<Vec<_>>());
    let found = cluster.consume_all(topic, Isolation::ReadUncommitted).await;
    let found: Vec<Bytes> = found.into_iter().filter_map(|record| record.value).collect();
    let innocent = (0..RECORDS).filter(|n| *n != CULPRIT);
    assert_eq!(found, innocent.map(|n| Bytes::from(n.to_string())).collect::<Vec<_>>());
    let DeliveryErrorKind::Broker { code, .. } = error.kind() else { panic!("{error:?}") };
    code
}
