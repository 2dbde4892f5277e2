//! Requests and responses, one API per file.
//!
//! Requests have `encode`, responses `decode`; both take the version that was agreed upon. A field that a
//! version lacks keeps its default when it is read. When it is written it is left out if the message means
//! the same without it, and is an error otherwise. Counts and lengths inside a body are strict, but what lies behind
//! the last field is ignored, as other clients do: some brokers end an answer with bytes that the protocol does not have.

pub(crate) mod add_offsets_to_txn;
pub(crate) mod add_partitions_to_txn;
pub(crate) mod api_versions;
pub(crate) mod end_txn;
pub(crate) mod find_coordinator;
#[cfg(any(feature = "telemetry", test))]
pub(crate) mod get_telemetry_subscriptions;
pub(crate) mod init_producer_id;
pub(crate) mod metadata;
pub(crate) mod produce;
#[cfg(any(feature = "telemetry", test))]
pub(crate) mod push_telemetry;
pub(crate) mod sasl_authenticate;
pub(crate) mod sasl_handshake;
pub(crate) mod txn_offset_commit;

use super::ApiKey;
use crate::wire::{DecodeError, DecodeProblem, EncodeError, Reader, Writer};

fn begin_request(out: &mut Writer, api: ApiKey, version: i16) -> Result<(), EncodeError> {
    if !api.versions().contains(&version) {
        return Err(EncodeError::UnknownVersion(version));
    }
    out.set_flexible(api.is_flexible(version));
    Ok(())
}

fn begin_response(reader: &mut Reader<'_>, api: ApiKey, version: i16) -> Result<(), DecodeError> {
    if !api.versions().contains(&version) {
        return Err(reader.error("response", DecodeProblem::UnknownVersion(version)));
    }
    reader.set_flexible(api.is_flexible(version));
    Ok(())
}

/// Reads what became of each partition of a topic, as some answers tell it: index and error code.
fn partition_errors(reader: &mut Reader<'_>) -> Result<Vec<(i32, i16)>, DecodeError> {
    reader.array(MIN_PARTITION_ERROR, |reader| {
        let partition = (reader.i32()?, reader.i16()?);
        reader.skip_tags()?;
        Ok(partition)
    })
}

/// What a partition takes there at the least.
const MIN_PARTITION_ERROR: usize = 6;

#[cfg(test)]
mod tests;
