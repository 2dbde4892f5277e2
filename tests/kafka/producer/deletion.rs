//! Topics that an administrator deletes where brokers create topics that are asked for.

use std::time::Duration;

use kafka_producer::KafkaProducer;
use kafka_producer::ProducerRecord;

use crate::support::KafkaCluster;
use crate::support::Version;
use crate::support::wait;

const TOPIC: &str = "doomed";
/// Refreshes of the metadata, of which one that lets brokers create topics would be enough.
const REFRESHES: u64 = 8;
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_topic_stays_away_until_a_record_is_sent_to_it() {
    let options = KafkaCluster::options(Version::V4_3_1, 1).property("auto.create.topics.enable", "true");
    let Some(cluster) = options.start().await else { return };
    cluster.create_topic(TOPIC, 1, 1, &[]).await;
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .metadata_max_age(Duration::from_millis(100))
        .build()
        .expect("a valid configuration");
    producer.send(ProducerRecord::to(TOPIC).value("before")).await.expect("delivered");

    refreshed(&producer).await;
    cluster.delete_topic(TOPIC).await;
    refreshed(&producer).await;

    assert_eq!(cluster.leader(TOPIC, 0).await, None, "the topic came back");
    // Only because brokers do create topics does its absence tell something.
    let sent = producer.send(ProducerRecord::to(TOPIC).value("after")).await.expect("delivered");
    assert_eq!(sent.offset(), Some(0));
}

async fn refreshed(producer: &KafkaProducer) {
    let goal = producer.metrics().metadata_requests_sent + REFRESHES;
    wait::wait_for("refreshes of the metadata", LIMIT, async || {
        (producer.metrics().metadata_requests_sent >= goal).then_some(())
    })
    .await;
}
