//! SaslHandshake: by which mechanism a client is going to prove who it is (KIP-43, KIP-152).

use super::{begin_request, begin_response};
use crate::protocol::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Names the mechanism.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SaslHandshakeRequest {
    pub(crate) mechanism: String,
}

impl SaslHandshakeRequest {
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        begin_request(out, ApiKey::SaslHandshake, version)?;
        out.string(&self.mechanism)
    }
}

/// Whether a broker takes the mechanism, and which ones it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SaslHandshakeResponse {
    pub(crate) error_code: i16,
    pub(crate) mechanisms: Vec<String>,
}

impl SaslHandshakeResponse {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::SaslHandshake, version)?;
        Ok(Self {
            error_code: reader.i16()?,
            mechanisms: reader.array(MIN_MECHANISM, |reader| Ok(reader.string()?.to_owned()))?,
        })
    }
}

/// What a name takes at the least.
const MIN_MECHANISM: usize = 2;
