//! Which partitions to look at, when, and what follows from a look.

use std::time::{Duration, Instant};

use super::SenderCore;
use crate::accumulator::Stage;
use crate::clock::earliest;
use crate::sender::partition::{Next, Pace, Partition};
use crate::topic_partition::NodeId;

/// So long a batch that has become full may lie while requests are under way, give or take the tick of the shell's timer.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// A linger that is not prolonged noticeably by a [`LOOK_INTERVAL`].
const SHORTEST_LINGER_TO_WAIT: Duration = Duration::from_millis(5);

impl SenderCore {
    pub(super) fn look_at_changed(&mut self, now: Instant) {
        let mut changed = std::mem::take(&mut self.changed);
        self.accumulator.take_changed(&mut changed);
        self.has_news |= !changed.is_empty();
        for queue in changed.drain(..).filter(|queue| !queue.is_retired()) {
            let id = queue.id();
            self.ensure_partition(queue);
            self.look(id, now);
        }
        self.changed = changed;
    }

    /// While requests are under way their answers come, and each has us look at what has changed meanwhile. To be woken for
    /// every batch besides would only make for more and smaller requests. But it must not depend on the answers when that
    /// is, so we come by ourselves soon, until nothing happens any more.
    ///
    /// A short linger says that not even that may be waited for.
    pub(super) fn plan_next_look(&mut self, now: Instant) {
        let has_news = std::mem::take(&mut self.has_news);
        let may_wait = self.settings.linger >= SHORTEST_LINGER_TO_WAIT && self.network.total_in_flight() > 0;
        self.next_look = match self.next_look {
            _ if !may_wait => None,
            _ if has_news => now.checked_add(LOOK_INTERVAL),
            planned => planned.filter(|planned| now < *planned),
        };
        self.accumulator.set_sender_coming(self.next_look.is_some());
    }

    /// Takes note of whether batches may linger. A partition that is looked at while nothing is urgent may wait, and must be
    /// looked at again when something is.
    pub(super) fn sample_urgency(&mut self, now: Instant) {
        let is_urgent = self.accumulator.is_urgent();
        let was_urgent = std::mem::replace(&mut self.is_urgent, is_urgent);
        if is_urgent && !was_urgent {
            self.look_at_active(now);
        }
    }

    /// Looks at the partitions whose batches gathered records while something was under way to their node.
    pub(super) fn look_at_gathered(&mut self, now: Instant) {
        let idle = |node: &NodeId| self.network.in_flight_count(*node) == 0;
        let nodes: Vec<_> = self.gathering.keys().copied().filter(idle).collect();
        for id in nodes.iter().flat_map(|node| self.gathering.remove(node)).flatten().collect::<Vec<_>>() {
            if let Some(partition) = self.partition_mut(id) {
                partition.is_gathering = false;
            }
            self.look(id, now);
        }
    }

    pub(super) fn look_at_timers(&mut self, now: Instant) {
        let due: Vec<_> = self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        for id in due {
            self.look(id, now);
        }
    }

    /// Looks at the partitions that have records of which the sender does not know yet: the caller that has opened a batch
    /// announces it a moment later, and meanwhile others may have added to it and returned.
    pub(super) fn look_at_unannounced(&mut self, now: Instant) {
        for topic in self.accumulator.topics() {
            for queue in topic.made().into_iter().filter(|queue| queue.look().is_some()) {
                let id = queue.id();
                if self.partition_mut(id).is_none_or(|partition| partition.active_at.is_none()) {
                    self.ensure_partition(queue);
                    self.look(id, now);
                }
            }
        }
    }

    /// Looks at the partitions that have something to do.
    pub(super) fn look_at_active(&mut self, now: Instant) {
        for id in self.active.ids() {
            self.look(id, now);
        }
    }

    /// Finds out what a partition needs next, and sees to it.
    pub(super) fn look(&mut self, id: usize, now: Instant) {
        let mut head = self.partition_mut(id).and_then(|partition| partition.queue.look());
        if self.expire(id, head, now) {
            head = self.partition_mut(id).and_then(|partition| partition.queue.look());
        }
        let pace = self.pace(id);
        let delivery_timeout = self.settings.delivery_timeout;
        let availability_timeout = self.settings.availability_timeout;
        let spares_awaited = self.settings.spares_awaited;
        let Some(partition) = self.partition_mut(id) else { return };
        let next = partition.next(head, pace, now);
        let too_long = availability_timeout.and_then(|timeout| partition.note_wait(next, timeout, now));
        let (look_after, is_seal_late) = partition.note_sealing(head, now);
        let stage = match next {
            Next::Backoff(_) => Stage::Backoff,
            Next::Linger(_) => Stage::Linger,
            Next::NoLeader => Stage::NoLeader,
            Next::Blocked | Next::Idle | Next::Ready(_) | Next::Sealing => Stage::Queued,
        };
        if head.is_some_and(|head| head.stage != stage) {
            partition.queue.enter_stage(stage, now);
        }
        let oldest_in_flight = partition.oldest_in_flight();
        let is_active = head.is_some() || oldest_in_flight.is_some();
        let is_news = partition.active_at.is_some() != is_active;
        let oldest = earliest([head.map(|head| head.created), oldest_in_flight]);
        let expiry = oldest.and_then(|created| created.checked_add(delivery_timeout));
        let wait = match next {
            Next::Backoff(until) | Next::Linger(until) => Some(until),
            Next::Sealing => look_after,
            Next::Blocked | Next::Idle | Next::NoLeader | Next::Ready(_) => None,
        };
        match next {
            Next::Linger(_) if spares_awaited && head.is_some_and(|head| head.is_awaited) => {
                if let Some(leader) = partition.leader()
                    && !std::mem::replace(&mut partition.is_gathering, true)
                {
                    self.gathering.entry(leader).or_default().push(id);
                }
            }
            Next::NoLeader => {
                let topic = partition.queue.topic_partition().topic.clone();
                self.topology.request_topic(&topic, now);
            }
            Next::Ready(node) if !partition.is_listed => {
                partition.is_listed = true;
                self.ready.entry(node).or_default().push_back(id);
            }
            _ => {}
        }
        self.is_seal_late |= is_seal_late;
        if is_news {
            self.set_active(id, is_active);
        }
        self.arm(id, earliest([expiry, wait, too_long]));
    }

    pub(super) fn pace(&self, id: usize) -> Pace {
        let leader = self.partitions.get(id).and_then(Option::as_deref).and_then(Partition::leader);
        let is_leader_idle = leader.is_some_and(|leader| self.network.in_flight_count(leader) == 0);
        let lifetime = i64::try_from(self.settings.producer_id_lifetime.as_millis()).unwrap_or(i64::MAX);
        Pace {
            linger: self.settings.linger,
            max_outstanding: self.settings.max_outstanding_per_partition,
            oldest_remembered: self.wall_clock.saturating_sub(lifetime),
            numbers: self.numbering.numbers(),
            // The sample may be of a shortage that is over. A batch that was begun since shall linger.
            is_urgent: self.is_urgent && self.accumulator.is_urgent(),
            spares_awaited: self.settings.spares_awaited && is_leader_idle,
        }
    }

    /// Takes a partition into the list of those that have something to do, or off it.
    fn set_active(&mut self, id: usize, is_active: bool) {
        let active = &mut self.active;
        let Some(partition) = self.partitions.get_mut(id).and_then(Option::as_deref_mut) else { return };
        match partition.active_at {
            None if is_active => partition.active_at = Some(active.push(id)),
            Some(at) if !is_active => {
                partition.active_at = None;
                let moved = active.remove(at);
                if let Some(moved) = moved.and_then(|moved| self.partition_mut(moved)) {
                    moved.active_at = Some(at);
                }
            }
            _ => {}
        }
    }

    /// Sets when to look at a partition again, in place of the time before.
    pub(super) fn arm(&mut self, id: usize, at: Option<Instant>) {
        let Some(partition) = self.partition_mut(id) else { return };
        let before = std::mem::replace(&mut partition.timer, at);
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.timers.remove(&(before, id));
        }
        if let Some(at) = at {
            self.timers.insert((at, id));
        }
    }
}
