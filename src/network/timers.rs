//! When to look at which node again.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Deadline;
use crate::topic_partition::NodeId;

/// One deadline per node.
#[derive(Debug, Default)]
pub(super) struct NodeTimers {
    /// The same as `armed`, by time.
    queue: BTreeMap<(Instant, NodeId), Deadline>,
    armed: BTreeMap<NodeId, (Instant, Deadline)>,
}

impl NodeTimers {
    /// Sets the deadline of a node in place of the one before.
    pub(super) fn arm(&mut self, node: NodeId, deadline: Option<(Instant, Deadline)>) {
        let before = match deadline {
            Some(deadline) => self.armed.insert(node, deadline),
            None => self.armed.remove(&node),
        };
        if before == deadline {
            return;
        }
        if let Some((before, _)) = before {
            self.queue.remove(&(before, node));
        }
        if let Some((at, deadline)) = deadline {
            self.queue.insert((at, node), deadline);
        }
    }

    /// Takes out the nodes whose deadlines are over, earliest first.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<NodeId> {
        let due: Vec<_> = self.queue.keys().take_while(|(at, _)| *at <= now).copied().collect();
        for (_, node) in &due {
            self.arm(*node, None);
        }
        due.into_iter().map(|(_, node)| node).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<(Instant, Deadline)> {
        self.queue.first_key_value().map(|((at, _), deadline)| (*at, *deadline))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::clock;

    use super::*;

    #[test]
    fn deadlines_come_due_in_order_and_once() {
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = NodeTimers::default();

        timers.arm(NodeId(1), Some((at(3), Deadline::Idle)));
        timers.arm(NodeId(2), Some((at(1), Deadline::Request)));
        timers.arm(NodeId(3), Some((at(2), Deadline::Rest)));

        assert_eq!(timers.next_deadline(), Some((at(1), Deadline::Request)));
        assert_eq!(timers.take_due(start), []);
        assert_eq!(timers.take_due(at(2)), [NodeId(2), NodeId(3)]);
        assert_eq!(timers.take_due(at(2)), []);
        assert_eq!(timers.next_deadline(), Some((at(3), Deadline::Idle)));
    }

    #[test]
    fn later_arming_takes_the_place_of_the_earlier() {
        let start = clock::now();
        let mut timers = NodeTimers::default();

        timers.arm(NodeId(1), Some((start, Deadline::Rest)));
        timers.arm(NodeId(1), Some((start + Duration::from_secs(1), Deadline::Rest)));
        assert_eq!(timers.take_due(start), []);
        timers.arm(NodeId(1), None);

        assert_eq!(timers.next_deadline(), None);
    }

    #[test]
    fn deadline_takes_the_place_of_another_at_the_same_time() {
        let start = clock::now();
        let mut timers = NodeTimers::default();

        timers.arm(NodeId(1), Some((start, Deadline::Rest)));
        timers.arm(NodeId(1), Some((start, Deadline::Request)));

        assert_eq!(timers.next_deadline(), Some((start, Deadline::Request)));
        assert_eq!(timers.take_due(start), [NodeId(1)]);
        assert_eq!(timers.next_deadline(), None);
    }
}
