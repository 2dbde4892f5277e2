//! `TopicQueues`: the queues of one topic, and what their partitions share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::accumulator::partition_queue::PartitionQueue;
use crate::accumulator::queue_table::QueueTable;
use crate::accumulator::topic_account::TopicAccount;
use crate::buffer_memory::{BufferMemory, TopicMemory};
use crate::metrics::TopicMetrics;
use crate::planted::planted;
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};
use crate::topic_partition::Topic;

/// The queues of one topic, by partition number. Replaced as a whole when partitions are added.
///
/// [`RecordAccumulator::ensure_queue`] makes the queue of a partition for its first record, or a little before: a record that
/// waits for memory and may go anywhere must be able to go to a partition that holds nothing. If two callers come with the first
/// record, both get the same queue.
///
/// [`RecordAccumulator::ensure_queue`]: super::RecordAccumulator::ensure_queue
#[derive(Debug)]
pub(crate) struct TopicQueues {
    topic: Topic,
    /// Those of `shared` that were asked for here. What a caller reads without a lock.
    table: QueueTable,
    shared: Arc<SharedByTables>,
}

/// What the tables of a topic share. A larger table replaces the one before.
#[derive(Debug)]
struct SharedByTables {
    /// Every queue that was made. Any table that shares this keeps all queues, and so their places in the budget.
    made: Mutex<BTreeMap<usize, Arc<PartitionQueue>>>,
    memory: Arc<TopicMemory>,
    account: Arc<TopicAccount>,
    /// When the topic was last written to, in seconds of a clock of the producer's own.
    last_used: AtomicU64,
    /// The queues were given up, and no more are made. Changed under the lock of the accumulator's topics.
    is_retired: AtomicBool,
    /// The version of the cluster in which all partitions with a leader had a queue, or none.
    all_led_are_made: AtomicU64,
}

const NO_VERSION: u64 = u64::MAX;

impl TopicQueues {
    pub(super) fn new(topic: Topic, partitions: usize, memory: &Arc<BufferMemory>) -> Self {
        let shared = SharedByTables {
            made: Mutex::default(),
            memory: Arc::new(TopicMemory::new(memory)),
            account: Arc::default(),
            last_used: AtomicU64::new(0),
            is_retired: AtomicBool::new(false),
            all_led_are_made: AtomicU64::new(NO_VERSION),
        };
        Self { topic, table: QueueTable::new(partitions), shared: Arc::new(shared) }
    }

    /// Makes what replaces these when there are more partitions.
    pub(super) fn extended(&self, partitions: usize) -> Self {
        let table = QueueTable::new(partitions);
        for (partition, queue) in &*self.lock() {
            table.set(*partition, queue);
        }
        Self { topic: self.topic.clone(), table, shared: Arc::clone(&self.shared) }
    }

    pub(crate) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Returns the queue of a partition, if it was asked for here before.
    #[inline]
    pub(crate) fn queue(&self, partition: usize) -> Option<&Arc<PartitionQueue>> {
        self.table.get(partition)
    }

    /// Returns the queue of a partition, if there is one.
    pub(super) fn made_queue(&self, partition: usize) -> Option<Arc<PartitionQueue>> {
        self.lock().get(&partition).map(Arc::clone)
    }

    /// Returns whether a partition has a queue, which callers with another table may have made. Takes no lock if it was asked
    /// for here.
    pub(crate) fn is_made(&self, partition: usize) -> bool {
        self.queue(partition).is_some() || self.lock().contains_key(&partition)
    }

    /// Returns the queue of a partition, which `make` makes if there is none. Call this under the lock of the accumulator's
    /// topics, so that no queue is made for a topic that is given up.
    pub(super) fn insert_queue(
        &self,
        partition: usize,
        make: impl FnOnce() -> PartitionQueue,
    ) -> Option<&Arc<PartitionQueue>> {
        if partition >= self.len() || (self.is_retired() && !planted!(RetiredTopicGrows)) {
            return None;
        }
        let mut made = self.lock();
        let queue = made.entry(partition).or_insert_with(|| Arc::new(make()));
        self.table.set(partition, queue)
    }

    /// Returns what records take that may go to any of the partitions.
    pub(crate) fn memory(&self) -> &Arc<TopicMemory> {
        &self.shared.memory
    }

    pub(super) fn account(&self) -> &Arc<TopicAccount> {
        &self.shared.account
    }

    /// Returns a snapshot of what is counted of the topic.
    pub(crate) fn metrics(&self) -> TopicMetrics {
        let accepted = self.made().iter().map(|queue| queue.appended_records()).sum();
        self.account().counters().snapshot(self.topic.clone(), accepted)
    }

    /// Returns how many partitions there are, with or without a queue.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns all queues that were made, by partition number.
    pub(crate) fn made(&self) -> Vec<Arc<PartitionQueue>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// Returns the queues that were asked for here, by partition number. Takes no lock.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<PartitionQueue>> {
        self.table.iter()
    }

    /// Returns how many places, filled or not, [`TopicQueues::iter`] looks at.
    pub(crate) fn places(&self) -> usize {
        self.table.places()
    }

    /// Returns whether the queues were given up.
    pub(crate) fn is_retired(&self) -> bool {
        self.shared.is_retired.load(Ordering::Relaxed)
    }

    /// Notes that the queues are given up.
    pub(super) fn retire(&self) {
        self.shared.is_retired.store(true, Ordering::Relaxed);
    }

    /// Returns whether in this version of the cluster all partitions with a leader have a queue, as far as it was found out.
    pub(crate) fn are_all_led_made(&self, version: u64) -> bool {
        self.shared.all_led_are_made.load(Ordering::Relaxed) == version
    }

    pub(crate) fn note_all_led_are_made(&self, version: u64) {
        self.shared.all_led_are_made.store(version, Ordering::Relaxed);
    }

    /// Notes that the topic is in use, at most one store a second.
    #[inline]
    pub(crate) fn touch(&self, seconds: u64) {
        let last_used = &self.shared.last_used;
        if last_used.load(Ordering::Relaxed) != seconds {
            last_used.store(seconds, Ordering::Relaxed);
        }
    }

    pub(crate) fn last_used(&self) -> u64 {
        self.shared.last_used.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<PartitionQueue>>> {
        self.shared.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
