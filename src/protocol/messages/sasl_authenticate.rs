//! SaslAuthenticate: the words of a SASL mechanism, back and forth (KIP-152, KIP-368).

use std::fmt;

use bytes::Bytes;

use super::{begin_request, begin_response};
use crate::protocol::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// What a client has to say. It may be a password, so it is not to be seen in any log.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SaslAuthenticateRequest {
    pub(crate) auth_bytes: Bytes,
}

impl SaslAuthenticateRequest {
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        begin_request(out, ApiKey::SaslAuthenticate, version)?;
        out.secret_bytes(self.auth_bytes.clone())?;
        out.no_tags();
        Ok(())
    }
}

impl fmt::Debug for SaslAuthenticateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslAuthenticateRequest").finish_non_exhaustive()
    }
}

/// What a broker has to say to that.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SaslAuthenticateResponse {
    pub(crate) error_code: i16,
    pub(crate) error_message: Option<String>,
    pub(crate) auth_bytes: Vec<u8>,
    /// How long the client counts as authenticated; 0 for as long as the connection lasts.
    pub(crate) session_lifetime_ms: i64,
}

impl SaslAuthenticateResponse {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::SaslAuthenticate, version)?;
        let response = Self {
            error_code: reader.i16()?,
            error_message: reader.nullable_text()?,
            auth_bytes: reader.bytes()?.to_vec(),
            session_lifetime_ms: if version >= 1 { reader.i64()? } else { 0 },
        };
        reader.skip_tags()?;
        Ok(response)
    }
}

impl fmt::Debug for SaslAuthenticateResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslAuthenticateResponse")
            .field("error_code", &self.error_code)
            .field("error_message", &self.error_message)
            .field("session_lifetime_ms", &self.session_lifetime_ms)
            .finish_non_exhaustive()
    }
}
