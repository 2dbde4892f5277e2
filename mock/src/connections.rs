//! Counters of connections.

use std::collections::BTreeMap;

/// Connections of each broker since the cluster started.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    by_broker: BTreeMap<i32, Count>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    accepted: u64,
    open: u64,
}

impl Connections {
    /// Returns the number of the connection among those of its broker, from 1.
    pub(crate) fn opened(&mut self, broker: i32) -> u64 {
        let count = self.by_broker.entry(broker).or_default();
        count.accepted += 1;
        count.open += 1;
        count.accepted
    }

    pub(crate) fn closed(&mut self, broker: i32) {
        let count = self.by_broker.entry(broker).or_default();
        count.open = count.open.saturating_sub(1);
    }

    pub(crate) fn accepted(&self, broker: i32) -> u64 {
        self.by_broker.get(&broker).map_or(0, |count| count.accepted)
    }

    pub(crate) fn open(&self, broker: i32) -> u64 {
        self.by_broker.get(&broker).map_or(0, |count| count.open)
    }
}
