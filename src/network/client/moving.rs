//! What becomes of connections when other nodes are known, or the same ones elsewhere.
//!
//! Whether a connection is to the right place follows from the nodes as they are known now, and is not stored: a node that comes
//! back in time keeps its connection.

use std::time::Instant;

use crate::metadata::Node;
use crate::topic_partition::NodeId;

use super::NetworkClient;
use crate::network::node_connection::NodeConnection;

impl<P> NetworkClient<P> {
    /// Gives the connection of an entry of `bootstrap.servers` to the broker at the same address, once the entry is no longer
    /// among the nodes. Otherwise the client would connect to that broker once more. Returns the node that has the connection now.
    pub(super) fn hand_over(&mut self, node: NodeId) -> NodeId {
        let Some(heir) = self.heir(node) else { return node };
        self.timers.arm(node, None);
        self.states.hand_over(node, &heir);
        self.in_flight.hand_over(node, heir.id());
        self.outbox.hand_over(node, heir.id());
        heir.id()
    }

    /// Returns the broker at the address of a connection to an entry of `bootstrap.servers`.
    fn heir(&self, node: NodeId) -> Option<Node> {
        let known = self.states.node(node).filter(|known| known.exists())?;
        let is_bootstrap = node.0 < 0 && !self.nodes.contains_key(&node);
        let is_heir = |node: &&Node| {
            node.id().0 >= 0
                && node.has_address_of(known.address())
                && self.states.node(node.id()).is_none_or(|heir| !heir.exists())
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

    /// Whether a connection takes no more requests and ends with those under way: what is known of its node is not about
    /// the present address, or the caller has retired it.
    pub(super) fn is_retired(&self, node: NodeId) -> bool {
        let Some(known) = self.states.node(node) else { return false };
        match self.nodes.get(&node) {
            Some(address) => known.is_retired() || !address.has_address_of(known.address()),
            None => !self.is_kept(node, known),
        }
    }

    /// Whether a connection to an entry of `bootstrap.servers` stays in use although the brokers are known: as long as none
    /// of these is connected. They may not be reachable where they say, and news of that come from here.
    pub(super) fn is_kept(&self, node: NodeId, known: &NodeConnection) -> bool {
        let is_bootstrap = node.0 < 0 && !self.nodes.contains_key(&node);
        is_bootstrap && known.versions().is_some() && !known.is_retired() && !self.has_ready_broker()
    }
}
