//! Producer id, epochs and sequence numbers: what lets a broker recognise a batch that it has already.
//!
//! A broker keeps, per partition and producer id, the epoch and the last sequence number, and takes only the batch that
//! comes next. The rules here, per partition:
//!
//! - A batch gets its number when it is first sent, and keeps it: every attempt sends the same bytes.
//! - A number is used once. It is given out anew only in a new epoch, and a new epoch begins only when nothing of the
//!   partition is under way and its head is certain not to be in the log. A batch that may be in the log is always sent
//!   under its old number first: the answer then tells (success or duplicate), or leaves the doubt.
//! - A batch that may be in the log and is refused for its number gets no new one. A broker that was restarted remembers
//!   one batch of a producer, not five, and refuses those before it although it has them; and what a broken connection
//!   has left behind may still be read, and written under the old number. The records fail, as maybe written.
//! - A batch that is certain not to be in the log is not sent once a younger one is there, or has failed and may be there:
//!   it fails, for it could only be written out of order. That holds for whatever brings it to be sent: a first attempt,
//!   another one, a new epoch, a new producer id, or its having been cut or rebuilt. It holds, too, where the younger one can
//!   only be in the log of a topic that was deleted meanwhile, or of another cluster: the sender keeps no account of which of
//!   a batch's attempts went where, and a failure that is certain can be sent again by the caller.
//! - After a batch that failed in doubt a new epoch begins, unless the broker has acknowledged a later one: it does not wait
//!   for the lost number then, and does not take it any more.
//! - A batch that is sent again goes alone, with nothing behind it: brokers look for doubles among the last five batches.
//! - Epochs are counted per partition and by the producer itself. A broker takes any higher epoch of a producer id whose
//!   numbers begin at 0 (Java counts one epoch for all partitions, which adopt it one by one: to a partition it looks
//!   the same).
//! - Until a partition has acknowledged a batch of an epoch, one is under way: a broker that knows nothing of the
//!   producer takes any first number, so a second batch could slip in before the first. What counts is the log that the
//!   partition has now: an answer of a topic that was deleted says nothing about the one that was made in its place.
//! - The same holds while the broker may have forgotten the producer, which it does by the timestamp of the last batch, not by
//!   the time of the last request: behind a long pause, and while old records are written, one batch is under way. A batch of
//!   old records waits for those in front of it, too: it makes the broker forget that it has them.
//! - In another cluster a producer id belongs to another producer. Numbers are forgotten on the way there; what may be in the
//!   log under one fails, as maybe written.
//!
//! - A partition that has idled out is forgotten, numbers and all. Brokers do not forget as soon, so when it is used again it
//!   begins in an epoch after all that partitions were forgotten in (`Numbering::handle_forgotten`). With its first numbers again, in
//!   the same epoch, its records would count as doubles of those before and be lost.
//!
//! Nothing here is fatal: whatever the broker has forgotten, a new epoch makes it listen again.

use crate::error::Persisted;
use crate::planted::planted;
use crate::protocol::record_batch::ProducerIdentity;
use crate::sender::numbering::ProducerId;

/// The numbers of one partition.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    current: Option<Epoch>,
    /// The broker waits for a number that will not come: go on in a new epoch.
    needs_new_epoch: bool,
    /// The newest number of this epoch that has failed and may be in the log.
    failed_maybe: Option<i32>,
}

#[derive(Debug, Clone, Copy)]
struct Epoch {
    producer: ProducerId,
    next_sequence: i32,
    /// The youngest batch that the broker has acknowledged.
    acknowledged: Option<Acknowledged>,
}

#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    base_sequence: i32,
    /// Of the batch in the log, in milliseconds since 1970.
    timestamp: i64,
}

impl Sequence {
    /// Gives out the numbers for a batch of `count` records.
    pub(crate) fn assign(&mut self, producer: ProducerId, count: u32) -> ProducerIdentity {
        let epoch = match &mut self.current {
            Some(epoch) if epoch.producer.id == producer.id => epoch,
            current => current.insert(Epoch { producer, next_sequence: 0, acknowledged: None }),
        };
        let identity = ProducerIdentity {
            producer_id: epoch.producer.id,
            producer_epoch: epoch.producer.epoch,
            base_sequence: epoch.next_sequence,
        };
        epoch.next_sequence = identity.advanced_by(count).base_sequence;
        identity
    }

    /// Notes that the broker has a batch, whose latest timestamp is this.
    pub(crate) fn acknowledge(&mut self, identity: ProducerIdentity, timestamp: i64) {
        if let Some(epoch) = &mut self.current
            && (identity.producer_id, identity.producer_epoch) == (epoch.producer.id, epoch.producer.epoch)
        {
            let base_sequence = identity.base_sequence;
            if epoch.acknowledged.is_none_or(|last| is_after(base_sequence, last.base_sequence)) {
                epoch.acknowledged = Some(Acknowledged { base_sequence, timestamp });
            }
            // A broker takes numbers one after the other: what came before is there.
            if self.failed_maybe.is_some_and(|failed| is_after(identity.base_sequence, failed)) {
                self.failed_maybe = None;
            }
        }
    }

    /// Notes that a number was given out and is certain never to reach the log.
    pub(crate) fn note_gap(&mut self) {
        self.needs_new_epoch = !planted!(GapNotHealed);
    }

    /// What must never be done: gives out numbers again.
    #[cfg(test)]
    pub(crate) fn go_back_to(&mut self, identity: ProducerIdentity) {
        if let Some(epoch) = &mut self.current {
            epoch.next_sequence = identity.base_sequence;
        }
    }

    /// Notes that a batch has failed.
    ///
    /// In the epoch that follows, the broker does not wait for it, and does not take it should it come late.
    pub(crate) fn note_failure(&mut self, identity: ProducerIdentity, persisted: Persisted) {
        if persisted == Persisted::No {
            return self.note_gap();
        }
        let of_epoch = |epoch: Epoch| {
            (identity.producer_id, identity.producer_epoch) == (epoch.producer.id, epoch.producer.epoch)
        };
        if self.current.is_some_and(of_epoch)
            && self.failed_maybe.is_none_or(|failed| is_after(identity.base_sequence, failed))
        {
            self.failed_maybe = Some(identity.base_sequence);
        }
    }

    /// Whether a new epoch must begin before a batch gets a number.
    pub(crate) fn needs_new_epoch(&self) -> bool {
        self.needs_new_epoch || self.failed_maybe.is_some()
    }

    /// Begins a new epoch, which `next` gives for the one in use. Returns false if there is none so far.
    pub(crate) fn begin_epoch(&mut self, next: impl FnOnce(ProducerId) -> Option<ProducerId>) -> bool {
        let Some(epoch) = &mut self.current else {
            self.needs_new_epoch = false;
            self.failed_maybe = None;
            return true;
        };
        let Some(producer) = next(epoch.producer) else { return false };
        *epoch = Epoch { producer, next_sequence: 0, acknowledged: None };
        self.needs_new_epoch = false;
        self.failed_maybe = None;
        true
    }

    /// Notes that the partition is another one than before under the same name: what it knew is gone.
    pub(crate) fn forget_acknowledgement(&mut self) {
        if let Some(epoch) = &mut self.current {
            epoch.acknowledged = None;
        }
    }

    /// Begins anew with another producer id, at the next batch.
    pub(crate) fn forget_id(&mut self) {
        *self = Self::default();
    }

    /// Returns the epoch that is in use with a producer id.
    pub(crate) fn epoch(&self, producer_id: i64) -> Option<i16> {
        self.current.filter(|epoch| epoch.producer.id == producer_id).map(|epoch| epoch.producer.epoch)
    }

    /// Whether the numbers in use can be used no longer now that this is the producer's id.
    pub(crate) fn is_of_another(&self, producer: ProducerId) -> bool {
        self.current.is_some_and(|epoch| !producer.allows(epoch.producer))
    }

    /// Whether more than one batch may be under way: the broker knows the producer, and remembers it if the last batch that
    /// it has acknowledged is no older than `oldest_remembered`.
    pub(crate) fn may_pipeline(&self, oldest_remembered: i64) -> bool {
        let acknowledged = self.current.and_then(|epoch| epoch.acknowledged);
        !self.needs_new_epoch() && acknowledged.is_some_and(|last| last.timestamp >= oldest_remembered)
    }
}

/// Whether a number comes after another. They begin at 0 again after `i32::MAX`.
fn is_after(sequence: i32, other: i32) -> bool {
    (1..=i32::MAX / 2).contains(&(sequence.wrapping_sub(other) & i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCER: ProducerId = ProducerId { id: 4000, epoch: 3 };

    fn following(used: ProducerId) -> Option<ProducerId> {
        used.epoch.checked_add(1).map(|epoch| ProducerId { epoch, ..used })
    }

    #[test]
    fn number_in_doubt_needs_a_new_epoch_until_a_later_one_is_acknowledged() {
        let mut sequence = Sequence::default();
        let [first, second, third] = [(); 3].map(|()| sequence.assign(PRODUCER, 10));

        sequence.note_failure(second, Persisted::Maybe);
        assert!(sequence.needs_new_epoch());
        sequence.acknowledge(first, 7);
        assert!(sequence.needs_new_epoch());
        sequence.acknowledge(third, 7);
        assert!(!sequence.needs_new_epoch());

        sequence.note_failure(third, Persisted::Maybe);
        sequence.note_failure(second, Persisted::Maybe);
        assert!(sequence.begin_epoch(following));
        assert!(!sequence.needs_new_epoch());
        sequence.note_failure(third, Persisted::Maybe);
        assert!(!sequence.needs_new_epoch(), "of an epoch that is over");
    }

    #[test]
    fn order_of_numbers_survives_the_wrap() {
        assert!(is_after(1, 0) && !is_after(0, 1) && !is_after(5, 5));
        assert!(is_after(3, i32::MAX - 3) && !is_after(i32::MAX - 3, 3));
        assert!(is_after(0, i32::MAX) && !is_after(i32::MAX, 0));
    }

    #[test]
    fn numbers_follow_each_other() {
        let mut sequence = Sequence::default();

        let first = sequence.assign(PRODUCER, 10);
        let second = sequence.assign(PRODUCER, 1);
        let third = sequence.assign(PRODUCER, 5);

        assert_eq!([first, second, third].map(|identity| identity.base_sequence), [0, 10, 11]);
        assert_eq!((first.producer_id, first.producer_epoch), (4000, 3));
    }

    /// From Kafka's own test of `DefaultRecordBatch.incrementSequence`.
    #[test]
    fn numbers_wrap_to_zero() {
        let after = |base_sequence, count| {
            ProducerIdentity { base_sequence, ..ProducerIdentity::NONE }.advanced_by(count).base_sequence
        };

        assert_eq!(after(i32::MAX - 5, 4), i32::MAX - 1);
        assert_eq!(after(i32::MAX - 5, 5), i32::MAX);
        assert_eq!(after(i32::MAX, 1), 0);
        assert_eq!(after(i32::MAX, 100), 99);
        assert_eq!(after(0, i32::MAX as u32), i32::MAX);
    }

    #[test]
    fn new_epoch_begins_at_zero_and_must_be_acknowledged_first() {
        let mut sequence = Sequence::default();
        let first = sequence.assign(PRODUCER, 10);
        sequence.acknowledge(first, 7);
        assert!(sequence.may_pipeline(7));

        sequence.note_gap();
        assert!(!sequence.may_pipeline(7));
        assert!(sequence.begin_epoch(following));

        let second = sequence.assign(PRODUCER, 1);
        assert_eq!((second.producer_epoch, second.base_sequence), (4, 0));
        assert!(!sequence.may_pipeline(7));
        sequence.acknowledge(first, 7);
        assert!(!sequence.may_pipeline(7), "an acknowledgement of the epoch before says nothing");
        sequence.acknowledge(second, 7);
        assert!(sequence.may_pipeline(7));
    }

    #[test]
    fn batch_with_an_old_timestamp_ends_the_trust_in_the_memory_of_brokers() {
        let mut sequence = Sequence::default();
        let [first, second, third] = [(); 3].map(|()| sequence.assign(PRODUCER, 1));

        sequence.acknowledge(first, 100);
        assert!(sequence.may_pipeline(100) && !sequence.may_pipeline(101));
        sequence.acknowledge(third, 50);
        assert!(!sequence.may_pipeline(51), "brokers go by the last batch, not by the newest timestamp");
        sequence.acknowledge(second, 100);
        assert!(!sequence.may_pipeline(51), "it is not the last one");
    }

    #[test]
    fn last_epoch_asks_for_a_new_id() {
        let mut sequence = Sequence::default();
        sequence.assign(ProducerId { id: 1, epoch: i16::MAX }, 1);
        sequence.note_gap();

        assert!(!sequence.begin_epoch(following));

        sequence.forget_id();
        let identity = sequence.assign(ProducerId { id: 2, epoch: 0 }, 1);
        assert_eq!((identity.producer_id, identity.producer_epoch, identity.base_sequence), (2, 0, 0));
    }

    #[test]
    fn another_id_begins_at_zero() {
        let mut sequence = Sequence::default();
        sequence.assign(PRODUCER, 7);
        let other = ProducerId { id: 4001, epoch: 0 };

        assert!(sequence.is_of_another(other));
        let identity = sequence.assign(other, 1);

        assert_eq!((identity.producer_id, identity.producer_epoch, identity.base_sequence), (4001, 0, 0));
    }
}
