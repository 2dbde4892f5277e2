//! What the sender waits for right now, by name: every wait of every machine, in one list. Of the partitions, and of the
//! connections, the list has the one that comes first.
//!
//! A partition that waits for an answer, or for a view of the cluster, is in it with the time at which its oldest batch expires, and
//! a request with its timeout: nothing else that the sender knows of ends these waits by time. What one partition waits for
//! is [`Next`](crate::sender::partition::Next).

use std::time::Instant;

use super::SenderCore;
use crate::log;
use crate::sender::timer::{Timer, Wait};
use crate::topic_partition::NodeId;

impl SenderCore {
    /// Returns when to call [`SenderCore::poll_as_of`] again if nothing happens before.
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let mut first: Option<(Instant, Timer)> = None;
        self.current_waits(now, |at, timer| {
            if first.is_none_or(|(first, _)| at < first) {
                first = Some((at, timer));
            }
        });
        let (at, timer) = first?;
        log::trace!(?timer, left = ?at.saturating_duration_since(now), "waiting");
        Some(at)
    }

    /// Says what the sender waits for, and until when, as far as that is known.
    pub(in crate::sender) fn current_waits(&self, now: Instant, mut see: impl FnMut(Instant, Timer)) {
        let mut see_wait = |wait, timer| {
            if let Some(at) = self.end_of(wait, now) {
                see(at, timer);
            }
        };
        if self.network.has_events() {
            see_wait(Wait::Until(now), Timer::NetworkEvent);
        }
        if let Some((at, deadline)) = self.network.first_deadline() {
            see_wait(Wait::Until(at), Timer::Network(deadline));
        }
        if let Some(at) = self.brokers.timeout() {
            see_wait(Wait::Until(at), Timer::Attempt);
        }
        if self.is_anything_awaited() {
            see_wait(Wait::Until(self.stall.timeout()), Timer::Stall);
        }
        if let Some((wait, timer)) = self.numbering.timeout(|| !self.is_idle(), now) {
            see_wait(wait, timer);
        }
        if let Some(transactions) = &self.transactions {
            transactions.timeouts(now, &mut see_wait);
        }
        if let Some(at) = self.settlement.next_report() {
            see_wait(Wait::Until(at), Timer::Failures);
        }
        #[cfg(feature = "telemetry")]
        if let Some((wait, timer)) = self.telemetry.as_ref().and_then(|telemetry| telemetry.timeout(now)) {
            see_wait(wait, timer);
        }
        self.topology.timeouts(now, &mut see_wait);
        self.schedule.timeouts(see_wait);
    }

    /// Returns when a node that batches wait for is worth another look.
    fn node_timeout(&self, node: NodeId, now: Instant) -> Option<Instant> {
        let delay = self.network.ready_delay(node, now).filter(|delay| !delay.is_zero())?;
        now.checked_add(delay)
    }

    /// Returns when a wait is over, as far as that is known.
    fn end_of(&self, wait: Wait, now: Instant) -> Option<Instant> {
        match wait {
            Wait::AnyNode => self.any_node_timeout(now),
            // What could go was left lying: no event will come of it.
            Wait::Node(node) if self.network.can_send(node, now) => Some(now),
            Wait::Node(node) => self.node_timeout(node, now),
            Wait::Until(time) => Some(time),
        }
    }

    /// Returns when the first of all nodes that are of no use now is worth another look.
    fn any_node_timeout(&self, now: Instant) -> Option<Instant> {
        let nodes = self.topology.cluster().nodes();
        nodes.iter().filter_map(|node| self.node_timeout(node.id(), now)).min()
    }
}
