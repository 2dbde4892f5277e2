//! What is told of attempts to connect while they are under way, and since when brokers have not answered. Nothing is decided by it.

use std::time::Instant;

use crate::error::ConnectionStep;
use crate::topic_partition::NodeId;

use super::NetworkClient;
use crate::network::event::Remark;
use crate::network::node_connection::NodeConnection;

/// What the client waits for from a broker that it is connecting to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Awaited {
    pub(crate) step: ConnectionStep,
    /// Since when. `None` while it is not for the broker to go on.
    pub(crate) since: Option<Instant>,
}

impl<P> NetworkClient<P> {
    /// Returns the next thing to be noted about a connection that is being made.
    pub(crate) fn poll_remark(&mut self) -> Option<Remark> {
        self.outbox.next_remark()
    }

    /// Returns what the client waits for from a node that it is connecting to.
    pub(crate) fn awaited(&self, node: NodeId, now: Instant) -> Option<Awaited> {
        let known = self.states.node(node).filter(|known| known.is_connecting())?;
        let step = known.step()?;
        let since = match step {
            ConnectionStep::Connect => Some(known.history().last_attempt()),
            _ => self.unanswered_since(node),
        };
        // A broker that throttles does not answer.
        Some(Awaited { step, since: since.filter(|_| self.states.throttle_delay(node, now).is_zero()) })
    }

    /// Returns when the oldest request to a node was sent that is not answered.
    pub(crate) fn unanswered_since(&self, node: NodeId) -> Option<Instant> {
        self.in_flight.next_to_be_answered(node).map(|request| request.sent_at)
    }

    pub(super) fn remark_step(&mut self, node: NodeId) {
        let known = self.states.node(node).filter(|known| known.is_connecting());
        if let Some((known, step)) = known.and_then(|known| Some((known, NodeConnection::step(known)?))) {
            let address = known.address().address().clone();
            self.outbox.remark(Remark::Step { node, address, step });
        }
    }
}
