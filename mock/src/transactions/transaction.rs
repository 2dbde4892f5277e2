//! One transactional id: its producer id and epoch, and the state of its transaction.
//!
//! The rules are those of Kafka 4.3: `TransactionCoordinator` decides, `TransactionMetadata` counts epochs. A real coordinator is between
//! states while it writes to its log; here each step is whole, so that only the two `Prepare` states make others wait.

use std::collections::BTreeMap;
use std::time::Duration;

use super::participant::{Participant, WrittenMarker};
use super::{Identity, Outcome, Protocol, TransactionState};
use crate::error::code;

/// What a coordinator keeps of one transactional id.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    /// The epoch is -1 until the first InitProducerId is done.
    current: Identity,
    /// The epoch that the producer had before the last one, if it asked for the change or knows of it; else -1.
    last_epoch: i16,
    /// The producer id before the last step; -1 before the first.
    previous_producer_id: i64,
    /// Takes the place of the producer id when the transaction has ended; -1 for none.
    next_producer_id: i64,
    timeout: Duration,
    state: TransactionState,
    /// Empty unless the state is `Ongoing` or one of the two `Prepare` states.
    participants: BTreeMap<Participant, Option<WrittenMarker>>,
    /// Of the newest transaction.
    started_at: Duration,
    /// By which protocol the transaction ends.
    protocol: Protocol,
}

impl Transaction {
    pub(crate) fn new(producer_id: i64, timeout: Duration) -> Self {
        Self {
            current: Identity { producer_id, epoch: NO_EPOCH },
            last_epoch: NO_EPOCH,
            previous_producer_id: -1,
            next_producer_id: -1,
            timeout,
            state: TransactionState::Empty,
            participants: BTreeMap::new(),
            started_at: Duration::ZERO,
            protocol: Protocol::V1,
        }
    }

    /// Gives a producer its id and epoch, and fences those that had the transactional id before. `known` is what the producer says
    /// that it has. An open transaction is aborted first, by the protocol that the cluster speaks, and the producer is to ask again.
    pub(super) fn init(
        &mut self,
        timeout: Duration,
        known: Option<Identity>,
        cluster: Protocol,
        new_id: &mut impl FnMut() -> i64,
    ) -> Result<Identity, i16> {
        if self.is_ending() {
            return Err(code::CONCURRENT_TRANSACTIONS);
        }
        if known.is_some_and(|known| !self.may_ask(known)) {
            return Err(code::PRODUCER_FENCED);
        }
        if self.state == TransactionState::Ongoing {
            self.fence(cluster, new_id);
            return Err(code::CONCURRENT_TRANSACTIONS);
        }
        let present = self.current;
        let (next, last_epoch) = if self.is_exhausted() {
            if known.is_some_and(|known| known.epoch != present.epoch) {
                // Kafka runs into an exception of its own.
                return Err(code::UNKNOWN_SERVER_ERROR);
            }
            let last_epoch = known.map_or(NO_EPOCH, |_| present.epoch);
            (Identity { producer_id: new_id(), epoch: 0 }, last_epoch)
        } else {
            let bumped = present.next_epoch();
            match known {
                None => (bumped, NO_EPOCH),
                Some(known) if present.epoch == NO_EPOCH || known.epoch == present.epoch => {
                    (bumped, present.epoch)
                }
                // The answer to an earlier request was lost.
                Some(known) if known.epoch == self.last_epoch => (present, self.last_epoch),
                Some(_) => return Err(code::PRODUCER_FENCED),
            }
        };
        self.previous_producer_id = present.producer_id;
        self.current = next;
        self.last_epoch = last_epoch;
        self.timeout = timeout;
        self.state = TransactionState::Empty;
        self.protocol = Protocol::V1;
        Ok(next)
    }

    /// Adds to the transaction, and begins one if none is open.
    pub(super) fn add(
        &mut self,
        producer: Identity,
        participants: &[Participant],
        now: Duration,
    ) -> Result<(), i16> {
        if self.is_ending() {
            return Err(code::CONCURRENT_TRANSACTIONS);
        }
        self.check(producer)?;
        if self.state != TransactionState::Ongoing {
            self.state = TransactionState::Ongoing;
            self.started_at = now;
        }
        self.previous_producer_id = self.current.producer_id;
        for participant in participants {
            self.participants.entry(participant.clone()).or_default();
        }
        Ok(())
    }

    /// Says whether the leader of a partition may write for the transaction.
    pub(super) fn verify(&self, producer: Identity, participant: &Participant) -> Result<(), i16> {
        self.check(producer)?;
        if self.is_ending() {
            Err(code::CONCURRENT_TRANSACTIONS)
        } else if self.participants.contains_key(participant) {
            Ok(())
        } else {
            Err(code::TRANSACTION_ABORTABLE)
        }
    }

    /// Ends the transaction as its producer wants it. Returns what the producer goes on with, which is the same as before by the
    /// first protocol.
    pub(super) fn end(
        &mut self,
        producer: Identity,
        outcome: Outcome,
        protocol: Protocol,
        new_id: &mut impl FnMut() -> i64,
    ) -> Result<Identity, i16> {
        match protocol {
            Protocol::V1 => {
                self.check(producer)?;
                match self.state {
                    _ if self.is_ending() => return Err(code::CONCURRENT_TRANSACTIONS),
                    TransactionState::Ongoing => self.prepare(outcome, protocol, new_id),
                    state if state == outcome.complete() => {}
                    _ => return Err(code::INVALID_TXN_STATE),
                }
                Ok(producer)
            }
            Protocol::V2 => self.end_and_bump(producer, outcome, new_id),
        }
    }

    /// Each end has an epoch of its own, so that a request with the epoch before is known to be one that was sent again.
    fn end_and_bump(
        &mut self,
        producer: Identity,
        outcome: Outcome,
        new_id: &mut impl FnMut() -> i64,
    ) -> Result<Identity, i16> {
        if self.is_ending() {
            return Err(code::CONCURRENT_TRANSACTIONS);
        }
        let is_complete =
            matches!(self.state, TransactionState::CompleteAbort | TransactionState::CompleteCommit);
        let has_new_id = self.previous_producer_id == producer.producer_id
            && producer.epoch == LAST_USABLE_EPOCH
            && self.current.epoch == 0;
        let has_new_epoch = producer.epoch.checked_add(1) == Some(self.current.epoch);
        let is_retry = is_complete && (has_new_id || has_new_epoch);
        if self.current.producer_id != producer.producer_id && !has_new_id {
            return Err(code::INVALID_PRODUCER_ID_MAPPING);
        }
        if producer.epoch != self.current.epoch && !is_retry {
            return Err(code::PRODUCER_FENCED);
        }
        match (self.state, outcome) {
            (TransactionState::Ongoing, _) => self.prepare(outcome, Protocol::V2, new_id),
            (state, _) if is_retry && state == outcome.complete() => return Ok(self.current),
            // A producer that does not know whether the coordinator has heard of its transaction aborts to be sure.
            (_, Outcome::Abort) if !is_retry => self.prepare(outcome, Protocol::V2, new_id),
            _ => return Err(code::INVALID_TXN_STATE),
        }
        Ok(self.current_after_the_end())
    }

    /// Aborts an open transaction whose producer may not go on.
    pub(super) fn fence(&mut self, cluster: Protocol, new_id: &mut impl FnMut() -> i64) {
        if cluster == Protocol::V1 {
            self.current = self.current.next_epoch();
            self.last_epoch = NO_EPOCH;
        }
        self.prepare(Outcome::Abort, cluster, new_id);
    }

    fn prepare(&mut self, outcome: Outcome, protocol: Protocol, new_id: &mut impl FnMut() -> i64) {
        if protocol == Protocol::V2 {
            if self.is_exhausted() {
                self.next_producer_id = new_id();
            }
            self.last_epoch = self.current.epoch;
            self.current = self.current.next_epoch();
        }
        self.previous_producer_id = self.current.producer_id;
        self.protocol = protocol;
        self.state = outcome.prepare();
        self.complete_if_done();
    }

    /// Takes note of a marker that a leader has written.
    pub(super) fn set_written(&mut self, participant: &Participant, written: WrittenMarker) {
        if let Some(place) = self.participants.get_mut(participant) {
            *place = Some(written);
        }
    }

    /// The markers in the partitions of a topic are lost.
    pub(super) fn forget_markers(&mut self, topic: &str) {
        let is_in = |participant: &Participant| matches!(participant, Participant::Partition(name, _) if name == topic);
        let places = self.participants.iter_mut().filter(|(participant, _)| is_in(participant));
        places.for_each(|(_, written)| *written = None);
    }

    /// A participant knows how the transaction has ended.
    pub(super) fn remove(&mut self, participant: &Participant) {
        self.participants.remove(participant);
        self.complete_if_done();
    }

    fn complete_if_done(&mut self) {
        let Some(outcome) = self.ending().filter(|_| self.participants.is_empty()) else { return };
        self.state = outcome.complete();
        self.previous_producer_id = self.current.producer_id;
        self.current = self.current_after_the_end();
        self.next_producer_id = -1;
    }

    /// What the producer has once the transaction that is ending has ended.
    fn current_after_the_end(&self) -> Identity {
        match self.next_producer_id {
            -1 => self.current,
            producer_id => Identity { producer_id, epoch: 0 },
        }
    }

    fn check(&self, producer: Identity) -> Result<(), i16> {
        if self.current.producer_id != producer.producer_id {
            Err(code::INVALID_PRODUCER_ID_MAPPING)
        } else if self.current.epoch != producer.epoch {
            Err(code::PRODUCER_FENCED)
        } else {
            Ok(())
        }
    }

    /// Whether a producer with this id may have the transactional id. What its epoch says is another question.
    fn may_ask(&self, known: Identity) -> bool {
        let is_before = known.producer_id == self.previous_producer_id && known.epoch >= LAST_USABLE_EPOCH;
        self.current.epoch == NO_EPOCH || known.producer_id == self.current.producer_id || is_before
    }

    /// Whether there is no further epoch that a producer could get: one is kept for fencing.
    fn is_exhausted(&self) -> bool {
        self.current.epoch >= LAST_USABLE_EPOCH
    }

    fn is_ending(&self) -> bool {
        self.ending().is_some()
    }

    /// How the transaction ends whose markers are being written.
    pub(crate) fn ending(&self) -> Option<Outcome> {
        match self.state {
            TransactionState::PrepareAbort => Some(Outcome::Abort),
            TransactionState::PrepareCommit => Some(Outcome::Commit),
            _ => None,
        }
    }

    /// Whether the transaction is open for longer than its producer has allowed.
    pub(super) fn is_late(&self, now: Duration) -> bool {
        self.state == TransactionState::Ongoing && self.started_at + self.timeout < now
    }

    pub(crate) fn current(&self) -> Identity {
        self.current
    }

    pub(crate) fn state(&self) -> TransactionState {
        self.state
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn participants(&self) -> impl Iterator<Item = (&Participant, Option<WrittenMarker>)> {
        self.participants.iter().map(|(participant, written)| (participant, *written))
    }
}

const NO_EPOCH: i16 = -1;

/// The highest epoch that a producer gets; the one after is for fencing it.
const LAST_USABLE_EPOCH: i16 = i16::MAX - 1;

#[cfg(test)]
mod tests;
