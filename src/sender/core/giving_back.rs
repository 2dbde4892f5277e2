//! Giving records back before they are settled: at the end of the sender, and when the caller purges.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::{Purge, SenderCore};
use crate::accumulator::ProducerBatch;
use crate::delivery::Outcome;
use crate::error::{BatchFailure, DeliveryError, DeliveryErrorKind, FailedBatch, Persisted, TimeSpent};
use crate::fence::fenced;
use crate::planted::planted;
use crate::topic_partition::TopicPartition;

impl SenderCore {
    /// Refuses further records and fails everything that is not settled. Adds the error of each record to `failed`, in their
    /// order within each partition, also if it ends in a panic.
    pub(crate) fn abort(&mut self, kind: &DeliveryErrorKind, now: Instant, failed: &mut Vec<DeliveryError>) {
        self.abort_with(Vec::new(), kind, now, failed);
    }

    /// The same, together with batches that were taken out of their places.
    pub(crate) fn abort_with(
        &mut self,
        lost: Vec<ProducerBatch>,
        kind: &DeliveryErrorKind,
        now: Instant,
        failed: &mut Vec<DeliveryError>,
    ) {
        self.accumulator.close();
        let mut batches: BTreeMap<usize, Vec<ProducerBatch>> = BTreeMap::new();
        for batch in lost {
            let TopicPartition { topic, partition } = batch.topic_partition();
            let queue = self.accumulator.queue(topic, *partition);
            batches.entry(queue.map_or(usize::MAX, |queue| queue.id())).or_default().push(batch);
        }
        for partition in self.partitions.iter_mut().flatten() {
            let in_flight = partition.in_flight.drain(..).filter(|_| !planted!(UnresolvedAtClose));
            batches.entry(partition.queue.id()).or_default().extend(in_flight.map(|batch| *batch));
        }
        for topic in self.accumulator.topics() {
            for queue in topic.made() {
                batches.entry(queue.id()).or_default().extend(queue.close());
            }
        }
        for batch in batches.into_values().flat_map(in_order) {
            self.fail_into(failed, batch, kind.clone(), now);
        }
        self.accumulator.end();
    }

    /// Fails the records of which nothing is left but the place where their outcome is waited for.
    pub(crate) fn fail_what_is_left(&self, kind: &DeliveryErrorKind) {
        self.accumulator.close();
        for cell in self.accumulator.incomplete() {
            let failure = BatchFailure {
                kind: kind.clone(),
                persisted: Persisted::Maybe,
                topic_partition: cell.topic_partition().clone(),
                time_spent: TimeSpent::default(),
                record_errors: Vec::new(),
                batch: FailedBatch::default(),
            };
            cell.complete(Outcome::Failed(Arc::new(failure)), None);
        }
        self.accumulator.end();
    }

    /// Fails what is queued, or that and what is under way. Adds the error of each record to `purged`, in their order within
    /// each partition, also if it ends in a panic.
    ///
    /// A batch that was sent before is treated as if it had expired: what has become of its number is found out with
    /// the next batch of its partition.
    pub(crate) fn purge(&mut self, what: Purge, now: Instant, purged: &mut Vec<DeliveryError>) {
        // What brokers have answered is settled by their answers.
        self.handle_network_events(now);
        // Partitions are made when they are first looked at.
        self.look_at_changed(now);
        self.look_at_unannounced(now);
        let is_fail_stop = self.settings.is_fail_stop;
        for id in self.active.ids() {
            let Some(partition) = self.partition_mut(id) else { continue };
            let mut batches: Vec<_> = match what {
                Purge::All => partition.in_flight.drain(..).map(|batch| *batch).collect(),
                Purge::Queued => Vec::new(),
            };
            batches.extend(partition.queue.take_all());
            if is_fail_stop && let Some(first) = batches.iter().map(|batch| batch.order).min() {
                batches.extend(partition.stop_behind(first));
            }
            for batch in in_order(batches) {
                self.note_failure(id, &batch);
                self.fail_into(purged, batch, DeliveryErrorKind::Purged, now);
            }
            self.look(id, now);
        }
    }

    fn fail_into(
        &mut self,
        errors: &mut Vec<DeliveryError>,
        batch: ProducerBatch,
        kind: DeliveryErrorKind,
        now: Instant,
    ) {
        let (cell, count) = (Arc::clone(batch.cell()), batch.record_count());
        let done = fenced(|| drop(self.fail(batch, kind, Vec::new(), now, true)));
        // A batch that has its outcome is not saved from a panic: what its records were told counts.
        if let Some(Outcome::Failed(failure)) = cell.outcome() {
            errors.extend(DeliveryError::of_batch(failure, count));
        }
        if let Err(thrown) = done {
            thrown.rethrow();
        }
    }
}

/// Brings batches of one partition into the order in which they were to be written. One that was refused and is queued
/// again may be older than one that is under way, and the caller may send the records again in the order of their errors.
fn in_order(mut batches: Vec<ProducerBatch>) -> Vec<ProducerBatch> {
    if !planted!(ReturnedOutOfOrder) {
        batches.sort_by_key(|batch| batch.order);
    }
    batches
}
