//! How connections end.

use std::time::Instant;

use rand::RngExt;

use crate::planted::planted;
use crate::topic_partition::NodeId;

use super::NetworkClient;
use crate::network::event::{ConnectionId, DisconnectReason, NetworkAction, NetworkEvent};
use crate::network::in_flight_requests::Asker;
use crate::network::node_connection::NodeConnection;

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
            self.outbox.act(NetworkAction::Close { connection });
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
        match &reason {
            DisconnectReason::AuthenticationFailed(error) if error.is_about_mechanism() => {
                self.haste.forget_let_in();
            }
            // Others may have moved, too.
            DisconnectReason::Misrouted => self.haste.forget_let_in(),
            _ => {}
        }
        let known = self.states.node(node)?;
        let connection = known.id()?;
        let step = known.step()?;
        let (address, is_leaving) = (known.address().address().clone(), known.is_retired());
        self.states.disconnected(node, &reason, now, || self.random.random());
        if is_leaving {
            // The next connection may be to another broker that has taken the name over.
            self.states.remove(node);
        }

        let withdrawn = self.outbox.withdraw(connection);
        let mut on_wire = true;
        let mut unanswered = 0;
        for request in self.in_flight.clear(node) {
            let id = Some(request.correlation_id);
            on_wire &= id != first_unsent && id != withdrawn.first_frame;
            let Asker::Caller(purpose) = request.asker else { continue };
            unanswered += 1;
            self.outbox.tell(NetworkEvent::Failed { node, purpose, reason: (&reason).into(), on_wire });
        }
        self.outbox.tell(NetworkEvent::Disconnected { node, address, step, unanswered, reason });
        self.settle(node, now);
        (!withdrawn.connect).then_some(connection)
    }

    /// Once nothing is under way on a connection: closes it if it is retired, and forgets the node if that is gone; authenticates
    /// anew if its session ends. Call this whenever the requests or the address of a node have changed.
    pub(super) fn settle(&mut self, node: NodeId, now: Instant) {
        if self.is_retired(node) {
            let has_connection = self.states.node(node).is_some_and(NodeConnection::exists);
            if has_connection && self.in_flight_count(node) == 0 {
                return self.disconnect(node, DisconnectReason::AddressChanged, None, now);
            }
            if !has_connection {
                self.states.remove(node);
            }
        } else if self.is_drained(node) && self.states.throttle_delay(node, now).is_zero() {
            return self.authenticate_anew(node, now);
        }
        self.rearm(node, now);
    }

    /// Whether a connection whose session ends has nothing under way any more.
    fn is_drained(&self, node: NodeId) -> bool {
        self.states.node(node).is_some_and(NodeConnection::is_to_authenticate)
            && (self.in_flight.count(node) == 0 || planted!(RenewedWithoutDraining))
    }
}
