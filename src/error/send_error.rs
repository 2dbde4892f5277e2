//! Why a record was not sent, with the record.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::protocol::ErrorCode;
use crate::record::ProducerRecord;
use crate::topic_partition::{Topic, TopicPartition};

use super::broker_report::{BrokerReport, Brokers, leading_failure, unreachable};
use super::remedy::{self, Line, Remedy};
use super::{DeliveryError, Disposition, Persisted, SharedError, Spent};

/// Why a record was not sent, or not delivered.
///
/// It displays as one line: the cause, what became of the record, and what to do about it.
///
/// [`SendError::into_record`] gives a refused record back as you gave it, but for headers that a serializer or an interceptor
/// removed. If the record was accepted and then failed, the
/// [`DeliveryError`] inside this error gives it back.
#[derive(Clone)]
pub struct SendError<K = Bytes, V = Bytes>(Box<SendFailure<K, V>>);

#[derive(Clone)]
struct SendFailure<K, V> {
    kind: SendErrorKind,
    /// `Some` unless the kind is `Delivery` or `UnderWay`.
    record: Option<ProducerRecord<K, V>>,
}

/// The reasons of a [`SendError`]. They display as the cause alone.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// Producer and brokers do not accept each other. The reason says which it is: after "authentication failed", `sasl.mechanism`,
    /// `sasl.jaas.config` or a token is wrong; after "TLS failed", a certificate of the broker's or of the producer's (`ssl.*`), or
    /// `security.protocol`; after "no access token", what the token endpoint is told (`sasl.oauthbearer.*`).
    ///
    /// So the topic is not to be found out, or memory that the record waits for does not become free. The error comes with the
    /// next attempt to connect, long before `max.block.ms` has passed. The producer goes on trying, so it accepts later records once
    /// the brokers have the user.
    #[error("record for topic {:?} cannot be accepted: {reason}", .topic.as_str())]
    AuthenticationFailed {
        /// The topic.
        topic: Topic,
        /// Which broker it was, and what it said.
        reason: String,
    },
    /// No name in `bootstrap.servers` had an address within `bootstrap.resolve.timeout.ms`. The producer goes on looking them up, so it
    /// accepts later records once one has.
    #[error("record for topic {:?} cannot be accepted: {reason}", .topic.as_str())]
    BootstrapUnresolved {
        /// The topic.
        topic: Topic,
        /// Which name was looked up last, and what came of it.
        reason: String,
    },
    /// The record would have to wait in a blocking call in async code, which would hold up its runtime. Only from
    /// [`send_blocking`](crate::KafkaProducer::send_blocking) and [`enqueue_blocking`](crate::KafkaProducer::enqueue_blocking).
    #[error("a blocking call in async code would hold up its runtime")]
    BlockingRefused,
    /// The call was dropped while the record waited to be accepted. Only interceptors see this error.
    #[error("the call was dropped before the record was accepted")]
    Cancelled,
    /// The producer is closed, or was closed while the record waited.
    #[error("the producer is closed")]
    Closed,
    /// The record was accepted and could not be delivered. Only from `send`.
    #[error(transparent)]
    Delivery(DeliveryError),
    /// There is no memory left for the record's partition at the moment. Only from `try_enqueue`.
    #[error(
        "buffer.memory of {limit} is full: {needed} bytes are needed, and {available} are free for the partition"
    )]
    Full {
        /// Bytes that the record needs.
        needed: usize,
        /// Bytes that are free for the partition.
        available: usize,
        /// `buffer.memory`.
        limit: usize,
    },
    /// The record itself cannot be sent.
    #[error("{0}")]
    InvalidRecord(String),
    /// No memory became free for the record within `max.block.ms`, or within the timeout of the call.
    #[error(
        "no {needed} bytes of buffer.memory ({limit}) became free within {within}: waited {}{}", Spent(*.memory_wait), Before(*.metadata_wait)
    )]
    MemoryTimeout {
        /// Bytes that the record needs.
        needed: usize,
        /// `buffer.memory`.
        limit: usize,
        /// Time spent waiting for the topic's metadata before.
        metadata_wait: Duration,
        /// Time spent waiting for memory.
        memory_wait: Duration,
        /// What limits the wait: `max.block.ms`, or `the timeout of the call`.
        within: &'static str,
    },
    /// The topic, or the partition that the record names, was not found within `max.block.ms`, or within the timeout of the call.
    #[error("{} not in metadata after {} ({within}){}", Wanted(.topic, *.partition, *.partition_count), Spent(*.waited), Cause(*.cause, .obstacle.as_deref(), .brokers))]
    MetadataTimeout {
        /// The topic.
        topic: Topic,
        /// The partition that the record names.
        partition: Option<i32>,
        /// The partitions that the topic is known to have.
        partition_count: Option<usize>,
        /// Time spent waiting.
        waited: Duration,
        /// What the brokers said of the topic last.
        cause: Option<ErrorCode>,
        /// Why the producer could not ask brokers lately, for a reason other than that there is no connection: for instance because
        /// their answers cannot be read.
        obstacle: Option<String>,
        /// How each broker has fared. The one that tells most comes first.
        brokers: Vec<BrokerReport>,
        /// What limits the wait: `max.block.ms`, or `the timeout of the call`.
        within: &'static str,
    },
    /// The custom partitioner failed.
    #[error("the partitioner failed for topic {:?}", .topic.as_str())]
    Partitioner {
        /// The topic.
        topic: Topic,
        /// What the partitioner said.
        source: SharedError,
    },
    /// The partitioner chose a partition that does not exist.
    #[error("partition {partition} was chosen for topic {:?}, which has {partition_count} partitions", .topic.as_str())]
    PartitionOutOfRange {
        /// The topic.
        topic: Topic,
        /// The number that was chosen.
        partition: i32,
        /// The partitions that exist.
        partition_count: usize,
    },
    /// The runtime that drove the producer was shut down.
    #[error("the runtime that drove the producer was shut down")]
    RuntimeShutdown,
    /// The producer's background task has panicked and ended. That is a bug of this crate, or of code that you gave to it.
    #[error("the producer's background task has panicked: {0}")]
    SenderPanicked(String),
    /// A serializer failed.
    #[error("the {part} of a record for topic {:?} cannot be serialized", .topic.as_str())]
    Serialization {
        /// The topic.
        topic: Topic,
        /// `key` or `value`.
        part: &'static str,
        /// What the serializer said.
        source: SharedError,
    },
    /// The record is larger than a limit.
    #[error("record of {size} bytes exceeds {setting} of {limit}")]
    TooLarge {
        /// The most bytes that a batch of this record alone can take.
        size: usize,
        /// The limit.
        limit: usize,
        /// The setting that limits it: `max.request.size` or `buffer.memory`.
        setting: &'static str,
    },
    /// The brokers refuse the topic for this client: not authorized, or not a valid name.
    #[error("topic {:?} cannot be used: {code}", .topic.as_str())]
    TopicRefused {
        /// The topic.
        topic: Topic,
        /// What the brokers said.
        code: ErrorCode,
    },
    /// The transaction of the record is over: it was committed or aborted. Only from the handles of a transaction.
    #[error("the transaction is over: it was committed or aborted")]
    TransactionOver,
    /// The partition is stopped: a record for it has failed, and [`fail_stop`] is on.
    ///
    /// [`fail_stop`]: crate::KafkaProducerBuilder::fail_stop
    #[error(
        "partition {partition} of topic {:?} is stopped by fail_stop", .topic.as_str()
    )]
    Stopped {
        /// The topic.
        topic: Topic,
        /// The partition that the record was to go to.
        partition: i32,
    },
    /// The producer does not know the topic yet, or the partition that the record names. Only from `try_enqueue`, which then
    /// asks for the topic's metadata.
    #[error("{} not in metadata yet", Wanted(.topic, *.partition, *.partition_count))]
    TopicUnknown {
        /// The topic.
        topic: Topic,
        /// The partition that the record names.
        partition: Option<i32>,
        /// The partitions that the topic is known to have.
        partition_count: Option<usize>,
    },
    /// The timeout of the call is over, and the record, which was accepted, could not be withdrawn: it is under way to a broker, or waits to
    /// be sent again. The producer goes on with it. Only from [`send_timeout`](crate::KafkaProducer::send_timeout).
    #[error("record for {topic_partition} not acknowledged after {} (the timeout of the call)", Spent(*.waited))]
    UnderWay {
        /// Where the record goes.
        topic_partition: TopicPartition,
        /// The timeout of the call.
        waited: Duration,
    },
}

impl SendErrorKind {
    /// Says in one line why a record was refused, what became of it, and what to do.
    pub(crate) fn refusal(&self) -> impl fmt::Display + '_ {
        let fate = if let Self::UnderWay { .. } = self { "under way, may be written" } else { "not sent" };
        Line { cause: self, fate: Some(fate), remedy: self.remedy() }
    }

    /// Returns what to do about it, in words, if there is more to say than the cause does.
    #[must_use]
    pub fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(Remedy::Borrowed(match self {
            Self::BlockingRefused => "await the async call, or make this one in `spawn_blocking`",
            Self::Closed => "build another producer",
            Self::Delivery(error) => return error.kind().remedy(),
            Self::Full { .. } => "wait for deliveries, or use `enqueue`, which waits; or raise buffer.memory",
            Self::MemoryTimeout { within, .. } if *within == OF_CALL => {
                "brokers take records more slowly than they come: send less, or raise buffer.memory or the timeout"
            }
            Self::MemoryTimeout { .. } => {
                "brokers take records more slowly than they come: send less, or raise buffer.memory or max.block.ms"
            }
            Self::MetadataTimeout { obstacle: Some(_), .. } => "check bootstrap.servers",
            Self::MetadataTimeout { brokers, .. } if has_no_answer(brokers) => "check bootstrap.servers",
            Self::MetadataTimeout { partition_count: Some(count), .. }
            | Self::TopicUnknown { partition_count: Some(count), .. }
            | Self::PartitionOutOfRange { partition_count: count, .. } => {
                let last = count.saturating_sub(1);
                return Some(format!("choose a partition of 0 to {last}, or add partitions").into());
            }
            Self::MetadataTimeout { cause: Some(code), .. } | Self::TopicRefused { code, .. } => {
                return remedy::of_last_word(*code);
            }
            Self::MetadataTimeout { within, .. } if *within == OF_CALL => {
                "brokers are slow to answer: raise the timeout"
            }
            Self::MetadataTimeout { .. } => "brokers are slow to answer: raise max.block.ms",
            Self::RuntimeShutdown => "build the producer in a runtime that lives as long as it does",
            Self::SenderPanicked(_) => "report it, and build another producer",
            Self::Stopped { .. } => "deal with the record that failed first, then call `resume`",
            Self::TooLarge { setting: "max.request.size", .. } => {
                "make the record smaller, or raise max.request.size, and max.message.bytes of the topic"
            }
            Self::TooLarge { .. } => "make the record smaller, or raise buffer.memory",
            Self::TopicUnknown { .. } => "call again soon, or use `enqueue`, which waits",
            Self::TransactionOver => "begin another",
            Self::UnderWay { .. } => "look for it before you send it again",
            Self::AuthenticationFailed { .. }
            | Self::BootstrapUnresolved { .. }
            | Self::Cancelled
            | Self::InvalidRecord(_)
            | Self::Partitioner { .. }
            | Self::Serialization { .. } => return None,
        }))
    }
}

impl<K, V> SendError<K, V> {
    pub(crate) fn refused(kind: SendErrorKind, record: ProducerRecord<K, V>) -> Self {
        Self(Box::new(SendFailure { kind, record: Some(record) }))
    }

    /// The record is neither refused nor settled.
    pub(crate) fn under_way(topic_partition: TopicPartition, waited: Duration) -> Self {
        let kind = SendErrorKind::UnderWay { topic_partition, waited };
        Self(Box::new(SendFailure { kind, record: None }))
    }

    /// Returns the reason.
    #[must_use]
    pub fn kind(&self) -> &SendErrorKind {
        &self.0.kind
    }

    /// Returns whether the record may stand in the log all the same.
    #[must_use]
    pub fn persisted(&self) -> Persisted {
        match &self.0.kind {
            SendErrorKind::Delivery(error) => error.persisted(),
            SendErrorKind::UnderWay { .. } => Persisted::Maybe,
            _ => Persisted::No,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match &self.0.kind {
            SendErrorKind::Closed | SendErrorKind::RuntimeShutdown | SendErrorKind::SenderPanicked(_) => {
                Disposition::NewProducer
            }
            SendErrorKind::AuthenticationFailed { .. } | SendErrorKind::BootstrapUnresolved { .. } => {
                Disposition::FixConfiguration
            }
            SendErrorKind::Cancelled => Disposition::RetryLater,
            SendErrorKind::Delivery(error) => error.disposition(),
            SendErrorKind::Stopped { .. } => Disposition::ResumePartition,
            SendErrorKind::UnderWay { .. } => Disposition::FindOutcome,
            SendErrorKind::BlockingRefused | SendErrorKind::TransactionOver => Disposition::Bug,
            SendErrorKind::TopicRefused { code, .. } => Disposition::of(*code),
            // What keeps the producer from brokers is newer than what they have said of the topic.
            SendErrorKind::MetadataTimeout { cause, obstacle: None, brokers, .. }
                if unreachable(brokers).is_none() =>
            {
                Disposition::of_last_answer(*cause)
            }
            SendErrorKind::Full { .. }
            | SendErrorKind::MemoryTimeout { .. }
            | SendErrorKind::MetadataTimeout { .. }
            | SendErrorKind::TopicUnknown { .. } => Disposition::RetryLater,
            SendErrorKind::InvalidRecord(_)
            | SendErrorKind::Partitioner { .. }
            | SendErrorKind::PartitionOutOfRange { .. }
            | SendErrorKind::Serialization { .. }
            | SendErrorKind::TooLarge { .. } => Disposition::FixRecord,
        }
    }

    /// Returns whether the same record may succeed if it is sent again later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.disposition() == Disposition::RetryLater
    }

    /// Returns the partition that the record was given to, or that it names. `None` if it was refused before its partition was chosen.
    #[must_use]
    pub fn topic_partition(&self) -> Option<TopicPartition> {
        let partition = match &self.0.kind {
            SendErrorKind::Delivery(error) => return Some(error.topic_partition().clone()),
            SendErrorKind::UnderWay { topic_partition, .. } => return Some(topic_partition.clone()),
            SendErrorKind::Stopped { partition, .. } => Some(*partition),
            _ => None,
        };
        let record = self.0.record.as_ref()?;
        Some(TopicPartition::new(record.topic.clone(), partition.or(record.partition)?))
    }

    /// Returns the error of a record that had been accepted.
    #[must_use]
    pub fn delivery_error(&self) -> Option<&DeliveryError> {
        match &self.0.kind {
            SendErrorKind::Delivery(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the record if it was refused, that is, never accepted.
    ///
    /// Returns `None` for [`SendErrorKind::Delivery`]: that record is serialized already, and [`DeliveryError::record`]
    /// returns it; and for [`SendErrorKind::UnderWay`], because the producer still has it.
    #[must_use]
    pub fn into_record(self) -> Option<ProducerRecord<K, V>> {
        self.0.record
    }
}

impl SendError<Bytes, Bytes> {
    /// Returns the record, whether it was refused or failed later. `None` for [`SendErrorKind::UnderWay`], because the producer still
    /// has it.
    #[must_use]
    pub fn record(&self) -> Option<ProducerRecord> {
        match &self.0.kind {
            SendErrorKind::Delivery(error) => error.record(),
            _ => self.0.record.clone(),
        }
    }
}

impl<K, V> From<DeliveryError> for SendError<K, V> {
    fn from(error: DeliveryError) -> Self {
        Self(Box::new(SendFailure { kind: SendErrorKind::Delivery(error), record: None }))
    }
}

impl<K, V> fmt::Display for SendError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            SendErrorKind::Delivery(error) => error.fmt(f),
            kind => kind.refusal().fmt(f),
        }
    }
}

impl<K, V> fmt::Debug for SendError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendError").field(&self.0.kind).finish()
    }
}

impl<K, V> StdError for SendError<K, V> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.kind {
            SendErrorKind::MetadataTimeout { brokers, .. } => unreachable(brokers).and_then(leading_failure),
            kind => kind.source(),
        }
    }
}

/// What limits a wait that `max.block.ms` does not.
pub(crate) const OF_CALL: &str = "the timeout of the call";

/// Whether no broker can be asked, or none has answered so far.
fn has_no_answer(brokers: &[BrokerReport]) -> bool {
    unreachable(brokers).is_some() || brokers.iter().all(|broker| broker.node.is_none())
}

/// The wait that came before, if there was one.
struct Before(Duration);

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() { Ok(()) } else { write!(f, " after {} for metadata", Spent(self.0)) }
    }
}

struct Wanted<'a>(&'a Topic, Option<i32>, Option<usize>);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.1, self.2) {
            (Some(partition), Some(count)) => {
                write!(f, "partition {partition} of topic {:?} with {count} partitions", self.0.as_str())
            }
            _ => write!(f, "topic {:?}", self.0.as_str()),
        }
    }
}

struct Cause<'a>(Option<ErrorCode>, Option<&'a str>, &'a [BrokerReport]);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(code, obstacle, brokers) = self;
        // It is newer than the code, which an answer has brought.
        if let Some(obstacle) = obstacle {
            return write!(f, ": {obstacle}");
        }
        if let Some(brokers) = unreachable(brokers) {
            return write!(f, ": no broker can be reached ({})", Brokers(brokers));
        }
        match code {
            Some(code) => write!(f, ": {code}"),
            None if !has_no_answer(brokers) => Ok(()),
            None => f.write_str(": no broker of bootstrap.servers has answered"),
        }
    }
}
