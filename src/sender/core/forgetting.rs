//! Giving up what is kept of topics that have idled out (`metadata.max.idle.ms`).

use super::SenderCore;
use crate::log;
use crate::sender::partition::Partition;
use crate::topic_partition::Topic;

impl SenderCore {
    /// Forgets the topics that metadata has forgotten, but for those that have something to do.
    pub(super) fn forget_idle_topics(&mut self) {
        for topic in self.accumulator.topics() {
            if !self.topology.is_tracked(topic.topic()) {
                self.forget_topic(topic.topic());
            }
        }
        while let Some(None) = self.partitions.last() {
            self.partitions.pop();
        }
        if self.partitions.capacity() / 4 > self.partitions.len().max(USUAL_PARTITIONS) {
            self.partitions.shrink_to(self.partitions.len() * 2);
        }
    }

    fn forget_topic(&mut self, topic: &Topic) {
        let partition = |id: usize| self.partitions.get(id).and_then(Option::as_deref);
        let is_in_use = |id| partition(id).is_some_and(Partition::is_in_use);
        let Some(queues) = self.accumulator.retire_topic(topic, is_in_use) else { return };
        for queue in queues.made() {
            self.arm(queue.id(), None);
            let place = self.partitions.get_mut(queue.id());
            if let Some(partition) = place.and_then(Option::take) {
                self.numbering.handle_forgotten(|id| partition.epoch(id));
            }
        }
        log::debug!(%topic, "forgot a topic that has idled out");
    }
}

/// A table of so many partitions is kept.
const USUAL_PARTITIONS: usize = 64;
