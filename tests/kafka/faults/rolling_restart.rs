//! What an upgrade of a cluster looks like to its producers: nothing.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use kafka_producer::KafkaProducer;

use super::fault::CONFIGS;
use super::fault::Scene;
use super::judgement::judge;
use super::stream::Keys;
use super::stream::Stream;
use super::trace;
use crate::support::KafkaCluster;
use crate::support::Version;

const ROUNDS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_fail_no_record_under_default_settings() {
    trace::start();
    let Some(cluster) = KafkaCluster::start(Version::V4_3_1, 3).await else { return };
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .build()
        .expect("a valid configuration");
    let streams = [
        Stream::new("orders", 6, Keys::All, &producer),
        Stream::new("events", 4, Keys::None, &producer),
        Stream::new("mixed", 3, Keys::Half, &producer),
    ];
    for stream in &streams {
        cluster.create_topic(stream.topic, stream.partitions, 3, &CONFIGS).await;
    }
    let scene = Scene { cluster: &cluster, streams: &streams, recreated: None, hasty: None };

    let is_over = AtomicBool::new(false);
    let load = futures::future::join_all(streams.iter().map(|stream| stream.run(&is_over)));
    tokio::join!(load, async {
        scene.flows().await;
        for broker in (0..ROUNDS).flat_map(|_| cluster.brokers()) {
            broker.restart().await;
            scene.is_whole().await;
            scene.flows().await;
        }
        is_over.store(true, Ordering::Relaxed);
    });

    let figures = judge(&cluster, &streams, "two rolling restarts of three brokers").await;
    assert_eq!(figures.failed(), 0);
}
