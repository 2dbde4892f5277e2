//! TxnOffsetCommit: the request in all versions, of which `kafka-protocol` does not know the newest.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::TxnOffsetCommitRequest;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::protocol::Decodable;

use crate::compact;
use crate::groups::CommittedOffset;
use crate::topic::{TopicId, TopicRef};
use crate::transactions::Identity;

/// Offsets of a group that a producer commits in its transaction.
#[derive(Debug)]
pub(crate) struct OffsetCommit {
    pub(crate) transactional_id: String,
    pub(crate) group: String,
    pub(crate) producer: Identity,
    /// -1 if the producer says nothing of it.
    pub(crate) generation: i32,
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) topics: Vec<(TopicRef, Vec<(i32, CommittedOffset)>)>,
}

impl OffsetCommit {
    pub(crate) fn decode(version: i16, bytes: &mut Bytes) -> Result<Self, String> {
        if version >= FIRST_WITH_IDS {
            return Self::decode_with_ids(bytes)
                .ok_or_else(|| format!("body of version {version} is cut off"));
        }
        let request = TxnOffsetCommitRequest::decode(bytes, version)
            .map_err(|error| format!("body of version {version}: {error}"))?;
        let producer = Identity { producer_id: request.producer_id.0, epoch: request.producer_epoch };
        Ok(Self {
            transactional_id: request.transactional_id.as_str().to_owned(),
            group: request.group_id.as_str().to_owned(),
            producer,
            generation: request.generation_id,
            member_id: request.member_id.as_str().to_owned(),
            instance_id: request.group_instance_id.map(|id| id.as_str().to_owned()),
            topics: request.topics.iter().map(topic).collect(),
        })
    }

    /// KIP-1319.
    fn decode_with_ids(bytes: &mut Bytes) -> Option<Self> {
        let transactional_id = compact::string(bytes)??;
        let group = compact::string(bytes)??;
        let producer_id = bytes.try_get_i64().ok()?;
        let epoch = bytes.try_get_i16().ok()?;
        let generation = bytes.try_get_i32().ok()?;
        let member_id = compact::string(bytes)??;
        let instance_id = compact::string(bytes)?;
        let topics = compact::array(bytes, |bytes| {
            let id = TopicId::from_u128(bytes.try_get_u128().ok()?);
            let partitions = compact::array(bytes, |bytes| {
                let index = bytes.try_get_i32().ok()?;
                let offset = bytes.try_get_i64().ok()?;
                let leader_epoch = bytes.try_get_i32().ok()?;
                let metadata = compact::string(bytes)?;
                compact::skip_tags(bytes)?;
                Some((index, CommittedOffset { offset, leader_epoch, metadata }))
            })?;
            compact::skip_tags(bytes)?;
            Some((TopicRef::Id(id), partitions))
        })?;
        compact::skip_tags(bytes)?;
        let producer = Identity { producer_id, epoch };
        Some(Self { transactional_id, group, producer, generation, member_id, instance_id, topics })
    }
}

fn topic(topic: &TxnOffsetCommitRequestTopic) -> (TopicRef, Vec<(i32, CommittedOffset)>) {
    let partition = |partition: &TxnOffsetCommitRequestPartition| {
        let committed = CommittedOffset {
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_ref().map(|metadata| metadata.as_str().to_owned()),
        };
        (partition.partition_index, committed)
    };
    (TopicRef::Name(topic.name.as_str().to_owned()), topic.partitions.iter().map(partition).collect())
}

/// Writes an answer with topic ids: error codes by partition. Answers have fewer than 2^28 elements, as requests do.
pub(crate) fn encode_answer_with_ids(throttle_time_ms: i32, topics: &[(TopicId, Vec<(i32, i16)>)]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_i32(throttle_time_ms);
    put_count(&mut body, topics.len());
    for (id, partitions) in topics {
        body.put_u128(id.to_u128());
        put_count(&mut body, partitions.len());
        for (index, code) in partitions {
            body.put_i32(*index);
            body.put_i16(*code);
            body.put_u8(0); // no tags
        }
        body.put_u8(0);
    }
    body.put_u8(0);
    body.freeze()
}

fn put_count(body: &mut BytesMut, count: usize) {
    let mut rest = count.saturating_add(1);
    while rest >= 0x80 {
        body.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    body.put_u8(rest as u8);
}

/// From here on topics are named by their ids.
pub(crate) const FIRST_WITH_IDS: i16 = 6;
