//! Brokers that answer a TLS handshake with rubbish, or what comes after it: producers neither panic nor hang nor grow, give every
//! record back or deliver it, and work again once the brokers have come to their senses.

#[path = "../hostile/answers.rs"]
mod answers;
mod attack;
mod broker;

use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kafka_mock::MockTls;
use kafka_producer::{KafkaProducer, ProducerRecord, SecurityProtocol, Tls};

use broker::Brokers;

const PRODUCERS: usize = 6;
const RECORDS_AT_A_TIME: usize = 4;
/// By then everything that grows to its size once has done so.
const WARM: usize = 300;
const CONNECTIONS: usize = 1_200;
/// What all producers, their runtime and the brokers may have more at the end than when they were warm.
const MOST_GROWTH: i64 = 800_000;
const PATIENCE: Duration = Duration::from_secs(300);

fn producer(bootstrap_servers: &str) -> KafkaProducer {
    let millis = Duration::from_millis;
    KafkaProducer::builder()
        .bootstrap_servers(bootstrap_servers)
        .security_protocol(SecurityProtocol::Ssl)
        .tls(Tls::new().truststore_pem(MockTls::ca_pem()))
        .linger(Duration::ZERO)
        .reconnect_backoff(millis(1))
        .reconnect_backoff_max(millis(5))
        .retry_backoff(millis(1))
        .retry_backoff_max(millis(5))
        .socket_connection_setup_timeout(millis(200))
        .socket_connection_setup_timeout_max(millis(200))
        .request_timeout(millis(300))
        .delivery_timeout(millis(600))
        .max_block(millis(300))
        .metadata_max_age(millis(100))
        .metadata_recovery_rebootstrap_trigger(millis(50))
        .buffer_memory(256 * 1024)
        .batch_size(4 * 1024)
        .build()
        .unwrap()
}

/// Outcomes so far.
#[derive(Debug, Default)]
struct Tally {
    delivered: AtomicUsize,
    refused: AtomicUsize,
    failed: AtomicUsize,
}

/// Sends until the brokers have had enough connections.
async fn send(producer: &KafkaProducer, brokers: &Brokers, until: usize, tally: &Tally) {
    while brokers.connections() < until {
        let mut sent = Vec::new();
        for number in 0..RECORDS_AT_A_TIME {
            let value = format!("{number}:{}", "x".repeat(100 * number));
            match producer.enqueue(ProducerRecord::to("topic").value(value.clone())).await {
                Ok(delivery) => sent.push((value, delivery)),
                Err(error) => {
                    let record = error.into_record().expect("a refused record comes back");
                    assert_eq!(record.value.as_deref(), Some(value.as_bytes()));
                    tally.refused.fetch_add(1, Ordering::Relaxed);
                    // A producer that knows the reason of a refusal refuses at once.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
        for (value, delivery) in sent {
            let place = match delivery.await {
                Ok(_) => &tally.delivered,
                Err(error) => {
                    let record = error.record().expect("a failed record comes back");
                    assert_eq!(record.value.as_deref(), Some(value.as_bytes()));
                    &tally.failed
                }
            };
            place.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn all_send(producers: &[KafkaProducer], brokers: &Brokers, until: usize, tally: &Tally) {
    let sending = producers.iter().map(|producer| send(producer, brokers, until, tally));
    let all = futures::future::join_all(sending);
    let in_time = tokio::time::timeout(PATIENCE, all).await;
    assert!(in_time.is_ok(), "{} connections: {tally:?} {:?}", brokers.connections(), brokers.attacks());
}

/// Sends one record until it is delivered.
async fn recover(producer: &KafkaProducer) {
    let is_delivered = async {
        while producer.send(ProducerRecord::to("topic").value("after all")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, is_delivered).await.expect("producers recover");
}

fn count_panics() -> Arc<AtomicUsize> {
    let panics = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&panics);
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        counted.fetch_add(1, Ordering::SeqCst);
        report(info);
    }));
    panics
}

/// Everything runs on this thread, where allocations are counted.
#[test]
#[expect(clippy::disallowed_methods, reason = "figures of a test run are wall-clock figures")]
fn hostile_handshakes_leave_no_trace() {
    let panics = count_panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let brokers = runtime.block_on(Brokers::start(2));
    let tally = Tally::default();
    let producers: Vec<_> = {
        let _runtime = runtime.enter();
        (0..PRODUCERS).map(|_| producer(&brokers.addresses())).collect()
    };

    let started = Instant::now();
    runtime.block_on(all_send(&producers, &brokers, WARM, &tally));
    let growth = allocation_counter::measure(|| {
        runtime.block_on(all_send(&producers, &brokers, CONNECTIONS, &tally));
    });
    println!("{} connections in {:?}: {:?}", brokers.connections(), started.elapsed(), brokers.attacks());
    println!(
        "{tally:?}; {} bytes more allocated, at most {} at a time",
        growth.bytes_current, growth.bytes_max
    );
    brokers.come_to_their_senses();
    runtime.block_on(async {
        futures::future::join_all(producers.iter().map(recover)).await;
        for producer in &producers {
            let report = producer.close(PATIENCE).await;
            assert!(report.undelivered.is_empty());
        }
    });

    assert_eq!(panics.load(Ordering::SeqCst), 0);
    assert!(brokers.attacks().iter().all(|(_, count)| *count > 0), "{:?}", brokers.attacks());
    assert!(tally.delivered.load(Ordering::Relaxed) > 0);
    assert!(growth.bytes_current < MOST_GROWTH, "{} bytes", growth.bytes_current);
    assert!(growth.bytes_max < MOST_AT_A_TIME, "{} bytes", growth.bytes_max);
}

/// What producers and brokers may have at a time beyond what they had when they were warm: less than one of the frames that
/// hostile brokers announce.
const MOST_AT_A_TIME: u64 = 16 * 1024 * 1024;
