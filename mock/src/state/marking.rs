//! How markers come into the logs of partitions, and the ends of transactions to groups.

use super::ClusterState;
use crate::coordinators::Coordinated;
use crate::end_marker::EndMarker;
use crate::log::Appending;
use crate::transactions::{Participant, WrittenMarker};

/// A transaction that has ended, and one of those that do not know it yet.
struct Pending {
    id: String,
    participant: Participant,
    written: Option<WrittenMarker>,
    marker: EndMarker,
    coordinator: i32,
}

/// What has become of an attempt to tell a participant how a transaction has ended.
enum Told {
    /// It knows, for good.
    Kept,
    /// The leader has written the marker, and followers have not.
    Written(WrittenMarker),
    /// There is nothing to do for now.
    Waits,
}

impl ClusterState {
    /// Writes all markers that can be written, unless followers or a test have a say in it.
    pub(crate) fn write_markers_at_once(&mut self) {
        if !self.settings.replicates && !self.are_markers_held && self.transactions.is_any_ending() {
            self.write_markers(usize::MAX, |_, _| true);
        }
    }

    /// Writes up to this many markers, and takes note of those that all replicas in sync have. `can_reach` says whether one broker
    /// reaches another. Returns how many transactions have gone a step further.
    pub(crate) fn write_markers(&mut self, at_most: usize, can_reach: impl Fn(i32, i32) -> bool) -> usize {
        let (mut written, mut steps) = (0, 0);
        for pending in self.pending_markers() {
            if written >= at_most {
                break;
            }
            match self.tell(&pending, &can_reach) {
                Told::Waits => continue,
                Told::Kept => self.transactions.remove(&pending.id, &pending.participant),
                Told::Written(place) => {
                    self.transactions.set_written(&pending.id, &pending.participant, place);
                }
            }
            written += usize::from(pending.written.is_none());
            steps += 1;
        }
        steps
    }

    /// Whether [`write_markers`](Self::write_markers) would change anything.
    pub(crate) fn has_markers_to_write(&self, can_reach: impl Fn(i32, i32) -> bool) -> bool {
        self.pending_markers().iter().any(|pending| self.can_tell(pending, &can_reach))
    }

    /// Those whose coordinators are there, in the order of their ids.
    fn pending_markers(&self) -> Vec<Pending> {
        let mut all = Vec::new();
        for (id, transaction) in self.transactions.iter() {
            let Some(outcome) = transaction.ending() else { continue };
            let place = self.coordinators.known(&Coordinated::Transaction(id.to_owned()));
            let Some(place) = place.filter(|place| place.ready(self.now).is_ok()) else { continue };
            let Some(coordinator) = place.broker.filter(|broker| self.is_up(*broker)) else { continue };
            let marker =
                EndMarker { producer: transaction.current(), outcome, coordinator_epoch: place.epoch };
            all.extend(transaction.participants().map(|(participant, written)| Pending {
                id: id.to_owned(),
                participant: participant.clone(),
                written,
                marker,
                coordinator,
            }));
        }
        all
    }

    fn can_tell(&self, pending: &Pending, can_reach: impl Fn(i32, i32) -> bool) -> bool {
        let Participant::Partition(topic, index) = &pending.participant else {
            return self.reachable_group(pending, can_reach);
        };
        let Some(partition) = self.partition(topic, *index) else { return true };
        match pending.written.filter(|written| written.leader_epoch == partition.leader_epoch) {
            Some(written) => partition.high_watermark() >= written.end_offset,
            None => {
                let leader = partition.leader.filter(|leader| self.is_up(*leader));
                leader.is_some_and(|leader| can_reach(pending.coordinator, leader))
                    && self.in_sync(partition).len() >= self.settings.min_insync_replicas
            }
        }
    }

    fn reachable_group(&self, pending: &Pending, can_reach: impl Fn(i32, i32) -> bool) -> bool {
        let Participant::Group(group) = &pending.participant else { return false };
        let place = self.coordinators.known(&Coordinated::Group(group.clone()));
        match place {
            // The group was added to the transaction, and then no offsets came.
            None => true,
            Some(place) => place
                .ready(self.now)
                .is_ok_and(|broker| self.is_up(broker) && can_reach(pending.coordinator, broker)),
        }
    }

    fn tell(&mut self, pending: &Pending, can_reach: impl Fn(i32, i32) -> bool) -> Told {
        if !self.can_tell(pending, can_reach) {
            return Told::Waits;
        }
        let marker = pending.marker;
        let (topic, index) = match &pending.participant {
            Participant::Group(group) => {
                self.groups.end_transaction(group, marker.producer, marker.outcome);
                return Told::Kept;
            }
            Participant::Partition(topic, index) => (topic, *index),
        };
        let (keeps_records, now) = (self.settings.keeps_records, self.now);
        // Kafka, too, tells nothing to a partition that was deleted.
        let Some(partition) = self.partition_mut(topic, index) else { return Told::Kept };
        let leader_epoch = partition.leader_epoch;
        if pending.written.is_some_and(|written| written.leader_epoch == leader_epoch) {
            return Told::Kept;
        }
        let appending = Appending { leader_epoch, now, keeps_records, knows_all_producers: false };
        let end_offset = partition.log.append_marker(marker, appending).saturating_add(1);
        if partition.high_watermark() >= end_offset {
            return Told::Kept;
        }
        Told::Written(WrittenMarker { leader_epoch, end_offset })
    }
}
