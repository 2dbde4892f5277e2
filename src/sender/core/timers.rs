//! What the sender waits for right now, by name: every wait of every machine, in one list.

use std::time::Instant;

use super::SenderCore;
use crate::log;
use crate::sender::timer::{Timer, Wait};
use crate::topic_partition::NodeId;

impl SenderCore {
    /// Returns when to call [`SenderCore::poll_as_of`] again if nothing happens before.
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let (at, timer) = self.timers(now).min()?;
        log::trace!(?timer, left = ?at.saturating_duration_since(now), "waiting");
        Some(at)
    }

    /// Returns everything that the sender waits for, and until when, as far as that is known.
    pub(in crate::sender) fn timers(&self, now: Instant) -> impl Iterator<Item = (Instant, Timer)> {
        let event = self.network.has_events().then_some((Wait::Until(now), Timer::NetworkEvent));
        let network = self.network.poll_timeout().map(|at| (Wait::Until(at), Timer::Network));
        let numbering = self.numbering.timeout(|| !self.is_idle(), now);
        let [metadata, starting_over] = self.topology.timeouts(now);
        [event, network, numbering, metadata, starting_over]
            .into_iter()
            .flatten()
            .chain(self.schedule.timeouts())
            .filter_map(move |(wait, timer)| Some((self.end_of(wait, now)?, timer)))
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
