//! Orders to give records back before they are settled: a purge, a withdrawal, and the end of the sender.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::SenderCore;
use crate::accumulator::ProducerBatch;
use crate::delivery::BatchCell;
use crate::error::{DeliveryError, DeliveryErrorKind};
use crate::planted::planted;
use crate::sender::Purge;
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
        for partition in self.schedule.partitions_mut() {
            let in_flight = partition.take_all_in_flight().into_iter();
            let in_flight = in_flight.filter(|_| !planted!(UnresolvedAtClose));
            batches.entry(partition.queue.id()).or_default().extend(in_flight);
        }
        for topic in self.accumulator.topics() {
            for queue in topic.made() {
                batches.entry(queue.id()).or_default().extend(queue.close());
            }
        }
        for batches in batches.into_values() {
            self.settlement.close(batches, kind, now, failed);
        }
        while let Some(line) = self.settlement.next_last_line(now) {
            line.log(&self.settings.client_id);
        }
        self.accumulator.end();
    }

    /// Fails records that are lost except for the cell in which callers wait for their outcome.
    pub(crate) fn fail_what_is_left(&self, kind: &DeliveryErrorKind) {
        self.accumulator.close();
        for cell in self.accumulator.incomplete() {
            self.settlement.fail_what_is_left(&cell, kind);
        }
        self.accumulator.end();
    }

    /// Fails what is queued, or that and what is under way. Adds the error of each record to `purged`, in their order within
    /// each partition, also if it ends in a panic.
    pub(crate) fn purge(&mut self, what: Purge, now: Instant, purged: &mut Vec<DeliveryError>) {
        // What brokers have answered is settled by their answers.
        self.handle_network_events(now);
        // Partitions are made when they are first looked at.
        self.look_at_changed(now);
        for id in self.schedule.unannounced(self.topology.cluster()) {
            self.look(id, now);
        }
        for id in self.schedule.active() {
            if let Some(partition) = self.schedule.partition_mut(id) {
                self.settlement.purge(partition, what, now, purged);
                self.look(id, now);
            }
        }
    }

    /// Fails a record, which is given by the cell of its batch and its place there, if it is queued and was never sent. Returns whether
    /// it was.
    pub(crate) fn withdraw(&mut self, cell: &Arc<BatchCell>, index: u32, now: Instant) -> bool {
        self.look_at_changed(now);
        let (cell, index) = cell.place_now(index);
        let TopicPartition { topic, partition } = cell.topic_partition();
        let Some(queue) = self.accumulator.queue(topic, *partition) else { return false };
        // Partitions are made when they are first looked at.
        if self.schedule.partition(queue.id()).is_none() {
            self.schedule.unannounced(self.topology.cluster());
        }
        let Some(partition) = self.schedule.partition_mut(queue.id()) else { return false };
        let is_withdrawn = self.settlement.withdraw(partition, &cell, &BTreeSet::from([index]), now);
        self.look(queue.id(), now);
        is_withdrawn
    }
}
