//! AddOffsetsToTxn: the group whose offsets a transaction is going to commit (KIP-98). Brokers with transactions of version 2 find
//! that out by themselves (KIP-890).

use super::{begin_request, begin_response};
use crate::protocol::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Adds the partition that keeps the offsets of a group to the open transaction of a producer, and opens one if none is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddOffsetsToTxnRequest {
    pub(crate) transactional_id: String,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) group_id: String,
}

impl AddOffsetsToTxnRequest {
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        begin_request(out, ApiKey::AddOffsetsToTxn, version)?;
        out.string(&self.transactional_id)?;
        out.i64(self.producer_id);
        out.i16(self.producer_epoch);
        out.string(&self.group_id)?;
        out.no_tags();
        Ok(())
    }
}

/// Whether they were added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddOffsetsToTxnResponse {
    pub(crate) throttle_time_ms: i32,
    pub(crate) error_code: i16,
}

impl AddOffsetsToTxnResponse {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::AddOffsetsToTxn, version)?;
        let response = Self { throttle_time_ms: reader.i32()?, error_code: reader.i16()? };
        reader.skip_tags()?;
        Ok(response)
    }
}
