//! InitProducerId: the producer id and epoch of an idempotent or transactional producer (KIP-98, KIP-360).

use super::{begin_request, begin_response};
use crate::protocol::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Asks for a producer id, or for a new epoch of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InitProducerIdRequest {
    pub(crate) transactional_id: Option<String>,
    /// Looked at only if there is a transactional id; Java sends `i32::MAX` otherwise.
    pub(crate) transaction_timeout_ms: i32,
    /// The id whose epoch is to be raised, -1 to be given one. Anything but -1 needs version 3.
    pub(crate) producer_id: i64,
    /// The present epoch of the id, -1 if there is none.
    pub(crate) producer_epoch: i16,
}

impl InitProducerIdRequest {
    /// # Errors
    ///
    /// A producer id or epoch before version 3.
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        begin_request(out, ApiKey::InitProducerId, version)?;
        out.nullable_string(self.transactional_id.as_deref())?;
        out.i32(self.transaction_timeout_ms);
        if version >= 3 {
            out.i64(self.producer_id);
            out.i16(self.producer_epoch);
        } else if (self.producer_id, self.producer_epoch) != (-1, -1) {
            return Err(EncodeError::NotInVersion { what: "present producer id and epoch", version });
        }
        out.no_tags();
        Ok(())
    }
}

/// A producer id and its epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InitProducerIdResponse {
    pub(crate) throttle_time_ms: i32,
    pub(crate) error_code: i16,
    /// -1 in an error.
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
}

impl InitProducerIdResponse {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::InitProducerId, version)?;
        let response = Self {
            throttle_time_ms: reader.i32()?,
            error_code: reader.i16()?,
            producer_id: reader.i64()?,
            producer_epoch: reader.i16()?,
        };
        reader.skip_tags()?;
        Ok(response)
    }
}
