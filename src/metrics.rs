//! Counters of what a producer does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// A snapshot of a producer's counters, from [`KafkaProducer::metrics`](crate::KafkaProducer::metrics).
///
/// Names follow Kafka's producer metrics where Kafka has one (given in backticks).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Batches whose records were acknowledged, or failed.
    pub batches_completed: u64,
    /// Batches that were cut into smaller ones: `batch-split-total`.
    pub batch_splits: u64,
    /// Bytes of `buffer.memory` that are free: `buffer-available-bytes`.
    pub buffer_available_bytes: usize,
    /// `buffer.memory`: `buffer-total-bytes`.
    pub buffer_total_bytes: usize,
    /// Bytes of `buffer.memory` that batches hold.
    pub buffered_bytes: usize,
    /// Records accepted and neither acknowledged nor failed yet.
    pub buffered_records: u64,
    /// Until when the certificate is valid that the producer shows to brokers. `None` if it has none, or if it connects by a
    /// configuration of rustls that the application has made.
    pub certificate_ends: Option<SystemTime>,
    /// Connections that were made: `connection-creation-total`.
    pub connections_created: u64,
    /// Requests that await their answer: `requests-in-flight`.
    pub requests_in_flight: u64,
    /// Requests of all kinds sent: `request-total`.
    pub requests_sent: u64,
    /// Produce requests sent.
    pub produce_requests_sent: u64,
    /// Metadata requests sent.
    pub metadata_requests_sent: u64,
    /// Records acknowledged: `record-send-total` less those that were retried or failed.
    pub records_delivered: u64,
    /// Records that failed after they had been accepted: `record-error-total`.
    pub record_errors: u64,
    /// Records sent again: `record-retry-total`.
    pub record_retries: u64,
    /// Bytes of batches sent, retries included.
    pub bytes_sent: u64,
    /// Calls that wait for memory at the moment: `waiting-threads`.
    pub waiting_for_memory: usize,
}

/// The counters behind [`Metrics`], each written by one task.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) batches_completed: Counter,
    pub(crate) batch_splits: Counter,
    pub(crate) connections_created: Counter,
    pub(crate) requests_in_flight: Counter,
    pub(crate) requests_sent: Counter,
    pub(crate) produce_requests_sent: Counter,
    pub(crate) metadata_requests_sent: Counter,
    pub(crate) records_delivered: Counter,
    pub(crate) record_errors: Counter,
    pub(crate) record_retries: Counter,
    pub(crate) bytes_sent: Counter,
}

/// A number that goes up, or is set.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
