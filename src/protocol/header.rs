//! The headers in front of every request and every answer.

use super::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// What goes before the body of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestHeader<'a> {
    pub(crate) api_key: ApiKey,
    pub(crate) api_version: i16,
    /// Comes back in the response.
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<&'a str>,
}

impl RequestHeader<'_> {
    /// Appends the header in the version that goes with the API and its version.
    ///
    /// # Errors
    ///
    /// A client id of more than 32767 bytes.
    pub(crate) fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        out.i16(self.api_key.code());
        out.i16(self.api_version);
        out.i32(self.correlation_id);
        // The client id keeps its fixed-width length in version 2, so that any broker can read it.
        out.set_flexible(false);
        out.nullable_string(self.client_id)?;
        out.set_flexible(self.api_key.request_header_version(self.api_version) >= 2);
        out.no_tags();
        Ok(())
    }
}

/// What goes before the body of every response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResponseHeader {
    /// That of the request.
    pub(crate) correlation_id: i32,
}

impl ResponseHeader {
    /// Takes a header off the front of a response.
    ///
    /// `version` is that of the header; see [`ApiKey::response_header_version`]. Which request a response
    /// belongs to, and hence its version, is known only from its first four bytes: a caller may read them as
    /// version 0, then read the whole again.
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let correlation_id = reader.i32()?;
        reader.set_flexible(version >= 1);
        reader.skip_tags()?;
        Ok(Self { correlation_id })
    }
}

#[cfg(test)]
mod tests;
