//! Every fault, in an order that a seed decides.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kafka_producer::KafkaProducer;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::fault::CONFIGS;
use super::fault::Fault;
use super::fault::Scene;
use super::judgement::judge;
use super::stream::Keys;
use super::stream::Stream;
use super::trace;
use crate::support::KafkaCluster;
use crate::support::Version;
use crate::support::wait;

const ALL: [Fault; 8] = [
    Fault::Kill,
    Fault::Freeze,
    Fault::FreezeLong,
    Fault::FreezeTwo,
    Fault::Restart,
    Fault::Recreate,
    Fault::RecreateBehindFrozen,
    Fault::TooFewReplicas,
];
const RECREATED: &str = "reborn";
const HASTY: &str = "hasty";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_written_once_and_in_order_through_all_faults_of_kafka_4_3() {
    written_once_through(&ALL, Version::V4_3_1, Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_written_once_and_in_order_through_faults_of_kafka_2_8() {
    let faults = [Fault::Kill, Fault::KillTwo, Fault::FreezeLong, Fault::Restart, Fault::Recreate];
    written_once_through(&faults, Version::V2_8_2, Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_written_once_and_in_order_through_faults_of_kafka_1_0() {
    let faults = [Fault::Kill, Fault::FreezeLong, Fault::Restart];
    written_once_through(&faults, Version::V1_0_2, Duration::from_secs(20)).await;
}

/// Inflicts each of the faults, and goes on until `time` has passed.
async fn written_once_through(faults: &[Fault], version: Version, time: Duration) {
    trace::start();
    let Some(cluster) = KafkaCluster::start(version, 3).await else { return };
    let seed = std::env::var("KAFKA_FAULT_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut random = StdRng::seed_from_u64(seed);
    let streams = streams(&cluster).await;
    let find = |topic| streams.iter().find(|stream| stream.topic == topic);
    let (recreated, hasty) = (find(RECREATED), find(HASTY));
    let scene = Scene { cluster: &cluster, streams: &streams, recreated, hasty };

    let is_over = AtomicBool::new(false);
    let load = futures::future::join_all(streams.iter().map(|stream| stream.run(&is_over)));
    let (_, count) = tokio::join!(load, async {
        scene.flows().await;
        let count = inflict_for(&scene, faults, time, &mut random).await;
        is_over.store(true, Ordering::Relaxed);
        count
    });

    let figures = judge(&cluster, &streams, &format!("seed {seed}, {count:?}")).await;
    assert!(figures.failed() > 0, "nothing failed, so nothing is known of what failures say");
}

async fn inflict_for(
    scene: &Scene<'_>,
    faults: &[Fault],
    time: Duration,
    random: &mut StdRng,
) -> BTreeMap<Fault, usize> {
    let mut count = BTreeMap::new();
    let mut faults_to_come = faults.to_vec();
    faults_to_come.shuffle(random);
    let begin = wait::now();
    while !faults_to_come.is_empty() || begin.elapsed() < time {
        let fault = faults_to_come.pop().unwrap_or_else(|| faults[random.random_range(0..faults.len())]);
        let started = wait::now();
        tracing::info!(?fault, "a fault begins");
        scene.inflict(fault, random).await;
        println!("  {fault:?}: all is well again after {:.1?}", started.elapsed());
        *count.entry(fault).or_default() += 1;
    }
    count
}

/// Topics with a load each, by three producers: one as it comes, one that soon sends again, one that soon gives up.
async fn streams(cluster: &KafkaCluster) -> Vec<Stream> {
    let usual = producer(cluster, &[]);
    let impatient = producer(cluster, &[("request.timeout.ms", "1500"), ("compression.type", "lz4")]);
    let hasty = producer(
        cluster,
        &[("request.timeout.ms", "1000"), ("delivery.timeout.ms", "2500"), ("max.block.ms", "2500")],
    );
    let streams = vec![
        Stream::new("orders", 6, Keys::All, &usual),
        Stream::new("events", 4, Keys::None, &usual),
        Stream::new(RECREATED, 3, Keys::Half, &usual),
        Stream::new("impatient", 3, Keys::Half, &impatient),
        Stream::new(HASTY, 3, Keys::Half, &hasty),
    ];
    for stream in &streams {
        cluster.create_topic(stream.topic, stream.partitions, 3, &CONFIGS).await;
    }
    streams
}

fn producer(cluster: &KafkaCluster, properties: &[(&str, &str)]) -> KafkaProducer {
    KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .properties(properties.iter().copied())
        .build()
        .expect("a valid configuration")
}
