//! Why a call of a transactional producer failed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::{DeliveryErrorKind, Detail, Disposition, Persisted};
use crate::protocol::ErrorCode;
use crate::topic_partition::TopicPartition;

/// Why a transaction could not be begun, committed or aborted, or offsets not be sent with it.
///
/// [`disposition`](Self::disposition) says what to do. Clones share everything.
#[derive(Clone, PartialEq, Eq)]
pub struct TransactionError(Arc<TransactionErrorKind>);

/// The reasons of a [`TransactionError`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransactionErrorKind {
    /// The transaction is being aborted, or was.
    #[error("the transaction is aborted")]
    Aborted,
    /// A coordinator refuses a request.
    #[error("a broker refuses {call}: {code}{}", Detail(.message.as_deref()))]
    Broker {
        /// The request, by Kafka's name.
        call: &'static str,
        /// What the broker said.
        code: ErrorCode,
        /// What it is about, or the broker's own words.
        message: Option<String>,
        /// Whether the producer cannot go on.
        is_final: bool,
    },
    /// The producer is closed, or its background task has ended.
    #[error("the producer is closed")]
    Closed,
    /// The producer cannot find out whether the transaction was committed: it has asked for that, and no answer came before the cause.
    /// Look at what readers see before you send the records again.
    #[error("the transaction may be committed: {cause}")]
    CommitInDoubt {
        /// Why the producer cannot ask any more.
        cause: Box<TransactionError>,
    },
    /// `bootstrap.servers` lead to another cluster now, which knows nothing of the transaction.
    #[error("the producer has come to another cluster, which does not know the transaction")]
    ClusterLeft,
    /// The producer needs another epoch, because records of a transaction failed, and brokers before Kafka 2.5 give it only together with
    /// the transactional id, which may be another producer's by now (KIP-360).
    #[error("the broker gives no other epoch: that takes Kafka 2.5 (KIP-360)")]
    EpochNotGiven,
    /// Another producer has taken the transactional id, or the coordinator has given this one up, because its transaction took longer
    /// than `transaction.timeout.ms`.
    #[error(
        "fenced ({code}, in answer to {call}): another producer has the same transactional.id, or the transaction took longer than \
         transaction.timeout.ms"
    )]
    Fenced {
        /// What the broker said.
        code: ErrorCode,
        /// The request, by Kafka's name.
        call: &'static str,
    },
    /// The coordinator has aborted the transaction, because it took longer than `transaction.timeout.ms`.
    #[error("the coordinator has given the transaction up: it took longer than transaction.timeout.ms")]
    GivenUp,
    /// The coordinator of the group is older than Kafka 2.5, which cannot check the member of the group (KIP-447). Leave the member out,
    /// and have each consumer use a transactional id of its own.
    #[error("the broker cannot check the member of the group: that takes Kafka 2.5 (KIP-447)")]
    GroupMetadataUnsupported,
    /// The call does not fit the state of the transaction.
    #[error("the call is out of turn: {0}")]
    OutOfTurn(&'static str),
    /// Records of the transaction were not delivered, so it can only be aborted.
    #[error("{records} records for {topic_partition} failed: {reason}")]
    RecordsFailed {
        /// The partition.
        topic_partition: TopicPartition,
        /// How many records of it.
        records: u32,
        /// Why.
        reason: Box<DeliveryErrorKind>,
        /// Whether they may be in the log. Readers with `isolation.level=read_committed` do not see them.
        persisted: Persisted,
    },
    /// The broker of a partition does not take the next records of the transaction, so it can only be aborted.
    #[error("{topic_partition} does not take the next sequence number of the producer")]
    SequenceLost {
        /// The partition.
        topic_partition: TopicPartition,
    },
    /// `max.block.ms` has passed. What was asked for goes on: only the same call may follow.
    #[error("{call} took longer than {waited:?} (max.block.ms) and goes on{}", Detail(.reason.as_deref()))]
    TimedOut {
        /// The call.
        call: &'static str,
        /// How long the caller has waited.
        waited: Duration,
        /// What the producer waits for, as far as that is known.
        reason: Option<String>,
    },
    /// A name or a text is too long for Kafka's protocol.
    #[error("a request of the transaction cannot be written: {0}")]
    Unsendable(String),
    /// No broker speaks a request that transactions need.
    #[error("the broker does not speak {0}")]
    Unsupported(&'static str),
}

impl TransactionError {
    pub(crate) fn new(kind: TransactionErrorKind) -> Self {
        Self(Arc::new(kind))
    }

    /// Returns the reason.
    #[must_use]
    pub fn kind(&self) -> &TransactionErrorKind {
        &self.0
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self.kind() {
            TransactionErrorKind::Aborted
            | TransactionErrorKind::ClusterLeft
            | TransactionErrorKind::GivenUp
            | TransactionErrorKind::RecordsFailed { .. }
            | TransactionErrorKind::SequenceLost { .. }
            | TransactionErrorKind::Broker { is_final: false, .. } => Disposition::AbortTransaction,
            TransactionErrorKind::Broker { code, .. } => match Disposition::of(*code) {
                Disposition::FixConfiguration => Disposition::FixConfiguration,
                Disposition::Bug => Disposition::Bug,
                _ => Disposition::NewProducer,
            },
            TransactionErrorKind::CommitInDoubt { .. } => Disposition::FindOutcome,
            TransactionErrorKind::Closed
            | TransactionErrorKind::EpochNotGiven
            | TransactionErrorKind::Fenced { .. } => Disposition::NewProducer,
            TransactionErrorKind::GroupMetadataUnsupported
            | TransactionErrorKind::Unsendable(_)
            | TransactionErrorKind::Unsupported(_) => Disposition::FixConfiguration,
            TransactionErrorKind::OutOfTurn(_) => Disposition::Bug,
            TransactionErrorKind::TimedOut { .. } => Disposition::RepeatCall,
        }
    }
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TransactionError").field(&self.0).finish()
    }
}

impl std::error::Error for TransactionError {}
