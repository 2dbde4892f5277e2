//! Producers that send to hostile brokers, for many connections, and what that costs them.

use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kafka_producer::{KafkaProducer, KafkaProducerBuilder, ProducerRecord};

use crate::brokers::{Attacker, Brokers};

/// How long it goes on, and what it may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Campaign {
    /// With so many connections, everything that grows to its size once has done so.
    pub(crate) warm: usize,
    pub(crate) connections: usize,
    /// Bytes that producers, their runtime and the brokers may have more at the end than when they were warm.
    pub(crate) most_growth: i64,
    /// The most of them at any time.
    pub(crate) most_at_a_time: u64,
    /// The same for the whole process as Linux sees it, which keeps pages for itself.
    pub(crate) most_resident_growth: i64,
}

/// Outcomes so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    delivered: AtomicUsize,
    refused: AtomicUsize,
    failed: AtomicUsize,
}

impl Campaign {
    /// Has producers send to brokers of an attacker until these have had enough connections. Then the brokers come to their senses,
    /// and each producer that `believes` them recovers. Everything runs on this thread, where allocations are counted.
    #[expect(clippy::disallowed_methods, reason = "figures of a test run are wall-clock figures")]
    pub(crate) fn run<A: Attacker>(
        self,
        attacker: A,
        producers: impl Fn(&str) -> Vec<KafkaProducer>,
        believes: impl Fn(usize) -> bool,
    ) {
        let panics = count_panics();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let brokers = runtime.block_on(Brokers::start(2, attacker));
        let tally = Tally::default();
        let producers = {
            let _runtime = runtime.enter();
            producers(&brokers.addresses())
        };

        let started = Instant::now();
        runtime.block_on(all_send(&producers, &brokers, self.warm, &tally));
        let resident_when_warm = resident();
        let growth = allocation_counter::measure(|| {
            runtime.block_on(all_send(&producers, &brokers, self.connections, &tally));
        });
        let resident_growth = resident().zip(resident_when_warm).map(|(end, warm)| end - warm);
        let (connections, attacks) = (brokers.connections(), brokers.attacks());
        println!("{connections} connections in {:?}: {attacks:?}", started.elapsed());
        println!(
            "{tally:?}; {} bytes more allocated, at most {} at a time, {resident_growth:?} resident",
            growth.bytes_current, growth.bytes_max
        );
        brokers.come_to_their_senses();
        runtime.block_on(async {
            let believers = producers.iter().enumerate().filter(|(number, _)| believes(*number));
            futures::future::join_all(believers.map(|(_, producer)| recover(producer))).await;
            for producer in &producers {
                let report = producer.close(PATIENCE).await;
                assert!(report.undelivered.is_empty());
            }
        });

        assert_eq!(panics.load(Ordering::SeqCst), 0);
        assert!(attacks.iter().all(|(_, count)| *count > 0), "{attacks:?}");
        assert!(tally.failed.load(Ordering::Relaxed) > 0 && tally.delivered.load(Ordering::Relaxed) > 0);
        assert!(growth.bytes_current < self.most_growth, "{} bytes", growth.bytes_current);
        assert!(growth.bytes_max < self.most_at_a_time, "{} bytes", growth.bytes_max);
        assert!(
            resident_growth.is_none_or(|growth| growth < self.most_resident_growth),
            "{resident_growth:?}"
        );
    }
}

/// A producer that is quick to give up and to try again.
pub(crate) fn impatient(bootstrap_servers: &str) -> KafkaProducerBuilder {
    let millis = Duration::from_millis;
    KafkaProducer::builder()
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
}

async fn all_send<A: Attacker>(
    producers: &[KafkaProducer],
    brokers: &Brokers<A>,
    until: usize,
    tally: &Tally,
) {
    let sending = producers.iter().map(|producer| send(producer, brokers, until, tally));
    let all = futures::future::join_all(sending);
    let in_time = tokio::time::timeout(PATIENCE, all).await;
    assert!(in_time.is_ok(), "{} connections: {tally:?} {:?}", brokers.connections(), brokers.attacks());
}

/// Sends until the brokers have had enough connections.
async fn send<A: Attacker>(producer: &KafkaProducer, brokers: &Brokers<A>, until: usize, tally: &Tally) {
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

/// Sends one record until it is delivered.
async fn recover(producer: &KafkaProducer) {
    let is_delivered = async {
        while producer.send(ProducerRecord::to("topic").value("after all")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
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

const RECORDS_AT_A_TIME: usize = 4;
const PATIENCE: Duration = Duration::from_secs(400);
