//! What is counted of connections, requests and batches on their way: per event, never per record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SenderCore;
use crate::accumulator::{PartitionQueue, ProducerBatch};
use crate::error::ConnectionStep;
use crate::metrics::{BrokerCounters, Counters};
use crate::network::DisconnectReason;
use crate::topic_partition::NodeId;

/// The counts of brokers, found without a lock.
#[derive(Debug, Default)]
pub(super) struct BrokerCounts {
    at_hand: BTreeMap<NodeId, Arc<BrokerCounters>>,
    /// The one that was asked for last, which is mostly asked for again.
    last: Option<(NodeId, Arc<BrokerCounters>)>,
}

/// So many are kept at hand. The others are found again in [`Counters`].
const MAX_AT_HAND: usize = 1024;

impl BrokerCounts {
    #[inline]
    fn of(&mut self, node: NodeId, counters: &Counters) -> &BrokerCounters {
        if self.last.as_ref().is_none_or(|(last, _)| *last != node) {
            self.last = Some((node, self.find(node, counters)));
        }
        let (_, found) = self.last.as_ref().expect("set above");
        found
    }

    fn find(&mut self, node: NodeId, counters: &Counters) -> Arc<BrokerCounters> {
        if self.at_hand.len() >= MAX_AT_HAND && !self.at_hand.contains_key(&node) {
            self.at_hand.clear();
        }
        Arc::clone(self.at_hand.entry(node).or_insert_with(|| counters.broker(node)))
    }
}

/// A batch before it is sent, as it counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure {
    queued: Duration,
    records: u32,
    is_first: bool,
}

impl Departure {
    pub(super) fn new(batch: &ProducerBatch, now: Instant) -> Self {
        Self {
            queued: now.saturating_duration_since(batch.created()),
            records: batch.record_count(),
            is_first: batch.attempts() == 0,
        }
    }

    /// Counts the batch, now that its bytes are as they go over the wire. `plain_len`: before compression.
    pub(super) fn count(self, len: usize, plain_len: usize, queue: &PartitionQueue, counters: &Counters) {
        let (len, plain_len, records) = (len as u64, plain_len as u64, u64::from(self.records));
        let topic = queue.topic_counters();
        topic.bytes_sent.add(len);
        topic.bytes_before_compression.add(plain_len);
        topic.records_sent.add(records);
        if self.is_first {
            topic.queue_time.record_time(self.queued);
            counters.queue_time.record_time(self.queued);
            counters.batch_size.record(len);
            counters.records_per_batch.record(records);
            counters.compression_ratio.record(if len == plain_len {
                1000
            } else {
                thousandths(len, plain_len)
            });
        }
    }
}

/// Returns a part of something, in thousandths.
fn thousandths(part: u64, whole: u64) -> u64 {
    part.saturating_mul(1000) / whole.max(1)
}

impl SenderCore {
    /// Counts a connection that takes requests from now on.
    pub(super) fn count_connection(&self) {
        self.counters.connections.add(1);
        self.counters.connections_created.add(1);
    }

    /// Counts the end of a connection, or of an attempt at one.
    pub(super) fn count_lost_connection(&self, step: ConnectionStep, reason: &DisconnectReason) {
        let counters = &*self.counters;
        counters.connections_closed.add(1);
        if step == ConnectionStep::Ready {
            counters.connections.set(counters.connections.value().saturating_sub(1));
        }
        if matches!(reason, DisconnectReason::AuthenticationFailed(_)) {
            counters.failed_authentications.add(1);
        }
    }

    /// Counts an answer and how long it has taken.
    #[inline]
    pub(super) fn count_answer(&mut self, node: NodeId, latency: Duration) {
        self.broker_counts.of(node, &self.counters).note_answer(latency);
    }

    /// Counts a produce request that was handed to a connection.
    pub(super) fn count_produce_request(&mut self, node: NodeId, bytes: usize) {
        let counters = &*self.counters;
        counters.produce_requests_sent.add(1);
        counters.bytes_sent.add(bytes as u64);
        let in_flight = self.network.in_flight_count(node) as u64;
        let broker = self.broker_counts.of(node, counters);
        broker.produce_requests_sent.add(1);
        broker.bytes_sent.add(bytes as u64);
        broker.requests_in_flight.set(in_flight);
    }

    /// Notes how many requests of a broker are under way.
    pub(super) fn note_in_flight(&mut self, node: NodeId) {
        let in_flight = self.network.in_flight_count(node) as u64;
        self.broker_counts.of(node, &self.counters).requests_in_flight.set(in_flight);
    }

    /// Notes the same of all brokers that have counts, because connections may have come to belong to others.
    pub(super) fn note_all_in_flight(&self) {
        for (node, counters) in &self.broker_counts.at_hand {
            counters.requests_in_flight.set(self.network.in_flight_count(*node) as u64);
        }
    }

    /// Counts a time for which a broker is left alone.
    pub(super) fn count_throttle(&mut self, node: NodeId, pause: Duration) {
        self.counters.throttle_time.record_time(pause);
        let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.broker_counts.of(node, &self.counters).throttled.add(micros);
    }
}
