//! PushTelemetry: metrics of a client, for those who operate the brokers (KIP-714).

use bytes::Bytes;

use super::{begin_request, begin_response};
use crate::protocol::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Uuid, Writer};

/// Gives metrics to a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PushTelemetryRequest {
    pub(crate) client_instance_id: Uuid,
    /// Of the subscription that the metrics were chosen by.
    pub(crate) subscription_id: i32,
    /// Whether the client ends, so that this is its last push.
    pub(crate) terminating: bool,
    /// The number that batches use for the codec.
    pub(crate) compression_type: i8,
    /// `MetricsData` of OpenTelemetry's protocol, as protobuf.
    pub(crate) metrics: Bytes,
}

impl PushTelemetryRequest {
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        begin_request(out, ApiKey::PushTelemetry, version)?;
        out.uuid(self.client_instance_id);
        out.i32(self.subscription_id);
        out.bool(self.terminating);
        out.i8(self.compression_type);
        out.shared_bytes(self.metrics.clone())?;
        out.no_tags();
        Ok(())
    }
}

/// Whether the broker has taken them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PushTelemetryResponse {
    pub(crate) throttle_time_ms: i32,
    pub(crate) error_code: i16,
}

impl PushTelemetryResponse {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::PushTelemetry, version)?;
        let response = Self { throttle_time_ms: reader.i32()?, error_code: reader.i16()? };
        reader.skip_tags()?;
        Ok(response)
    }
}
