//! A broker that ends and freezes while sessions of two seconds are renewed, under load.

use std::time::Duration;

use super::CLOSE_LIMIT;
use super::client;
use super::client::Mechanism;
use super::load::Load;
use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::wait;

const TOPIC: &str = "in_outages";
const ROUNDS: u64 = 8;

pub(super) async fn outages_amid_renewals_cost_no_record(cluster: &KafkaCluster) {
    cluster.create_topic(TOPIC, 1, 1, &[]).await;
    // The broker takes its time to come back where the machine is busy.
    let properties = client::properties(cluster, Listener::SaslSslShort, Some(Mechanism::ScramSha256))
        + "max.block.ms=180000\ndelivery.timeout.ms=300000\n";
    let producer = client::producer(&properties);
    let load = Load::start(producer.clone(), TOPIC);
    let broker = cluster.broker(1);
    for round in 0..ROUNDS {
        // Sessions are renewed within their last half second: each round meets another moment of it.
        tokio::time::sleep(Duration::from_millis(3_200 + 100 * round)).await;
        if round % 2 == 0 {
            broker.stop();
            tokio::time::sleep(Duration::from_millis(300 + 600 * round)).await;
            broker.cont();
        } else {
            broker.kill_9();
            let begin = wait::now();
            broker.restart().await;
            println!("the broker was back after {:.1?}", begin.elapsed());
        }
    }
    let records = load.finish(cluster, TOPIC).await;
    let metrics = producer.metrics();
    let report = producer.close(CLOSE_LIMIT).await;
    println!(
        "outages amid renewals: {records} records by {} connections, {} sent again",
        metrics.connections_created, metrics.record_retries
    );
    assert_eq!((report.delivered, report.failed), (records, 0));
}
