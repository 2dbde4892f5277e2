//! `Counters`: what the sender counts, and what it shares with those who take snapshots.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::histogram::{Histogram, add_alone};
use super::sample::MetricUnit;
use super::table::{BrokerMetrics, TopicMetrics};
use crate::topic_partition::{NodeId, Topic};

/// The counts of a producer. Only the holder of the sender's seat writes them, but for those of calls.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) batches_completed: Counter,
    pub(crate) batch_splits: Counter,
    pub(crate) connections: Counter,
    pub(crate) connections_closed: Counter,
    pub(crate) connections_created: Counter,
    pub(crate) failed_authentications: Counter,
    pub(crate) requests_in_flight: Counter,
    pub(crate) requests_sent: Counter,
    pub(crate) produce_requests_sent: Counter,
    pub(crate) metadata_requests_sent: Counter,
    pub(crate) records_delivered: Counter,
    pub(crate) record_errors: Counter,
    pub(crate) record_retries: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) batch_size: Histogram,
    /// In thousandths.
    pub(crate) compression_ratio: Histogram,
    pub(crate) queue_time: Histogram,
    pub(crate) records_per_batch: Histogram,
    pub(crate) throttle_time: Histogram,
    /// When brokers last described all topics in use.
    pub(crate) metadata_at: Moment,
    /// When a broker last acknowledged a record.
    pub(crate) delivered_at: Moment,
    pub(crate) calls: CallCounters,
    brokers: Mutex<BTreeMap<NodeId, Arc<BrokerCounters>>>,
}

/// What calls count, when they have waited.
#[derive(Debug, Default)]
pub(crate) struct CallCounters {
    memory_timeouts: AtomicU64,
    memory_wait: AtomicU64,
    metadata_wait: AtomicU64,
}

/// What is counted for each broker.
#[derive(Debug, Default)]
pub(crate) struct BrokerCounters {
    pub(crate) requests_in_flight: Counter,
    pub(crate) produce_requests_sent: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) request_latency: Histogram,
    /// In microseconds.
    pub(crate) throttled: Counter,
}

/// What is counted for each topic.
#[derive(Debug, Default)]
pub(crate) struct TopicCounters {
    pub(crate) bytes_sent: Counter,
    pub(crate) bytes_before_compression: Counter,
    pub(crate) records_delivered: Counter,
    pub(crate) records_sent: Counter,
    pub(crate) record_errors: Counter,
    pub(crate) record_retries: Counter,
    pub(crate) queue_time: Histogram,
}

/// A number that goes up, or is set, by one writer at a time.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// When something has happened last.
#[derive(Debug, Default)]
pub(crate) struct Moment(Mutex<Option<Instant>>);

/// So many brokers have counts. Nothing but a cluster that renames its brokers again and again gets there.
const MAX_BROKERS: usize = 4096;

impl Counters {
    /// Returns the counts of a broker, which begin with the first call.
    pub(crate) fn broker(&self, node: NodeId) -> Arc<BrokerCounters> {
        let mut brokers = self.lock_brokers();
        if brokers.len() >= MAX_BROKERS && !brokers.contains_key(&node) {
            brokers.clear();
        }
        Arc::clone(brokers.entry(node).or_default())
    }

    /// Returns the counts of all brokers that were sent something.
    pub(crate) fn brokers(&self) -> Vec<BrokerMetrics> {
        let brokers = self.lock_brokers();
        let broker = |(node, counters): (&NodeId, &Arc<BrokerCounters>)| counters.snapshot(*node);
        brokers.iter().map(broker).collect()
    }

    fn lock_brokers(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<BrokerCounters>>> {
        self.brokers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallCounters {
    pub(crate) fn note_memory_timeout(&self) {
        self.memory_timeouts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_memory_wait(&self, wait: Duration) {
        self.memory_wait.fetch_add(micros(wait), Ordering::Relaxed);
    }

    pub(crate) fn note_metadata_wait(&self, wait: Duration) {
        self.metadata_wait.fetch_add(micros(wait), Ordering::Relaxed);
    }

    pub(crate) fn memory_timeouts(&self) -> u64 {
        self.memory_timeouts.load(Ordering::Relaxed)
    }

    pub(crate) fn memory_wait(&self) -> Duration {
        Duration::from_micros(self.memory_wait.load(Ordering::Relaxed))
    }

    pub(crate) fn metadata_wait(&self) -> Duration {
        Duration::from_micros(self.metadata_wait.load(Ordering::Relaxed))
    }
}

impl BrokerCounters {
    /// Counts an answer and how long it has taken. How many requests are under way is made certain with the next that is sent.
    pub(crate) fn note_answer(&self, latency: Duration) {
        self.request_latency.record_time(latency);
        self.requests_in_flight.set(self.requests_in_flight.value().saturating_sub(1));
    }

    fn snapshot(&self, node: NodeId) -> BrokerMetrics {
        let request_latency = self.request_latency.snapshot(MetricUnit::Seconds);
        BrokerMetrics {
            node,
            requests_in_flight: self.requests_in_flight.value(),
            produce_requests_sent: self.produce_requests_sent.value(),
            responses_received: request_latency.count(),
            bytes_sent: self.bytes_sent.value(),
            request_latency,
            throttled: Duration::from_micros(self.throttled.value()),
        }
    }
}

impl TopicCounters {
    pub(crate) fn snapshot(&self, topic: Topic, records_accepted: u64) -> TopicMetrics {
        TopicMetrics {
            topic,
            bytes_sent: self.bytes_sent.value(),
            bytes_before_compression: self.bytes_before_compression.value(),
            records_accepted,
            records_delivered: self.records_delivered.value(),
            records_sent: self.records_sent.value(),
            record_errors: self.record_errors.value(),
            record_retries: self.record_retries.value(),
            queue_time: self.queue_time.snapshot(MetricUnit::Seconds),
        }
    }
}

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        add_alone(&self.0, count);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Moment {
    pub(crate) fn set(&self, at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Returns how long ago it was.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        let at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.map(|at| now.saturating_duration_since(at))
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_that_come_without_end_do_not_fill_the_memory() {
        let counters = Counters::default();

        (0..10_000).for_each(|node| counters.broker(NodeId(node)).bytes_sent.add(1));

        assert!(counters.brokers().len() <= MAX_BROKERS);
    }

    #[test]
    fn counts_of_a_broker_are_kept_under_its_id() {
        let counters = Counters::default();

        counters.broker(NodeId(2)).note_answer(Duration::from_millis(3));
        counters.broker(NodeId(2)).note_answer(Duration::from_millis(5));

        let brokers = counters.brokers();
        assert_eq!(brokers.len(), 1);
        assert_eq!((brokers[0].node, brokers[0].responses_received), (NodeId(2), 2));
        assert_eq!(brokers[0].request_latency.mean(), Some(0.004));
    }
}
