//! The producer at listeners that demand something of it, judged by Kafka's own consumer.
//!
//! One cluster of each version serves all: the time that it takes to start is most of what these tests take.
//! `KAFKA_SECURITY=whole` has them send more, and longer.

mod assertions;
mod client;
mod matrix;
mod renewal;
mod wrong;

use std::time::Duration;

use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::Version;

const CLOSE_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_1_0_takes_what_comes_by_every_way_in_and_mistakes_are_told() {
    everything_comes_in_and_mistakes_are_told(Version::V1_0_2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_2_8_takes_what_comes_by_every_way_in_and_mistakes_are_told() {
    everything_comes_in_and_mistakes_are_told(Version::V2_8_2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_4_3_takes_what_comes_by_every_way_in_and_mistakes_are_told() {
    everything_comes_in_and_mistakes_are_told(Version::V4_3_1).await;
}

async fn everything_comes_in_and_mistakes_are_told(version: Version) {
    let options = KafkaCluster::options(version, 1).listeners(&Listener::all(version));
    let Some(cluster) = options.start().await else { return };
    matrix::every_way_takes_what_is_read_back(&cluster).await;
    wrong::every_mistake_is_told(&cluster).await;
    assertions::signatures_of_producers_are_genuine(&cluster).await;
    // Older brokers set no limit to sessions.
    if version != Version::V1_0_2 {
        renewal::sessions_are_renewed_under_load(&cluster).await;
    }
}

/// Whether the tests are to take the time that they want, not the time that CI has.
fn is_whole() -> bool {
    std::env::var("KAFKA_SECURITY").as_deref() == Ok("whole")
}
