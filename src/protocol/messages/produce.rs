//! Produce: record batches to partition leaders.

use bytes::Bytes;

use super::{begin_request, begin_response};
use crate::protocol::ApiKey;
#[cfg(test)]
use crate::topic_partition::Topic;
use crate::wire::{DecodeError, EncodeError, Reader, Uuid, Writer};

/// One record batch for each of some partitions led by one broker.
#[cfg(test)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProduceRequest {
    pub(crate) transactional_id: Option<String>,
    /// 0, 1 or -1 (all).
    pub(crate) acks: i16,
    pub(crate) timeout_ms: i32,
    pub(crate) topics: Vec<TopicProduceData>,
}

#[cfg(test)]
impl ProduceRequest {
    /// Appends the request; the record batches are referenced, not copied.
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let head = ProduceRequestHead {
            transactional_id: self.transactional_id.as_deref(),
            acks: self.acks,
            timeout_ms: self.timeout_ms,
        };
        let mut body = head.begin(out, version, self.topics.len())?;
        for topic in &self.topics {
            body.topic(&topic.name, topic.topic_id, topic.partitions.len())?;
            for partition in &topic.partitions {
                body.partition(partition.index, partition.records.clone())?;
            }
        }
        body.finish()
    }
}

#[cfg(test)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicProduceData {
    /// On the wire up to version 12.
    pub(crate) name: Topic,
    /// On the wire from version 13 on.
    pub(crate) topic_id: Uuid,
    pub(crate) partitions: Vec<PartitionProduceData>,
}

#[cfg(test)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionProduceData {
    pub(crate) index: i32,
    /// A whole record batch; it goes onto the wire without being copied.
    pub(crate) records: Bytes,
}

/// The fields of a produce request in front of its topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProduceRequestHead<'a> {
    pub(crate) transactional_id: Option<&'a str>,
    /// 0, 1 or -1 (all).
    pub(crate) acks: i16,
    pub(crate) timeout_ms: i32,
}

impl ProduceRequestHead<'_> {
    /// Appends these fields and announces `topics` topics.
    pub(crate) fn begin(
        self,
        out: &mut Writer,
        version: i16,
        topics: usize,
    ) -> Result<ProduceRequestWriter<'_>, EncodeError> {
        begin_request(out, ApiKey::Produce, version)?;
        out.nullable_string(self.transactional_id)?;
        out.i16(self.acks);
        out.i32(self.timeout_ms);
        out.count(topics)?;
        Ok(ProduceRequestWriter { out, version, topics_left: topics, partitions_left: 0 })
    }
}

/// Appends the topics and partitions of a produce request straight from where they are, without a
/// [`ProduceRequest`] in between.
#[derive(Debug)]
pub(crate) struct ProduceRequestWriter<'a> {
    out: &'a mut Writer,
    version: i16,
    topics_left: usize,
    /// Of the topic that was appended last.
    partitions_left: usize,
}

impl ProduceRequestWriter<'_> {
    /// Appends a topic and announces `partitions` partitions of it.
    pub(crate) fn topic(&mut self, name: &str, topic_id: Uuid, partitions: usize) -> Result<(), EncodeError> {
        if self.partitions_left > 0 {
            return Err(EncodeError::WrongCount("partitions"));
        }
        self.topics_left = self.topics_left.checked_sub(1).ok_or(EncodeError::WrongCount("topics"))?;
        if self.version >= 13 {
            self.out.uuid(topic_id);
        } else {
            self.out.string(name)?;
        }
        self.out.count(partitions)?;
        self.partitions_left = partitions;
        if partitions == 0 {
            self.out.no_tags();
        }
        Ok(())
    }

    /// Appends a partition of the topic that was appended last; the record batch is referenced, not copied.
    pub(crate) fn partition(&mut self, index: i32, records: Bytes) -> Result<(), EncodeError> {
        self.partitions_left =
            self.partitions_left.checked_sub(1).ok_or(EncodeError::WrongCount("partitions"))?;
        self.out.i32(index);
        self.out.shared_bytes(records)?;
        self.out.no_tags();
        if self.partitions_left == 0 {
            // The topic's own.
            self.out.no_tags();
        }
        Ok(())
    }

    /// Ends the request.
    ///
    /// # Errors
    ///
    /// Fewer topics or partitions than were announced.
    pub(crate) fn finish(self) -> Result<(), EncodeError> {
        if self.partitions_left > 0 {
            return Err(EncodeError::WrongCount("partitions"));
        }
        if self.topics_left > 0 {
            return Err(EncodeError::WrongCount("topics"));
        }
        self.out.no_tags();
        Ok(())
    }
}

/// A piece of an answer. The answer as a whole is not kept anywhere: it is read for each request.
#[derive(Debug)]
pub(crate) enum Told<'a> {
    /// What became of a batch, of the topic before.
    Partition(PartitionProduceResponse),
    /// The partitions behind are of this topic.
    Topic {
        /// Empty from version 13 on.
        name: &'a str,
        /// Zero before version 13.
        id: Uuid,
    },
}

/// What an answer says beside what became of each batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ProduceAnswer {
    pub(crate) throttle_time_ms: i32,
    /// Endpoints of the new leaders that partitions name (KIP-951).
    pub(crate) node_endpoints: Vec<NodeEndpoint>,
}

impl ProduceAnswer {
    /// Reads the answer to a request for `asked`, and shows `see` each piece of it in their order. An answer about far more than
    /// that is an error. After an error, what was seen counts for nothing.
    pub(crate) fn read<'a>(
        reader: &mut Reader<'a>,
        version: i16,
        asked: ProduceAsked,
        mut see: impl FnMut(Told<'a>),
    ) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::Produce, version)?;
        let ProduceAsked { mut batches, mut records } = asked.limits();
        for _ in 0..reader.limited_count(MIN_TOPIC, &mut asked.limits().batches)? {
            see(if version >= 13 {
                Told::Topic { name: "", id: reader.uuid()? }
            } else {
                Told::Topic { name: reader.string()?, id: Uuid::ZERO }
            });
            for _ in 0..reader.limited_count(MIN_PARTITION, &mut batches)? {
                see(Told::Partition(PartitionProduceResponse::decode(reader, version, &mut records)?));
            }
            reader.skip_tags()?;
        }
        let throttle_time_ms = reader.i32()?;
        let mut node_endpoints = Vec::new();
        reader.tags(|tag, field| {
            let is_known = tag == 0 && version >= 10;
            if is_known {
                let mut limit = asked.limits().batches;
                node_endpoints = field.limited_array(MIN_NODE_ENDPOINT, &mut limit, NodeEndpoint::decode)?;
            }
            Ok(is_known)
        })?;
        Ok(Self { throttle_time_ms, node_endpoints })
    }
}

/// A whole answer.
#[cfg(any(test, feature = "__internals"))]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ProduceResponse {
    pub(crate) topics: Vec<TopicProduceResponse>,
    pub(crate) throttle_time_ms: i32,
    pub(crate) node_endpoints: Vec<NodeEndpoint>,
}

#[cfg(any(test, feature = "__internals"))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicProduceResponse {
    pub(crate) name: String,
    pub(crate) topic_id: Uuid,
    pub(crate) partitions: Vec<PartitionProduceResponse>,
}

#[cfg(any(test, feature = "__internals"))]
impl ProduceResponse {
    /// Reads an answer that may be about anything.
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        Self::decode_asked(reader, version, ProduceAsked { batches: usize::MAX, records: usize::MAX })
    }

    pub(crate) fn decode_asked(
        reader: &mut Reader<'_>,
        version: i16,
        asked: ProduceAsked,
    ) -> Result<Self, DecodeError> {
        let mut topics: Vec<TopicProduceResponse> = Vec::new();
        let answer = ProduceAnswer::read(reader, version, asked, |told| match told {
            Told::Topic { name, id } => {
                topics.push(TopicProduceResponse {
                    name: name.to_owned(),
                    topic_id: id,
                    partitions: Vec::new(),
                });
            }
            Told::Partition(partition) => {
                if let Some(topic) = topics.last_mut() {
                    topic.partitions.push(partition);
                }
            }
        })?;
        let ProduceAnswer { throttle_time_ms, node_endpoints } = answer;
        Ok(Self { topics, throttle_time_ms, node_endpoints })
    }
}

/// What a produce request held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProduceAsked {
    pub(crate) batches: usize,
    pub(crate) records: usize,
}

impl ProduceAsked {
    /// The most that is read of an answer. It may contain a few batches that were not asked for.
    fn limits(self) -> Self {
        Self { batches: self.batches.saturating_add(SPARE), records: self.records.saturating_add(SPARE) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionProduceResponse {
    pub(crate) index: i32,
    pub(crate) error_code: i16,
    pub(crate) base_offset: i64,
    /// -1 unless the topic uses LogAppendTime.
    pub(crate) log_append_time_ms: i64,
    /// -1 before version 5 and when unknown.
    pub(crate) log_start_offset: i64,
    pub(crate) record_errors: Vec<RecordError>,
    pub(crate) error_message: Option<String>,
    /// The leader that the broker believes in, -1 when it says nothing (KIP-951).
    pub(crate) current_leader_id: i32,
    pub(crate) current_leader_epoch: i32,
}

impl PartitionProduceResponse {
    fn decode(reader: &mut Reader<'_>, version: i16, records: &mut usize) -> Result<Self, DecodeError> {
        let mut partition = Self {
            index: reader.i32()?,
            error_code: reader.i16()?,
            base_offset: reader.i64()?,
            log_append_time_ms: reader.i64()?,
            log_start_offset: if version >= 5 { reader.i64()? } else { -1 },
            record_errors: Vec::new(),
            error_message: None,
            current_leader_id: -1,
            current_leader_epoch: -1,
        };
        if version >= 8 {
            partition.record_errors = reader.limited_array(MIN_RECORD_ERROR, records, RecordError::decode)?;
            partition.error_message = reader.nullable_text()?;
        }
        reader.tags(|tag, field| {
            let is_known = tag == 0 && version >= 10;
            if is_known {
                partition.current_leader_id = field.i32()?;
                partition.current_leader_epoch = field.i32()?;
                field.skip_tags()?;
            }
            Ok(is_known)
        })?;
        Ok(partition)
    }
}

/// Why one record made the broker refuse its batch (KIP-467).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordError {
    pub(crate) batch_index: i32,
    pub(crate) message: Option<String>,
}

impl RecordError {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let batch_index = reader.i32()?;
        let message = reader.nullable_text()?;
        reader.skip_tags()?;
        Ok(Self { batch_index, message })
    }
}

/// Where a broker is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeEndpoint {
    pub(crate) node_id: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) rack: Option<String>,
}

impl NodeEndpoint {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let node_id = reader.i32()?;
        let host = reader.string()?.to_owned();
        let port = reader.i32()?;
        let rack = reader.nullable_string()?.map(str::to_owned);
        reader.skip_tags()?;
        Ok(Self { node_id, host, port, rack })
    }
}

/// How many more batches and records than asked for an answer may contain. Brokers answer only for what they were asked.
const SPARE: usize = 64;

// What an element takes at the least, in the version in which it is smallest.
const MIN_TOPIC: usize = 3;
const MIN_PARTITION: usize = 22;
const MIN_RECORD_ERROR: usize = 6;
const MIN_NODE_ENDPOINT: usize = 11;
