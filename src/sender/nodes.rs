//! `Nodes`: what a machine of the sender may ask about brokers. It can neither connect nor send: that is an effect.

use std::time::Instant;

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
        match self.network.address(node) {
            Some(known) if node.0 >= 0 => format!("{node} ({}:{})", known.host(), known.port()),
            // The id of an entry of `bootstrap.servers` means nothing outside of this producer.
            Some(known) => format!("{}:{}", known.host(), known.port()),
            None => node.to_string(),
        }
    }

    /// Whether a node is connected and known not to speak a request.
    pub(super) fn lacks(&self, node: NodeId, api_key: ApiKey) -> bool {
        self.network.lacks(node, api_key)
    }
}
