//! `PartitionNumbers`: when the batches of a partition get sequence numbers. The numbers let a broker recognise a batch that it
//! has already. `accumulator/producer_batch/renumbering.rs` says why a batch may not get another number, and `pipelining.rs` when
//! more than one may be under way.
//!
//! A broker keeps, per partition and producer id, the epoch and the last sequence number, and takes only the batch that
//! comes next. The rules here, per partition:
//!
//! - A batch gets its number when it is first sent, and keeps it: every attempt sends the same bytes.
//! - A number is used once. It is given out again only in a new epoch, and a new epoch begins only when nothing of the
//!   partition is under way and its head may take a new number.
//! - Order: a batch that is certain not to be in the log is not sent if a younger batch is there, or has failed and may be there.
//!   It fails, because it could only be written out of order. That holds for every attempt, in a new epoch, under a new producer
//!   id, and for a batch that was cut or rebuilt. It holds even if the younger batch can only be in the log of a topic that was
//!   deleted meanwhile, or of another cluster: the sender does not note which attempt went where, and the caller can send the
//!   records again, because their failure is certain.
//! - After a batch that failed in doubt a new epoch begins, unless the broker has acknowledged a later one. In the new epoch the
//!   broker does not wait for the lost number, and does not take it any more.
//! - Epochs are counted per partition and by the producer itself. A broker takes any higher epoch of a producer id whose
//!   numbers begin at 0 (Java counts one epoch for all partitions, which adopt it one by one: to a partition it looks
//!   the same).
//! - In another cluster a producer id belongs to another producer. Numbers are forgotten on the way there.
//! - A partition that has idled out is forgotten, with its numbers. Brokers remember them for longer. So when the partition is used
//!   again, it begins in a later epoch than any that was forgotten (`Numbering::handle_forgotten`). If it began with its first
//!   numbers in the same epoch, its records would count as doubles of earlier ones and be lost.
//!
//! Nothing here is fatal: a broker that has forgotten the producer takes batches again in a new epoch.

use super::sequence::Sequence;
use crate::accumulator::{BatchOrder, Head, PartitionQueue, ProducerBatch};
use crate::planted::planted;
use crate::protocol::record_batch::ProducerIdentity;
use crate::sender::numbering::ProducerId;

/// The numbers of the batches of a partition, and what is known of those that were written.
#[derive(Debug, Default)]
pub(super) struct PartitionNumbers {
    sequence: Sequence,
    /// The youngest batch that is in the log, or has failed and may be.
    youngest_written: Option<BatchOrder>,
}

impl PartitionNumbers {
    /// Gives out the numbers for a batch of `count` records.
    pub(super) fn assign(&mut self, producer: ProducerId, count: u32) -> ProducerIdentity {
        self.sequence.assign(producer, count)
    }

    /// Makes sure that the head can get a number, beginning a new epoch if the broker would not take the next number
    /// of this one, which `next_epoch` gives. Returns false if there is none so far. Call this while nothing is under way.
    ///
    /// Batches behind the head that may be in the log under their old numbers are moved to `doubtful`: they can get
    /// neither a new one nor be sent under the old.
    pub(super) fn prepare(
        &mut self,
        head: Head,
        producer: ProducerId,
        next_epoch: impl FnOnce(ProducerId) -> Option<ProducerId>,
        queue: &PartitionQueue,
        doubtful: &mut Vec<ProducerBatch>,
    ) -> bool {
        if !head.may_take_new_number {
            return true;
        }
        if self.sequence.is_of_another(producer) {
            self.sequence.forget_id();
            doubtful.extend(queue.forget_identities());
        }
        if !self.sequence.needs_new_epoch() {
            return true;
        }
        doubtful.extend(queue.forget_identities());
        let has_epoch = self.sequence.begin_epoch(next_epoch);
        if !has_epoch {
            self.sequence.forget_id();
        }
        has_epoch
    }

    /// Notes that the broker has a batch. `is_of_this_log`: in the log that the partition has now. `timestamp`: of the batch as
    /// it is in the log.
    pub(super) fn note_delivery(&mut self, batch: &ProducerBatch, is_of_this_log: bool, timestamp: i64) {
        if is_of_this_log || planted!(LateAnswerCounts) {
            self.sequence.acknowledge(batch.identity(), timestamp);
        }
        self.youngest_written = self.youngest_written.max(Some(batch.order()));
    }

    /// Notes that a batch has failed: its number will never come, or the sender does not know whether it has come. In
    /// the epoch that follows brokers do not wait for the number, and do not take it if it comes late.
    pub(super) fn note_failure(&mut self, batch: &ProducerBatch) {
        #[cfg(test)]
        if planted!(SequenceReuse) && batch.is_numbered() {
            return self.sequence.go_back_to(batch.identity());
        }
        if !batch.may_take_new_number() {
            self.youngest_written = self.youngest_written.max(Some(batch.order()));
        }
        if batch.is_numbered() {
            self.sequence.note_failure(batch.identity(), batch.persisted());
        }
    }

    /// Notes that the broker waits for a number that will not come.
    pub(super) fn note_gap(&mut self) {
        self.sequence.note_gap();
    }

    /// Notes that the partition may have another log, whose broker may not know the producer.
    pub(super) fn forget_acknowledgement(&mut self) {
        self.sequence.forget_acknowledgement();
    }

    /// Forgets what the brokers of a cluster knew. What is queued loses its number; the batches among it that may be in the log
    /// under theirs are returned.
    pub(super) fn leave_cluster(&mut self, queue: &PartitionQueue) -> Vec<ProducerBatch> {
        self.sequence.forget_id();
        queue.forget_identities()
    }

    /// Whether a batch that is about to be sent could only be written out of order: it is certain not to be in the log, and
    /// a younger one is there, or may be.
    ///
    /// Brokers that remember the producer do not let that happen. One that has forgotten it, as with a topic that was made
    /// anew, takes any first number, so of two batches under way it may refuse the older and write the younger. The older
    /// one gets no new number then, and under its old one it would be refused at best.
    ///
    /// A batch that may be in the log is asked for under its old number all the same: the answer may be that it is there.
    pub(super) fn is_overtaken(&self, batch: &ProducerBatch) -> bool {
        batch.may_take_new_number()
            && !planted!(OvertakenIsSent)
            && self.youngest_written.is_some_and(|youngest| youngest > batch.order())
    }

    /// Whether the numbers in use belong to another producer id than this.
    pub(super) fn are_of_another(&self, producer: ProducerId) -> bool {
        self.sequence.is_of_another(producer)
    }

    /// Whether a new epoch must begin before a batch gets a number.
    pub(super) fn needs_new_epoch(&self) -> bool {
        self.sequence.needs_new_epoch()
    }

    /// Returns the timestamp of the youngest batch of this epoch that the broker has acknowledged, as it is in the log.
    pub(super) fn last_acknowledged(&self) -> Option<i64> {
        self.sequence.last_acknowledged()
    }

    /// The broker has a batch of these numbers.
    #[cfg(test)]
    pub(super) fn acknowledge(&mut self, identity: ProducerIdentity, timestamp: i64) {
        self.sequence.acknowledge(identity, timestamp);
    }

    /// Returns the epoch that is in use with a producer id.
    pub(super) fn epoch(&self, producer_id: i64) -> Option<i16> {
        self.sequence.epoch(producer_id)
    }
}
