//! AddPartitionsToTxn: which partitions a transaction is going to write to (KIP-98). Brokers with transactions of version 2 find
//! that out by themselves (KIP-890).

use super::{begin_request, begin_response};
use crate::protocol::ApiKey;
use crate::topic_partition::Topic;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Adds partitions to the open transaction of a producer, and opens one if none is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddPartitionsToTxnRequest {
    pub(crate) transactional_id: String,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    /// Each topic once.
    pub(crate) topics: Vec<(Topic, Vec<i32>)>,
}

impl AddPartitionsToTxnRequest {
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        begin_request(out, ApiKey::AddPartitionsToTxn, version)?;
        out.string(&self.transactional_id)?;
        out.i64(self.producer_id);
        out.i16(self.producer_epoch);
        out.count(self.topics.len())?;
        for (name, partitions) in &self.topics {
            out.string(name)?;
            out.count(partitions.len())?;
            partitions.iter().for_each(|partition| out.i32(*partition));
            out.no_tags();
        }
        out.no_tags();
        Ok(())
    }
}

/// What became of each partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddPartitionsToTxnResponse {
    pub(crate) throttle_time_ms: i32,
    pub(crate) topics: Vec<AddedTopic>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddedTopic {
    pub(crate) name: String,
    /// Index and error code.
    pub(crate) partitions: Vec<(i32, i16)>,
}

impl AddPartitionsToTxnResponse {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::AddPartitionsToTxn, version)?;
        let response = Self {
            throttle_time_ms: reader.i32()?,
            topics: reader.array(MIN_TOPIC, |reader| {
                let topic = AddedTopic {
                    name: reader.string()?.to_owned(),
                    partitions: super::partition_errors(reader)?,
                };
                reader.skip_tags()?;
                Ok(topic)
            })?,
        };
        reader.skip_tags()?;
        Ok(response)
    }
}

/// What a topic takes at the least: an empty name, an empty list and no tags.
const MIN_TOPIC: usize = 3;
