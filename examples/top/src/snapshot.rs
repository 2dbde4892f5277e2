//! `Snapshot`: all that is shown of a producer, as plain values, so that drawing needs no producer.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_producer::{BrokerReport, BrokerState, Health, KafkaProducer, Metrics};

use crate::causes::Cause;
use crate::sizes::Sizes;

/// What a producer has done and does, at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// Since the start of the program.
    pub(crate) at: Duration,
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) retried: u64,
    pub(crate) bytes: u64,
    /// Accepted and neither acknowledged nor failed.
    pub(crate) waiting: u64,
    pub(crate) latency: Sizes,
    pub(crate) memory: Memory,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) brokers: Vec<Broker>,
    /// Those that count most first.
    pub(crate) causes: Vec<(String, Cause)>,
    pub(crate) last_delivery_age: Option<Duration>,
    pub(crate) oldest_waiting: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) total: usize,
    pub(crate) used: usize,
    /// Calls that wait for memory.
    pub(crate) callers: usize,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Partition {
    pub(crate) name: String,
    pub(crate) leader: Option<i32>,
    /// Bytes of memory that its batches hold, under way or not.
    pub(crate) held: usize,
    /// Batches that are not under way.
    pub(crate) queued: usize,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Broker {
    /// `None` as long as only an entry of `bootstrap.servers` leads to it.
    pub(crate) node: Option<i32>,
    pub(crate) address: String,
    pub(crate) mood: Mood,
    /// How it fares, and why.
    pub(crate) words: String,
    pub(crate) in_flight: u64,
    pub(crate) latency: Sizes,
}

/// Whether a broker gives cause for concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    Bad,
    Good,
    /// It has not been needed so far, or is not needed at the moment.
    #[default]
    Idle,
    /// It is being connected to, or wants to be left alone.
    Slow,
}

impl Snapshot {
    /// Takes one. `leaders`: of the partitions of the topic.
    pub(crate) fn take(
        producer: &KafkaProducer,
        leaders: &BTreeMap<i32, Option<i32>>,
        causes: Vec<(String, Cause)>,
        at: Duration,
    ) -> Self {
        let (metrics, health) = (producer.metrics(), producer.health());
        Self {
            at,
            accepted: metrics.records_accepted,
            delivered: metrics.records_delivered,
            failed: metrics.record_errors,
            retried: metrics.record_retries,
            bytes: metrics.bytes_sent,
            waiting: metrics.buffered_records,
            latency: Sizes::of(&metrics.request_latency),
            memory: Memory {
                total: metrics.buffer_total_bytes,
                used: metrics.buffered_bytes,
                callers: metrics.waiting_for_memory,
            },
            partitions: partitions(&metrics, leaders),
            brokers: brokers(&metrics, &health),
            causes,
            last_delivery_age: health.last_delivery_age,
            oldest_waiting: health.oldest_waiting,
        }
    }
}

fn partitions(metrics: &Metrics, leaders: &BTreeMap<i32, Option<i32>>) -> Vec<Partition> {
    let mut found: Vec<_> = metrics.partitions.iter().collect();
    found.sort_by_key(|partition| (partition.topic.as_str(), partition.partition));
    found
        .into_iter()
        .map(|partition| Partition {
            name: format!("{}-{}", partition.topic, partition.partition),
            leader: leaders.get(&partition.partition).copied().flatten(),
            held: partition.buffered_bytes,
            queued: partition.queued_batches,
        })
        .collect()
}

fn brokers(metrics: &Metrics, health: &Health) -> Vec<Broker> {
    let mut brokers: Vec<_> = health.brokers.iter().map(|report| broker(report, metrics)).collect();
    brokers.sort_by_key(|broker| (broker.node.is_none(), broker.node, broker.address.clone()));
    brokers
}

fn broker(report: &BrokerReport, metrics: &Metrics) -> Broker {
    let counts = metrics.brokers.iter().find(|counts| Some(counts.node) == report.node);
    let mood = match report.state {
        _ if report.failures > 0 => Mood::Bad,
        _ if report.throttled_for.is_some() => Mood::Slow,
        BrokerState::Connected => Mood::Good,
        BrokerState::Connecting(_) => Mood::Slow,
        _ => Mood::Idle,
    };
    // The report begins with the address, which is shown apart.
    let text = report.to_string();
    let address = match report.host.contains(':') {
        true => format!("[{}]:{}", report.host, report.port),
        false => format!("{}:{}", report.host, report.port),
    };
    let words = match report.throttled_for {
        Some(left) => format!("throttled by its quota for another {:.1} s", left.as_secs_f64()),
        None => text.strip_prefix(&address).unwrap_or(&text).trim_start_matches(": ").to_owned(),
    };
    Broker {
        node: report.node.map(|node| node.0),
        address,
        mood,
        words,
        in_flight: counts.map_or(0, |counts| counts.requests_in_flight),
        latency: counts.map(|counts| Sizes::of(&counts.request_latency)).unwrap_or_default(),
    }
}
