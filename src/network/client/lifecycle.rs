use std::time::{Duration, Instant};

use rand::RngExt;

use crate::clock::earliest;
use crate::metadata::Node;
use crate::topic_partition::NodeId;

use super::{Asker, NetworkClient};
use crate::network::connection_states::{ConnectionState, NodeConnection};
use crate::network::event::{ConnectionId, DisconnectReason, NetworkAction, NetworkEvent};

/// What becomes of connections.
impl<P> NetworkClient<P> {
    /// Closes a connection.
    pub(super) fn disconnect(
        &mut self,
        node: NodeId,
        reason: DisconnectReason,
        first_unsent: Option<i32>,
        now: Instant,
    ) {
        if let Some(connection) = self.drop_connection(node, reason, first_unsent, now) {
            self.actions.push_back(NetworkAction::Close { connection });
        }
    }

    /// Forgets a connection; its requests fail. Returns it if the transport has heard of it.
    pub(super) fn drop_connection(
        &mut self,
        node: NodeId,
        reason: DisconnectReason,
        first_unsent: Option<i32>,
        now: Instant,
    ) -> Option<ConnectionId> {
        let known = self.states.node(node)?;
        let connection = known.connection()?;
        let was_ready = matches!(known.state(), ConnectionState::Ready(..));
        self.connections.remove(&connection);
        if reason.is_release() {
            self.states.released(node);
        } else {
            self.states.disconnected(node, now, self.random.random());
        }

        let withdrawn = self.withdraw_actions(connection);
        let mut on_wire = true;
        for request in self.in_flight.clear(node) {
            let id = Some(request.correlation_id);
            on_wire &= id != first_unsent && id != withdrawn.first_frame;
            let Asker::Caller(purpose) = request.purpose else { continue };
            self.callers_in_flight -= 1;
            self.events.push_back(NetworkEvent::Failed { node, purpose, reason: (&reason).into(), on_wire });
        }
        self.events.push_back(NetworkEvent::Disconnected { node, reason, was_ready });
        self.settle(node, now);
        (!withdrawn.connect).then_some(connection)
    }

    /// Takes back what the transport has not been told yet of a connection.
    fn withdraw_actions(&mut self, id: ConnectionId) -> WithdrawnActions {
        let mut withdrawn = WithdrawnActions { connect: false, first_frame: None };
        self.actions.retain(|action| match action {
            NetworkAction::Connect { connection, .. } if *connection == id => {
                withdrawn.connect = true;
                false
            }
            NetworkAction::Transmit { connection, frame } if *connection == id => {
                withdrawn.first_frame.get_or_insert(frame.correlation_id);
                false
            }
            _ => true,
        });
        withdrawn
    }

    /// Lets go of a connection that is on its way out once nothing is under way on it, and of what is known about a
    /// node that is gone. To be called whenever a node's requests or address have changed.
    pub(super) fn settle(&mut self, node: NodeId, now: Instant) {
        if self.is_retired(node) {
            let has_connection = self.states.node(node).is_some_and(|known| known.connection().is_some());
            if has_connection && self.in_flight_count(node) == 0 {
                return self.disconnect(node, DisconnectReason::AddressChanged, None, now);
            }
            if !has_connection {
                self.states.remove(node);
            }
        }
        self.rearm(node, now);
    }

    /// Gives the connection to an entry of `bootstrap.servers` that is no longer among the nodes to the broker at the same
    /// address, which would otherwise be connected to once more. Returns the node that has the connection now.
    pub(super) fn hand_over(&mut self, node: NodeId) -> NodeId {
        let Some(heir) = self.heir(node) else { return node };
        self.timers.arm(node, None);
        self.states.hand_over(node, &heir);
        let heir = heir.id();
        self.in_flight.hand_over(node, heir);
        let is_it = |other: &&mut NodeId| **other == node;
        self.connections.values_mut().filter(is_it).for_each(|place| *place = heir);
        self.events.iter_mut().map(NetworkEvent::node_mut).filter(is_it).for_each(|place| *place = heir);
        heir
    }

    fn heir(&self, node: NodeId) -> Option<Node> {
        let known = self.states.node(node).filter(|known| known.connection().is_some())?;
        let is_bootstrap = node.0 < 0 && !self.nodes.contains_key(&node);
        let is_heir = |node: &&Node| {
            node.id().0 >= 0
                && node.has_address_of(known.address())
                && self.states.node(node.id()).is_none_or(|heir| heir.connection().is_none())
        };
        self.nodes.values().find(is_heir).filter(|_| is_bootstrap).cloned()
    }

    /// Lets go of the connections to entries of `bootstrap.servers` that were kept, if they are of no more use.
    pub(super) fn settle_kept(&mut self, now: Instant) {
        let is_kept = |node: &NodeId| node.0 < 0 && !self.nodes.contains_key(node);
        let nodes: Vec<_> = self.states.nodes().map(|(node, _)| node).filter(is_kept).collect();
        for node in nodes {
            self.settle(node, now);
        }
    }

    /// Whether a connection takes no more requests: what is known of its node is not about the present address, or it was
    /// retired.
    pub(super) fn is_retired(&self, node: NodeId) -> bool {
        let Some(known) = self.states.node(node) else { return false };
        match self.nodes.get(&node) {
            Some(address) => known.is_leaving() || !address.has_address_of(known.address()),
            None => !self.is_kept(node, known),
        }
    }

    /// Whether a connection to an entry of `bootstrap.servers` stays in use although the brokers are known: as long as none
    /// of these is connected. They may not be reachable where they say, and news of that come from here.
    pub(super) fn is_kept(&self, node: NodeId, known: &NodeConnection) -> bool {
        let is_bootstrap = node.0 < 0 && !self.nodes.contains_key(&node);
        is_bootstrap && known.is_connected() && !known.is_leaving() && !self.has_ready_broker()
    }

    pub(super) fn find_timeout(&self, node: NodeId, now: Instant) -> Option<DisconnectReason> {
        let known = self.states.node(node)?;
        let is_over = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if is_over(known.setup_deadline()) {
            Some(DisconnectReason::ConnectTimedOut)
        } else if is_over(self.in_flight.deadline(node)) {
            Some(DisconnectReason::RequestTimedOut)
        } else if is_over(self.idle_deadline(node)) {
            Some(DisconnectReason::Idle)
        } else {
            None
        }
    }

    pub(super) fn rearm(&mut self, node: NodeId, now: Instant) {
        let known = self.states.node(node);
        let setup = known.and_then(NodeConnection::setup_deadline);
        let is_later = |delay: &Duration| !delay.is_zero();
        let delay = known.and_then(|known| known.connection_delay(now)).filter(is_later);
        let throttle = known.map(|known| known.throttle_delay(now)).filter(is_later);
        let look_again =
            [delay, throttle].into_iter().flatten().min().and_then(|delay| now.checked_add(delay));
        let deadlines = [setup, self.in_flight.deadline(node), self.idle_deadline(node), look_again];
        self.timers.arm(node, earliest(deadlines));
    }

    /// Returns when a connection without requests has been of no use for too long.
    fn idle_deadline(&self, node: NodeId) -> Option<Instant> {
        let known = self.states.node(node)?;
        let is_idle = matches!(known.state(), ConnectionState::Ready(..)) && self.in_flight.count(node) == 0;
        let max_idle = self.config.connections_max_idle.filter(|_| is_idle)?;
        known.last_activity().checked_add(max_idle)
    }
}

/// What the transport was not told in time.
struct WithdrawnActions {
    connect: bool,
    /// The correlation id of the first frame.
    first_frame: Option<i32>,
}
