//! What a request was made for, and how a produce request and its answer are matched.

use std::collections::HashMap;

use bytes::Bytes;

use crate::accumulator::ProducerBatch;
use crate::metadata::Node;
use crate::network::FailureReason;
use crate::planted::planted;
use crate::protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use crate::protocol::messages::add_partitions_to_txn::AddPartitionsToTxnRequest;
use crate::protocol::messages::end_txn::EndTxnRequest;
use crate::protocol::messages::find_coordinator::FindCoordinatorRequest;
#[cfg(feature = "telemetry")]
use crate::protocol::messages::get_telemetry_subscriptions::GetTelemetrySubscriptionsRequest;
use crate::protocol::messages::init_producer_id::InitProducerIdRequest;
use crate::protocol::messages::metadata::MetadataRequest;
use crate::protocol::messages::produce::{
    NodeEndpoint, PartitionProduceResponse, ProduceAnswer, ProduceAsked, ProduceRequestHead, Told,
};
#[cfg(feature = "telemetry")]
use crate::protocol::messages::push_telemetry::PushTelemetryRequest;
use crate::protocol::messages::txn_offset_commit::TxnOffsetCommitRequest;
use crate::protocol::{ApiKey, ErrorCode};
use crate::sender::numbering;
use crate::sender::partition::LogCount;
use crate::sender::spans::RequestSpans;
#[cfg(feature = "telemetry")]
use crate::sender::telemetry;
use crate::sender::topology;
use crate::sender::transactions;
use crate::topic_partition::{Topic, TopicPartition};
use crate::wire::{DecodeError, EncodeError, Reader, Uuid, Writer};

/// Travels with a request through the network room and comes back with its outcome. It says who gets the outcome, and holds what
/// that machine needs to know then.
#[derive(Debug)]
pub(crate) enum Purpose {
    Numbering(numbering::NumberingQuestion),
    Settlement(ProduceSent),
    #[cfg(feature = "telemetry")]
    Telemetry(telemetry::TelemetryQuestion),
    Topology(topology::MetadataQuestion),
    Transactions(transactions::TransactionQuestion),
}

/// What has become of a request.
#[derive(Debug)]
pub(crate) enum RequestOutcome {
    Answered {
        version: i16,
        body: Bytes,
    },
    /// There will be no answer. If the request was not `on_wire`, the broker has certainly seen nothing of it.
    Failed {
        reason: FailureReason,
        on_wire: bool,
    },
    /// The request expects no answer, and the operating system has taken it.
    Written,
}

/// A request that a machine wants sent. Requests with batches are not among these: `core/sending.rs` puts them together.
#[derive(Debug)]
pub(crate) enum Body {
    AddOffsetsToTxn(AddOffsetsToTxnRequest),
    AddPartitionsToTxn(AddPartitionsToTxnRequest),
    EndTxn {
        request: EndTxnRequest,
        max_version: i16,
    },
    FindCoordinator(FindCoordinatorRequest),
    #[cfg(feature = "telemetry")]
    GetTelemetrySubscriptions(GetTelemetrySubscriptionsRequest),
    InitProducerId(InitProducerIdRequest),
    Metadata(MetadataRequest),
    #[cfg(feature = "telemetry")]
    PushTelemetry(PushTelemetryRequest),
    TxnOffsetCommit {
        request: TxnOffsetCommitRequest,
        max_version: i16,
    },
}

impl Body {
    pub(crate) fn api_key(&self) -> ApiKey {
        match self {
            Self::AddOffsetsToTxn(_) => ApiKey::AddOffsetsToTxn,
            Self::AddPartitionsToTxn(_) => ApiKey::AddPartitionsToTxn,
            Self::EndTxn { .. } => ApiKey::EndTxn,
            Self::FindCoordinator(_) => ApiKey::FindCoordinator,
            #[cfg(feature = "telemetry")]
            Self::GetTelemetrySubscriptions(_) => ApiKey::GetTelemetrySubscriptions,
            Self::InitProducerId(_) => ApiKey::InitProducerId,
            Self::Metadata(_) => ApiKey::Metadata,
            #[cfg(feature = "telemetry")]
            Self::PushTelemetry(_) => ApiKey::PushTelemetry,
            Self::TxnOffsetCommit { .. } => ApiKey::TxnOffsetCommit,
        }
    }

    /// Returns the last version in which the request means what it is to mean.
    pub(crate) fn max_version(&self) -> i16 {
        match self {
            Self::EndTxn { max_version, .. } | Self::TxnOffsetCommit { max_version, .. } => *max_version,
            _ => i16::MAX,
        }
    }

    pub(crate) fn encode(&self, version: i16, out: &mut Writer) -> Result<(), EncodeError> {
        match self {
            Self::AddOffsetsToTxn(request) => request.encode(out, version),
            Self::AddPartitionsToTxn(request) => request.encode(out, version),
            Self::EndTxn { request, .. } => request.encode(out, version),
            Self::FindCoordinator(request) => request.encode(out, version),
            #[cfg(feature = "telemetry")]
            Self::GetTelemetrySubscriptions(request) => request.encode(out, version),
            Self::InitProducerId(request) => request.encode(out, version),
            Self::Metadata(request) => request.encode(out, version),
            #[cfg(feature = "telemetry")]
            Self::PushTelemetry(request) => request.encode(out, version),
            Self::TxnOffsetCommit { request, .. } => request.encode(out, version),
        }
    }
}

/// The batches of a produce request.
#[derive(Debug, Default)]
pub(crate) struct ProduceSent {
    /// Grouped by topic.
    batches: Vec<SentBatch>,
    /// `None` unless a subscriber wants them.
    spans: Option<Box<RequestSpans>>,
}

/// The answer to a produce request, by batch.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) throttle_time_ms: i32,
    /// Endpoints of leaders that the answers name.
    pub(crate) endpoints: Vec<NodeEndpoint>,
    /// In the order of the answer.
    pub(crate) answers: Vec<(SentBatch, PartitionProduceResponse)>,
    /// The batches that it leaves out.
    pub(crate) left_out: ProduceSent,
    /// Whether it tells of batches that were not sent, or of one twice.
    pub(crate) has_strangers: bool,
}

/// One batch in a request. The batch itself waits at its partition.
#[derive(Debug, Clone)]
pub(crate) struct SentBatch {
    pub(crate) queue_id: usize,
    pub(crate) batch_id: u64,
    pub(crate) topic_partition: TopicPartition,
    /// The topic's id when the request was made, by which version 13 and later name it.
    pub(crate) topic_id: Uuid,
    pub(crate) records: u32,
    /// Which log of the partition it was made for.
    pub(crate) log: LogCount,
    is_answered: bool,
}

/// A produce request that is being put together.
#[derive(Debug, Default)]
pub(crate) struct ProduceDraft {
    parts: Vec<(SentBatch, Bytes)>,
    bytes: usize,
}

impl ProduceDraft {
    /// Returns whether a batch of `len` bytes may join under `max.request.size`. A batch alone always may.
    pub(crate) fn has_room(&self, len: usize, max_request_size: usize) -> bool {
        self.parts.is_empty() || self.bytes + len <= max_request_size
    }

    pub(crate) fn push(&mut self, sent: SentBatch, bytes: Bytes) {
        self.bytes += bytes.len();
        self.parts.push((sent, bytes));
    }

    /// Makes it one of no batches, which keeps memory for some.
    pub(crate) fn clear(&mut self) {
        self.parts.clear();
        self.parts.shrink_to(MOST_KEPT);
        self.bytes = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Brings the batches of each topic together, in order of topic.
    pub(crate) fn group(&mut self) {
        let is_one_topic = self.parts.windows(2).all(
            |pair| matches!(pair, [(a, _), (b, _)] if a.topic_partition.topic == b.topic_partition.topic),
        );
        if !is_one_topic {
            self.parts.sort_by(|(a, _), (b, _)| a.topic_partition.topic.cmp(&b.topic_partition.topic));
        }
    }

    /// Appends the body of the request. Batches are referenced, not copied.
    pub(crate) fn encode(
        &self,
        head: ProduceRequestHead<'_>,
        version: i16,
        out: &mut Writer,
    ) -> Result<(), EncodeError> {
        let same_topic = |a: &(SentBatch, Bytes), b: &(SentBatch, Bytes)| {
            a.0.topic_partition.topic == b.0.topic_partition.topic
        };
        let topics = || self.parts.chunk_by(same_topic);
        let mut body = head.begin(out, version, topics().count())?;
        for topic in topics() {
            let Some((first, _)) = topic.first() else { continue };
            body.topic(&first.topic_partition.topic, first.topic_id, topic.len())?;
            for (sent, bytes) in topic {
                body.partition(sent.topic_partition.partition, bytes.clone())?;
            }
        }
        body.finish()
    }

    /// Returns what must be known when the answer comes.
    pub(crate) fn sent(&self) -> ProduceSent {
        ProduceSent { batches: self.parts.iter().map(|(sent, _)| sent.clone()).collect(), spans: None }
    }
}

impl ProduceSent {
    /// Begins spans, which end with this.
    #[cold]
    pub(crate) fn begin_spans(&mut self, client_id: &str, broker: Option<&Node>) {
        self.spans = RequestSpans::begin(client_id, broker, &self.batches);
    }

    /// Returns the spans if there are any.
    pub(crate) fn spans(&self) -> Option<&RequestSpans> {
        self.spans.as_deref()
    }

    /// Returns the batches, grouped by topic.
    pub(crate) fn batches(&self) -> &[SentBatch] {
        &self.batches
    }

    /// Reads the answer. If that cannot be read, gives back what there is no answer for.
    pub(crate) fn read(mut self, version: i16, body: &[u8]) -> Result<Answered, (Self, DecodeError)> {
        let asked = self.asked();
        let mut matching = Matching::new(&mut self.batches);
        let see = |told| matching.see(told);
        let read = ProduceAnswer::read(&mut Reader::new(body), version, asked, see);
        let Matching { answers, told, failed, .. } = matching;
        let answer = match read {
            Ok(answer) => answer,
            Err(error) => {
                self.batches.iter_mut().for_each(|sent| sent.is_answered = false);
                if let Some(spans) = &self.spans {
                    spans.all_failed(UNREADABLE);
                }
                return Err((self, error));
            }
        };
        if let Some(spans) = &self.spans {
            failed.into_iter().for_each(|(index, code)| spans.failed(index, ErrorCode::from(code).name()));
            let left_out = self.batches.iter().enumerate().filter(|(_, sent)| !sent.is_answered);
            left_out.for_each(|(index, _)| spans.failed(index, UNREADABLE));
        }
        let has_strangers = told > self.batches.len();
        self.batches.retain(|sent| !sent.is_answered);
        let ProduceAnswer { throttle_time_ms, node_endpoints: endpoints } = answer;
        Ok(Answered { throttle_time_ms, endpoints, answers, left_out: self, has_strangers })
    }

    /// Returns what there may be answers about.
    fn asked(&self) -> ProduceAsked {
        let records = self.batches.iter().fold(0, |sum: u64, sent| sum + u64::from(sent.records));
        ProduceAsked { batches: self.batches.len(), records: usize::try_from(records).unwrap_or(usize::MAX) }
    }
}

/// Finds for each partition of an answer the batch that it answers, in the order of the answer.
///
/// Answers to what was not asked, and second answers, are left out. What stays unanswered keeps
/// `is_answered == false`.
struct Matching<'a, 'b> {
    batches: &'a mut [SentBatch],
    answers: Vec<(SentBatch, PartitionProduceResponse)>,
    /// How many partitions the answer has told of.
    told: usize,
    /// Error codes, each with the index of its batch.
    failed: Vec<(usize, i16)>,
    topic: (&'b str, Uuid),
    /// The batch behind the one that was answered last.
    expected: usize,
    places: Option<Places>,
}

impl<'a, 'b> Matching<'a, 'b> {
    fn new(batches: &'a mut [SentBatch]) -> Self {
        Self {
            answers: Vec::with_capacity(batches.len()),
            batches,
            told: 0,
            failed: Vec::new(),
            topic: ("", Uuid::ZERO),
            expected: 0,
            places: None,
        }
    }

    fn see(&mut self, told: Told<'b>) {
        match told {
            Told::Topic { name, id } => self.topic = (name, id),
            Told::Partition(answer) => {
                self.told += 1;
                if let Some(at) = self.find(answer.index)
                    && let Some(sent) = self.batches.get_mut(at)
                {
                    sent.is_answered = true;
                    if answer.error_code != 0 {
                        self.failed.push((at, answer.error_code));
                    }
                    self.expected = at + 1;
                    self.answers.push((sent.clone(), answer));
                }
            }
        }
    }

    /// Returns where the batch of a partition stands.
    fn find(&mut self, partition: i32) -> Option<usize> {
        let (name, id) = self.topic;
        let is_it = |sent: &SentBatch| {
            if planted!(MismatchedAnswer) {
                return !sent.is_answered;
            }
            !sent.is_answered && sent.topic_partition.partition == partition && sent.is_of(name, id)
        };
        // Brokers answer in the order of the request; looking there first keeps this linear.
        match self.batches.get(self.expected) {
            Some(sent) if is_it(sent) => Some(self.expected),
            _ if planted!(MismatchedAnswer) => self.batches.iter().position(is_it),
            _ => self
                .places
                .get_or_insert_with(|| Places::new(self.batches))
                .find(name, id, partition)
                .filter(|at| self.batches.get(*at).is_some_and(is_it)),
        }
    }
}

/// Batches that a draft keeps memory for.
const MOST_KEPT: usize = 256;

/// What spans call an answer that cannot be read, or lacks a batch.
const UNREADABLE: &str = "unreadable_answer";

/// Where each batch of a request stands, to find those of answers in another order.
struct Places {
    by_name: HashMap<(Topic, i32), usize>,
    by_id: HashMap<(Uuid, i32), usize>,
}

impl Places {
    fn new(batches: &[SentBatch]) -> Self {
        let places = || batches.iter().enumerate();
        let name = |sent: &SentBatch| (sent.topic().clone(), sent.topic_partition.partition);
        let id = |sent: &SentBatch| (sent.topic_id, sent.topic_partition.partition);
        Self {
            by_name: places().map(|(at, sent)| (name(sent), at)).collect(),
            by_id: places().map(|(at, sent)| (id(sent), at)).collect(),
        }
    }

    fn find(&self, name: &str, id: Uuid, partition: i32) -> Option<usize> {
        if name.is_empty() {
            return self.by_id.get(&(id, partition)).copied();
        }
        self.by_name.get(&(Topic::from(name.to_owned()), partition)).copied()
    }
}

impl SentBatch {
    /// A connection takes a batch of a queue, for this topic and log of its partition.
    pub(crate) fn new(queue_id: usize, batch: &ProducerBatch, topic_id: Uuid, log: LogCount) -> Self {
        Self {
            queue_id,
            batch_id: batch.id(),
            topic_partition: batch.topic_partition().clone(),
            topic_id,
            records: batch.record_count(),
            log,
            is_answered: false,
        }
    }

    fn is_of(&self, name: &str, id: Uuid) -> bool {
        if name.is_empty() { self.topic_id == id } else { self.topic_partition.topic.as_str() == name }
    }

    pub(crate) fn topic(&self) -> &Topic {
        &self.topic_partition.topic
    }
}

#[cfg(test)]
mod tests;
