//! `PartitionQueue`: the deque of batches of one partition.
//!
//! Callers append at the back, the sender takes from the front. The lock is held for one of these, never across an
//! await, and never while a batch is compressed.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::accumulator::changes::Changes;
use crate::accumulator::compression_ratio::CompressionRatio;
use crate::accumulator::incomplete::IncompleteBatches;
use crate::accumulator::producer_batch::{BatchOrder, ProducerBatch, Room};
use crate::accumulator::settings::Settings;
use crate::accumulator::stage_clock::{EnqueueWaits, Stage};
use crate::accumulator::topic_account::TopicAccount;
use crate::buffer_memory::{BatchBuffer, PartitionMemory};
use crate::delivery::{AckObserver, BatchCell, BatchWatcher, Place};
use crate::metrics::TopicCounters;
use crate::planted::planted;
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::{HEADER_LEN, RecordRef};
use crate::sync::{AtomicBool, AtomicUsize, Held, Mutex, MutexGuard, Ordering, PoisonError};
use crate::topic_partition::TopicPartition;

mod closing;
mod gate;
mod head;
mod seal_job;

use self::gate::Gate;
pub(crate) use self::head::Head;
pub(crate) use self::seal_job::SealJob;

/// The batches of one partition that are not on their way, oldest first.
#[derive(Debug)]
pub(crate) struct PartitionQueue {
    /// Numbers the queues of a producer from 0, for tables on the sender's side.
    id: usize,
    topic_partition: TopicPartition,
    memory: Arc<PartitionMemory>,
    /// Batches in the deque, readable without the lock: what adaptive partitioning looks at (KIP-794).
    queued: AtomicUsize,
    /// False while the leader takes nothing (`partitioner.availability.timeout.ms`).
    available: AtomicBool,
    /// What the gate says, readable without the lock.
    stopped: AtomicBool,
    /// Where the queue itself reports that it has changed.
    changes: Arc<Changes>,
    /// Of all queues.
    incomplete: Arc<IncompleteBatches>,
    /// Of the topic.
    account: Arc<TopicAccount>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    gate: Gate,
    batches: VecDeque<ProducerBatch>,
    /// True while the sender has yet to look at a change that was announced to it.
    announced: bool,
    next_batch_id: u64,
    records: u64,
    /// Bytes of records that any partition would have done for, since [`PartitionQueue::take_uncounted`].
    uncounted: usize,
}

/// The number of no transaction.
pub(crate) const NO_TRANSACTION: u64 = 0;

/// A record on its way into the queue, with what has been worked out about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Append<'a> {
    pub(crate) record: RecordRef<'a>,
    pub(crate) payload_len: usize,
    pub(crate) waits: EnqueueWaits,
    /// The transaction that the record is part of.
    pub(crate) transaction: u64,
    /// Who hears what becomes of the record.
    pub(crate) observer: Option<&'a Arc<dyn AckObserver>>,
    pub(crate) now: Instant,
}

/// What holds for records that join an open batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JoinTerms<'a> {
    /// The transaction that they are part of.
    pub(crate) transaction: u64,
    /// Any other partition would have done.
    pub(crate) is_countable: bool,
    /// The most that the batch of one of them alone may have.
    pub(crate) largest: usize,
    pub(crate) now: Instant,
    pub(crate) settings: &'a Settings,
}

/// What shall happen if the open batch has no room for a record and thus ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtBatchEnd {
    /// The record begins the next batch.
    BeginNext,
    /// The record comes back, as [`Appended::BatchEnded`]: it may go to another partition.
    ComeBack,
}

/// What came of an attempt to append.
#[derive(Debug)]
pub(crate) enum Appended {
    /// Only for [`AtBatchEnd::ComeBack`]: the last batch was full and has been closed, and the record is not in.
    BatchEnded { seal: Option<SealJob>, announce: bool },
    /// The queue takes no more records: the producer is closed.
    Closed,
    /// The record is in.
    Done(Done),
    /// The transaction of the record is over.
    TransactionOver,
    /// It needs a buffer: call again with one.
    NeedsBuffer(BufferNeed),
    /// The queue was given up because the topic had idled out: there is another, or will be.
    Retired,
    /// The queue takes no more records until it is resumed.
    Stopped,
}

/// A successful append.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) place: Place,
    /// Bytes by which the queue has grown, the header of a new batch included; after compression, by estimate.
    pub(crate) bytes: usize,
    /// The sender must hear of this change.
    pub(crate) announce: bool,
    /// A batch that became full before this record and must be compressed.
    pub(crate) seal: Option<SealJob>,
}

#[cfg(test)]
impl Done {
    pub(crate) fn delivery(self) -> crate::delivery::Delivery {
        self.place.into()
    }
}

/// The buffer that an append lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BufferNeed {
    /// A larger one for the open batch. If there is none, the batch is closed as it is.
    Larger { capacity: usize, replaced: usize },
    /// One of at least this size for a new batch.
    New { least: usize },
}

impl PartitionQueue {
    pub(crate) fn new(
        id: usize,
        topic_partition: TopicPartition,
        memory: Arc<PartitionMemory>,
        changes: Arc<Changes>,
        incomplete: Arc<IncompleteBatches>,
        account: Arc<TopicAccount>,
        closed: bool,
    ) -> Self {
        Self {
            id,
            topic_partition,
            memory,
            queued: AtomicUsize::new(0),
            available: AtomicBool::new(true),
            stopped: AtomicBool::new(false),
            changes,
            incomplete,
            account,
            inner: Mutex::new(Inner::new(closed)),
        }
    }

    pub(crate) fn id(&self) -> usize {
        self.id
    }

    pub(crate) fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// Returns what the partition takes its buffers from.
    pub(crate) fn memory(&self) -> &Arc<PartitionMemory> {
        &self.memory
    }

    /// Returns how well the records of the topic compress.
    pub(crate) fn ratio(&self) -> &CompressionRatio {
        &self.account.ratio
    }

    /// Returns what is counted of the topic.
    pub(crate) fn topic_counters(&self) -> &TopicCounters {
        self.account.counters()
    }

    /// Returns the number of batches in the deque.
    pub(crate) fn queued_batches(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Returns whether records without a key should go here.
    pub(crate) fn is_available(&self) -> bool {
        self.available.load(Ordering::Relaxed)
    }

    pub(crate) fn set_available(&self, available: bool) {
        if self.available.swap(available, Ordering::Relaxed) != available {
            self.note_openness();
        }
    }

    /// Appends a record if that is all there is to do: it fits into the open batch, which neither begins nor ends with it,
    /// and no observer is to be kept beside it. The sender is not told, and the bytes are kept for
    /// [`PartitionQueue::take_uncounted`].
    ///
    /// Nearly every record; what this declines, [`PartitionQueue::append`] does. Returns the batch and the record's place there.
    #[inline(always)]
    pub(crate) fn join_quietly(&self, record: &RecordRef<'_>, terms: &JoinTerms<'_>) -> Option<Place> {
        let limit = self.plain_limit(terms.settings);
        let mut inner = self.lock();
        let last = inner.open_batch_for(terms)?;
        last.fetch_ahead();
        let bytes = last.join(record, terms.largest, limit)?;
        let place = last.note_joined();
        inner.note_joined(1, bytes, terms, limit);
        Some(place)
    }

    /// Does the same with records one after the other, up to the first that it declines. Returns the batch, the place of the first of
    /// them there, and how many were appended. `None` stands for none.
    pub(crate) fn join_all_quietly(
        &self,
        records: &[RecordRef<'_>],
        terms: &JoinTerms<'_>,
    ) -> Option<(Arc<BatchCell>, u32, u32)> {
        let limit = self.plain_limit(terms.settings);
        let mut inner = self.lock();
        let last = inner.open_batch_for(terms)?;
        let (mut joined, mut bytes) = (0, 0);
        for record in records {
            let Some(grown) = last.join(record, terms.largest, limit) else { break };
            bytes += grown;
            joined += 1;
        }
        if joined == 0 {
            return None;
        }
        let Place { cell, index } = last.note_joined();
        inner.note_joined(joined, bytes, terms, limit);
        Some((cell, index + 1 - joined, joined))
    }

    /// Returns by how many bytes the queue has grown by [`PartitionQueue::join_quietly`] since the last call, as far as they
    /// are countable, and whether nothing is queued.
    pub(crate) fn take_uncounted(&self) -> (usize, bool) {
        let mut inner = self.lock();
        (std::mem::take(&mut inner.uncounted), inner.batches.is_empty())
    }

    /// Appends a record, into `spare` if the open batch has no room for it.
    ///
    /// `spare` is taken only if it is used.
    pub(crate) fn append(
        self: &Arc<Self>,
        append: &Append<'_>,
        at_end: AtBatchEnd,
        spare: &mut Option<BatchBuffer>,
        settings: &Settings,
    ) -> Appended {
        let limit = self.plain_limit(settings);
        let mut inner = self.lock();
        if let Some(refusal) = inner.gate.refusal(append.transaction) {
            return refusal;
        }
        if let Some(last) = inner.batches.back_mut()
            && last.is_open_at(append.now)
        {
            match last.room_for(&append.record, append.payload_len, limit) {
                Room::Fits => return self.write_to_last(&mut inner, append, settings, limit, 0, None),
                Room::Grow { capacity, replaced } => {
                    match spare.take_if(|spare| spare.capacity() >= capacity) {
                        Some(larger) => {
                            // The one that is left over is for the caller to drop: that may wake others.
                            *spare = Some(last.grow(larger));
                            return self.write_to_last(&mut inner, append, settings, limit, 0, None);
                        }
                        None if spare.is_none() => {
                            return Appended::NeedsBuffer(BufferNeed::Larger { capacity, replaced });
                        }
                        None => {}
                    }
                }
                Room::Full if at_end == AtBatchEnd::ComeBack => {
                    let seal = self.close_last(&mut inner);
                    return Appended::BatchEnded { seal, announce: inner.announce() };
                }
                Room::Closed | Room::Full => {}
            }
        }
        let least = RecordRef::upper_bound(append.payload_len);
        let Some(buffer) = spare.take_if(|spare| spare.capacity() >= least) else {
            return Appended::NeedsBuffer(BufferNeed::New { least });
        };
        let seal = self.close_last(&mut inner);
        self.open_batch(&mut inner, buffer, append.now, settings);
        self.write_to_last(&mut inner, append, settings, limit, HEADER_LEN, seal)
    }

    /// Takes records of another transaction from now on, and no others.
    pub(crate) fn set_transaction(&self, transaction: u64) {
        self.lock().gate.set_transaction(transaction);
    }

    /// Closes the open batch, if any, so that the sender takes it as it is.
    pub(crate) fn close_open_batch(self: &Arc<Self>) -> (Option<SealJob>, bool) {
        let mut inner = self.lock();
        let had_open = inner.batches.back().is_some_and(ProducerBatch::is_open);
        let seal = self.close_last(&mut inner);
        (seal, had_open && inner.announce())
    }

    /// Looks at the head of the queue, on behalf of the sender, which has then heard of every announcement so far.
    pub(crate) fn look(&self) -> Option<Head> {
        if planted!(LookNotedTooLate) {
            let head = self.lock().head();
            self.lock().announced = false;
            return head;
        }
        let mut inner = self.lock();
        inner.announced = false;
        inner.head()
    }

    /// Takes the head if it can be sent as it is, or what must be done to it first.
    pub(crate) fn take_head(self: &Arc<Self>) -> TakenHead {
        let mut inner = self.lock();
        let Some(head) = inner.batches.front_mut() else { return TakenHead::Nothing };
        head.close();
        if let Some((buffer, compression)) = head.share_for_sealing() {
            let job = SealJob::new(Arc::clone(self), head.id(), buffer, compression);
            return TakenHead::Seal(job);
        }
        if head.is_sealing() {
            return TakenHead::Nothing;
        }
        let taken = inner.batches.pop_front();
        inner.shrink();
        self.queued.store(inner.batches.len(), Ordering::Relaxed);
        taken.map_or(TakenHead::Nothing, |batch| TakenHead::Batch(Box::new(batch)))
    }

    /// Puts batches that must be sent again back to their places. They may come in any order.
    pub(crate) fn put_back(&self, batches: impl Iterator<Item = ProducerBatch>) {
        let mut inner = self.lock();
        for batch in batches {
            let at = inner.place_of(&batch);
            inner.batches.insert(at, batch);
        }
        self.queued.store(inner.batches.len(), Ordering::Relaxed);
    }

    /// Takes the batch of a cell, if it is queued and was never sent.
    pub(crate) fn take_unsent(&self, cell: &Arc<BatchCell>) -> Option<ProducerBatch> {
        let mut inner = self.lock();
        let is_it = |batch: &ProducerBatch| Arc::ptr_eq(batch.cell(), cell) && batch.is_unsent();
        let at = inner.batches.iter().position(is_it)?;
        let taken = inner.batches.remove(at);
        inner.shrink();
        self.queued.store(inner.batches.len(), Ordering::Relaxed);
        taken
    }

    /// Takes their sequence numbers from the queued batches. Returns those that may be in the log under theirs: with
    /// another they might be written twice.
    pub(crate) fn forget_identities(&self) -> Vec<ProducerBatch> {
        let mut doubtful = Vec::new();
        let mut inner = self.lock();
        for _ in 0..inner.batches.len() {
            let Some(mut batch) = inner.batches.pop_front() else { break };
            if batch.forget_number() {
                inner.batches.push_back(batch);
            } else {
                doubtful.push(batch);
            }
        }
        self.queued.store(inner.batches.len(), Ordering::Relaxed);
        doubtful
    }

    /// Takes the batches older than another that are certain not to be in the log.
    pub(crate) fn take_certain_before(&self, order: BatchOrder) -> Vec<ProducerBatch> {
        let mut inner = self.lock();
        let at = inner.batches.partition_point(|queued| queued.order() < order);
        if at == 0 {
            return Vec::new();
        }
        let younger = inner.batches.split_off(at);
        let older = std::mem::take(&mut inner.batches);
        let (kept, taken) = older.into_iter().partition(|batch| !batch.may_take_new_number());
        inner.batches = kept;
        inner.batches.extend(younger);
        self.queued.store(inner.batches.len(), Ordering::Relaxed);
        let taken: VecDeque<_> = taken;
        taken.into()
    }

    /// Returns where the batches of the partition are noted until they end.
    pub(crate) fn incomplete(&self) -> &Arc<IncompleteBatches> {
        &self.incomplete
    }

    /// Returns a number for a batch that is made outside of the queue.
    pub(crate) fn next_batch_id(&self) -> u64 {
        let mut inner = self.lock();
        inner.next_batch_id += 1;
        inner.next_batch_id
    }

    /// Takes the batches at the front that are `timeout` old or older.
    pub(crate) fn expire(&self, now: Instant, timeout: Duration) -> Vec<ProducerBatch> {
        let mut expired = Vec::new();
        let mut inner = self.lock();
        while let Some(head) = inner.batches.front()
            && now.saturating_duration_since(head.created()) >= timeout
        {
            expired.extend(inner.batches.pop_front());
        }
        inner.shrink();
        self.queued.store(inner.batches.len(), Ordering::Relaxed);
        expired
    }

    /// Books a change of stage for the batch at the front.
    pub(crate) fn enter_stage(&self, stage: Stage, now: Instant) {
        if let Some(head) = self.lock().batches.front_mut() {
            head.enter_stage(stage, now);
        }
    }

    /// Has the batch of a cell go without lingering if it is the youngest that is queued: those before the youngest do not
    /// linger. Returns whether the sender must hear of the change.
    pub(crate) fn flush(&self, cell: &Arc<BatchCell>) -> bool {
        let mut inner = self.lock();
        let last = inner.batches.back_mut().filter(|last| Arc::ptr_eq(last.cell(), cell));
        last.is_some_and(ProducerBatch::flushed) && inner.announce()
    }

    /// Returns how many records were ever appended.
    pub(crate) fn appended_records(&self) -> u64 {
        self.lock().records
    }

    /// Tells the memory whether records that may go anywhere should come here now. Call this without the queue's lock.
    fn note_openness(&self) {
        self.memory.set_shut(|| self.is_stopped() || !self.is_available());
    }

    fn write_to_last(
        &self,
        inner: &mut Inner,
        append: &Append<'_>,
        settings: &Settings,
        limit: usize,
        new_bytes: usize,
        seal: Option<SealJob>,
    ) -> Appended {
        let was_alone = inner.batches.len() == 1;
        let Some(last) = inner.batches.back_mut() else { return Appended::Closed };
        let before = last.len();
        let place = last.append(&append.record, append.payload_len, append.observer, append.waits);
        // Counted as what compression will leave.
        let bytes = share(last.len() - before + new_bytes, settings.batch_size, limit);
        let is_full = last.grown(limit);
        let Some(place) = place else { return Appended::Closed };
        inner.records += 1;
        // A lone new batch starts the linger; a second batch, or a full one, ends it.
        let is_news = new_bytes > 0 || (is_full && was_alone);
        let announce = is_news && inner.announce();
        Appended::Done(Done { place, bytes, announce, seal })
    }

    /// Returns how long a batch may become before it is compressed.
    #[inline]
    fn plain_limit(&self, settings: &Settings) -> usize {
        match settings.compression {
            Compression::None => settings.batch_size,
            _ => self.account.ratio.plain_limit(settings.batch_size, settings.max_plain),
        }
    }

    fn open_batch(
        self: &Arc<Self>,
        inner: &mut Inner,
        buffer: BatchBuffer,
        now: Instant,
        settings: &Settings,
    ) {
        inner.next_batch_id += 1;
        let name = self.topic_partition.clone();
        let watcher = settings.spares_awaited.then(|| {
            let queue: Weak<Self> = Arc::downgrade(self);
            queue as Weak<dyn BatchWatcher>
        });
        let cell = BatchCell::new(name, watcher);
        let incomplete = self.incomplete.insert(&cell, Arc::downgrade(self), now);
        let id = inner.next_batch_id;
        let (codec, window) = (settings.compression, settings.append_window);
        let batch = ProducerBatch::new(id, cell, incomplete, buffer, codec, now, window);
        inner.batches.push_back(batch);
        self.queued.store(inner.batches.len(), Ordering::Relaxed);
    }

    fn close_last(self: &Arc<Self>, inner: &mut Inner) -> Option<SealJob> {
        let last = inner.batches.back_mut().filter(|last| last.is_open())?;
        last.close();
        let (buffer, compression) = last.share_for_sealing()?;
        Some(SealJob::new(Arc::clone(self), last.id(), buffer, compression))
    }

    #[inline]
    fn lock(&self) -> Locked<'_> {
        Locked { inner: self.inner.lock().unwrap_or_else(PoisonError::into_inner), _held: Held::new() }
    }
}

/// The contents of a queue. What gives memory back is dropped after this is: that wakes others.
#[derive(Debug)]
struct Locked<'a> {
    inner: MutexGuard<'a, Inner>,
    _held: Held,
}

impl Deref for Locked<'_> {
    type Target = Inner;

    #[inline]
    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl DerefMut for Locked<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.inner
    }
}

impl BatchWatcher for PartitionQueue {
    fn handle_all_awaited(self: Arc<Self>) {
        // Only a batch at the head may go; the others are looked at when they get there.
        if self.lock().announce() {
            let changes = Arc::clone(&self.changes);
            changes.announce_at_once(self);
        }
    }
}

impl Inner {
    fn new(is_closed: bool) -> Self {
        Self {
            gate: Gate::new(is_closed),
            batches: VecDeque::new(),
            announced: false,
            next_batch_id: 0,
            records: 0,
            uncounted: 0,
        }
    }

    /// Returns the batch that takes records on these terms, if there is one.
    #[inline]
    fn open_batch_for(&mut self, terms: &JoinTerms<'_>) -> Option<&mut ProducerBatch> {
        if !self.gate.is_open_for(terms.transaction) {
            return None;
        }
        self.batches.back_mut().filter(|last| last.is_open_at(terms.now))
    }

    #[inline]
    fn note_joined(&mut self, records: u32, bytes: usize, terms: &JoinTerms<'_>, limit: usize) {
        self.records += u64::from(records);
        if terms.is_countable {
            self.uncounted += share(bytes, terms.settings.batch_size, limit);
        }
    }

    /// Returns where a batch that comes back belongs.
    fn place_of(&self, batch: &ProducerBatch) -> usize {
        if planted!(SwappedRetries) {
            return 0;
        }
        if planted!(RetryBehindNewBatch) {
            return self.batches.len();
        }
        self.batches.partition_point(|queued| queued.order() < batch.order())
    }

    /// Returns whether to tell the sender. One announcement is enough until the sender has looked.
    fn announce(&mut self) -> bool {
        !std::mem::replace(&mut self.announced, true)
    }

    /// Gives the room of a backlog back once it is gone.
    fn shrink(&mut self) {
        if self.batches.is_empty() && self.batches.capacity() > USUAL_BATCHES {
            self.batches = VecDeque::new();
        }
    }

    /// Gives a batch that was being compressed its bytes back. Returns the memory that is left over, or the bytes if the batch
    /// has ended meanwhile.
    fn put_sealed(
        &mut self,
        batch_id: u64,
        shared: Arc<BatchBuffer>,
        compressed: Option<Vec<u8>>,
    ) -> Result<Option<BatchBuffer>, Arc<BatchBuffer>> {
        match self.batches.iter_mut().find(|batch| batch.id() == batch_id && batch.is_sealing()) {
            Some(batch) => Ok(batch.put_sealed(shared, compressed)),
            None => Err(shared),
        }
    }
}

/// A deque that has room for no more is kept when it runs empty.
const USUAL_BATCHES: usize = 16;

/// Returns `bytes * part / whole`, at most `bytes`.
#[inline]
fn share(bytes: usize, part: usize, whole: usize) -> usize {
    if part >= whole { bytes } else { bytes.saturating_mul(part) / whole }
}

/// What [`PartitionQueue::take_head`] found.
#[derive(Debug)]
pub(crate) enum TakenHead {
    Batch(Box<ProducerBatch>),
    Nothing,
    /// The head must be compressed first, away from the sender's task.
    Seal(SealJob),
}
