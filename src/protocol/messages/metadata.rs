//! Metadata: brokers, topics, partitions and their leaders.

use super::{begin_request, begin_response};
use crate::protocol::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Uuid, Writer};

/// Asks for brokers and for the named topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataRequest {
    /// `None` asks for every topic, an empty list for none.
    pub(crate) topics: Option<Vec<MetadataRequestTopic>>,
    /// False needs version 4.
    pub(crate) allow_auto_topic_creation: bool,
}

impl MetadataRequest {
    /// # Errors
    ///
    /// What the version cannot say: no topics in version 0, no creation of topics before version 4, topics
    /// without a name before version 12.
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        begin_request(out, ApiKey::Metadata, version)?;
        match &self.topics {
            // Every topic is an empty list in version 0.
            None if version == 0 => out.count(0)?,
            None => out.null_count(),
            Some(topics) if topics.is_empty() && version == 0 => {
                return Err(EncodeError::NotInVersion { what: "no topics", version });
            }
            Some(topics) => {
                out.count(topics.len())?;
                for topic in topics {
                    topic.encode(out, version)?;
                }
            }
        }
        if version >= 4 {
            out.bool(self.allow_auto_topic_creation);
        } else if !self.allow_auto_topic_creation {
            return Err(EncodeError::NotInVersion { what: "no creation of topics", version });
        }
        // The producer does not read authorized operations, neither the cluster's nor those of topics.
        if (8..=10).contains(&version) {
            out.bool(false);
        }
        if version >= 8 {
            out.bool(false);
        }
        out.no_tags();
        Ok(())
    }
}

/// A topic, by name, or by id from version 12 on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataRequestTopic {
    pub(crate) topic_id: Uuid,
    pub(crate) name: Option<String>,
}

impl MetadataRequestTopic {
    fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if self.name.is_none() && version < 12 {
            return Err(EncodeError::NotInVersion { what: "topic without a name", version });
        }
        if version >= 10 {
            // Versions 10 and 11 have the field, but brokers do not look at it.
            out.uuid(if version >= 12 { self.topic_id } else { Uuid::ZERO });
        }
        out.nullable_string(self.name.as_deref())?;
        out.no_tags();
        Ok(())
    }
}

/// The brokers of a cluster and the topics that were asked for.

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MetadataResponse {
    pub(crate) throttle_time_ms: i32,
    pub(crate) brokers: Vec<MetadataResponseBroker>,
    pub(crate) cluster_id: Option<String>,
    /// -1 before version 1 and while there is none.
    pub(crate) controller_id: i32,
    pub(crate) topics: Vec<MetadataResponseTopic>,
    /// Top-level error, version 13 and later (KIP-1102).
    pub(crate) error_code: i16,
}

impl MetadataResponse {
    /// Reads an answer that may be about anything.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        Self::decode_asked(reader, version, |_| true)
    }

    /// Reads an answer, but passes over topics for which `is_asked` returns false.
    pub(crate) fn decode_asked(
        reader: &mut Reader<'_>,
        version: i16,
        mut is_asked: impl FnMut(Option<&str>) -> bool,
    ) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::Metadata, version)?;
        let mut response = Self { controller_id: -1, ..Self::default() };
        if version >= 3 {
            response.throttle_time_ms = reader.i32()?;
        }
        response.brokers =
            reader.array(MIN_BROKER, |reader| MetadataResponseBroker::decode(reader, version))?;
        if version >= 2 {
            response.cluster_id = reader.nullable_string()?.map(str::to_owned);
        }
        if version >= 1 {
            response.controller_id = reader.i32()?;
        }
        reader.skip_array(MIN_TOPIC, |reader| {
            let topic = MetadataResponseTopic::decode(reader, version, &mut is_asked)?;
            response.topics.extend(topic);
            Ok(())
        })?;
        if (8..=10).contains(&version) {
            let _cluster_authorized_operations = reader.i32()?;
        }
        if version >= 13 {
            response.error_code = reader.i16()?;
        }
        reader.skip_tags()?;
        Ok(response)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataResponseBroker {
    pub(crate) node_id: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) rack: Option<String>,
}

impl MetadataResponseBroker {
    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let node_id = reader.i32()?;
        let host = reader.string()?.to_owned();
        let port = reader.i32()?;
        let rack = if version >= 1 { reader.nullable_string()?.map(str::to_owned) } else { None };
        reader.skip_tags()?;
        Ok(Self { node_id, host, port, rack })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataResponseTopic {
    pub(crate) error_code: i16,
    /// Always there before version 12; later not if the topic was asked for by an id that is not known.
    pub(crate) name: Option<String>,
    /// Zero before version 10.
    pub(crate) topic_id: Uuid,
    pub(crate) is_internal: bool,
    pub(crate) partitions: Vec<MetadataResponsePartition>,
}

impl MetadataResponseTopic {
    /// Returns `None` for a topic that `is_asked` does not want.
    fn decode(
        reader: &mut Reader<'_>,
        version: i16,
        is_asked: &mut impl FnMut(Option<&str>) -> bool,
    ) -> Result<Option<Self>, DecodeError> {
        let error_code = reader.i16()?;
        let name = if version >= 12 { reader.nullable_string()? } else { Some(reader.string()?) };
        let topic_id = if version >= 10 { reader.uuid()? } else { Uuid::ZERO };
        let is_internal = version >= 1 && reader.bool()?;
        let topic = if is_asked(name) {
            let decode = |reader: &mut _| MetadataResponsePartition::decode(reader, version);
            let partitions = reader.array(MIN_PARTITION, decode)?;
            let name = name.map(str::to_owned);
            Some(Self { error_code, name, topic_id, is_internal, partitions })
        } else {
            reader.skip_array(MIN_PARTITION, |reader| MetadataResponsePartition::skip(reader, version))?;
            None
        };
        if version >= 8 {
            let _topic_authorized_operations = reader.i32()?;
        }
        reader.skip_tags()?;
        Ok(topic)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataResponsePartition {
    pub(crate) error_code: i16,
    pub(crate) partition_index: i32,
    /// -1 while there is no leader.
    pub(crate) leader_id: i32,
    /// -1 before version 7; trustworthy from version 9 on.
    pub(crate) leader_epoch: i32,
    pub(crate) replica_nodes: Vec<i32>,
    pub(crate) isr_nodes: Vec<i32>,
}

impl MetadataResponsePartition {
    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let partition = Self {
            error_code: reader.i16()?,
            partition_index: reader.i32()?,
            leader_id: reader.i32()?,
            leader_epoch: if version >= 7 { reader.i32()? } else { -1 },
            replica_nodes: reader.i32_array()?,
            isr_nodes: reader.i32_array()?,
        };
        if version >= 5 {
            Self::skip_nodes(reader)?;
        }
        reader.skip_tags()?;
        Ok(partition)
    }

    fn skip(reader: &mut Reader<'_>, version: i16) -> Result<(), DecodeError> {
        let _error_code = reader.i16()?;
        let _partition_and_leader = reader.i64()?;
        if version >= 7 {
            let _leader_epoch = reader.i32()?;
        }
        for _ in 0..if version >= 5 { 3 } else { 2 } {
            Self::skip_nodes(reader)?;
        }
        reader.skip_tags()
    }

    fn skip_nodes(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        reader.skip_array(size_of::<i32>(), |reader| reader.i32().map(drop))
    }
}

// What an element takes at the least, in the version in which it is smallest.
const MIN_BROKER: usize = 10;
const MIN_TOPIC: usize = 8;
const MIN_PARTITION: usize = 18;
