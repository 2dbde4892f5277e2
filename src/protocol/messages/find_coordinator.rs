//! FindCoordinator: which broker minds a transactional id, or a group (KIP-98, KIP-699).

use super::{begin_request, begin_response};
use crate::protocol::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Asks for the coordinator of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FindCoordinatorRequest {
    /// The transactional id, or the id of the group.
    pub(crate) key: String,
    pub(crate) key_type: CoordinatorType,
}

/// What is coordinated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i8)]
pub(crate) enum CoordinatorType {
    Group = 0,
    /// Needs version 1.
    Transaction = 1,
}

impl FindCoordinatorRequest {
    /// # Errors
    ///
    /// A transactional id in version 0.
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        begin_request(out, ApiKey::FindCoordinator, version)?;
        if version <= 3 {
            out.string(&self.key)?;
        }
        if version >= 1 {
            out.i8(self.key_type as i8);
        } else if self.key_type != CoordinatorType::Group {
            return Err(EncodeError::NotInVersion { what: "coordinator of transactions", version });
        }
        if version >= 4 {
            out.count(1)?;
            out.string(&self.key)?;
        }
        out.no_tags();
        Ok(())
    }
}

/// The coordinators that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FindCoordinatorResponse {
    pub(crate) throttle_time_ms: i32,
    /// Exactly one before version 4, whose key is empty: it is the one that was asked for.
    pub(crate) coordinators: Vec<Coordinator>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Coordinator {
    pub(crate) key: String,
    /// -1 in an error, as the host is empty and the port is -1.
    pub(crate) node_id: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) error_code: i16,
    pub(crate) error_message: Option<String>,
}

impl FindCoordinatorResponse {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::FindCoordinator, version)?;
        let throttle_time_ms = if version >= 1 { reader.i32()? } else { 0 };
        let coordinators = if version >= 4 {
            reader.array(MIN_COORDINATOR, Coordinator::decode)?
        } else {
            vec![Coordinator::decode_only(reader, version)?]
        };
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, coordinators })
    }
}

impl Coordinator {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let coordinator = Self {
            key: reader.string()?.to_owned(),
            node_id: reader.i32()?,
            host: reader.string()?.to_owned(),
            port: reader.i32()?,
            error_code: reader.i16()?,
            error_message: reader.nullable_text()?,
        };
        reader.skip_tags()?;
        Ok(coordinator)
    }

    /// Reads the coordinator that is the whole answer in versions 0 to 3.
    fn decode_only(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        Ok(Self {
            key: String::new(),
            error_code: reader.i16()?,
            error_message: if version >= 1 { reader.nullable_text()? } else { None },
            node_id: reader.i32()?,
            host: reader.string()?.to_owned(),
            port: reader.i32()?,
        })
    }
}

/// What a coordinator takes at the least: two empty strings, a null, three numbers and no tags.
const MIN_COORDINATOR: usize = 14;
