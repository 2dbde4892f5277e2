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

/// Groups whose coordinators are kept. Beyond that all are looked for again: most were of transactions that are long over.
const MAX_GROUPS: usize = 1000;

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
        if self.0.len() > MAX_GROUPS {
            self.0.retain(|known, _| known.kind == CoordinatorType::Transaction);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: CoordinatorType, id: &str) -> CoordinatorKey {
        CoordinatorKey { kind, id: Arc::from(id) }
    }

    #[test]
    fn groups_are_not_kept_without_end() {
        let id = key(CoordinatorType::Transaction, "payments");
        let mut coordinators = Coordinators::default();
        coordinators.note(id.clone(), NodeId(1));

        for number in 0..10_000 {
            let group = key(CoordinatorType::Group, &format!("group-{number}"));
            coordinators.note(group.clone(), NodeId(2));
            assert_eq!(coordinators.of(&group), Some(NodeId(2)));
        }

        assert!(coordinators.0.len() <= 1001, "{}", coordinators.0.len());
        assert_eq!(coordinators.of(&id), Some(NodeId(1)));
    }
}
