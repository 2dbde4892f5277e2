//! Start-up, counted in round trips: on tokio's paused clock, which stands still but for the round trips of the network
//! and for timers that fire.

mod canonical;
mod distant;
#[cfg(all(feature = "sasl", feature = "tls"))]
mod secured;
mod transactional;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kafka_mock::Api;

use crate::clock;
use crate::error::{Disposition, SendErrorKind};
use crate::network::lookup::Unresolved;
use crate::network::transport::{Connecting, Connector};
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

/// One of them tells what to ask the others in.
#[tokio::test(start_paused = true)]
async fn first_broker_before_kafka_2_4_is_asked_twice_for_its_versions() {
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
    assert_eq!(other, 5 * ROUND_TRIP, "{log:#?}");
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

/// Brokers whose names have no address for a while.
#[derive(Debug)]
struct Nameless {
    brokers: ToDistant,
    is_known: Arc<AtomicBool>,
}

impl Connector for Nameless {
    fn connect(&self, host: &str, port: u16, attempt: usize) -> Connecting {
        if self.is_known.load(Ordering::Relaxed) {
            return self.brokers.connect(host, port, attempt);
        }
        Box::pin(async { Err(Unresolved::error(io::ErrorKind::NotFound, "no such name")) })
    }
}

#[tokio::test(start_paused = true)]
async fn callers_learn_in_time_that_no_name_has_an_address_and_records_go_once_one_has() {
    let is_known = Arc::new(AtomicBool::new(false));
    let brokers = ToDistant(Arc::new(cluster(ROUND_TRIP, 1)));
    let nameless = Nameless { brokers, is_known: Arc::clone(&is_known) };
    let begin = clock::now();
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers("kafka-1:9092,kafka-2:9092")
        .bootstrap_resolve_timeout(Duration::from_secs(7))
        .build_with(Arc::new(nameless))
        .unwrap();
    let send = || producer.send(ProducerRecord::to(TOPIC).value("2 apples"));

    for _ in 0..2 {
        let error = send().await.unwrap_err();

        assert!(matches!(error.kind(), SendErrorKind::BootstrapUnresolved { .. }), "{error:?}");
        assert_eq!(error.disposition(), Disposition::FixConfiguration);
        let text = error.to_string();
        for part in ["bootstrap.servers", "bootstrap.resolve.timeout.ms (7000)", "no such name", ":9092"] {
            assert!(text.contains(part), "{text}");
        }
        // reconnect.backoff.max.ms is a second, and a fifth more with jitter.
        let took = clock::now() - begin;
        assert!((Duration::from_secs(7)..Duration::from_secs(10)).contains(&took), "{took:?}");
    }
    is_known.store(true, Ordering::Relaxed);
    while send().await.is_err() {
        assert!(clock::now() - begin < Duration::from_secs(15));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_callers_wait_for_names_as_long_as_they_wish() {
    let brokers = ToDistant(Arc::new(cluster(ROUND_TRIP, 1)));
    let nameless = Nameless { brokers, is_known: Arc::default() };
    let producer: KafkaProducer =
        KafkaProducer::builder().bootstrap_servers("kafka-1:9092").build_with(Arc::new(nameless)).unwrap();

    let error = producer.send(ProducerRecord::to(TOPIC).value("2 apples")).await.unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::MetadataTimeout { .. }), "{error:?}");
    assert!(error.to_string().contains("no broker can be reached (kafka-1:9092: no such name, "), "{error}");
}
