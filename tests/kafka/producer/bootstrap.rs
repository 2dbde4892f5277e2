//! Controllers in `bootstrap.servers`, which answer and cannot be asked for what a producer needs.

use std::time::Duration;

use kafka_producer::KafkaProducer;
use kafka_producer::ProducerRecord;
use kafka_producer::SendErrorKind;

use crate::support::KafkaCluster;
use crate::support::Version;
use crate::support::wait;

const TOPIC: &str = "orders";
const PRODUCERS: usize = 8;
const MAX_BLOCK: Duration = Duration::from_secs(60);
/// Much longer than a first record takes on a busy machine, and well inside `max.block.ms`.
const SOON: Duration = Duration::from_secs(20);
/// For a look at the cluster that a producer takes before it has records.
const PAUSE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn controller_of_kafka_4_3_is_passed_over_and_alone_is_told_with_what_it_lacks() {
    let Some(cluster) = KafkaCluster::start(Version::V4_3_1, 1).await else { return };
    cluster.create_topic(TOPIC, 1, 1, &[]).await;

    delays_no_first_record(&cluster).await;
    is_told_when_alone(&cluster).await;
}

async fn delays_no_first_record(cluster: &KafkaCluster) {
    let servers = format!("{},{}", cluster.controller_address(1), cluster.bootstrap_servers());

    let deliveries = (0..PRODUCERS).map(|n| {
        let producer = KafkaProducer::builder().bootstrap_servers(&servers).max_block(MAX_BLOCK).build();
        let producer: KafkaProducer = producer.expect("a valid configuration");
        async move {
            if n.is_multiple_of(2) {
                tokio::time::sleep(PAUSE).await;
            }
            let begin = wait::now();
            let sending = producer.send(ProducerRecord::to(TOPIC).value(n.to_string()));
            let Ok(sent) = tokio::time::timeout(SOON, sending).await else {
                panic!("producer {n} has not delivered its first record");
            };
            (sent.expect("delivered").offset(), begin.elapsed())
        }
    });
    let (mut offsets, times): (Vec<_>, Vec<_>) =
        futures::future::join_all(deliveries).await.into_iter().unzip();

    println!("first records behind a controller took {times:.1?}");
    offsets.sort_unstable();
    assert_eq!(offsets, (0..8).map(Some).collect::<Vec<_>>());
}

async fn is_told_when_alone(cluster: &KafkaCluster) {
    let controller = cluster.controller_address(1).to_string();
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(&controller)
        .max_block(Duration::from_secs(3))
        .build()
        .expect("a valid configuration");

    let error = producer.send(ProducerRecord::to(TOPIC).value("x")).await.expect_err("no broker is listed");

    println!("a controller alone: {error}");
    assert!(matches!(error.kind(), SendErrorKind::MetadataTimeout { .. }), "{error:?}");
    let told = error.to_string();
    assert!(told.contains(&controller) && told.contains("no version of Metadata"), "{told}");
}
