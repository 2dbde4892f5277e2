//! A broker that makes a producer wait for its quota.

use std::time::Duration;

use kafka_producer::Acks;
use kafka_producer::KafkaProducer;
use kafka_producer::ProducerRecord;

use crate::support::Isolation;
use crate::support::KafkaCluster;
use crate::support::Version;
use crate::support::wait;

const TOPIC: &str = "throttled";
const CLIENT: &str = "chatterbox";
/// Brokers reckon with the bytes of about ten seconds, so each record of `BYTES` bytes beyond these is answered with a pause of about
/// ten seconds.
const RATE: f64 = 10_000.0;
const BYTES: usize = 100_000;
const RECORDS: usize = 3;
/// Far more than a broker needs for an answer on a busy machine, or the producer would begin anew for that reason, and far less than
/// a pause.
const TRIGGER: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producer_over_its_quota_waits_on_the_connection_that_it_has() {
    let Some(cluster) = KafkaCluster::start(Version::V4_3_1, 1).await else { return };
    // A broker takes in what has happened in order: one that knows the topic knows the bound, too.
    cluster.set_producer_byte_rate(CLIENT, RATE).await;
    cluster.create_topic(TOPIC, 1, 1, &[]).await;
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .client_id(CLIENT)
        // Nothing but the producer's patience keeps records from being written twice.
        .enable_idempotence(false)
        .acks(Acks::Leader)
        // Metadata is always due, and the bootstrap server is soon asked again.
        .metadata_max_age(Duration::from_millis(100))
        .metadata_recovery_rebootstrap_trigger(TRIGGER)
        .build()
        .expect("a valid configuration");
    producer.send(ProducerRecord::to(TOPIC).value("first")).await.expect("delivered");
    let connections = producer.metrics().connections_created;

    let begin = wait::now();
    for _ in 0..RECORDS {
        let record = ProducerRecord::to(TOPIC).value("x".repeat(BYTES));
        producer.send(record).await.expect("delivered");
    }

    let (took, metrics) = (begin.elapsed(), producer.metrics());
    let found = cluster.consume_all(TOPIC, Isolation::ReadUncommitted).await.len();
    println!("{RECORDS} records of {BYTES} bytes took {took:.1?} under a quota of {RATE} bytes per second");
    assert!(took >= 2 * TRIGGER, "not throttled for long enough: {took:?}");
    assert_eq!((metrics.connections_created, metrics.record_retries), (connections, 0));
    assert_eq!(found, RECORDS + 1);
}
