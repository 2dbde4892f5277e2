//! Brokers that answer with rubbish, ten thousand connections long: producers neither panic nor grow, give every record
//! back or deliver it, and work again once the brokers have come to their senses.

mod answers;
mod attack;
mod broker;

use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kafka_producer::{KafkaProducer, ProducerRecord, Sasl, SecurityProtocol};

use broker::Brokers;

const PRODUCERS: usize = 8;
const RECORDS_AT_A_TIME: usize = 4;
/// By then everything that grows to its size once has done so.
const WARM: usize = 2_000;
const CONNECTIONS: usize = 10_000;
/// What all producers, their runtime and the brokers may have more at the end than when they were warm. A hundred bytes
/// for each connection would exceed it.
const MOST_GROWTH: i64 = 800_000;
/// The same for the whole process as Linux sees it, which keeps pages for itself.
const MOST_RESIDENT_GROWTH: i64 = 16 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(400);

/// The second and the fourth of four say who they are. The brokers do not know the password of the fourth, which must not believe them.
fn producer(number: usize, bootstrap_servers: &str) -> KafkaProducer {
    let millis = Duration::from_millis;
    let builder = KafkaProducer::builder();
    let builder = match number % 4 {
        1 => builder.security_protocol(SecurityProtocol::SaslPlaintext).sasl(Sasl::plain("alice", "secret")),
        3 => builder
            .security_protocol(SecurityProtocol::SaslPlaintext)
            .sasl(Sasl::scram_sha_256("alice", "secret")),
        _ => builder,
    };
    builder
        .bootstrap_servers(bootstrap_servers)
        .linger(Duration::ZERO)
        .reconnect_backoff(millis(1))
        .reconnect_backoff_max(millis(5))
        .retry_backoff(millis(1))
        .retry_backoff_max(millis(5))
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
    let is_delivered =
        async { while producer.send(ProducerRecord::to("topic").value("after all")).await.is_err() {} };
    tokio::time::timeout(PATIENCE, is_delivered).await.expect("producers recover");
}

/// Bytes that the process has in memory, where that can be known.
fn resident() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
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
fn ten_thousand_hostile_connections_leave_no_trace() {
    let panics = count_panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let brokers = runtime.block_on(Brokers::start(2));
    let tally = Tally::default();
    let producers: Vec<_> = {
        let _runtime = runtime.enter();
        (0..PRODUCERS).map(|number| producer(number, &brokers.addresses())).collect()
    };

    let started = Instant::now();
    runtime.block_on(all_send(&producers, &brokers, WARM, &tally));
    let resident_when_warm = resident();
    let growth = allocation_counter::measure(|| {
        runtime.block_on(all_send(&producers, &brokers, CONNECTIONS, &tally));
    });
    let resident_growth = resident().zip(resident_when_warm).map(|(end, warm)| end - warm);
    println!("{} connections in {:?}: {:?}", brokers.connections(), started.elapsed(), brokers.attacks());
    println!("{tally:?}; {} bytes more allocated, {resident_growth:?} resident", growth.bytes_current);
    brokers.come_to_their_senses();
    runtime.block_on(async {
        let believers = producers.iter().enumerate().filter(|(number, _)| number % 4 != 3);
        futures::future::join_all(believers.map(|(_, producer)| recover(producer))).await;
        for producer in &producers {
            let report = producer.close(PATIENCE).await;
            assert!(report.undelivered.is_empty());
        }
    });

    assert_eq!(panics.load(Ordering::SeqCst), 0);
    assert!(tally.failed.load(Ordering::Relaxed) > 0 && tally.delivered.load(Ordering::Relaxed) > 0);
    assert!(growth.bytes_current < MOST_GROWTH, "{} bytes", growth.bytes_current);
    assert!(resident_growth.is_none_or(|growth| growth < MOST_RESIDENT_GROWTH), "{resident_growth:?}");
}
