//! The coordinator of transactions: what it keeps of each transactional id. Pure: no clock, no log, no broker.
//!
//! All coordinators of a cluster share it, as they share Kafka's `__transaction_state`; which broker answers for which id is in
//! `coordinators`.

mod participant;
mod snapshot;
mod transaction;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::code;

pub(crate) use participant::{Participant, WrittenMarker};
pub use snapshot::{MockTransaction, TransactionState};
pub(crate) use transaction::Transaction;

/// All transactional ids.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    by_id: BTreeMap<String, Transaction>,
}

/// A producer id and its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
}

impl Identity {
    fn next_epoch(self) -> Self {
        Self { epoch: self.epoch.saturating_add(1), ..self }
    }
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Abort,
    Commit,
}

impl Outcome {
    fn prepare(self) -> TransactionState {
        match self {
            Self::Abort => TransactionState::PrepareAbort,
            Self::Commit => TransactionState::PrepareCommit,
        }
    }

    fn complete(self) -> TransactionState {
        match self {
            Self::Abort => TransactionState::CompleteAbort,
            Self::Commit => TransactionState::CompleteCommit,
        }
    }
}

/// The protocol by which a transaction ends; Kafka's `transaction.version` 0 and 1, or 2 (KIP-890).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    V1,
    /// Each end raises the epoch.
    V2,
}

impl Transactions {
    /// InitProducerId.
    pub(crate) fn init(
        &mut self,
        id: &str,
        timeout: Duration,
        known: Option<Identity>,
        cluster: Protocol,
        mut new_id: impl FnMut() -> i64,
    ) -> Result<Identity, i16> {
        if id.is_empty() {
            return Err(code::INVALID_REQUEST);
        }
        if timeout.is_zero() || timeout > MAX_TIMEOUT {
            return Err(code::INVALID_TRANSACTION_TIMEOUT);
        }
        let transaction =
            self.by_id.entry(id.to_owned()).or_insert_with(|| Transaction::new(new_id(), timeout));
        transaction.init(timeout, known, cluster, &mut new_id)
    }

    /// AddPartitionsToTxn, AddOffsetsToTxn, and what Produce and TxnOffsetCommit do by themselves in newer versions.
    pub(crate) fn add(
        &mut self,
        id: &str,
        producer: Identity,
        participants: &[Participant],
        now: Duration,
    ) -> Result<(), i16> {
        self.known_mut(id)?.add(producer, participants, now)
    }

    /// What the leader of a partition asks before it writes.
    pub(crate) fn verify(&self, id: &str, producer: Identity, participant: &Participant) -> Result<(), i16> {
        let transaction = self.by_id.get(id).ok_or(code::INVALID_PRODUCER_ID_MAPPING)?;
        transaction.verify(producer, participant)
    }

    /// EndTxn.
    pub(crate) fn end(
        &mut self,
        id: &str,
        producer: Identity,
        outcome: Outcome,
        protocol: Protocol,
        mut new_id: impl FnMut() -> i64,
    ) -> Result<Identity, i16> {
        self.known_mut(id)?.end(producer, outcome, protocol, &mut new_id)
    }

    /// Aborts a transaction that is open, as if its time were over. Returns whether one was.
    pub(crate) fn time_out(&mut self, id: &str, cluster: Protocol, mut new_id: impl FnMut() -> i64) -> bool {
        let Some(transaction) = self.by_id.get_mut(id) else { return false };
        let is_open = transaction.state() == TransactionState::Ongoing;
        if is_open {
            transaction.fence(cluster, &mut new_id);
        }
        is_open
    }

    /// Ids whose transactions are open for longer than their producers have allowed.
    pub(crate) fn late(&self, now: Duration) -> Vec<String> {
        let late = self.by_id.iter().filter(|(_, transaction)| transaction.is_late(now));
        late.map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn set_written(&mut self, id: &str, participant: &Participant, written: WrittenMarker) {
        if let Some(transaction) = self.by_id.get_mut(id) {
            transaction.set_written(participant, written);
        }
    }

    /// A topic is gone, and the markers in it: one of the same name has yet to get its own.
    pub(crate) fn forget_markers(&mut self, topic: &str) {
        self.by_id.values_mut().for_each(|transaction| transaction.forget_markers(topic));
    }

    /// A participant knows how the transaction has ended.
    pub(crate) fn remove(&mut self, id: &str, participant: &Participant) {
        if let Some(transaction) = self.by_id.get_mut(id) {
            transaction.remove(participant);
        }
    }

    /// Whether markers are to be written.
    pub(crate) fn is_any_ending(&self) -> bool {
        self.by_id.values().any(|transaction| transaction.ending().is_some())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Transaction)> {
        self.by_id.iter().map(|(id, transaction)| (id.as_str(), transaction))
    }

    fn known_mut(&mut self, id: &str) -> Result<&mut Transaction, i16> {
        if id.is_empty() {
            return Err(code::INVALID_REQUEST);
        }
        self.by_id.get_mut(id).ok_or(code::INVALID_PRODUCER_ID_MAPPING)
    }
}

/// `transaction.max.timeout.ms` of a broker that leaves it at its default.
const MAX_TIMEOUT: Duration = Duration::from_secs(15 * 60);
