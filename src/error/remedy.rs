//! What to do about a failure, with the setting by its name.

use std::borrow::Cow;
use std::fmt;

use super::{Disposition, Persisted};
use crate::protocol::ErrorCode;

/// Words that fit into the line of an error.
pub(super) type Remedy = Cow<'static, str>;

/// An error in one line: the cause, what became of the record, and what to do.
pub(super) struct Line<C> {
    pub(super) cause: C,
    pub(super) fate: Option<&'static str>,
    pub(super) remedy: Option<Remedy>,
}

impl<C: fmt::Display> fmt::Display for Line<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)?;
        for part in self.fate.into_iter().chain(self.remedy.as_deref()) {
            write!(f, "; {part}")?;
        }
        Ok(())
    }
}

/// What became of a record that the producer had accepted.
pub(super) fn fate(persisted: Persisted) -> &'static str {
    match persisted {
        Persisted::No => "not written",
        Persisted::Maybe => "may have been written",
    }
}

/// What to do about an answer of a broker that the producer takes as the last word.
pub(crate) fn of_code(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::MessageTooLarge => "make the record smaller, or raise max.message.bytes of the topic",
        ErrorCode::RecordListTooLarge => "lower batch.size, or raise segment.bytes of the topic",
        ErrorCode::NotEnoughReplicas | ErrorCode::NotEnoughReplicasAfterAppend => {
            "bring replicas back, or lower min.insync.replicas of the topic"
        }
        ErrorCode::UnknownTopicOrPartition => "create it, or set auto.create.topics.enable on the brokers",
        ErrorCode::InvalidTopicException => {
            "a topic's name has 1 to 249 ASCII letters, digits, '.', '_' and '-'"
        }
        ErrorCode::TopicAuthorizationFailed => "have an ACL allow the user WRITE on the topic",
        ErrorCode::ClusterAuthorizationFailed => {
            "have an ACL allow the user IDEMPOTENT_WRITE on the cluster, or set enable.idempotence=false"
        }
        ErrorCode::TransactionalIdAuthorizationFailed => {
            "have an ACL allow the user WRITE on the transactional.id"
        }
        ErrorCode::InvalidRequiredAcks => "set acks to all, 1 or 0",
        ErrorCode::InvalidRecord => {
            "change the record: with cleanup.policy=compact, for one, a topic takes no record without a key"
        }
        ErrorCode::InvalidTimestamp => {
            "set a timestamp within message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic"
        }
        ErrorCode::UnsupportedCompressionType => "set compression.type to a codec that the brokers know",
        ErrorCode::ProducerFenced | ErrorCode::InvalidProducerEpoch => {
            "build another producer; each needs a transactional.id of its own"
        }
        _ => return None,
    })
}

/// What to do where nothing more is known.
pub(super) fn of_disposition(disposition: Disposition) -> Option<&'static str> {
    match disposition {
        Disposition::AbortTransaction => Some("abort the transaction, and send its records in another"),
        Disposition::Bug => Some("report it"),
        Disposition::FindOutcome => Some("look at what readers see before you send the records again"),
        Disposition::NewProducer => Some("build another producer"),
        Disposition::RepeatCall => Some("repeat the call to learn what comes of it"),
        Disposition::ResumePartition => Some("deal with the record that failed first, then call `resume`"),
        Disposition::RetryLater => Some("send it again later"),
        Disposition::SendPreviousAgain => Some("send its records again in the next transaction"),
        Disposition::FixConfiguration | Disposition::FixRecord => None,
    }
}

/// What to do about a last word of a broker.
pub(super) fn of_last_word(code: ErrorCode) -> Option<Remedy> {
    of_code(code).or_else(|| of_disposition(Disposition::of(code))).map(Remedy::Borrowed)
}
