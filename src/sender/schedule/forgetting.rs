//! Giving up what is kept of topics that have idled out (`metadata.max.idle.ms`).

use super::{Schedule, Slot};
use crate::log;
use crate::sender::partition::Partition;
use crate::topic_partition::Topic;

impl Schedule {
    /// Forgets the topics that are not tracked any more, but for those that have something to do. Returns their partitions.
    pub(in crate::sender) fn forget_topics(&mut self, is_tracked: impl Fn(&Topic) -> bool) -> Vec<Partition> {
        let mut forgotten = Vec::new();
        for topic in self.accumulator.topics() {
            if !is_tracked(topic.topic()) {
                self.forget_topic(topic.topic(), &mut forgotten);
            }
        }
        self.slots.shrink();
        forgotten
    }

    fn forget_topic(&mut self, topic: &Topic, forgotten: &mut Vec<Partition>) {
        let is_in_use = |id| self.slots.get(id).is_some_and(Slot::is_in_use);
        let Some(queues) = self.accumulator.retire_topic(topic, is_in_use) else { return };
        for queue in queues.made() {
            if let Some(mut slot) = self.slots.remove(queue.id()) {
                self.timers.arm(queue.id(), &mut slot, None);
                forgotten.push(slot.partition);
            }
        }
        log::debug!(%topic, "forgot a topic that has idled out");
    }
}
