//! Why an accepted record was not delivered, and the batch that gives it back.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::protocol::ErrorCode;
use crate::protocol::compression::{self, Compression};
use crate::protocol::record_batch::{self, DecodedRecord};
use crate::record::ProducerRecord;
use crate::topic_partition::TopicPartition;
use crate::wire::readable_within;

use super::remedy::{self, Line, Remedy};
use super::{BrokerFailure, BrokerReport, Disposition, Persisted, Spent, TransactionError, Why};

/// Why an accepted record was not delivered.
///
/// It displays as one line: the cause, whether the record may have been written, and what to do about it.
///
/// Clones share everything. [`DeliveryError::record`] gives the record back.
#[derive(Clone)]
pub struct DeliveryError {
    failure: Arc<BatchFailure>,
    /// The record's position in the failed batch.
    index: u32,
}

/// The reasons of a [`DeliveryError`]. They display as the cause alone.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeliveryErrorKind {
    /// `delivery.timeout.ms` has passed, and at the end the leader of the partition and the producer did not accept each other:
    /// `sasl.mechanism`, `sasl.jaas.config`, `security.protocol` or a certificate of `ssl.*` is wrong for it. See
    /// [`SendErrorKind::AuthenticationFailed`](crate::SendErrorKind::AuthenticationFailed).
    ///
    /// A refusal does not fail accepted records by itself. The producer goes on trying, and delivers them if the broker accepts it
    /// in time, for instance because the user is back.
    #[error("not delivered within delivery.timeout.ms, at last because of {reason} ({spent})")]
    AuthenticationFailed {
        /// Which broker it was, and what it said.
        reason: String,
        /// Where the time went.
        spent: Box<TimeSpent>,
    },
    /// The broker refused the record for good, or `retries` are used up.
    ///
    /// If the broker refuses a batch because of a record that it does not name, the producer halves the batch until that
    /// record stands alone. If an earlier attempt may have written the batch, all of its records fail instead.
    #[error("{code}{}", Detail(.message.as_deref()))]
    Broker {
        /// What the broker said.
        code: ErrorCode,
        /// The broker's own words, if it sent any.
        message: Option<String>,
    },
    /// The broker refused the batch because of other records in it, and the producer could not send this one again.
    ///
    /// Usually the producer sends the records that were not at fault again, without the others. It does not in two cases: if
    /// an earlier attempt may have written the batch, because they could then be written twice; and with [`fail_stop`].
    ///
    /// [`fail_stop`]: crate::KafkaProducerBuilder::fail_stop
    #[error("another record of the batch was refused: {code}")]
    BatchRefused {
        /// What the broker said.
        code: ErrorCode,
    },
    /// The producer was closed before the record could be delivered.
    #[error("the producer was closed before the record was delivered")]
    Closed,
    /// A broker gave no answer, within `request.timeout.ms` or before the connection ended, and there is no other attempt: `retries` are
    /// used up. Its source is `failure`.
    #[error("no answer from broker {broker}, and there is no other attempt: {}", .failure.text)]
    #[non_exhaustive]
    Disconnected {
        /// The id of the broker, and its address.
        broker: Arc<str>,
        /// What the connection failed with, and how far it was.
        #[source]
        failure: BrokerFailure,
    },
    /// The record can only be written out of order, or twice, and so it is not sent again, or not at all.
    #[error("not sent any more: {0}")]
    NotSentAgain(String),
    /// [`KafkaProducer::purge`](crate::KafkaProducer::purge) gave the record up.
    #[error("the record was purged")]
    Purged,
    /// A [`Delivery`](crate::Delivery) was polled, or asked, after it had given its [`RecordMetadata`](crate::RecordMetadata) away. The
    /// record was delivered. This error knows neither the record nor its partition.
    #[error("the delivery has given its result already")]
    ResultTaken,
    /// The runtime that drove the producer was shut down.
    #[error("the runtime was shut down before the record was delivered")]
    RuntimeShutdown,
    /// The producer's background task has panicked and ended. That is a bug of this crate, or of code that you gave to it.
    #[error("the producer's background task has panicked: {0}")]
    SenderPanicked(String),
    /// An older record of the partition failed, and [`fail_stop`] is on.
    ///
    /// [`fail_stop`]: crate::KafkaProducerBuilder::fail_stop
    #[error("stopped by fail_stop: an older record of the partition failed")]
    Stopped,
    /// `delivery.timeout.ms` has passed.
    #[error("not delivered within delivery.timeout.ms: {0}")]
    TimedOut(Box<TimeSpent>),
    /// The transaction of the record was aborted before the record was delivered.
    #[error("the transaction was aborted before the record was delivered")]
    TransactionAborted,
    /// The transaction of the record cannot be committed any more.
    #[error("the transaction cannot be committed: {}", .0.kind())]
    TransactionFailed(TransactionError),
    /// [`KafkaProducer::withdraw`](crate::KafkaProducer::withdraw) took the record back before it was sent, or
    /// [`KafkaProducer::send_timeout`](crate::KafkaProducer::send_timeout) did when its time was over.
    #[error("the record was withdrawn before it was sent")]
    Withdrawn,
    /// The leader of the partition is too old for the codec of `compression.type`.
    #[error("the broker speaks no version of Produce that allows {0}")]
    UnsupportedCompression(Compression),
    /// The broker and this crate have no version of the Produce API in common.
    #[error("the broker speaks no version of Produce that this producer speaks")]
    UnsupportedVersion,
}

impl DeliveryErrorKind {
    /// Returns what to do about it, in words, if there is more to say than the cause does.
    #[must_use]
    pub fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(Remedy::Borrowed(match self {
            Self::AuthenticationFailed { .. } => return None,
            Self::Broker { code, .. } => return remedy::of_last_word(*code),
            Self::BatchRefused { .. } => "send it again",
            Self::Closed => "give `close` more time",
            Self::Disconnected { .. } => "raise retries, which are used up",
            Self::NotSentAgain(_) => "send it again, unless it is in the log",
            Self::Purged | Self::Withdrawn => "send it again if it is still wanted",
            Self::ResultTaken => "keep the result of the first poll",
            Self::RuntimeShutdown => "close the producer before its runtime ends",
            Self::SenderPanicked(_) => "report it, and build another producer",
            Self::Stopped => "deal with the record that failed first, then call `resume`",
            Self::TimedOut(spent) => return spent.remedy(),
            Self::TransactionAborted => "send it in another transaction",
            Self::TransactionFailed(error) => return error.kind().remedy(),
            Self::UnsupportedCompression(_) => "set compression.type to another codec",
            Self::UnsupportedVersion => "upgrade the brokers",
        }))
    }
}

impl DeliveryErrorKind {
    /// Returns what a broker said of it last.
    pub(crate) fn last_code(&self) -> Option<ErrorCode> {
        match self {
            Self::AuthenticationFailed { spent, .. } | Self::TimedOut(spent) => spent.last_error,
            Self::Broker { code, .. } | Self::BatchRefused { code } => Some(*code),
            _ => None,
        }
    }
}

/// Where a record's time went.
///
/// It displays the stages that took a twentieth of the time or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TimeSpent {
    /// Waiting in `enqueue` for the topic's metadata.
    pub metadata: Duration,
    /// Waiting in `enqueue` for memory.
    pub memory: Duration,
    /// Waiting for the batch to fill (`linger.ms`).
    pub linger: Duration,
    /// Waiting while the partition had no known leader.
    pub no_leader: Duration,
    /// Waiting for a connection to the leader of the partition, or to any broker if none could be reached.
    pub disconnected: Duration,
    /// Left alone, as the leader of the partition has asked for, because the producer is above a quota.
    pub throttled: Duration,
    /// Waiting for a place among the requests in flight, for an earlier batch of the partition, for a producer id, or to be compressed. All
    /// that a batch has waited behind another one counts as this.
    pub queued: Duration,
    /// Waiting between attempts (`retry.backoff.ms`).
    pub backoff: Duration,
    /// Sent and waiting for the answer.
    pub in_flight: Duration,
    /// Times that the batch was sent.
    pub attempts: u32,
    /// What a broker last said of the batch.
    pub last_error: Option<ErrorCode>,
    /// Whether brokers had named a leader when the record failed, even if it could not be reached. Always true if it failed because the producer ended.
    pub leader_known: bool,
}

impl TimeSpent {
    /// Returns the sum of all stages.
    pub(crate) fn total(&self) -> Duration {
        self.stages().iter().fold(Duration::ZERO, |total, (_, spent)| total.saturating_add(*spent))
    }

    fn stages(&self) -> [(&'static str, Duration); 9] {
        [
            ("waiting for metadata", self.metadata),
            ("waiting for memory", self.memory),
            ("lingering", self.linger),
            ("without a leader", self.no_leader),
            ("disconnected", self.disconnected),
            ("throttled", self.throttled),
            ("queued", self.queued),
            ("backing off", self.backoff),
            ("in flight", self.in_flight),
        ]
    }

    fn remedy(&self) -> Option<Remedy> {
        if let Some(code) = self.last_error {
            return remedy::of_last_word(code);
        }
        let all =
            [self.no_leader, self.disconnected, self.throttled, self.queued, self.backoff, self.in_flight];
        // If several are the longest, that is no clue.
        let is_longest = |stage| all.iter().filter(|other| **other >= stage).count() == 1;
        Some(Remedy::Borrowed(if is_longest(self.no_leader) {
            "bring a replica of the partition back"
        } else if is_longest(self.throttled) {
            "raise producer_byte_rate"
        } else {
            "check the broker, or raise delivery.timeout.ms"
        }))
    }
}

impl fmt::Display for TimeSpent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let counts = |spent: Duration| !spent.is_zero() && spent >= total / 20;
        let mut separator = "";
        for (stage, spent) in self.stages().into_iter().filter(|(_, spent)| counts(*spent)) {
            write!(f, "{separator}{stage} {}", Spent(spent))?;
            separator = ", ";
        }
        let plural = if self.attempts == 1 { "" } else { "s" };
        write!(f, "{separator}{} attempt{plural}", self.attempts)?;
        if !self.leader_known {
            f.write_str(", leader unknown")?;
        }
        if let Some(code) = self.last_error {
            // It comes last because the words of the broker follow, see `Explained`.
            write!(f, ", last answer {code}")?;
        }
        Ok(())
    }
}

/// Everything that the records of a failed batch share.
#[derive(Debug)]
pub(crate) struct BatchFailure {
    pub(crate) kind: DeliveryErrorKind,
    pub(crate) persisted: Persisted,
    pub(crate) topic_partition: TopicPartition,
    pub(crate) time_spent: TimeSpent,
    /// Records that the broker named as the culprits, with its words (KIP-467). Empty: all alike.
    pub(crate) record_errors: Vec<(u32, Option<String>)>,
    /// What stood in the way when its time was over, if that is why it failed.
    pub(crate) why: Option<Arc<Why>>,
    /// What a broker last said of the batch in its own words, if it sent any.
    pub(crate) last_words: Option<String>,
    /// The batch as it was last encoded, for giving records back.
    pub(crate) batch: FailedBatch,
}

/// The bytes of a failed batch, read only when a caller asks for a record.
#[derive(Debug, Default)]
pub(crate) struct FailedBatch {
    pub(crate) bytes: Bytes,
    pub(crate) compression: Compression,
    /// Its length before it was compressed. It has no meaning if the batch is not compressed.
    plain_len: usize,
    records: OnceLock<Vec<DecodedRecord>>,
}

impl FailedBatch {
    pub(crate) fn new(bytes: Bytes, compression: Compression, plain_len: usize) -> Self {
        Self { bytes, compression, plain_len, records: OnceLock::new() }
    }

    fn records(&self) -> &[DecodedRecord] {
        self.records.get_or_init(|| {
            let plain = compression::uncompressed(&self.bytes, self.compression, self.plain_len);
            record_batch::decode_records(&plain).unwrap_or_default()
        })
    }
}

impl DeliveryError {
    pub(crate) fn new(failure: Arc<BatchFailure>, index: u32) -> Self {
        Self { failure, index }
    }

    /// Makes that of a delivery which has given its result away.
    pub(crate) fn result_taken() -> Self {
        let failure = BatchFailure {
            kind: DeliveryErrorKind::ResultTaken,
            persisted: Persisted::Maybe,
            topic_partition: TopicPartition::nowhere().clone(),
            time_spent: TimeSpent::default(),
            record_errors: Vec::new(),
            why: None,
            last_words: None,
            batch: FailedBatch::default(),
        };
        Self::new(Arc::new(failure), 0)
    }

    /// Returns what the records of its batch share, and the record's index.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn into_parts(self) -> (Arc<BatchFailure>, u32) {
        (self.failure, self.index)
    }

    /// Returns the error of each record of a batch of `count`, in their order.
    pub(crate) fn of_batch(failure: &Arc<BatchFailure>, count: u32) -> impl Iterator<Item = Self> {
        (0..count).map(|index| Self::new(Arc::clone(failure), index))
    }

    /// Returns the reason.
    #[must_use]
    pub fn kind(&self) -> DeliveryErrorKind {
        let DeliveryErrorKind::Broker { code, message } = &self.failure.kind else {
            return self.failure.kind.clone();
        };
        if self.failure.record_errors.is_empty() {
            return self.failure.kind.clone();
        }
        let own = self.failure.record_errors.iter().find(|(index, _)| *index == self.index);
        match own {
            Some((_, own)) => {
                let message = own.clone().or_else(|| message.clone());
                DeliveryErrorKind::Broker { code: *code, message }
            }
            None => DeliveryErrorKind::BatchRefused { code: *code },
        }
    }

    /// Returns whether the record may stand in the log all the same.
    #[must_use]
    pub fn persisted(&self) -> Persisted {
        self.failure.persisted
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self.kind() {
            DeliveryErrorKind::Broker { code, .. } => Disposition::of(code),
            DeliveryErrorKind::Closed
            | DeliveryErrorKind::RuntimeShutdown
            | DeliveryErrorKind::SenderPanicked(_) => Disposition::NewProducer,
            DeliveryErrorKind::BatchRefused { .. }
            | DeliveryErrorKind::Disconnected { .. }
            | DeliveryErrorKind::NotSentAgain(_)
            | DeliveryErrorKind::Purged
            | DeliveryErrorKind::Withdrawn => Disposition::RetryLater,
            DeliveryErrorKind::ResultTaken => Disposition::Bug,
            DeliveryErrorKind::TimedOut(spent) => Disposition::of_last_answer(spent.last_error),
            DeliveryErrorKind::Stopped => Disposition::ResumePartition,
            DeliveryErrorKind::TransactionAborted => Disposition::AbortTransaction,
            DeliveryErrorKind::TransactionFailed(error) => error.disposition(),
            DeliveryErrorKind::AuthenticationFailed { .. }
            | DeliveryErrorKind::UnsupportedCompression(_)
            | DeliveryErrorKind::UnsupportedVersion => Disposition::FixConfiguration,
        }
    }

    /// Returns whether the same record may succeed if it is sent again later. See [`DeliveryError::persisted`] first.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.disposition() == Disposition::RetryLater
    }

    /// Returns where the time of the record's batch went, how often it was sent, and what a broker last said of it.
    #[must_use]
    pub fn time_spent(&self) -> &TimeSpent {
        &self.failure.time_spent
    }

    /// Returns how the leader of the partition fared when the record's time was over, or all brokers if no leader was known. Empty if
    /// the record failed for another reason. [`source`](std::error::Error::source) is the failure that stood in the way, if one did.
    #[must_use]
    pub fn brokers(&self) -> &[BrokerReport] {
        self.failure.why.as_ref().map_or(&[], |why| why.brokers())
    }

    /// Returns the broker's error code, if a broker's answer is the reason.
    #[must_use]
    pub fn error_code(&self) -> Option<ErrorCode> {
        match &self.failure.kind {
            DeliveryErrorKind::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Returns what a broker last said of the record's batch in its own words, if it sent any. What it said is
    /// [`TimeSpent::last_error`].
    #[must_use]
    pub fn broker_message(&self) -> Option<&str> {
        self.failure.last_words.as_deref()
    }

    /// Returns the partition that the record was given to; partition -1 of a topic without a name with
    /// [`DeliveryErrorKind::ResultTaken`].
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.failure.topic_partition
    }

    /// Returns the record with its serialized key and value and the partition that was chosen for it.
    ///
    /// The first call for a batch decodes the whole batch. It returns `None` if that fails, by a bug of this crate, and with
    /// [`DeliveryErrorKind::ResultTaken`].
    #[must_use]
    pub fn record(&self) -> Option<ProducerRecord> {
        let decoded = self.failure.batch.records().get(self.index as usize)?;
        let TopicPartition { topic, partition } = self.topic_partition().clone();
        let mut record = ProducerRecord::to(topic).partition(partition).timestamp(decoded.timestamp);
        record.key.clone_from(&decoded.key);
        record.value.clone_from(&decoded.value);
        record.headers.clone_from(&decoded.headers);
        Some(record)
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        if kind == DeliveryErrorKind::ResultTaken {
            return Line { cause: &kind, fate: None, remedy: kind.remedy() }.fmt(f);
        }
        let more = Explained { kind: &kind, why: self.failure.why.as_deref(), words: self.broker_message() };
        Line {
            cause: format_args!("record for {}: {kind}{more}", self.failure.topic_partition),
            fate: Some(remedy::fate(self.failure.persisted)),
            remedy: kind.remedy(),
        }
        .fmt(f)
    }
}

impl fmt::Debug for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryError")
            .field("topic_partition", &self.failure.topic_partition)
            .field("kind", &self.kind())
            .field("persisted", &self.failure.persisted)
            .field("time_spent", &self.failure.time_spent)
            .finish_non_exhaustive()
    }
}

impl StdError for DeliveryError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        if let DeliveryErrorKind::Disconnected { failure, .. } = &self.failure.kind {
            return Some(failure);
        }
        let failure = self.failure.why.as_ref()?.failure()?;
        Some(failure)
    }
}

/// What there is to say when time was over: the words of the broker that answered last, and what stood in the way.
#[derive(Debug)]
pub(crate) struct Explained<'a> {
    pub(crate) kind: &'a DeliveryErrorKind,
    pub(crate) why: Option<&'a Why>,
    pub(crate) words: Option<&'a str>,
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeliveryErrorKind::TimedOut(_) = self.kind else { return Ok(()) };
        if let Some(words) = self.words {
            write!(f, ": {}", readable_within(words, LONGEST_WORDS))?;
        }
        if let Some(why) = self.why.and_then(Why::text) {
            write!(f, "; {why}")?;
        }
        Ok(())
    }
}

/// An error has to stay a line.
const LONGEST_WORDS: usize = 100;

pub(super) struct Detail<'a>(pub(super) Option<&'a str>);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}
