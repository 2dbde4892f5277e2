//! Snapshots of what the sender counts and the accumulator holds.

use std::time::{Instant, SystemTime};

use crate::accumulator::RecordAccumulator;
use crate::metrics::{Counters, HistogramSnapshot, MetricUnit, Metrics};

/// Takes a snapshot, without what stands in queues, for which it would have to take their locks, and without certificates.
pub(crate) fn snapshot(
    counters: &Counters,
    accumulator: &RecordAccumulator,
    client_id: &str,
    start_time: SystemTime,
    now: Instant,
) -> Metrics {
    let calls = &counters.calls;
    let memory = accumulator.memory();
    let settled = counters.records_delivered.value() + counters.record_errors.value();
    let accepted = accumulator.appended_records();
    let topics = accumulator.topics();
    let mut topics: Vec<_> = topics.iter().map(|topic| topic.metrics()).collect();
    topics.sort_by(|one, other| one.topic.cmp(&other.topic));
    let brokers = counters.brokers();
    let latencies = brokers.iter().map(|broker| &broker.request_latency);
    let request_latency = HistogramSnapshot::merged(MetricUnit::Seconds, latencies);
    Metrics {
        client_id: client_id.to_owned(),
        taken_at: now,
        topics,
        brokers,
        partitions: Vec::new(),
        batches_completed: counters.batches_completed.value(),
        batch_splits: counters.batch_splits.value(),
        buffer_available_bytes: memory.available(),
        buffer_total_bytes: memory.total(),
        buffered_bytes: memory.total() - memory.available(),
        buffered_records: accepted.saturating_sub(settled),
        certificate_ends: None,
        connections: counters.connections.value(),
        connections_closed: counters.connections_closed.value(),
        connections_created: counters.connections_created.value(),
        failed_authentications: counters.failed_authentications.value(),
        requests_in_flight: counters.requests_in_flight.value(),
        requests_sent: counters.requests_sent.value(),
        responses_received: request_latency.count(),
        produce_requests_sent: counters.produce_requests_sent.value(),
        metadata_requests_sent: counters.metadata_requests_sent.value(),
        records_accepted: accepted,
        records_delivered: counters.records_delivered.value(),
        record_errors: counters.record_errors.value(),
        record_retries: counters.record_retries.value(),
        bytes_sent: counters.bytes_sent.value(),
        waiting_for_memory: memory.waiters(),
        memory_timeouts: calls.memory_timeouts(),
        memory_wait: calls.memory_wait(),
        metadata_wait: calls.metadata_wait(),
        metadata_age: counters.metadata_at.age(now),
        last_delivery_age: counters.delivered_at.age(now),
        oldest_batch_age: accumulator.oldest_batch().map(|at| now.saturating_duration_since(at)),
        start_time,
        batch_size: counters.batch_size.snapshot(MetricUnit::Bytes),
        compression_ratio: counters.compression_ratio.snapshot(MetricUnit::Ratio),
        queue_time: counters.queue_time.snapshot(MetricUnit::Seconds),
        records_per_batch: counters.records_per_batch.snapshot(MetricUnit::Records),
        request_latency,
        throttle_time: counters.throttle_time.snapshot(MetricUnit::Seconds),
    }
}
