//! `TopicMemory`: memory for records that may go to any partition of a topic.

use std::sync::Arc;

use super::budget::{InTopic, Line, TopicId};
use super::{BatchBuffer, BufferMemory, MemoryClosed, PartitionMemory};

/// What the partitions of one topic take of the memory together.
#[derive(Debug)]
pub(crate) struct TopicMemory {
    memory: Arc<BufferMemory>,
    id: TopicId,
}

impl TopicMemory {
    pub(crate) fn new(memory: &Arc<BufferMemory>) -> Self {
        Self { memory: Arc::clone(memory), id: memory.fair.open_topic() }
    }

    /// Makes the share of the partition with this number. [`BufferMemory::serve_waits`] must follow, without locks.
    pub(crate) fn partition(self: &Arc<Self>, number: usize, has_leader: bool) -> Arc<PartitionMemory> {
        let id = self.memory.fair.open(Some(InTopic { topic: self.id, number, has_leader }));
        Arc::new(PartitionMemory { id, memory: Arc::clone(&self.memory), _topic: Some(Arc::clone(self)) })
    }

    /// Tells which partitions have leaders, if this version of the cluster is news. Those without are taken only if none has.
    pub(crate) fn tell_leaders(&self, version: u64, has_leader: impl Fn(usize) -> bool) {
        self.memory.fair.set_leaders(self.id, version, has_leader);
    }

    /// Returns how many partitions hold nothing and take records, counting to `enough`. They need a leader, too, if
    /// `is_any_led`: any partition of the topic has one, with or without a queue.
    pub(crate) fn untouched(&self, enough: usize, is_any_led: bool) -> usize {
        self.memory.fair.untouched(self.id, enough, is_any_led)
    }

    /// Returns whether a caller waits for memory that may be any partition's.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.memory.fair.is_waited_for(self.id)
    }

    /// Returns the number of the partition that holds least, if it may have `least` bytes and no caller came before.
    pub(crate) fn roomiest(&self, least: usize) -> Option<usize> {
        self.memory.fair.roomiest(self.id, least)
    }

    /// Waits for a buffer of at least `least` bytes on the account of any partition. `partition` finds that by its number.
    /// Returns the number, too.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up its place and takes nothing.
    pub(crate) async fn take(
        &self,
        least: usize,
        partition: impl Fn(usize) -> Option<Arc<PartitionMemory>>,
    ) -> Result<(usize, BatchBuffer), MemoryClosed> {
        let (id, capacity) = self.memory.fair.take(Line::Topic(self.id), least).await?;
        let number = self.memory.fair.number_in_topic(id);
        let found = number.and_then(|number| Some((number, partition(number)?.buffer(capacity))));
        found.ok_or_else(|| {
            self.memory.fair.give_back(id, capacity);
            MemoryClosed
        })
    }
}

impl Drop for TopicMemory {
    fn drop(&mut self) {
        // Partitions and waits keep it alive, so there are none.
        self.memory.fair.close_topic(self.id);
    }
}
