//! `RecordAccumulator`: where records wait, encoded, for the sender.
//!
//! Per partition a deque of [`ProducerBatch`]es. Callers append under the lock of one partition; the sender learns of
//! partitions that changed from a list, so that its work grows with what is ready and not with what exists.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use crate::buffer_memory::{BatchBuffer, BufferMemory, MemoryClosed};
use crate::delivery::BatchCell;
use crate::planted::planted;
use crate::sync::{AtomicBool, Held, Ordering, PoisonError, RwLock};
use crate::topic_partition::{Topic, TopicPartition};

mod changes;
mod compression_ratio;
mod doubt;
mod incomplete;
mod partition_queue;
mod producer_batch;
mod queue_table;
mod rescue;
pub(crate) mod salvage;
mod settings;
mod split;
mod stage_clock;
mod topic_account;
mod topic_queues;
mod workers;

pub(crate) use self::changes::{Changes, WakeFlag};
pub(crate) use self::incomplete::IncompleteBatches;
pub(crate) use self::partition_queue::{
    Append, Appended, AtBatchEnd, BufferNeed, Done, Head, JoinTerms, NO_TRANSACTION, PartitionQueue, SealJob,
    TakenHead,
};
pub(crate) use self::producer_batch::{BatchOrder, LastAnswer, ProducerBatch};
pub(crate) use self::rescue::{Rescue, rescue, withdraw};
pub(crate) use self::settings::Settings;
pub(crate) use self::split::{halve, split};
pub(crate) use self::stage_clock::{EnqueueWaits, Stage};
pub(crate) use self::topic_queues::TopicQueues;
pub(crate) use self::workers::{Work, Workers};

/// All partitions' queues, and the border between callers and the sender.
#[derive(Debug)]
pub(crate) struct RecordAccumulator {
    settings: Settings,
    memory: Arc<BufferMemory>,
    topics: RwLock<Topics>,
    changes: Arc<Changes>,
    incomplete: Arc<IncompleteBatches>,
    /// The accumulator tells it which topics have given up their queues.
    topic_watcher: Option<Arc<dyn TopicWatcher>>,
    /// `None`: the thread that closes a batch compresses it.
    workers: Option<Arc<dyn Workers>>,
    /// True from a refusal for want of memory until there was some.
    memory_is_short: AtomicBool,
    is_closed: AtomicBool,
    /// True once every queue refuses records, so that none can be accepted any more.
    is_shut: AtomicBool,
}

#[derive(Debug, Default)]
struct Topics {
    by_name: HashMap<Topic, Arc<TopicQueues>>,
    next_queue_id: usize,
    /// Smaller ids, to be used again.
    vacant_ids: BTreeSet<usize>,
    /// Records that queues took that were given up.
    past_records: u64,
    closed: bool,
    /// Whose records are taken.
    transaction: u64,
}

/// Keeps queues of topics, and lets go of those that are given up.
pub(crate) trait TopicWatcher: std::fmt::Debug + Send + Sync {
    /// The queues that a topic had so far are given up; there may be others by now.
    fn handle_retired(&self, topic: &Topic);
}

impl Topics {
    fn take_id(&mut self) -> usize {
        self.vacant_ids.pop_first().unwrap_or_else(|| {
            self.next_queue_id += 1;
            self.next_queue_id - 1
        })
    }

    fn remove(&mut self, topic: &Topic, queues: &TopicQueues) {
        self.by_name.remove(topic);
        if self.by_name.capacity() / 4 > self.by_name.len().max(USUAL_TOPICS) {
            self.by_name.shrink_to(self.by_name.len() * 2);
        }
        for queue in queues.made() {
            self.past_records += queue.appended_records();
            self.vacant_ids.insert(queue.id());
        }
        while let Some(last) = self.next_queue_id.checked_sub(1)
            && self.vacant_ids.remove(&last)
        {
            self.next_queue_id = last;
        }
    }
}

/// A table with room for no more is kept.
const USUAL_TOPICS: usize = 64;

impl RecordAccumulator {
    pub(crate) fn new(settings: Settings, memory: Arc<BufferMemory>) -> Self {
        Self {
            settings,
            memory,
            topics: RwLock::default(),
            changes: Arc::default(),
            incomplete: Arc::default(),
            topic_watcher: None,
            workers: None,
            memory_is_short: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_shut: AtomicBool::new(false),
        }
    }

    /// Has others compress where compressing would hold up the thread that closes a batch.
    pub(crate) fn with_workers(mut self, workers: Arc<dyn Workers>) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Has a watcher that keeps queues of topics let go of those that are given up.
    pub(crate) fn with_topic_watcher(mut self, watcher: Arc<dyn TopicWatcher>) -> Self {
        self.topic_watcher = Some(watcher);
        self
    }

    /// Returns the queues of a topic, made or extended to have places for at least `partitions` of them.
    pub(crate) fn topic(&self, topic: &Topic, partitions: usize) -> Arc<TopicQueues> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let held = Held::new();
        let known = topics.by_name.get(topic);
        if let Some(known) = known
            && known.len() >= partitions
        {
            return Arc::clone(known);
        }
        let queues = match known {
            Some(known) => known.extended(partitions),
            None => TopicQueues::new(topic.clone(), partitions, &self.memory),
        };
        let queues = Arc::new(queues);
        let replaced = topics.by_name.insert(topic.clone(), Arc::clone(&queues));
        drop((topics, held));
        drop(replaced);
        queues
    }

    /// Returns the queue of a partition, which is made if it is asked for the first time. `None` if the topic does
    /// not have the partition, or was given up.
    ///
    /// `has_leader` is asked if it is made: records that wait for memory anywhere in the topic may be given it at once.
    pub(crate) fn ensure_queue<'a>(
        &self,
        queues: &'a TopicQueues,
        partition: usize,
        has_leader: impl FnOnce() -> bool,
    ) -> Option<&'a Arc<PartitionQueue>> {
        queues.queue(partition).or_else(|| self.make_queue(queues, partition, has_leader()))
    }

    #[cold]
    fn make_queue<'a>(
        &self,
        queues: &'a TopicQueues,
        partition: usize,
        has_leader: bool,
    ) -> Option<&'a Arc<PartitionQueue>> {
        let too_early = planted!(TransactionReadTooEarly)
            .then(|| self.topics.read().unwrap_or_else(PoisonError::into_inner).transaction);
        // Under this lock the topic is not given up, nor the producer closed, nor a transaction ended, between a look at that and the
        // making.
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let held = Held::new();
        let queue = queues.insert_queue(partition, || {
            let number = i32::try_from(partition).unwrap_or(i32::MAX);
            let queue = PartitionQueue::new(
                topics.take_id(),
                TopicPartition::new(queues.topic(), number),
                queues.memory().partition(partition, has_leader),
                Arc::clone(&self.changes),
                Arc::clone(&self.incomplete),
                Arc::clone(queues.account()),
                topics.closed,
            );
            queue.set_transaction(too_early.unwrap_or(topics.transaction));
            queue
        });
        drop((topics, held));
        self.memory.serve_waits();
        queue
    }

    /// Takes records of another transaction from now on, and no others. When this returns, no record of the one before can come any
    /// more: it is in its batch, or is refused.
    pub(crate) fn set_transaction(&self, transaction: u64) {
        // Under this lock no queue is made that would not hear of it.
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.transaction = transaction;
        for queues in topics.by_name.values() {
            queues.made().iter().for_each(|queue| queue.set_transaction(transaction));
        }
    }

    /// Returns the queues of every topic.
    pub(crate) fn topics(&self) -> Vec<Arc<TopicQueues>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.by_name.values().map(Arc::clone).collect()
    }

    /// Returns the queues of a topic, if there are any.
    pub(crate) fn known_topic(&self, topic: &str) -> Option<Arc<TopicQueues>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.by_name.get(topic).map(Arc::clone)
    }

    /// Gives up the queues of a topic, unless something is queued, a caller waits for memory, or `is_in_use` says of
    /// one of them, by its id, that it is in use. Returns what was given up.
    ///
    /// A caller that has the queues by then appends nothing to them: it is sent to look for others. The ids are used again.
    pub(crate) fn retire_topic(
        &self,
        topic: &Topic,
        is_in_use: impl Fn(usize) -> bool,
    ) -> Option<Arc<TopicQueues>> {
        // Under this lock no caller finds other queues meanwhile.
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let queues = topics.by_name.get(topic).map(Arc::clone)?;
        let made = queues.made();
        let is_in_use = |queue: &PartitionQueue| is_in_use(queue.id()) || queue.memory().is_waited_for();
        if queues.memory().is_waited_for() || made.iter().any(|queue| is_in_use(queue)) {
            return None;
        }
        if !made.iter().all(|queue| queue.retire()) {
            made.iter().for_each(|queue| queue.reinstate());
            return None;
        }
        queues.retire();
        topics.remove(topic, &queues);
        drop(topics);
        if let Some(watcher) = &self.topic_watcher {
            watcher.handle_retired(topic);
        }
        Some(queues)
    }

    /// Returns the queue of a partition, if there is one.
    pub(crate) fn queue(&self, topic: &str, partition: i32) -> Option<Arc<PartitionQueue>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.by_name.get(topic)?.made_queue(usize::try_from(partition).ok()?)
    }

    /// Appends a record if that needs no waiting, in a new batch if need be. `spare` is a buffer left from an earlier try.
    pub(crate) fn try_append(
        &self,
        queue: &Arc<PartitionQueue>,
        append: &Append<'_>,
        at_end: AtBatchEnd,
        spare: &mut Option<BatchBuffer>,
    ) -> TryAppend {
        if let Some(spare) = spare {
            // The partition may be another than the one that it was taken for.
            spare.move_to(queue.memory());
        }
        loop {
            match queue.append(append, at_end, spare, &self.settings) {
                Appended::BatchEnded { seal, announce } => {
                    self.after_close(queue, seal, announce);
                    return TryAppend::BatchEnded;
                }
                Appended::Closed => return TryAppend::Closed,
                Appended::Retired => return TryAppend::Retired,
                Appended::Stopped => return TryAppend::Stopped,
                Appended::TransactionOver => return TryAppend::TransactionOver,
                Appended::Done(done) => return TryAppend::Done(self.after_append(queue, done)),
                Appended::NeedsBuffer(BufferNeed::Larger { capacity, replaced }) => {
                    *spare = queue.memory().try_take_larger(capacity, replaced);
                    if spare.is_none() {
                        self.close_open_batch(queue);
                    }
                }
                Appended::NeedsBuffer(BufferNeed::New { least }) => {
                    *spare = None;
                    *spare = queue.memory().try_take(least);
                    if spare.is_none() {
                        return TryAppend::NoMemory { least };
                    }
                    if self.memory_is_short.load(Ordering::Relaxed) {
                        self.memory_is_short.store(false, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// Appends a record if that takes no memory: the open batch of a partition has room for it.
    pub(crate) fn join_without_memory(
        &self,
        queue: &Arc<PartitionQueue>,
        append: &Append<'_>,
    ) -> Option<Done> {
        match queue.append(append, AtBatchEnd::BeginNext, &mut None, &self.settings) {
            Appended::Done(done) => Some(self.after_append(queue, done)),
            // `BatchEnded` comes only if asked for: here a batch without room stays open.
            Appended::BatchEnded { .. }
            | Appended::Closed
            | Appended::NeedsBuffer(_)
            | Appended::Retired
            | Appended::Stopped
            | Appended::TransactionOver => None,
        }
    }

    /// Waits for memory for a new batch of a partition; the sender hears that memory is wanted.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing.
    pub(crate) async fn wait_for_memory(
        &self,
        queue: &PartitionQueue,
        least: usize,
    ) -> Result<BatchBuffer, MemoryClosed> {
        self.wait(queue.memory().take(least)).await
    }

    /// Waits for memory for a new batch of any partition of a topic; the sender hears that memory is wanted. Returns the
    /// number of the partition, too.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing.
    pub(crate) async fn wait_for_memory_anywhere(
        &self,
        queues: &TopicQueues,
        least: usize,
    ) -> Result<(usize, BatchBuffer), MemoryClosed> {
        let partition = |number| Some(Arc::clone(queues.made_queue(number)?.memory()));
        self.wait(queues.memory().take(least, partition)).await
    }

    async fn wait<T>(&self, wait: impl Future<Output = T>) -> T {
        let mut wait = std::pin::pin!(wait);
        let mut told = planted!(WaitToldTooEarly);
        if told {
            self.wake_sender();
        }
        std::future::poll_fn(|cx| {
            let polled = wait.as_mut().poll(cx);
            // Only now does the wait count as one, and the sender sees what it is woken for.
            if polled.is_pending() && !std::mem::replace(&mut told, true) {
                self.wake_sender();
            }
            polled
        })
        .await
    }

    /// Has batches sent that linger, on behalf of a caller who was refused for want of memory and does not wait.
    pub(crate) fn want_memory(&self) {
        self.memory_is_short.store(true, Ordering::Relaxed);
        self.wake_sender();
    }

    /// Returns how many records were ever appended.
    pub(crate) fn appended_records(&self) -> u64 {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let queues = topics.by_name.values().flat_map(|topic| topic.made());
        topics.past_records + queues.map(|queue| queue.appended_records()).sum::<u64>()
    }

    /// Returns when the first record of the oldest batch was appended that has not ended, if there is such a batch.
    pub(crate) fn oldest_batch(&self) -> Option<Instant> {
        self.incomplete.oldest()
    }

    pub(crate) fn memory(&self) -> &Arc<BufferMemory> {
        &self.memory
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tells the sender that a queue has changed.
    pub(crate) fn announce(&self, queue: Arc<PartitionQueue>) {
        self.changes.announce(queue);
    }

    /// Moves the queues that changed into `into`.
    pub(crate) fn take_changed(&self, into: &mut Vec<Arc<PartitionQueue>>) {
        self.changes.take(into);
    }

    /// Says whether the sender will look soon without being woken for each change.
    pub(crate) fn set_sender_coming(&self, is_coming: bool) {
        self.changes.set_coming(is_coming);
    }

    pub(crate) fn wake_sender(&self) {
        self.changes.wake();
    }

    pub(crate) fn wake_flag(&self) -> &WakeFlag {
        self.changes.wake_flag()
    }

    /// Has every record that was appended so far go without lingering. Returns the cells of the batches that are not
    /// complete.
    pub(crate) fn begin_flush(&self) -> Vec<Arc<BatchCell>> {
        let incomplete = self.incomplete.list();
        for (cell, queue) in &incomplete {
            if let Some(queue) = queue.upgrade()
                && queue.flush(cell)
            {
                self.announce(queue);
            }
        }
        // Also for queues that were announced before, to a sender that has not been woken for them.
        if !planted!(FlushIsNotTold) {
            self.wake_sender();
        }
        incomplete.into_iter().map(|(cell, _)| cell).collect()
    }

    /// Returns whether every batch is to be sent without waiting for `linger.ms`.
    pub(crate) fn is_urgent(&self) -> bool {
        self.memory_is_short.load(Ordering::Relaxed) || self.memory.is_contended() || self.is_closed()
    }

    /// Returns whether every record so far is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.incomplete.is_empty()
    }

    /// Returns the cells of the batches that are not complete.
    pub(crate) fn incomplete(&self) -> Vec<Arc<BatchCell>> {
        self.incomplete.list().into_iter().map(|(cell, _)| cell).collect()
    }

    /// Returns whether further records are refused.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Returns whether further records are refused and every record that was accepted is complete: for good.
    ///
    /// A queue takes records until [`RecordAccumulator::close`] has come to it, which is a moment after
    /// [`RecordAccumulator::is_closed`] has become true.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_shut.load(Ordering::Acquire) && self.is_complete()
    }

    /// Refuses further records, and fails those that wait for memory.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        if planted!(ShutTooEarly) {
            self.is_shut.store(true, Ordering::Release);
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.closed = true;
        drop(topics);
        for topic in self.topics() {
            topic.made().iter().for_each(|queue| queue.refuse_appends());
        }
        self.is_shut.store(true, Ordering::Release);
        self.memory.close();
        self.wake_sender();
    }

    /// Takes leave of the sender: no more changes are announced to it.
    pub(crate) fn end(&self) {
        self.changes.close();
    }

    fn after_append(&self, queue: &Arc<PartitionQueue>, mut done: Done) -> Done {
        if done.announce {
            self.announce(Arc::clone(queue));
        }
        if let Some(job) = done.seal.take() {
            self.seal_for_caller(job);
        }
        done
    }

    /// Compresses a batch here and now.
    pub(crate) fn seal(&self, job: SealJob) {
        job.run(self.settings.compression_level);
    }

    /// Has others compress a batch; gives it back as work if there are no others, or none that come.
    pub(crate) fn seal_elsewhere(&self, job: SealJob) -> Result<(), Work> {
        let work = self.work_of(job);
        match &self.workers {
            Some(workers) => workers.take(work),
            None => Err(work),
        }
    }

    /// Takes back the compressions that no thread has begun or will begin soon.
    pub(crate) fn take_back_work(&self) -> Vec<Work> {
        self.workers.as_ref().map_or_else(Vec::new, |workers| workers.take_back())
    }

    /// Compresses a batch that a caller has closed. With any codec that takes several times longer than filling the batch, and the speed
    /// of one core would limit a task that sends. So other threads compress as long as they keep up; if they do not, the caller
    /// compresses, which slows it down.
    pub(crate) fn seal_for_caller(&self, job: SealJob) {
        match &self.workers {
            Some(workers) => {
                if let Err(work) = workers.try_take(self.work_of(job)) {
                    work.run();
                }
            }
            None => self.seal(job),
        }
    }

    fn work_of(&self, job: SealJob) -> Work {
        let level = self.settings.compression_level;
        Work::new(job.is_quick(level), move || job.run(level))
    }

    fn close_open_batch(&self, queue: &Arc<PartitionQueue>) {
        let (seal, announce) = queue.close_open_batch();
        self.after_close(queue, seal, announce);
    }

    fn after_close(&self, queue: &Arc<PartitionQueue>, seal: Option<SealJob>, announce: bool) {
        if announce {
            self.announce(Arc::clone(queue));
        }
        if let Some(job) = seal {
            self.seal_for_caller(job);
        }
    }
}

/// What came of [`RecordAccumulator::try_append`].
#[derive(Debug)]
pub(crate) enum TryAppend {
    /// Only for [`AtBatchEnd::ComeBack`]: the last batch was full and is closed, and the record is not in.
    BatchEnded,
    Closed,
    Done(Done),
    NoMemory {
        least: usize,
    },
    /// The queues of the topic were given up: there are others, or will be.
    Retired,
    /// The partition takes no records until it is resumed.
    Stopped,
    /// The transaction of the record is over.
    TransactionOver,
}

#[cfg(test)]
mod tests;
