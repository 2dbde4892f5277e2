//! `Schedule`: which partition is looked at when, and which ones can be sent to which node.
//!
//! The sender looks at a partition when a caller has announced a change, when the partition's timer fires, or when an answer for
//! it has come. It looks at all active partitions when something concerns them all: a new view of the cluster, a new producer id,
//! memory that has become short. It looks at gathering ones when their node has answered everything. What a look finds decides
//! where the partition stands:
//!
//! ```text
//!                      ┌─ linger, backoff, expiry, compression ──► timers         (until a time)
//!  changed queue ──►   │
//!  timer         ──► look ── batch that is awaited ──────────────► gathering      (until the node has answered everything)
//!  answer        ──►   │
//!  view          ──►   ├─ can go ────────────────────────────────► ready          (until its node takes a request)
//!                      └─ anything queued or under way ──────────► active         (looked at when something concerns all)
//! ```
//!
//! The [`Slot`] of a partition keeps where it stands: only this machine (this file and `schedule/`) sets it.

use std::sync::Arc;
use std::time::Instant;

use crate::accumulator::{Head, PartitionQueue, RecordAccumulator, Stage};
use crate::clock::earliest;
use crate::metadata::{Cluster, MetadataUpdate};
use crate::planted::planted;
use crate::sender::numbering::Numbers;
use crate::sender::partition::{Next, Pace, Partition, oldest_remembered};
use crate::sender::settings::SenderSettings;
use crate::sender::timer::{Timer, Wait};
use crate::topic_partition::NodeId;

mod active_partitions;
mod forgetting;
mod gathering;
mod next_look;
mod ready;
mod slots;
mod timers;

use self::active_partitions::ActivePartitions;
use self::gathering::Gathering;
use self::next_look::NextLook;
use self::ready::Ready;
use self::slots::{Slot, Slots};
use self::timers::PartitionTimers;
pub(super) use self::timers::PartitionWait;

/// The partitions, and when to look at which.
#[derive(Debug)]
pub(super) struct Schedule {
    settings: SenderSettings,
    accumulator: Arc<RecordAccumulator>,
    slots: Slots,
    active: ActivePartitions,
    timers: PartitionTimers,
    ready: Ready,
    gathering: Gathering,
    next_look: NextLook,
    /// Whether batches go without lingering, as of the present pass.
    is_urgent: bool,
    /// The queues that callers have announced and that were not looked at so far, the last one first.
    changed: Vec<Arc<PartitionQueue>>,
}

/// What came of a look at a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looked {
    pub(super) next: Next,
    /// Its batch has waited for its compression for so long that no thread may have come for it.
    pub(super) is_seal_late: bool,
}

impl Schedule {
    pub(super) fn new(settings: SenderSettings, accumulator: Arc<RecordAccumulator>) -> Self {
        Self {
            settings,
            accumulator,
            slots: Slots::default(),
            active: ActivePartitions::default(),
            timers: PartitionTimers::default(),
            ready: Ready::default(),
            gathering: Gathering::default(),
            next_look: NextLook::default(),
            is_urgent: false,
            changed: Vec::new(),
        }
    }

    pub(super) fn partition(&self, id: usize) -> Option<&Partition> {
        self.slots.get(id).map(|slot| &slot.partition)
    }

    pub(super) fn partition_mut(&mut self, id: usize) -> Option<&mut Partition> {
        self.slots.get_mut(id).map(|slot| &mut slot.partition)
    }

    pub(super) fn partitions_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.slots.iter_mut().map(|slot| &mut slot.partition)
    }

    /// Whether a request with records may still be with a broker.
    pub(super) fn is_any_unanswered(&self) -> bool {
        self.slots.iter().any(|slot| slot.partition.is_in_use())
    }

    /// Returns how fast the batches of a partition may go. `is_leader_idle`: nothing is under way to the node that leads it.
    pub(super) fn pace(&self, numbers: Numbers, is_leader_idle: bool, wall_clock: i64) -> Pace {
        Pace {
            linger: self.settings.linger,
            max_outstanding: self.settings.max_outstanding_per_partition,
            oldest_remembered: oldest_remembered(wall_clock, self.settings.producer_id_lifetime),
            numbers,
            // The sample may be of a shortage that is over. A batch that was begun since shall linger.
            is_urgent: self.is_urgent && self.accumulator.is_urgent(),
            spares_awaited: self.settings.spares_awaited && is_leader_idle,
        }
    }

    /// Finds out what a partition needs next, and when to look at it again. `head` is that of its queue.
    pub(super) fn look(&mut self, id: usize, head: Option<Head>, pace: Pace, now: Instant) -> Option<Looked> {
        let slot = self.slots.get_mut(id)?;
        let partition = &mut slot.partition;
        let next = partition.next(head, pace, now);
        let too_long =
            self.settings.availability_timeout.and_then(|timeout| partition.note_wait(next, timeout, now));
        let (look_after, is_seal_late) = partition.note_sealing(head, now);
        let stage = match next {
            Next::Ready(node) => self.ready.stage(node),
            next => stage_of(next, partition.has_leader()),
        };
        if head.is_some_and(|head| head.stage != stage) {
            partition.queue.enter_stage(stage, now);
        }
        let oldest_in_flight = partition.oldest_in_flight();
        let oldest = earliest([head.map(|head| head.created), oldest_in_flight]);
        let expiry = oldest.and_then(|created| created.checked_add(self.settings.delivery_timeout));
        let wait = match next {
            Next::Backoff(until) => Some((until, PartitionWait::Backoff)),
            Next::Linger(until) => Some((until, PartitionWait::Linger)),
            Next::Sealing => look_after.map(|at| (at, PartitionWait::Compression)),
            Next::Blocked | Next::Idle | Next::NoLeader | Next::Ready(_) => None,
        };
        match next {
            Next::Linger(_) if self.settings.spares_awaited && head.is_some_and(|head| head.is_awaited) => {
                self.gathering.add(id, slot);
            }
            Next::Ready(node) => self.ready.list(node, id, slot),
            _ => {}
        }
        let mut first = wait;
        for (at, wait) in [(expiry, PartitionWait::Expiry), (too_long, PartitionWait::Availability)] {
            if let Some(at) = at
                && first.is_none_or(|(first, _)| at < first)
            {
                first = Some((at, wait));
            }
        }
        self.timers.arm(id, slot, first);
        let is_active = head.is_some() || oldest_in_flight.is_some();
        if slot.active_at.is_some() != is_active {
            self.set_active(id, is_active);
        }
        Some(Looked { next, is_seal_late })
    }

    /// Returns those that have something to do: no others are concerned by what concerns all.
    pub(super) fn active(&self) -> Vec<usize> {
        self.active.ids()
    }

    /// Whether any partition has something to do.
    pub(super) fn is_any_active(&self) -> bool {
        !self.active.is_empty()
    }

    /// Returns the partition whose oldest batch was created first, and when that was.
    pub(super) fn oldest(&self) -> Option<(Instant, usize)> {
        let created = |id: usize| {
            let partition = self.partition(id)?;
            let queued = partition.queue.peek().map(|head| head.created);
            Some((earliest([queued, partition.oldest_in_flight()])?, id))
        };
        self.active.ids().into_iter().filter_map(created).min()
    }

    /// Takes in which queues callers have announced; `next_changed` returns them.
    pub(super) fn take_changed(&mut self) {
        let before = self.changed.len();
        self.accumulator.take_changed(&mut self.changed);
        if self.changed.len() > before {
            self.next_look.note_news();
            self.changed.reverse();
        }
    }

    /// Returns the id of a partition, which is known from then on.
    pub(super) fn ensure(&mut self, queue: Arc<PartitionQueue>, cluster: &Cluster) -> usize {
        self.slots.ensure(queue, cluster)
    }

    /// Returns the next partition that a caller has announced.
    pub(super) fn next_changed(&mut self, cluster: &Cluster) -> Option<usize> {
        while let Some(queue) = self.changed.pop() {
            if !queue.is_retired() {
                return Some(self.slots.ensure(queue, cluster));
            }
        }
        None
    }

    /// Returns the partitions with records that the sender does not know yet. The caller that has opened a batch announces it a
    /// moment later, and meanwhile other callers may have added records to it and returned.
    pub(super) fn unannounced(&mut self, cluster: &Cluster) -> Vec<usize> {
        let mut unannounced = Vec::new();
        for topic in self.accumulator.topics() {
            for queue in topic.made().into_iter().filter(|queue| queue.look().is_some()) {
                if self.slots.get(queue.id()).is_none_or(|slot| slot.active_at.is_none()) {
                    unannounced.push(self.slots.ensure(queue, cluster));
                }
            }
        }
        unannounced
    }

    /// Returns the partitions whose timer is due.
    pub(super) fn due(&self, now: Instant) -> Vec<usize> {
        self.timers.due(now)
    }

    /// Returns the partitions whose batches gathered records while something was under way to their node.
    pub(super) fn take_gathered(&mut self, is_idle: impl Fn(NodeId) -> bool) -> Vec<usize> {
        self.gathering.take(is_idle, &mut self.slots)
    }

    /// Takes note of whether batches may linger. Returns true if they may no longer: a partition that was looked at before may
    /// wait, and must be looked at again.
    pub(super) fn sample_urgency(&mut self) -> bool {
        let is_urgent = self.accumulator.is_urgent();
        let was_urgent = std::mem::replace(&mut self.is_urgent, is_urgent);
        is_urgent && !was_urgent
    }

    /// Takes in a view of the cluster. What is active must be looked at then: it stands in no list of nodes any more.
    pub(super) fn handle_view(&mut self, update: &MetadataUpdate) {
        self.ready.clear(&mut self.slots);
        self.gathering.take(|_| true, &mut self.slots);
        for topic in &update.changed_topics {
            let Some(queues) = self.accumulator.known_topic(topic) else { continue };
            for queue in queues.made() {
                if let Some(slot) = self.slots.get_mut(queue.id()) {
                    slot.partition.update_leader(&update.cluster);
                }
            }
        }
    }

    /// Returns the nodes that have partitions listed.
    pub(super) fn ready_nodes(&self) -> impl Iterator<Item = NodeId> {
        self.ready.nodes()
    }

    /// Returns how many partitions are listed for a node.
    pub(super) fn listed(&self, node: NodeId) -> usize {
        self.ready.count(node)
    }

    /// Returns the partition that has been listed for a node for longest.
    pub(super) fn first_listed(&self, node: NodeId) -> Option<usize> {
        self.ready.first(node)
    }

    /// Takes the partition off the list that has been listed for a node for longest.
    pub(super) fn unlist_first(&mut self, node: NodeId) {
        self.ready.unlist_first(node, &mut self.slots);
    }

    /// Has the partitions that wait for a node not chosen for records while it takes nothing for too long (KIP-794).
    pub(super) fn note_availability(&mut self, node: NodeId, can_send: bool, now: Instant) {
        if let Some(timeout) = self.settings.availability_timeout {
            self.ready.note_availability(node, can_send, timeout, &self.slots, now);
        }
    }

    /// Takes in what keeps a node from taking requests, if anything does. What waits for the node spends its time with that from now on.
    pub(super) fn note_obstacle(&mut self, node: NodeId, obstacle: Option<Stage>, now: Instant) {
        self.ready.note_obstacle(node, obstacle, &self.slots, now);
    }

    /// Forgets nodes for which no partition is listed any more.
    pub(super) fn tidy_ready(&mut self) {
        self.ready.tidy();
    }

    /// Says that callers need not wake the sender, or must, until the next pass. `is_any_in_flight`: answers will come.
    pub(super) fn plan_next_look(&mut self, is_any_in_flight: bool, now: Instant) {
        let is_planned = self.next_look.plan(self.settings.linger, is_any_in_flight, now);
        self.accumulator.set_sender_coming(is_planned);
    }

    /// Has callers wake the sender again for all that comes from now on.
    pub(super) fn begin_pass(&self) {
        self.accumulator.set_sender_coming(false);
    }

    /// Notes that something has happened.
    pub(super) fn note_news(&mut self) {
        self.next_look.note_news();
    }

    /// Says what partitions wait for.
    pub(super) fn timeouts(&self, mut see: impl FnMut(Wait, Timer)) {
        let first = self.timers.first().filter(|_| !planted!(LostWakeUp));
        if let Some((at, wait)) = first.and_then(|id| self.slots.get(id)?.timer) {
            see(Wait::Until(at), Timer::Partition(wait));
        }
        if let Some(at) = self.next_look.at() {
            see(Wait::Until(at), Timer::NextLook);
        }
        self.ready.nodes().for_each(|node| see(Wait::Node(node), Timer::ReadyNode));
    }

    /// Takes a partition into the list of those that have something to do, or off it.
    fn set_active(&mut self, id: usize, is_active: bool) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        match slot.active_at {
            None if is_active => slot.active_at = Some(self.active.push(id)),
            Some(at) if !is_active => {
                slot.active_at = None;
                if let Some(moved) = self.active.remove(at).and_then(|moved| self.slots.get_mut(moved)) {
                    moved.active_at = Some(at);
                }
            }
            _ => {}
        }
    }
}

/// Returns what a batch at the head of its queue spends its time with (for `TimeSpent`), unless it waits for a node. If there is a leader,
/// and only its address is not known any more because no broker can be reached, that is the wait for a connection.
fn stage_of(next: Next, has_leader: bool) -> Stage {
    match next {
        Next::Backoff(_) => Stage::Backoff,
        Next::Linger(_) => Stage::Linger,
        Next::NoLeader if has_leader => Stage::Disconnected,
        Next::NoLeader => Stage::NoLeader,
        Next::Blocked | Next::Idle | Next::Ready(_) | Next::Sealing => Stage::Queued,
    }
}

/// What tests look at.
#[cfg(test)]
impl Schedule {
    /// Lists the partition of a queue as ready for a node, as if it had been looked at.
    pub(super) fn list(&mut self, node: NodeId, id: usize) {
        if let Some(slot) = self.slots.get_mut(id) {
            self.ready.list(node, id, slot);
        }
    }

    /// Returns how many partitions are known, how many have something to do, and how many timers there are.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.slots.iter().count(), self.active.len(), self.timers.len())
    }
}
