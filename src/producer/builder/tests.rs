//! Start-up, counted in round trips: on tokio's paused clock, which stands still but for the round trips of the network
//! and for timers that fire.

mod distant;

use std::sync::Arc;
use std::time::Duration;

use kafka_mock::Api;

use crate::clock;
use crate::producer::KafkaProducer;
use crate::record::ProducerRecord;
use distant::{Distant, ToDistant};

const ROUND_TRIP: Duration = Duration::from_millis(100);

/// What is promised: the first record is acknowledged this many round trips after `build`.
const PROMISED: u32 = 5;

const TOPIC: &str = "orders";

/// A cluster with a topic, of which each broker leads the partition of its number.
fn cluster(round_trip: Duration, brokers: i32) -> Distant {
    let cluster = Distant::new(round_trip, brokers);
    cluster.brokers.lock().unwrap().create_topic(TOPIC, brokers, 1).unwrap();
    for broker in 0..brokers {
        assert_eq!(cluster.brokers.lock().unwrap().leader(TOPIC, broker), Some(broker));
    }
    cluster
}

fn build(cluster: &Arc<Distant>, bootstrap: &str) -> KafkaProducer {
    let builder = KafkaProducer::builder().bootstrap_servers(bootstrap);
    builder.build_with(Arc::new(ToDistant(Arc::clone(cluster)))).unwrap()
}

/// Sends a first record to a partition. Returns how long it takes until it is acknowledged.
async fn time_from_build(cluster: Distant, bootstrap: &str, partition: i32) -> (Duration, Vec<String>) {
    let cluster = Arc::new(cluster);
    let start = clock::now();
    let producer = build(&cluster, bootstrap);
    producer.send(ProducerRecord::to(TOPIC).partition(partition).value("2 apples")).await.unwrap();
    (clock::now() - start, cluster.log())
}

/// The same, with some seconds between `build` and the record, and counted from the latter.
async fn time_from_send(cluster: Distant, partition: i32) -> Duration {
    let cluster = Arc::new(cluster);
    let producer = build(&cluster, "127.0.0.1:9092");
    tokio::time::sleep(Duration::from_secs(30)).await;
    let start = clock::now();
    producer.send(ProducerRecord::to(TOPIC).partition(partition).value("2 apples")).await.unwrap();
    clock::now() - start
}

#[tokio::test(start_paused = true)]
async fn first_record_for_the_broker_that_is_asked_first_takes_four_round_trips() {
    let (took, log) = time_from_build(cluster(ROUND_TRIP, 1), "127.0.0.1:9092", 0).await;

    assert_eq!(took, 4 * ROUND_TRIP, "{log:#?}");
    let expected =
        ["0: connect", "0: ApiVersions", "0: Metadata", "0: Metadata", "0: InitProducerId", "0: Produce"];
    assert_eq!(distant::without_versions(&log), expected);
}

#[tokio::test(start_paused = true)]
async fn first_record_for_another_broker_keeps_the_promise() {
    for leader in [1, 2] {
        let (took, log) = time_from_build(cluster(ROUND_TRIP, 3), "127.0.0.1:9092", leader).await;

        assert_eq!(took, PROMISED * ROUND_TRIP, "{log:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn promise_is_kept_whichever_of_the_bootstrap_servers_is_asked() {
    for turn in 0..12 {
        let bootstrap = "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094";
        let (took, log) = time_from_build(cluster(ROUND_TRIP, 3), bootstrap, turn % 3).await;

        assert!(took <= PROMISED * ROUND_TRIP, "{took:?}: {log:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn promise_is_kept_behind_a_name_that_no_broker_goes_by() {
    for brokers in [1, 3] {
        let (took, log) = time_from_build(cluster(ROUND_TRIP, brokers), "kafka:9092", brokers - 1).await;

        assert_eq!(took, PROMISED * ROUND_TRIP, "{log:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn first_record_waits_for_no_timer() {
    for (brokers, bootstrap) in [(1, "127.0.0.1:9092"), (3, "127.0.0.1:9092"), (3, "kafka:9092")] {
        // The clock would move on only for a timer.
        let (took, log) = time_from_build(cluster(Duration::ZERO, brokers), bootstrap, brokers - 1).await;
        assert_eq!(took, Duration::ZERO, "{log:#?}");

        let slow = Duration::from_secs(1);
        let (took, log) = time_from_build(cluster(slow, brokers), bootstrap, brokers - 1).await;
        assert!(took <= PROMISED * slow && took.subsec_millis() == 0, "{took:?}: {log:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn topic_that_is_made_by_its_first_use_takes_one_more_round_trip_and_the_backoff() {
    let mut cluster = Distant::new(ROUND_TRIP, 1);
    cluster.creates_topics = true;

    let (took, log) = time_from_build(cluster, "127.0.0.1:9092", 0).await;

    // retry.backoff.ms is 100, give or take a fifth.
    let backoff = Duration::from_millis(80)..=Duration::from_millis(121);
    assert!(backoff.contains(&(took - 5 * ROUND_TRIP)), "{took:?}: {log:#?}");
}

#[tokio::test(start_paused = true)]
async fn brokers_before_kafka_2_4_are_asked_twice_for_their_versions() {
    // As of Kafka 1.0.
    let old = |brokers| {
        let cluster = cluster(ROUND_TRIP, brokers);
        for (api, max) in
            [(Api::ApiVersions, 1), (Api::Metadata, 5), (Api::InitProducerId, 0), (Api::Produce, 5)]
        {
            cluster.brokers.lock().unwrap().set_api_versions(api, 0, max).unwrap();
        }
        cluster
    };

    let (one, log) = time_from_build(old(1), "127.0.0.1:9092", 0).await;
    assert_eq!(one, 5 * ROUND_TRIP, "{log:#?}");
    let (other, log) = time_from_build(old(3), "127.0.0.1:9092", 2).await;
    assert_eq!(other, 6 * ROUND_TRIP, "{log:#?}");
}

#[tokio::test(start_paused = true)]
async fn producer_that_was_built_before_needs_two_round_trips_or_four() {
    assert_eq!(time_from_send(cluster(ROUND_TRIP, 1), 0).await, 2 * ROUND_TRIP);
    assert_eq!(time_from_send(cluster(ROUND_TRIP, 3), 2).await, 4 * ROUND_TRIP);
}

#[tokio::test(start_paused = true)]
async fn topic_of_very_many_brokers_does_not_make_the_producer_connect_to_all() {
    let (took, log) = time_from_build(cluster(ROUND_TRIP, 17), "127.0.0.1:9092", 16).await;

    assert_eq!(took, 6 * ROUND_TRIP, "{log:#?}");
    let connected: Vec<_> = log.iter().filter(|line| line.ends_with("connect")).collect();
    assert_eq!(connected, ["0: connect", "16: connect"]);
}

#[tokio::test(start_paused = true)]
async fn broker_that_ends_the_connection_on_a_look_ahead_is_not_asked_so_again() {
    let mut cluster = cluster(ROUND_TRIP, 1);
    cluster.dislikes_early_requests = true;

    let (took, log) = time_from_build(cluster, "127.0.0.1:9092", 0).await;

    let again = ["0: ApiVersions", "0: Metadata", "0: InitProducerId", "0: Produce"];
    let expected = [&["0: connect", "0: ApiVersions", "0: Metadata", "0: connect"], &again[..]].concat();
    assert_eq!(distant::without_versions(&log), expected);
    assert!(took < Duration::from_secs(1), "{took:?}");
}
