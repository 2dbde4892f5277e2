//! Which brokers coordinate: one the transactional id, others the groups whose offsets are committed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::protocol::messages::find_coordinator::{CoordinatorType, FindCoordinatorRequest};
use crate::topic_partition::NodeId;

/// What a broker coordinates.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CoordinatorKey {
    pub(super) kind: CoordinatorType,
    pub(super) id: Arc<str>,
}

/// The coordinators that are known.
#[derive(Debug, Default)]
pub(super) struct Coordinators(HashMap<CoordinatorKey, NodeId>);

impl CoordinatorKey {
    /// Returns what to ask.
    pub(super) fn question(&self) -> FindCoordinatorRequest {
        FindCoordinatorRequest { key: self.id.to_string(), key_type: self.kind }
    }
}

impl Coordinators {
    pub(super) fn of(&self, key: &CoordinatorKey) -> Option<NodeId> {
        self.0.get(key).copied()
    }

    pub(super) fn note(&mut self, key: CoordinatorKey, node: NodeId) {
        self.0.insert(key, node);
    }

    pub(super) fn forget(&mut self, key: &CoordinatorKey) {
        self.0.remove(key);
    }

    /// Forgets a broker with which there is no connection: another may coordinate in its place.
    pub(super) fn forget_node(&mut self, gone: NodeId) {
        self.0.retain(|_, node| *node != gone);
    }

    pub(super) fn forget_all(&mut self) {
        self.0.clear();
    }
}
