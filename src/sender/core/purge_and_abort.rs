//! Orders to give records back before they are settled: a purge, a withdrawal, and the end of the sender.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
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

    /// Fails records, which are given by the cells of their batches and their places there, if they are queued and were never sent. Returns
    /// for each whether it was.
    pub(crate) fn withdraw(&mut self, records: &[(Arc<BatchCell>, u32)], now: Instant) -> Vec<bool> {
        self.look_at_changed(now);
        let places: Vec<_> = records.iter().map(|(cell, index)| cell.place_now(*index)).collect();
        // In the order in which the batches are named first.
        let mut batches: Vec<(&Arc<BatchCell>, BTreeSet<u32>)> = Vec::new();
        let mut known = HashMap::new();
        for (cell, index) in &places {
            let at = *known.entry(Arc::as_ptr(cell)).or_insert(batches.len());
            match batches.get_mut(at) {
                Some((_, indices)) => drop(indices.insert(*index)),
                None => batches.push((cell, BTreeSet::from([*index]))),
            }
        }
        let mut withdrawn = HashSet::new();
        for (cell, indices) in batches {
            if self.withdraw_from(cell, &indices, now) {
                withdrawn.insert(Arc::as_ptr(cell));
            }
        }
        places.iter().map(|(cell, _)| withdrawn.contains(&Arc::as_ptr(cell))).collect()
    }

    fn withdraw_from(&mut self, cell: &Arc<BatchCell>, indices: &BTreeSet<u32>, now: Instant) -> bool {
        let TopicPartition { topic, partition } = cell.topic_partition();
        let Some(queue) = self.accumulator.queue(topic, *partition) else { return false };
        // Partitions are made when they are first looked at.
        let id = self.schedule.ensure(Arc::clone(&queue), self.topology.cluster());
        let Some(partition) = self.schedule.partition_mut(id) else { return false };
        let (is_withdrawn, seal) = self.settlement.withdraw(partition, cell, indices, now);
        if let Some(seal) = seal {
            self.accumulator.seal_for_caller(seal);
        }
        self.look(id, now);
        is_withdrawn
    }
}
