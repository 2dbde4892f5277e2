//! GetTelemetrySubscriptions: which metrics of a client brokers want, and how (KIP-714).

use super::{begin_request, begin_response};
use crate::protocol::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Uuid, Writer};

/// Asks what to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GetTelemetrySubscriptionsRequest {
    /// All zero in the first request, which asks for an id.
    pub(crate) client_instance_id: Uuid,
}

impl GetTelemetrySubscriptionsRequest {
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        begin_request(out, ApiKey::GetTelemetrySubscriptions, version)?;
        out.uuid(self.client_instance_id);
        out.no_tags();
        Ok(())
    }
}

/// What the operators of the brokers have subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GetTelemetrySubscriptionsResponse {
    pub(crate) throttle_time_ms: i32,
    pub(crate) error_code: i16,
    /// The id that the broker gives, if it was asked for one.
    pub(crate) client_instance_id: Uuid,
    /// Changes with the subscriptions. A push names it.
    pub(crate) subscription_id: i32,
    /// By the numbers that batches use, in the order in which the broker likes them.
    pub(crate) accepted_compression_types: Vec<i8>,
    pub(crate) push_interval_ms: i32,
    /// What a push may have at most.
    pub(crate) telemetry_max_bytes: i32,
    /// Whether counters are pushed as what was counted since the push before.
    pub(crate) delta_temporality: bool,
    /// Beginnings of names. None at all means that nothing is wanted.
    pub(crate) requested_metrics: Vec<String>,
}

impl GetTelemetrySubscriptionsResponse {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::GetTelemetrySubscriptions, version)?;
        let response = Self {
            throttle_time_ms: reader.i32()?,
            error_code: reader.i16()?,
            client_instance_id: reader.uuid()?,
            subscription_id: reader.i32()?,
            accepted_compression_types: reader.array(1, Reader::i8)?,
            push_interval_ms: reader.i32()?,
            telemetry_max_bytes: reader.i32()?,
            delta_temporality: reader.bool()?,
            requested_metrics: reader.array(1, |reader| reader.string().map(str::to_owned))?,
        };
        reader.skip_tags()?;
        Ok(response)
    }
}
