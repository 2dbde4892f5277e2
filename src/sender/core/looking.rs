//! A look at a partition: the settlement ends batches that are too old, the schedule finds out what the rest waits for, and if the
//! partition has no leader, topology asks for one.

use std::time::Instant;

use super::SenderCore;
use crate::metadata::Node;
use crate::planted::planted;
use crate::sender::numbering::Numbers;
use crate::sender::partition::{Next, Pace, Partition};
use crate::topic_partition::NodeId;

impl SenderCore {
    pub(super) fn look_at_changed(&mut self, now: Instant) {
        self.schedule.take_changed();
        while let Some(id) = self.schedule.next_changed(self.topology.cluster()) {
            self.look(id, now);
        }
    }

    pub(super) fn look_at_active(&mut self, now: Instant) {
        self.look_at(self.schedule.active(), now);
    }

    pub(super) fn look_at(&mut self, ids: Vec<usize>, now: Instant) {
        for id in ids {
            self.look(id, now);
        }
    }

    /// Finds out what a partition needs next, and sees to it.
    pub(super) fn look(&mut self, id: usize, now: Instant) {
        let Some(partition) = self.schedule.partition_mut(id) else { return };
        let mut head = partition.queue.look();
        // An answer that was not taken in so far may be for what is too old. The timer, which is due, has the sender look again.
        let (topology, network, brokers) = (&self.topology, &self.network, &mut self.brokers);
        let why = |leader: Option<NodeId>| {
            let refusal = topology.refusal(leader, |leader| network.is_ready(leader, now));
            let leader = leader.and_then(|leader| topology.cluster().node(leader));
            (refusal, brokers.why(leader.map(Node::address), now))
        };
        let may_expire = !self.network.has_events() || planted!(UnreadAnswersDoNotCount);
        if may_expire && self.settlement.expire(partition, head, why, self.read_until, now) {
            head = partition.queue.look();
        }
        if head.is_some() {
            self.want_in_transaction(id);
        }
        let pace = self.pace(id, now);
        let Some(looked) = self.schedule.look(id, head, pace, now) else { return };
        if looked.is_seal_late {
            self.outbox.take_back_seals();
        }
        if looked.next == Next::NoLeader
            && let Some(partition) = self.schedule.partition(id)
        {
            self.topology.request_topic(&partition.queue.topic_partition().topic, now);
        }
    }

    pub(super) fn pace(&self, id: usize, now: Instant) -> Pace {
        let leader = self.schedule.partition(id).and_then(Partition::leader);
        let is_leader_idle = leader.is_some_and(|leader| self.network.in_flight_count(leader) == 0);
        let pace = self.schedule.pace(self.numbering.numbers(), is_leader_idle, self.wall_clock);
        let Some(transactions) = &self.transactions else { return pace };
        let partition = self.schedule.partition(id);
        let may_send =
            partition.is_some_and(|partition| transactions.may_send(partition.queue.topic_partition(), now));
        Pace {
            // It waits for its place in the transaction as it would for a producer id.
            numbers: if may_send { pace.numbers } else { Numbers::Awaited },
            is_urgent: pace.is_urgent || transactions.is_ending(),
            ..pace
        }
    }
}
