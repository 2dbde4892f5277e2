//! EndTxn: commits or aborts a transaction (KIP-98). From version 5 on the broker gives the producer its next epoch (KIP-890).

use super::{begin_request, begin_response};
use crate::protocol::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Ends the open transaction of a producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndTxnRequest {
    pub(crate) transactional_id: String,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    /// Whether it is committed; it is aborted otherwise.
    pub(crate) committed: bool,
}

impl EndTxnRequest {
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        begin_request(out, ApiKey::EndTxn, version)?;
        out.string(&self.transactional_id)?;
        out.i64(self.producer_id);
        out.i16(self.producer_epoch);
        out.bool(self.committed);
        out.no_tags();
        Ok(())
    }
}

/// Whether the transaction ends as it was asked for, and under which id and epoch the producer goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndTxnResponse {
    pub(crate) throttle_time_ms: i32,
    pub(crate) error_code: i16,
    /// -1 in an error and before version 5: the producer keeps those that it has.
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
}

impl EndTxnResponse {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::EndTxn, version)?;
        let has_epoch = version >= 5;
        let response = Self {
            throttle_time_ms: reader.i32()?,
            error_code: reader.i16()?,
            producer_id: if has_epoch { reader.i64()? } else { -1 },
            producer_epoch: if has_epoch { reader.i16()? } else { -1 },
        };
        reader.skip_tags()?;
        Ok(response)
    }
}
