//! Topics and clusters that come and go.

use super::run::{EVENTS, ORDERS, Simulation, port};
use super::schedule::{NODES, Rest};

impl Simulation {
    pub(super) fn delete(&mut self) {
        let count = self.brokers.partition_count(ORDERS);
        if count > 0 {
            self.bury_committed(0..self.setup.partitions);
            self.bury(ORDERS);
            self.brokers.delete_topic(ORDERS).unwrap();
            self.changes += 1;
            self.tend();
        }
    }

    fn bury(&mut self, topic: &'static str) {
        if self.transactional.is_some() {
            return;
        }
        for partition in 0..self.setup.partitions {
            self.buried.push((topic, partition, self.brokers.batches(topic, partition).to_vec()));
        }
    }

    /// What the producer knows is gone, and at the address where it began there is another cluster, where others have
    /// the producer ids that were given out here.
    pub(super) fn replace(&mut self) {
        self.bury(EVENTS);
        let has_orders = self.brokers.partition_count(ORDERS) > 0;
        if has_orders {
            self.bury(ORDERS);
        }
        let ids: Vec<_> = self.lines.keys().copied().collect();
        for id in ids {
            self.cut(id, Rest::IsLost, Rest::IsLost);
        }
        self.divert_attempts();
        self.changes += 1;
        self.replacements += 1;
        let fresh = self.brokers.replacement(&format!("replacement {}", self.replacements));
        let old = std::mem::replace(&mut self.brokers, fresh);
        for node in 0..NODES {
            let state = self.node_mut(node);
            state.port += port(0, 1) - port(0, 0);
            if !state.is_dead {
                let port = state.port;
                self.brokers.broker_up(node, port).unwrap();
            }
        }
        self.brokers.create_topic(EVENTS, 1, 3).unwrap();
        if has_orders {
            self.brokers.create_topic(ORDERS, self.partitions, 3).unwrap();
        }
        for topic in [ORDERS, EVENTS] {
            self.brokers.know_producers_of(&old, topic);
        }
        if self.transactional.is_some() {
            self.leave(old);
        }
        self.tend();
    }

    pub(super) fn create(&mut self) {
        if self.brokers.partition_count(ORDERS) == 0 {
            self.brokers.create_topic(ORDERS, self.partitions, 3).unwrap();
            self.changes += 1;
        }
    }

    pub(super) fn add_partition(&mut self) {
        if self.partitions < self.setup.partitions {
            self.partitions += 1;
            // While the topic is gone there is nothing to add to; it comes back larger.
            let _ = self.brokers.add_partitions(ORDERS, self.partitions);
        }
    }
}
