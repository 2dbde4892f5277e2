//! `Nodes`: what a machine of the sender may ask about brokers. It can neither connect nor send: that is an effect.

use std::time::Instant;

use crate::metadata::Node;
use crate::network::{LeastLoadedNode, NetworkClient};
use crate::protocol::ApiKey;
use crate::sender::request::Purpose;
use crate::topic_partition::NodeId;

/// The brokers, as far as a machine that has a request must know them.
#[derive(Debug)]
pub(super) struct Nodes<'a> {
    network: &'a mut NetworkClient<Purpose>,
}

impl<'a> Nodes<'a> {
    pub(super) fn new(network: &'a mut NetworkClient<Purpose>) -> Self {
        Self { network }
    }

    /// Returns the best node for a request that any node can answer if it speaks it.
    pub(super) fn least_loaded(&mut self, api_key: ApiKey, now: Instant) -> LeastLoadedNode {
        self.network.least_loaded_node(api_key, now)
    }

    /// Whether a request may be sent to a node now.
    pub(super) fn can_send(&self, node: NodeId, now: Instant) -> bool {
        self.network.can_send(node, now)
    }

    /// Says which broker a node is, for a person.
    pub(super) fn describe(&self, node: NodeId) -> String {
        Node::describe(node, self.network.address(node))
    }

    /// Whether metadata has an address of a node.
    pub(super) fn knows(&self, node: NodeId) -> bool {
        self.network.address(node).is_some()
    }

    /// Whether a broker is connected that is known by more than an entry of `bootstrap.servers`.
    pub(super) fn has_ready_broker(&self) -> bool {
        self.network.has_ready_broker()
    }

    /// Whether a request may be sent to a node that has not said yet what it speaks.
    pub(super) fn can_send_early(&self, node: NodeId, now: Instant) -> bool {
        self.network.can_send_early(node, now)
    }

    /// Returns the version in which a request to a node would be sent.
    pub(super) fn version_for(&self, node: NodeId, api_key: ApiKey) -> Option<i16> {
        self.network.version_for(node, api_key)
    }

    /// Whether a node is connected and known not to speak a request.
    pub(super) fn lacks(&self, node: NodeId, api_key: ApiKey) -> bool {
        self.network.lacks(node, api_key)
    }
}
