//! Until when the brokers at which places want to be left alone.

use std::time::{Duration, Instant};

use crate::metadata::Node;

/// The places whose brokers are throttled. A throttle belongs to the place, not to a connection or a node id: another
/// connection to the same broker must not evade its quota.
#[derive(Debug, Default)]
pub(super) struct Throttles {
    /// At most one entry per place.
    places: Vec<(Node, Instant)>,
}

impl Throttles {
    /// Leaves the broker at the address of a node alone for a time. An earlier demand to do so for longer stays.
    pub(super) fn add(&mut self, place: &Node, until: Instant, now: Instant) {
        let until = self.until(place).map_or(until, |earlier| earlier.max(until));
        self.places.retain(|(other, end)| *end > now && !other.has_address_of(place));
        self.places.push((place.clone(), until));
    }

    /// Returns how long the broker at the address of a node is still to be left alone.
    pub(super) fn delay(&self, place: &Node, now: Instant) -> Duration {
        self.until(place).map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn until(&self, place: &Node) -> Option<Instant> {
        self.places.iter().find(|(other, _)| other.has_address_of(place)).map(|(_, until)| *until)
    }
}

#[cfg(test)]
mod tests {
    use crate::clock;
    use crate::topic_partition::NodeId;

    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn longest_demand_counts_for_all_nodes_at_the_place() {
        let now = clock::now();
        let place = Node::new(NodeId(1), "kafka", 9092);
        let mut throttles = Throttles::default();

        throttles.add(&place, now + millis(100), now);
        throttles.add(&place, now + millis(40), now);

        let same_place = Node::new(NodeId(2), "kafka", 9092);
        assert_eq!(throttles.delay(&same_place, now + millis(99)), millis(1));
        assert_eq!(throttles.delay(&same_place, now + millis(100)), millis(0));
        assert_eq!(throttles.delay(&Node::new(NodeId(1), "kafka", 9093), now), millis(0));
    }

    #[test]
    fn throttling_that_is_over_takes_no_memory() {
        let start = clock::now();
        let mut throttles = Throttles::default();

        for round in 1..100 {
            let now = start + millis(100 * round);
            let place = Node::new(NodeId(1), format!("kafka-{round}"), 9092);
            throttles.add(&place, now + millis(50), now);
            assert_eq!(throttles.places.len(), 1);
        }
    }
}
