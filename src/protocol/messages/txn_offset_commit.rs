//! TxnOffsetCommit: offsets of a group that count once the transaction is committed (KIP-98, KIP-447, KIP-1319).

use super::{begin_request, begin_response};
use crate::protocol::ApiKey;
use crate::topic_partition::Topic;
use crate::wire::{DecodeError, EncodeError, Reader, Uuid, Writer};

/// Hands offsets to the coordinator of a group. From version 5 on that also makes them part of the transaction (KIP-890).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TxnOffsetCommitRequest {
    pub(crate) transactional_id: String,
    pub(crate) group_id: String,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    /// Anything but [`GroupMember::NONE`] needs version 3.
    pub(crate) member: GroupMember,
    /// Each topic once.
    pub(crate) topics: Vec<CommittedTopic>,
}

/// As whom the consumer that has read the records takes part in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupMember {
    /// The generation of the group, or the epoch of the member with the newer protocol (KIP-848); -1 if there is none.
    pub(crate) generation_id_or_member_epoch: i32,
    pub(crate) member_id: String,
    pub(crate) group_instance_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedTopic {
    pub(crate) name: Topic,
    /// In place of the name from version 6 on.
    pub(crate) topic_id: Uuid,
    pub(crate) partitions: Vec<CommittedPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedPartition {
    pub(crate) index: i32,
    pub(crate) offset: i64,
    /// -1 if it is not known. Left out before version 2.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<String>,
}

impl GroupMember {
    /// No member: the offsets are not checked against the group.
    pub(crate) const NONE: Self =
        Self { generation_id_or_member_epoch: -1, member_id: String::new(), group_instance_id: None };
}

impl TxnOffsetCommitRequest {
    /// # Errors
    ///
    /// What the version cannot say: a member of the group before version 3, a topic without an id from version 6 on.
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        begin_request(out, ApiKey::TxnOffsetCommit, version)?;
        out.string(&self.transactional_id)?;
        out.string(&self.group_id)?;
        out.i64(self.producer_id);
        out.i16(self.producer_epoch);
        if version >= 3 {
            out.i32(self.member.generation_id_or_member_epoch);
            out.string(&self.member.member_id)?;
            out.nullable_string(self.member.group_instance_id.as_deref())?;
        } else if self.member != GroupMember::NONE {
            return Err(EncodeError::NotInVersion { what: "member of a group", version });
        }
        out.count(self.topics.len())?;
        for topic in &self.topics {
            topic.encode(out, version)?;
        }
        out.no_tags();
        Ok(())
    }
}

impl CommittedTopic {
    fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if version < 6 {
            out.string(&self.name)?;
        } else if self.topic_id == Uuid::ZERO {
            return Err(EncodeError::NotInVersion { what: "topic without an id", version });
        } else {
            out.uuid(self.topic_id);
        }
        out.count(self.partitions.len())?;
        for partition in &self.partitions {
            out.i32(partition.index);
            out.i64(partition.offset);
            if version >= 2 {
                out.i32(partition.leader_epoch);
            }
            out.nullable_string(partition.metadata.as_deref())?;
            out.no_tags();
        }
        out.no_tags();
        Ok(())
    }
}

/// What became of the offset of each partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TxnOffsetCommitResponse {
    pub(crate) throttle_time_ms: i32,
    pub(crate) topics: Vec<CommittedTopicResult>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedTopicResult {
    /// Empty from version 6 on.
    pub(crate) name: String,
    /// All zeros before version 6.
    pub(crate) topic_id: Uuid,
    /// Index and error code.
    pub(crate) partitions: Vec<(i32, i16)>,
}

impl TxnOffsetCommitResponse {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::TxnOffsetCommit, version)?;
        let response = Self {
            throttle_time_ms: reader.i32()?,
            topics: reader.array(MIN_TOPIC, |reader| CommittedTopicResult::decode(reader, version))?,
        };
        reader.skip_tags()?;
        Ok(response)
    }
}

impl CommittedTopicResult {
    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let is_by_id = version >= 6;
        let topic = Self {
            name: if is_by_id { String::new() } else { reader.string()?.to_owned() },
            topic_id: if is_by_id { reader.uuid()? } else { Uuid::ZERO },
            partitions: super::partition_errors(reader)?,
        };
        reader.skip_tags()?;
        Ok(topic)
    }
}

/// What a topic takes at the least: an empty name, an empty list and no tags.
const MIN_TOPIC: usize = 3;
