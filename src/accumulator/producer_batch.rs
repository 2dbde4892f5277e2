//! `ProducerBatch`: the records of one batch, encoded, with everything needed to send, retry and complete it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::accumulator::doubt::Doubt;
use crate::accumulator::incomplete::Incomplete;
use crate::accumulator::partition_queue::PartitionQueue;
use crate::accumulator::salvage;
use crate::accumulator::stage_clock::{EnqueueWaits, Stage, StageClock};
use crate::buffer_memory::BatchBuffer;
use crate::delivery::batch_facts::{BatchFacts, RecordFacts};
use crate::delivery::{AckNote, AckObserver, BatchCell, Outcome, Place, Teller};
use crate::error::{BatchFailure, DeliveryErrorKind, FailedBatch, Persisted, TimeSpent, Why};
use crate::fence::fenced;
use crate::protocol::compression::{self, Compression};
use crate::protocol::record_batch::{
    self, DecodedRecord, HEADER_LEN, MAX_RECORD_OVERHEAD, ProducerIdentity, RecordBatchBuilder, RecordRef,
};
use crate::topic_partition::TopicPartition;

mod attempts;
#[cfg(any(test, feature = "test-util"))]
mod lone;
mod number;
mod parts;
mod renumbering;

pub(crate) use self::attempts::LastAnswer;
use self::number::Number;
pub(super) use self::parts::Part;
#[cfg(test)]
pub(super) use self::renumbering::may_go_on_after_refusal;

/// A batch of records of one partition, from its first record to its completion.
#[derive(Debug)]
pub(crate) struct ProducerBatch {
    /// Tells the batches of a partition apart.
    id: u64,
    /// Its place among the batches of its partition.
    order: BatchOrder,
    cell: Arc<BatchCell>,
    /// Dropped after the completion of the cell: a task that finds no incomplete batch finds every outcome.
    /// `None` only in what is left of a batch that was put aside.
    incomplete: Option<Incomplete>,
    bytes: BatchBytes,
    builder: RecordBatchBuilder,
    /// What the results of its records tell.
    facts: BatchFacts,
    /// The codec asked for until the bytes are sealed, then the one in use.
    compression: Compression,
    /// The codec asked for.
    wanted_compression: Compression,
    /// Its length before it was compressed; 0 until then.
    plain_len: usize,
    /// One for each record that went through interceptors, in the order of the records.
    notes: Vec<AckNote>,
    /// When its first record was appended; the delivery timeout counts from here.
    created: Instant,
    /// It takes records until then.
    open_until: Instant,
    /// Times that it was handed to a connection.
    attempts: u32,
    number: Number,
    /// The identity that the frozen bytes bear.
    stamped: ProducerIdentity,
    /// Whether it may be in the log.
    doubt: Doubt,
    /// True once an older batch of the partition has failed (`fail_stop`): it is not to be sent again.
    is_stopped: bool,
    /// Leader epoch that its last attempt went to.
    sent_leader_epoch: Option<i32>,
    /// True for a piece of a batch that the broker found too large.
    is_split: bool,
    /// True for a piece of a batch that holds a record which the broker does not want.
    is_suspect: bool,
    /// Times that it was rebuilt without records that the broker refused.
    rescues: u8,
    /// True once it has reached `batch.size`, or its facts take as much memory as they may.
    is_full: bool,
    /// True once a flush has asked for its records: it does not linger.
    is_flushed: bool,
    /// True for what is left of a batch that took records: it takes none, and lingers as that did.
    lingers_on: bool,
    clock: StageClock,
    /// What a broker has said of its last attempt that was answered.
    last_answer: Option<Box<LastAnswer>>,
}

/// The order in which the batches of a partition must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchOrder {
    /// The id of the batch, or of the batch that it was cut from.
    pub(crate) batch: u64,
    /// Where its records began in that batch.
    pub(crate) first_record: u32,
}

/// The bytes of a batch on their way from "growing" to "frozen".
///
/// ```text
///   Open ── close ──► Closed ── share_for_sealing ──► Sealing ── put_sealed ──► Sealed
///     │                 │                                │                        │
///     └──── freeze ─────┴───────── freeze ──► Frozen ◄───┴─ freeze (if it fails) ─┴ freeze
/// ```
///
/// A frozen batch gets another header only with another number.
#[derive(Debug)]
enum BatchBytes {
    /// Takes appends.
    Open(BatchBuffer),
    /// Takes no more records; not compressed.
    Closed(BatchBuffer),
    /// Compressed as far as it ever will be.
    Sealed(BatchBuffer),
    /// Header and checksum are written. Every attempt sends these very bytes.
    Frozen(Bytes),
    /// Being compressed by a thread that shares them and will put the result back.
    Sealing(Arc<BatchBuffer>),
}

impl BatchBytes {
    /// Takes the bytes out, to be put back in their next shape.
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Frozen(Bytes::new()))
    }
}

impl ProducerBatch {
    pub(crate) fn new(
        id: u64,
        cell: Arc<BatchCell>,
        incomplete: Incomplete,
        mut buffer: BatchBuffer,
        compression: Compression,
        now: Instant,
        append_window: Duration,
    ) -> Self {
        // The header is written when everything in it is known.
        buffer.write(|room| room.len().min(HEADER_LEN));
        Self {
            id,
            order: BatchOrder { batch: id, first_record: 0 },
            cell,
            incomplete: Some(incomplete),
            bytes: BatchBytes::Open(buffer),
            builder: RecordBatchBuilder::default(),
            facts: BatchFacts::default(),
            compression,
            wanted_compression: compression,
            plain_len: 0,
            notes: Vec::new(),
            created: now,
            open_until: now.checked_add(append_window).unwrap_or(now),
            attempts: 0,
            number: Number::None,
            stamped: ProducerIdentity::NONE,
            doubt: Doubt::NONE,
            is_stopped: false,
            sent_leader_epoch: None,
            is_split: false,
            is_suspect: false,
            rescues: 0,
            is_full: false,
            is_flushed: false,
            lingers_on: false,
            clock: StageClock::new(now),
            last_answer: None,
        }
    }

    /// Says whether a record fits, and if not what would help. The batch does not grow beyond `limit`.
    pub(crate) fn room_for(&self, record: &RecordRef<'_>, payload_len: usize, limit: usize) -> Room {
        let BatchBytes::Open(buffer) = &self.bytes else { return Room::Closed };
        let needed = buffer.len() + self.builder.record_len(record.timestamp, payload_len);
        // The buffer of a record that is larger than `batch.size` has a few bytes to spare.
        if self.is_full {
            Room::Full
        } else if needed <= buffer.capacity() {
            Room::Fits
        } else if needed <= limit {
            let replaced = buffer.capacity();
            Room::Grow { capacity: (replaced * 2).max(needed).min(limit), replaced }
        } else {
            Room::Full
        }
    }

    /// Moves an open batch into a larger buffer. Returns the buffer that is left over.
    #[must_use]
    pub(crate) fn grow(&mut self, mut larger: BatchBuffer) -> BatchBuffer {
        if let BatchBytes::Open(buffer) = &mut self.bytes {
            buffer.copy_into(&mut larger);
            std::mem::swap(buffer, &mut larger);
        }
        larger
    }

    /// Appends a record if the batch is open to it, has room to spare and stays under `limit`. Returns by how many bytes
    /// it has grown. Nothing but the batch's contents changes; [`ProducerBatch::note_joined`] must follow.
    ///
    /// `largest` is the most that the batch of the record alone may have.
    #[inline(always)]
    pub(crate) fn join(&mut self, record: &RecordRef<'_>, largest: usize, limit: usize) -> Option<usize> {
        let BatchBytes::Open(buffer) = &mut self.bytes else { return None };
        // What fits beside another record is not larger than this, as `batch.size` nearly always is much smaller.
        let may_be_too_large = limit > largest.saturating_sub(MAX_RECORD_OVERHEAD);
        if self.is_full || (may_be_too_large && record.bytes_at_most() > largest) {
            return None;
        }
        let builder = &mut self.builder;
        let joined = buffer.try_write(limit.saturating_sub(1), |room| builder.try_write(room, record))?;
        if self.facts.note(builder.count() - 1, facts_of(record), buffer.capacity()) {
            self.is_full = self.facts.is_large(limit);
        }
        Some(joined)
    }

    /// Gets ready for records that join one by one.
    #[inline(always)]
    pub(crate) fn fetch_ahead(&mut self) {
        if let BatchBytes::Open(buffer) = &mut self.bytes {
            buffer.fetch_ahead();
        }
    }

    /// Notes that records have joined. Returns the place of the last of them.
    #[inline(always)]
    pub(crate) fn note_joined(&self) -> Place {
        let count = self.builder.count();
        self.cell.set_record_count(count);
        Place { cell: Arc::clone(&self.cell), index: count.wrapping_sub(1) }
    }

    /// Appends a record for which [`ProducerBatch::room_for`] said that it fits.
    pub(crate) fn append(
        &mut self,
        record: &RecordRef<'_>,
        payload_len: usize,
        observer: Option<&Arc<dyn AckObserver>>,
        waits: EnqueueWaits,
    ) -> Option<Place> {
        let BatchBytes::Open(buffer) = &mut self.bytes else { return None };
        let index = write(buffer, &mut self.builder, &mut self.facts, record, payload_len);
        if let Some(observer) = observer.cloned() {
            self.notes.push(AckNote { index, headers: record.headers.clone(), observer });
        }
        self.clock.note_enqueue(waits);
        self.cell.set_record_count(index + 1);
        Some(Place { cell: Arc::clone(&self.cell), index })
    }

    /// A record was appended. Returns whether the batch has reached this length, from where on it takes no others.
    pub(crate) fn grown(&mut self, limit: usize) -> bool {
        self.is_full = self.len() >= limit || self.facts.is_large(limit);
        self.is_full
    }

    /// A flush asks for its records, so that it does not linger. Returns whether that is new.
    pub(crate) fn flushed(&mut self) -> bool {
        !std::mem::replace(&mut self.is_flushed, true)
    }

    /// It waits for something else from now on.
    pub(crate) fn enter_stage(&mut self, stage: Stage, now: Instant) {
        self.clock.enter(stage, now);
    }

    /// Refuses further records.
    pub(crate) fn close(&mut self) {
        self.bytes = match self.bytes.take() {
            BatchBytes::Open(buffer) => BatchBytes::Closed(buffer),
            other => other,
        };
    }

    /// Shares the bytes of a closed batch that is still to be compressed.
    pub(crate) fn share_for_sealing(&mut self) -> Option<(Arc<BatchBuffer>, Compression)> {
        if self.compression == Compression::None {
            return None;
        }
        match self.bytes.take() {
            BatchBytes::Closed(buffer) => {
                let shared = Arc::new(buffer);
                self.bytes = BatchBytes::Sealing(Arc::clone(&shared));
                Some((shared, self.compression))
            }
            other => {
                self.bytes = other;
                None
            }
        }
    }

    /// Ends what [`ProducerBatch::share_for_sealing`] began. `compressed` is the batch with compressed records behind
    /// its header, or `None` if they stay as they are. The compression of the batch is final then. Returns the memory that
    /// is left over.
    #[must_use]
    pub(crate) fn put_sealed(
        &mut self,
        shared: Arc<BatchBuffer>,
        compressed: Option<Vec<u8>>,
    ) -> Option<BatchBuffer> {
        // The batch has the other reference.
        drop(shared);
        let mut left = None;
        self.bytes = match self.bytes.take() {
            BatchBytes::Sealing(own) => match Arc::try_unwrap(own) {
                Ok(mut buffer) => {
                    if let Some(compressed) = compressed {
                        self.plain_len = buffer.bytes().len();
                        left = Some(buffer.replace_by(compressed));
                    } else {
                        self.compression = Compression::None;
                    }
                    BatchBytes::Sealed(buffer)
                }
                Err(own) => BatchBytes::Sealing(own),
            },
            other => other,
        };
        left
    }

    /// Whether it lingers, unless there is a reason not to.
    pub(crate) fn may_linger(&self) -> bool {
        (self.is_open() && !self.is_full) || self.lingers_on
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.bytes, BatchBytes::Open(_))
    }

    /// Whether it was compressed, or is being.
    pub(crate) fn is_compressed(&self) -> bool {
        self.is_sealing() || self.plain_len > 0
    }

    pub(crate) fn is_sealing(&self) -> bool {
        matches!(self.bytes, BatchBytes::Sealing(_))
    }

    /// Writes header and checksum, unless that was done for the same identity before, and returns the bytes to send.
    pub(crate) fn freeze(&mut self) -> Bytes {
        let bytes = match self.bytes.take() {
            BatchBytes::Open(mut buffer) | BatchBytes::Closed(mut buffer) => {
                self.compression = Compression::None;
                self.builder.seal(buffer.bytes_mut(), self.compression, self.identity());
                buffer.freeze()
            }
            BatchBytes::Sealed(mut buffer) => {
                self.builder.seal(buffer.bytes_mut(), self.compression, self.identity());
                buffer.freeze()
            }
            BatchBytes::Frozen(bytes) if self.identity() == self.stamped => bytes,
            BatchBytes::Frozen(bytes) => {
                // A new epoch, which is rare: the copy lies outside of `buffer.memory`.
                let mut copy = bytes.to_vec();
                self.builder.seal(&mut copy, self.compression, self.identity());
                copy.into()
            }
            // Only a batch that has failed is not waited for.
            BatchBytes::Sealing(shared) => {
                self.compression = Compression::None;
                let mut plain = shared.bytes().to_vec();
                self.builder.seal(&mut plain, self.compression, self.identity());
                plain.into()
            }
        };
        self.stamped = self.identity();
        self.bytes = BatchBytes::Frozen(bytes.clone());
        bytes
    }

    /// Reads the records back, and tells how long the batch is without compression. `None` if the bytes are damaged.
    pub(crate) fn decode(&mut self) -> Option<(Vec<DecodedRecord>, usize)> {
        let plain = compression::uncompressed(&self.freeze(), self.compression, self.plain_len);
        Some((record_batch::decode_records(&plain)?, plain.len()))
    }

    /// Takes the notes for interceptors, in the order of the records. Not every record has one.
    pub(crate) fn take_notes(&mut self) -> Vec<AckNote> {
        std::mem::take(&mut self.notes)
    }

    /// Takes over the note of the record that was appended last.
    pub(crate) fn take_over_note(&mut self, mut note: AckNote) {
        note.index = self.record_count().saturating_sub(1);
        self.notes.push(note);
    }

    /// Returns what tells it from the other batches of its partition.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Returns when its first record was appended; the delivery timeout counts from here.
    pub(crate) fn created(&self) -> Instant {
        self.created
    }

    /// Whether it takes records at this time, if it has room.
    #[inline]
    pub(crate) fn is_open_at(&self, now: Instant) -> bool {
        now <= self.open_until
    }

    /// Whether a flush has asked for its records.
    pub(crate) fn is_flushed(&self) -> bool {
        self.is_flushed
    }

    /// Returns what it waits for.
    pub(crate) fn stage(&self) -> Stage {
        self.clock.stage()
    }

    /// Returns its place among the batches of its partition.
    pub(crate) fn order(&self) -> BatchOrder {
        self.order
    }

    /// Returns the codec in use; that asked for until the batch is compressed.
    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    #[cfg(test)]
    pub(crate) fn wanted_compression(&self) -> Compression {
        self.wanted_compression
    }

    /// Returns the queue that it belongs to, if there still is one.
    pub(crate) fn queue(&self) -> Option<Arc<PartitionQueue>> {
        self.incomplete.as_ref().and_then(Incomplete::queue)
    }

    pub(crate) fn cell(&self) -> &Arc<BatchCell> {
        &self.cell
    }

    pub(crate) fn topic_partition(&self) -> &TopicPartition {
        self.cell.topic_partition()
    }

    /// Returns the latest timestamp of its records.
    pub(crate) fn max_timestamp(&self) -> i64 {
        self.builder.max_timestamp()
    }

    pub(crate) fn record_count(&self) -> u32 {
        self.builder.count()
    }

    /// Returns its length before it was compressed.
    pub(crate) fn plain_len(&self) -> usize {
        if self.plain_len == 0 { self.len() } else { self.plain_len }
    }

    /// Returns the bytes that it takes in a request.
    pub(crate) fn len(&self) -> usize {
        match &self.bytes {
            BatchBytes::Open(buffer) | BatchBytes::Closed(buffer) | BatchBytes::Sealed(buffer) => {
                buffer.len()
            }
            BatchBytes::Frozen(bytes) => bytes.len(),
            BatchBytes::Sealing(shared) => shared.len(),
        }
    }

    /// Ends the batch as delivered.
    pub(crate) fn deliver(
        mut self: Box<Self>,
        base_offset: Option<i64>,
        log_append_time: Option<i64>,
        teller: &Teller,
    ) {
        let facts = std::mem::take(&mut self.facts);
        self.end(Outcome::Delivered { base_offset, log_append_time, facts }, teller);
    }

    /// Ends the batch as failed.
    #[cfg(test)]
    pub(crate) fn fail(
        self,
        kind: DeliveryErrorKind,
        persisted: Persisted,
        record_errors: Vec<(u32, Option<String>)>,
        teller: &Teller,
    ) {
        self.fail_because(kind, persisted, record_errors, None, teller);
    }

    /// Ends the batch as failed, and says what stood in the way if its time was over.
    pub(crate) fn fail_because(
        mut self,
        kind: DeliveryErrorKind,
        persisted: Persisted,
        record_errors: Vec<(u32, Option<String>)>,
        why: Option<Arc<Why>>,
        teller: &Teller,
    ) {
        let failure = BatchFailure {
            kind,
            persisted,
            topic_partition: self.topic_partition().clone(),
            time_spent: self.clock.spent(),
            record_errors,
            why,
            last_words: self.last_answer.take().and_then(|answer| answer.message),
            batch: self.failed_batch(),
        };
        Box::new(self).end(Outcome::Failed(Arc::new(failure)), teller);
    }

    /// Returns where its time went until `now`.
    pub(crate) fn time_spent(&mut self, now: Instant, linger: Duration, leader_known: bool) -> TimeSpent {
        self.clock.enter(self.clock.stage(), now);
        self.clock.limit_linger(linger);
        let last_error = self.last_answer().map(|answer| answer.code);
        self.clock.note_attempts(self.attempts, last_error, leader_known);
        self.clock.spent()
    }

    fn end(mut self: Box<Self>, outcome: Outcome, teller: &Teller) {
        let notes = std::mem::take(&mut self.notes);
        // The memory is free before a caller learns of the outcome and sends the next record.
        drop(self.bytes.take());
        self.cell.end(outcome, &notes, teller);
        for note in notes {
            // The headers may hold the last reference to bytes of the application: dropping these may run code of its own.
            drop(fenced(|| drop(note)));
        }
    }

    /// Takes everything out of a batch that is dropped.
    fn take(&mut self) -> Self {
        Self {
            cell: Arc::clone(&self.cell),
            bytes: self.bytes.take(),
            builder: std::mem::take(&mut self.builder),
            facts: std::mem::take(&mut self.facts),
            notes: std::mem::take(&mut self.notes),
            incomplete: self.incomplete.take(),
            last_answer: self.last_answer.take(),
            ..*self
        }
    }

    /// Copies the bytes out, so that an error that a caller keeps does not hold on to `buffer.memory`.
    fn failed_batch(&mut self) -> FailedBatch {
        let bytes = self.freeze();
        FailedBatch::new(Bytes::copy_from_slice(&bytes), self.compression, self.plain_len)
    }
}

impl Drop for ProducerBatch {
    fn drop(&mut self) {
        if thread::panicking() && self.cell.outcome().is_none() {
            salvage::put_aside(|| self.take());
        }
    }
}

/// Writes a record behind the others of its batch. Returns its index.
#[inline]
fn write(
    buffer: &mut BatchBuffer,
    builder: &mut RecordBatchBuilder,
    facts: &mut BatchFacts,
    record: &RecordRef<'_>,
    payload_len: usize,
) -> u32 {
    let index = builder.count();
    facts.note(index, facts_of(record), buffer.capacity());
    buffer.write(|room| builder.write(room, record, payload_len));
    index
}

/// Whether a record fits into a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// The batch takes no more records at all.
    Closed,
    /// As it is.
    Fits,
    /// Not within the limit.
    Full,
    /// In a larger buffer, in place of one of `replaced` bytes.
    Grow { capacity: usize, replaced: usize },
}

#[inline]
fn facts_of(record: &RecordRef<'_>) -> RecordFacts {
    RecordFacts::new(record.timestamp, record.key.map(<[u8]>::len), record.value.map(<[u8]>::len))
}
