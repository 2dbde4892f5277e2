//! Giving up what is kept of topics that have idled out (`metadata.max.idle.ms`).

use super::Schedule;
use crate::log;
use crate::sender::partition::Partition;
use crate::topic_partition::Topic;

impl Schedule {
    /// Forgets the topics that are not tracked any more, but for those that have something to do, or a partition that `is_kept`. Returns
    /// their partitions.
    pub(in crate::sender) fn forget_topics(
        &mut self,
        is_tracked: impl Fn(&Topic) -> bool,
        is_kept: impl Fn(&Partition) -> bool,
    ) -> Vec<Partition> {
        let mut forgotten = Vec::new();
        for topic in self.accumulator.topics() {
            if !is_tracked(topic.topic()) {
                self.forget_topic(topic.topic(), &is_kept, &mut forgotten);
            }
        }
        self.slots.shrink();
        forgotten
    }

    fn forget_topic(
        &mut self,
        topic: &Topic,
        is_kept: impl Fn(&Partition) -> bool,
        forgotten: &mut Vec<Partition>,
    ) {
        let is_in_use =
            |id| self.slots.get(id).is_some_and(|slot| slot.is_in_use() || is_kept(&slot.partition));
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
