//! Why a call of a transactional producer failed.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::remedy::{self, Line, Remedy};
use super::{BatchFailure, DeliveryError, DeliveryErrorKind, Detail, Disposition, Persisted, Spent};
use crate::protocol::ErrorCode;
use crate::topic_partition::{Topic, TopicPartition};

/// Why a transaction could not be begun, committed or aborted, or offsets not be sent with it.
///
/// It displays as one line: the cause, and what to do about it. [`disposition`](Self::disposition) says that to a program. Clones share everything.
#[derive(Clone)]
pub struct TransactionError(Arc<TransactionFailure>);

struct TransactionFailure {
    kind: TransactionErrorKind,
    /// The first record that failed.
    record: Option<DeliveryError>,
}

/// The reasons of a [`TransactionError`]. They display as the cause alone.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransactionErrorKind {
    /// The transaction is being aborted, or was.
    #[error("the transaction is aborted")]
    Aborted,
    /// No broker lets the producer in. The error comes with the next attempt to connect, long before `max.block.ms` has passed. The call
    /// goes on, so the same call succeeds once brokers have the user.
    #[error("no transaction can be begun: {reason}")]
    AuthenticationFailed {
        /// Which broker it was, and what it said.
        reason: String,
    },
    /// No name in `bootstrap.servers` had an address within `bootstrap.resolve.timeout.ms`. The call goes on, so the same call succeeds
    /// once one has.
    #[error("no transaction can be begun: {reason}")]
    BootstrapUnresolved {
        /// Which name was looked up last, and what came of it.
        reason: String,
    },
    /// A broker refuses a request.
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
    #[error("the transaction may be committed: {}", .cause.kind())]
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
    /// The coordinator has aborted the transaction: it took longer than `transaction.timeout.ms`, or another producer is about to take the
    /// transactional id.
    #[error(
        "the coordinator has given the transaction up: it took longer than transaction.timeout.ms, or another producer takes the \
         transactional.id"
    )]
    GivenUp,
    /// The coordinator of the group is older than Kafka 2.5, which cannot check the member of the group (KIP-447). Leave the member out,
    /// and have each consumer use a transactional id of its own.
    #[error("the broker cannot check the member of the group: that takes Kafka 2.5 (KIP-447)")]
    GroupMetadataUnsupported,
    /// Offsets were not committed within `delivery.timeout.ms`, so the transaction can only be aborted.
    #[error("offsets of group {group:?} were not committed within {} (delivery.timeout.ms){}", Spent(*.waited), Detail(.reason.as_deref()))]
    OffsetsTimedOut {
        /// The group.
        group: String,
        /// How long the producer has tried.
        waited: Duration,
        /// What the coordinator of the group said last, and of which partitions.
        reason: Option<String>,
    },
    /// The call does not fit the state of the transaction.
    #[error("the call is out of turn: {0}")]
    OutOfTurn(&'static str),
    /// The transaction before was not committed, or may not have been, and no call has said so yet, because that of
    /// [`commit`](crate::Transaction::commit) was dropped or took too long. No transaction is begun by this call. The next one begins one,
    /// if the producer can go on.
    #[error("the transaction before was not committed: {}", .error.kind())]
    PreviousNotCommitted {
        /// What became of it.
        error: Box<TransactionError>,
    },
    /// Records of the transaction were not delivered, so it can only be aborted. [`TransactionError::record`] gives the first of them.
    #[error("{} for {topic_partition} failed: {reason}", Records(u64::from(*.records)))]
    RecordsFailed {
        /// The partition.
        topic_partition: TopicPartition,
        /// How many records of it were in the batch that failed first.
        records: u32,
        /// Why.
        reason: Box<DeliveryErrorKind>,
        /// Whether they may be in the log. Readers with `isolation.level=read_committed` do not see them.
        persisted: Persisted,
    },
    /// Records were not accepted, so the transaction can only be aborted. Each of the calls that handed them over has an error of its own,
    /// or was dropped.
    #[error("{} refused, the first for {}: {reason}", Records(*.records), Place(.topic, *.partition))]
    RecordsRefused {
        /// The topic of the first.
        topic: Topic,
        /// Its partition, if it names one.
        partition: Option<i32>,
        /// How many there were.
        records: u64,
        /// Why the first was not accepted.
        reason: String,
    },
    /// When the transaction was committed, calls were still waiting to hand over records. They fail with
    /// [`SendErrorKind::TransactionOver`](crate::SendErrorKind::TransactionOver), and the transaction can only be aborted.
    #[error("{} still waited for metadata or memory when the transaction was committed", Records(*.records))]
    RecordsWaited {
        /// How many.
        records: u64,
    },
    /// The coordinator does not let the producer begin. Call `begin_transaction` again once that is mended.
    #[error("a broker refuses {call}: {code}{}", Detail(.message.as_deref()))]
    Refused {
        /// The request, by Kafka's name.
        call: &'static str,
        /// What the broker said.
        code: ErrorCode,
        /// The broker's own words.
        message: Option<String>,
    },
    /// A broker of an older release came into the transaction, which does not speak this request as the transaction needs it (KIP-890).
    #[error("a broker of an older release takes part now: it does not speak {0} as the transaction needs it")]
    RolledBack(&'static str),
    /// The broker of a partition does not take the next records of the transaction, so it can only be aborted.
    #[error("{topic_partition} does not take the next sequence number of the producer")]
    SequenceLost {
        /// The partition.
        topic_partition: TopicPartition,
    },
    /// `max.block.ms` has passed. What was asked for goes on: only the same call may follow.
    #[error("{call} took longer than {} (max.block.ms) and goes on{}", Spent(*.waited), Detail(.reason.as_deref()))]
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
        Self(Arc::new(TransactionFailure { kind, record: None }))
    }

    /// Adds the record that it is about, if it is about records that failed.
    pub(crate) fn of_record(self, failure: &Arc<BatchFailure>, index: u32) -> Self {
        if self.0.record.is_some() || !matches!(self.kind(), TransactionErrorKind::RecordsFailed { .. }) {
            return self;
        }
        let record = Some(DeliveryError::new(Arc::clone(failure), index));
        Self(Arc::new(TransactionFailure { kind: self.kind().clone(), record }))
    }

    /// Says that the producer cannot go on either.
    pub(crate) fn into_final(self) -> Self {
        match self.kind().clone() {
            TransactionErrorKind::Refused { call, code, message } => {
                Self::new(TransactionErrorKind::Broker { call, code, message, is_final: true })
            }
            _ => self,
        }
    }

    /// Returns the reason.
    #[must_use]
    pub fn kind(&self) -> &TransactionErrorKind {
        &self.0.kind
    }

    /// Returns the error of the first record that failed, if it is [`TransactionErrorKind::RecordsFailed`]. It gives the record back
    /// ([`DeliveryError::record`]). If the broker named the records that it objects to, this is the first of those.
    #[must_use]
    pub fn record(&self) -> Option<&DeliveryError> {
        self.0.record.as_ref()
    }

    /// Whether the producer cannot go on, or may not be able to.
    pub(crate) fn is_final(&self) -> bool {
        if let TransactionErrorKind::PreviousNotCommitted { error } = self.kind() {
            return error.is_final();
        }
        matches!(
            self.kind(),
            TransactionErrorKind::Broker { is_final: true, .. }
                | TransactionErrorKind::Closed
                | TransactionErrorKind::CommitInDoubt { .. }
                | TransactionErrorKind::EpochNotGiven
                | TransactionErrorKind::Fenced { .. }
                | TransactionErrorKind::Unsupported(_)
        )
    }

    /// Returns what to do about it.
    ///
    /// | | The producer | The transaction |
    /// |---|---|---|
    /// | [`Disposition::AbortTransaction`] | can begin the next | abort it, or drop it |
    /// | [`Disposition::RepeatCall`] | waits | goes on: only the same call may follow |
    /// | [`Disposition::SendPreviousAgain`] | can begin the next | the one before did not count |
    /// | [`Disposition::FixConfiguration`] | can begin again, once that is done | there is none |
    /// | [`Disposition::NewProducer`] | cannot go on | is aborted, or will be |
    /// | [`Disposition::FindOutcome`] | cannot go on, as a rule | may be committed |
    /// | [`Disposition::Bug`] | | drop it |
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        self.kind().disposition()
    }
}

impl TransactionErrorKind {
    /// Returns what to do about it, in words, if there is more to say than the cause does.
    #[must_use]
    pub fn remedy(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::AuthenticationFailed { .. }
            | Self::BootstrapUnresolved { .. }
            | Self::OutOfTurn(_)
            | Self::Unsendable(_) => None,
            Self::Broker { code, .. } | Self::Refused { code, .. } => remedy::of_code(*code)
                .or_else(|| remedy::of_disposition(self.disposition()))
                .map(Remedy::Borrowed),
            Self::Fenced { .. } => Some(Remedy::Borrowed("build another producer")),
            _ => remedy::of_disposition(self.disposition()).map(Remedy::Borrowed),
        }
    }

    fn disposition(&self) -> Disposition {
        match self {
            Self::Aborted
            | Self::Broker { is_final: false, .. }
            | Self::ClusterLeft
            | Self::GivenUp
            | Self::GroupMetadataUnsupported
            | Self::OffsetsTimedOut { .. }
            | Self::RecordsFailed { .. }
            | Self::RecordsRefused { .. }
            | Self::RecordsWaited { .. }
            | Self::RolledBack(_)
            | Self::SequenceLost { .. } => Disposition::AbortTransaction,
            Self::Broker { code, is_final: true, .. } => match Disposition::of(*code) {
                Disposition::Bug => Disposition::Bug,
                _ => Disposition::NewProducer,
            },
            Self::CommitInDoubt { .. } => Disposition::FindOutcome,
            Self::Closed | Self::EpochNotGiven | Self::Fenced { .. } | Self::Unsupported(_) => {
                Disposition::NewProducer
            }
            Self::AuthenticationFailed { .. } | Self::BootstrapUnresolved { .. } | Self::Refused { .. } => {
                Disposition::FixConfiguration
            }
            Self::OutOfTurn(_) | Self::Unsendable(_) => Disposition::Bug,
            Self::PreviousNotCommitted { error } => match error.disposition() {
                Disposition::AbortTransaction => Disposition::SendPreviousAgain,
                other => other,
            },
            Self::TimedOut { .. } => Disposition::RepeatCall,
        }
    }
}

/// A topic, and its partition if that is known.
struct Place<'a>(&'a Topic, Option<i32>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(partition) => write!(f, "partition {partition} of topic {:?}", self.0.as_str()),
            None => write!(f, "topic {:?}", self.0.as_str()),
        }
    }
}

/// How many records.
struct Records(u64);

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} record{plural}", self.0)
    }
}

impl PartialEq for TransactionError {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }
}

impl Eq for TransactionError {}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Line { cause: self.kind(), fate: None, remedy: self.kind().remedy() }.fmt(f)
    }
}

impl fmt::Debug for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TransactionError").field(self.kind()).finish()
    }
}

impl std::error::Error for TransactionError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each kind wants. A kind that is missing here does not compile.
    fn expected(kind: &TransactionErrorKind) -> Disposition {
        match kind {
            TransactionErrorKind::Aborted
            | TransactionErrorKind::ClusterLeft
            | TransactionErrorKind::GivenUp
            | TransactionErrorKind::GroupMetadataUnsupported
            | TransactionErrorKind::OffsetsTimedOut { .. }
            | TransactionErrorKind::RecordsFailed { .. }
            | TransactionErrorKind::RecordsRefused { .. }
            | TransactionErrorKind::RecordsWaited { .. }
            | TransactionErrorKind::RolledBack(_)
            | TransactionErrorKind::SequenceLost { .. } => Disposition::AbortTransaction,
            TransactionErrorKind::Broker { is_final, .. } => {
                if *is_final {
                    Disposition::NewProducer
                } else {
                    Disposition::AbortTransaction
                }
            }
            TransactionErrorKind::CommitInDoubt { .. } => Disposition::FindOutcome,
            TransactionErrorKind::Closed
            | TransactionErrorKind::EpochNotGiven
            | TransactionErrorKind::Fenced { .. }
            | TransactionErrorKind::Unsupported(_) => Disposition::NewProducer,
            TransactionErrorKind::OutOfTurn(_) | TransactionErrorKind::Unsendable(_) => Disposition::Bug,
            TransactionErrorKind::AuthenticationFailed { .. }
            | TransactionErrorKind::BootstrapUnresolved { .. }
            | TransactionErrorKind::Refused { .. } => Disposition::FixConfiguration,
            TransactionErrorKind::PreviousNotCommitted { error } => match expected(error.kind()) {
                Disposition::AbortTransaction => Disposition::SendPreviousAgain,
                other => other,
            },
            TransactionErrorKind::TimedOut { .. } => Disposition::RepeatCall,
        }
    }

    fn kinds() -> Vec<TransactionErrorKind> {
        use TransactionErrorKind as Kind;
        let (code, call) = (ErrorCode::ProducerFenced, "EndTxn");
        let place = TopicPartition::new("orders", 1);
        let broker = |is_final| Kind::Broker { call, code, message: None, is_final };
        let cause = || Box::new(TransactionError::new(Kind::Closed));
        let (records, waited, reason) = (1, Duration::ZERO, None);
        vec![
            Kind::Aborted,
            Kind::AuthenticationFailed { reason: String::new() },
            Kind::BootstrapUnresolved { reason: String::new() },
            broker(false),
            broker(true),
            Kind::Closed,
            Kind::ClusterLeft,
            Kind::CommitInDoubt { cause: cause() },
            Kind::EpochNotGiven,
            Kind::Fenced { code, call },
            Kind::GivenUp,
            Kind::GroupMetadataUnsupported,
            Kind::OffsetsTimedOut { group: "g".to_owned(), waited, reason: None },
            Kind::OutOfTurn("no transaction is open"),
            Kind::PreviousNotCommitted { error: Box::new(TransactionError::new(Kind::GivenUp)) },
            Kind::PreviousNotCommitted { error: cause() },
            Kind::RecordsFailed {
                topic_partition: place.clone(),
                records: 1,
                reason: Box::new(DeliveryErrorKind::Closed),
                persisted: Persisted::No,
            },
            Kind::RecordsRefused { topic: "orders".into(), partition: None, records, reason: String::new() },
            Kind::RecordsWaited { records },
            Kind::Refused { call, code, message: None },
            Kind::RolledBack(call),
            Kind::SequenceLost { topic_partition: place },
            Kind::TimedOut { call, waited, reason },
            Kind::Unsendable(String::new()),
            Kind::Unsupported(call),
        ]
    }

    #[test]
    fn every_kind_wants_one_thing() {
        for kind in kinds() {
            let wanted = expected(&kind);
            assert_eq!(TransactionError::new(kind.clone()).disposition(), wanted, "{kind}");
        }
    }

    #[test]
    fn codes_that_cannot_come_are_bugs() {
        let kind =
            |code| TransactionErrorKind::Broker { call: "EndTxn", code, message: None, is_final: true };
        let of = |code: i16| TransactionError::new(kind(ErrorCode::from(code))).disposition();
        assert_eq!(
            [of(999), of(42), of(53), of(49)],
            [Disposition::Bug, Disposition::Bug, Disposition::NewProducer, Disposition::NewProducer,]
        );
    }
}
