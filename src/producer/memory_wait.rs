//! Memory for a record: from its own partition, or from any partition of its topic that has some.
//!
//! A record that may go anywhere waits in the line of its topic. The budget serves that line with the partition that has a
//! leader and holds least. So callers tell the budget the leaders, and make queues for some partitions that hold nothing.

use std::sync::Arc;

use rand::RngExt;

use crate::accumulator::{PartitionQueue, TopicQueues};
use crate::buffer_memory::{BatchBuffer, MemoryClosed};
use crate::producer::ProducerCore;
use crate::topic_partition::Topic;

/// Memory that was waited for.
#[derive(Debug, Default)]
pub(super) struct MemoryInHand {
    buffer: Option<BatchBuffer>,
    /// The partition that it is for, if any of the topic would have done.
    partition: Option<usize>,
}

impl MemoryInHand {
    /// Returns which partition it was granted for, if any of the topic would have done: once.
    pub(super) fn take_partition(&mut self) -> Option<usize> {
        self.partition.take()
    }

    /// Gives access to the buffer, for a batch that needs one; what is put there instead is in hand from then on.
    pub(super) fn buffer_mut(&mut self) -> &mut Option<BatchBuffer> {
        &mut self.buffer
    }

    /// Gives it back, which may wake others.
    pub(super) fn give_back(&mut self) {
        *self = Self::default();
    }
}

impl ProducerCore {
    /// Waits for memory for a partition or, if they are given, for any of the topic's.
    pub(super) async fn wait_for_memory(
        &self,
        queue: &PartitionQueue,
        anywhere: Option<&TopicQueues>,
        least: usize,
    ) -> Result<MemoryInHand, MemoryClosed> {
        match anywhere {
            Some(queues) => self.wait_for_memory_anywhere(queues, least).await,
            None => {
                let buffer = self.accumulator.wait_for_memory(queue, least).await?;
                Ok(MemoryInHand { buffer: Some(buffer), partition: None })
            }
        }
    }

    async fn wait_for_memory_anywhere(
        &self,
        queues: &TopicQueues,
        least: usize,
    ) -> Result<MemoryInHand, MemoryClosed> {
        let granted = |(partition, buffer)| MemoryInHand { buffer: Some(buffer), partition: Some(partition) };
        let topic = queues.topic();
        let mut clusters = self.clusters.clone();
        self.tell_leaders(queues);
        let mut wait = std::pin::pin!(self.accumulator.wait_for_memory_anywhere(queues, least));
        loop {
            let news = tokio::select! {
                biased;
                taken = &mut wait => {
                    // Callers behind this one must be able to go where nothing is held, too.
                    self.tell_leaders(queues);
                    return taken.map(granted);
                }
                news = clusters.changed() => news,
            };
            if news.is_err() {
                // The sender has ended, and with it the wait ends.
                return wait.await.map(granted);
            }
            drop(clusters.borrow_and_update());
            // The line is served as of now, and partitions that are new are for those in it, too. A topic that is gone is not to
            // be kept without partitions.
            let count = clusters.borrow().partition_count(topic).filter(|count| *count > 0);
            if let Some(count) = count {
                self.tell_leaders(&self.accumulator.topic(topic, count));
            }
        }
    }

    /// Returns the partition with a leader that holds least memory, if it may have enough for a record.
    pub(super) fn partition_with_memory(&self, queues: &TopicQueues, least: usize) -> Option<usize> {
        self.tell_leaders(queues);
        queues.memory().roomiest(least)
    }

    /// Has memory for records that may go anywhere held for partitions with a leader, as of the cluster that is published
    /// now.
    fn tell_leaders(&self, queues: &TopicQueues) {
        let cluster = Arc::clone(&self.clusters.borrow());
        let available = cluster.available_partitions(queues.topic());
        let has_leader =
            |number| i32::try_from(number).is_ok_and(|number| available.binary_search(&number).is_ok());
        queues.memory().tell_leaders(cluster.version(), has_leader);
        if let Some(partition_count) = cluster.partition_count(queues.topic()) {
            self.make_spares(queues, partition_count, available, cluster.version());
        }
    }

    /// Makes queues for partitions that have none, so that memory can be given to those that hold nothing: to partitions that
    /// have no queue it cannot.
    fn make_spares(&self, queues: &TopicQueues, partition_count: usize, available: &[i32], version: u64) {
        let missing = SPARES - queues.memory().untouched(SPARES, !available.is_empty()).min(SPARES);
        if missing == 0 || queues.are_all_led_made(version) {
            return;
        }
        // If none has a leader, any may be the first to get one.
        let count = if available.is_empty() { partition_count } else { available.len() };
        let nth = |index| match available {
            [] => Some(index),
            _ => available.get(index).and_then(|partition| usize::try_from(*partition).ok()),
        };
        let begin = usize::try_from(rand::rng().random::<u32>()).unwrap_or_default() % count.max(1);
        let is_unmade = |partition: &usize| *partition < queues.len() && !queues.is_made(*partition);
        let unmade = (begin..count).chain(0..begin).filter_map(nth).filter(is_unmade).take(missing);
        let have_leader = || !available.is_empty();
        let make = |partition| self.accumulator.ensure_queue(queues, partition, have_leader);
        let made = unmade.filter_map(make).count();
        let are_all_here = count.checked_sub(1).and_then(nth).is_none_or(|last| last < queues.len());
        if made < missing && are_all_here {
            queues.note_all_led_are_made(version);
        }
    }
}

impl ProducerCore {
    /// Waits until brokers refuse the producer: all of them, which frees no memory, or the leader of the partition that the record goes
    /// to, which memory is of no use for. Without a partition, the leaders of all partitions. What they said before does not count:
    /// they are asked again and again.
    pub(super) async fn refusal(&self, topic: &Topic, partition: Option<i32>) -> String {
        let mut clusters = self.clusters.clone();
        clusters.mark_unchanged();
        loop {
            if clusters.changed().await.is_err() {
                // The sender has ended, and with it the wait for memory ends.
                std::future::pending::<()>().await;
            }
            let cluster = Arc::clone(&clusters.borrow_and_update());
            if let Some(refusal) = cluster.refusal().or_else(|| cluster.leader_refusal(topic, partition)) {
                return refusal.to_owned();
            }
        }
    }
}

/// While memory is short, this many partitions of a topic that hold nothing have queues. Callers that wait are served one after the
/// other, and each has more queues made.
const SPARES: usize = 8;
