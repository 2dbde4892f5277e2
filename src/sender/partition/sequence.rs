//! `Sequence`: the sequence numbers of one partition, and the epoch that they count in. `numbers.rs` has the rules by which they
//! are given out.

use crate::error::Persisted;
use crate::planted::planted;
use crate::protocol::record_batch::ProducerIdentity;
use crate::sender::numbering::ProducerId;

/// The numbers of one partition.
#[derive(Debug, Default)]
pub(super) struct Sequence {
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
    pub(super) fn assign(&mut self, producer: ProducerId, count: u32) -> ProducerIdentity {
        let epoch = match &mut self.current {
            Some(epoch) if producer.allows(epoch.producer) => epoch,
            current => current.insert(Epoch { producer, next_sequence: 0, acknowledged: None }),
        };
        let identity = ProducerIdentity {
            producer_id: epoch.producer.id,
            producer_epoch: epoch.producer.epoch,
            base_sequence: epoch.next_sequence,
            is_transactional: epoch.producer.is_transactional,
        };
        epoch.next_sequence = identity.advanced_by(count).base_sequence;
        identity
    }

    /// Notes that the broker has a batch, whose latest timestamp is this.
    pub(super) fn acknowledge(&mut self, identity: ProducerIdentity, timestamp: i64) {
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
    pub(super) fn note_gap(&mut self) {
        self.needs_new_epoch = !planted!(GapNotHealed);
    }

    /// What must never be done: gives out numbers again.
    #[cfg(test)]
    pub(super) fn go_back_to(&mut self, identity: ProducerIdentity) {
        if let Some(epoch) = &mut self.current {
            epoch.next_sequence = identity.base_sequence;
        }
    }

    /// Notes that a batch has failed.
    ///
    /// In the epoch that follows, the broker does not wait for it, and does not take it should it come late.
    pub(super) fn note_failure(&mut self, identity: ProducerIdentity, persisted: Persisted) {
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
    pub(super) fn needs_new_epoch(&self) -> bool {
        self.needs_new_epoch || self.failed_maybe.is_some()
    }

    /// Begins a new epoch, which `next` gives for the one in use. Returns false if there is none so far.
    pub(super) fn begin_epoch(&mut self, next: impl FnOnce(ProducerId) -> Option<ProducerId>) -> bool {
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
    pub(super) fn forget_acknowledgement(&mut self) {
        if let Some(epoch) = &mut self.current {
            epoch.acknowledged = None;
        }
    }

    /// Begins anew with another producer id, at the next batch.
    pub(super) fn forget_id(&mut self) {
        *self = Self::default();
    }

    /// Returns the epoch that is in use with a producer id.
    pub(super) fn epoch(&self, producer_id: i64) -> Option<i16> {
        self.current.filter(|epoch| epoch.producer.id == producer_id).map(|epoch| epoch.producer.epoch)
    }

    /// Whether the numbers in use belong to another producer id than this, and cannot be used any more.
    pub(super) fn is_of_another(&self, producer: ProducerId) -> bool {
        self.current.is_some_and(|epoch| !producer.allows(epoch.producer))
    }

    /// Returns the timestamp of the youngest batch of this epoch that the broker has acknowledged, as it is in the log.
    pub(super) fn last_acknowledged(&self) -> Option<i64> {
        let last = self.current.and_then(|epoch| epoch.acknowledged)?;
        Some(last.timestamp)
    }
}

/// Whether a number comes after another. They begin at 0 again after `i32::MAX`.
fn is_after(sequence: i32, other: i32) -> bool {
    (1..=i32::MAX / 2).contains(&(sequence.wrapping_sub(other) & i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCER: ProducerId = ProducerId { id: 4000, epoch: 3, is_transactional: false };

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
        assert_eq!((sequence.needs_new_epoch(), sequence.last_acknowledged()), (false, Some(7)));

        sequence.note_gap();
        assert!(sequence.needs_new_epoch());
        assert!(sequence.begin_epoch(following));

        let second = sequence.assign(PRODUCER, 1);
        assert_eq!((second.producer_epoch, second.base_sequence), (4, 0));
        assert_eq!((sequence.needs_new_epoch(), sequence.last_acknowledged()), (false, None));
        sequence.acknowledge(first, 7);
        assert_eq!(sequence.last_acknowledged(), None, "an acknowledgement of the epoch before says nothing");
        sequence.acknowledge(second, 7);
        assert_eq!(sequence.last_acknowledged(), Some(7));
    }

    #[test]
    fn batch_with_an_old_timestamp_ends_the_trust_in_the_memory_of_brokers() {
        let mut sequence = Sequence::default();
        let [first, second, third] = [(); 3].map(|()| sequence.assign(PRODUCER, 1));

        sequence.acknowledge(first, 100);
        assert_eq!(sequence.last_acknowledged(), Some(100));
        sequence.acknowledge(third, 50);
        assert_eq!(
            sequence.last_acknowledged(),
            Some(50),
            "brokers go by the last batch, not by the newest timestamp"
        );
        sequence.acknowledge(second, 100);
        assert_eq!(sequence.last_acknowledged(), Some(50), "it is not the last one");
    }

    #[test]
    fn last_epoch_asks_for_a_new_id() {
        let mut sequence = Sequence::default();
        sequence.assign(ProducerId { id: 1, epoch: i16::MAX, is_transactional: false }, 1);
        sequence.note_gap();

        assert!(!sequence.begin_epoch(following));

        sequence.forget_id();
        let identity = sequence.assign(ProducerId { id: 2, epoch: 0, is_transactional: false }, 1);
        assert_eq!((identity.producer_id, identity.producer_epoch, identity.base_sequence), (2, 0, 0));
    }

    #[test]
    fn another_id_begins_at_zero() {
        let mut sequence = Sequence::default();
        sequence.assign(PRODUCER, 7);
        let other = ProducerId { id: 4001, epoch: 0, is_transactional: false };

        assert!(sequence.is_of_another(other));
        let identity = sequence.assign(other, 1);

        assert_eq!((identity.producer_id, identity.producer_epoch, identity.base_sequence), (4001, 0, 0));
    }
}
