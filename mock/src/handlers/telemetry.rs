//! GetTelemetrySubscriptions and PushTelemetry: what clients tell of themselves (KIP-714).

use kafka_protocol::messages::get_telemetry_subscriptions_request::GetTelemetrySubscriptionsRequest;
use kafka_protocol::messages::get_telemetry_subscriptions_response::GetTelemetrySubscriptionsResponse;
use kafka_protocol::messages::push_telemetry_request::PushTelemetryRequest;
use kafka_protocol::messages::push_telemetry_response::PushTelemetryResponse;
use kafka_protocol::protocol::StrBytes;

use crate::broker::Broker;
use crate::compression::Compression;
use crate::error::code;
use crate::faults::FaultPlan;
use crate::telemetry::{PushedMetrics, TelemetrySubscription};

impl Broker<'_> {
    pub(crate) fn get_telemetry_subscriptions(
        &mut self,
        request: &GetTelemetrySubscriptionsRequest,
        plan: &FaultPlan,
    ) -> GetTelemetrySubscriptionsResponse {
        let response =
            GetTelemetrySubscriptionsResponse::default().with_throttle_time_ms(plan.throttle_time_ms());
        let telemetry = &mut self.state.telemetry;
        let Some(subscription) = &telemetry.subscription else {
            return response.with_error_code(code::INVALID_REQUEST);
        };
        if plan.request_error() != code::NONE {
            return response.with_error_code(plan.request_error());
        }
        let TelemetrySubscription { metrics, interval, max_bytes, is_delta, compressions } =
            subscription.clone();
        let is_known = !request.client_instance_id.is_nil();
        let id = if is_known { request.client_instance_id.as_u128() } else { telemetry.next_client() };
        response
            .with_client_instance_id(id.to_be_bytes().to_vec().try_into().unwrap_or_default())
            .with_subscription_id(telemetry.subscription_id)
            .with_accepted_compression_types(compressions.into_iter().map(Compression::number).collect())
            .with_push_interval_ms(i32::try_from(interval.as_millis()).unwrap_or(i32::MAX))
            .with_telemetry_max_bytes(max_bytes)
            .with_delta_temporality(is_delta)
            .with_requested_metrics(metrics.into_iter().map(StrBytes::from_string).collect())
    }

    pub(crate) fn push_telemetry(
        &mut self,
        request: &PushTelemetryRequest,
        plan: &FaultPlan,
    ) -> PushTelemetryResponse {
        let response = PushTelemetryResponse::default().with_throttle_time_ms(plan.throttle_time_ms());
        if plan.request_error() != code::NONE {
            return response.with_error_code(plan.request_error());
        }
        match self.judge_push(request) {
            Ok(push) => {
                self.state.telemetry.keep(push);
                response
            }
            Err(error) => response.with_error_code(error),
        }
    }

    fn judge_push(&self, request: &PushTelemetryRequest) -> Result<PushedMetrics, i16> {
        let telemetry = &self.state.telemetry;
        let subscription = telemetry.subscription.as_ref().ok_or(code::INVALID_REQUEST)?;
        if request.client_instance_id.is_nil() {
            return Err(code::INVALID_REQUEST);
        }
        if request.subscription_id != telemetry.subscription_id {
            return Err(code::UNKNOWN_SUBSCRIPTION_ID);
        }
        let compression = Compression::of_number(request.compression_type);
        let is_accepted =
            |codec: &Compression| *codec == Compression::None || subscription.compressions.contains(codec);
        let compression = compression.filter(is_accepted).ok_or(code::UNSUPPORTED_COMPRESSION_TYPE)?;
        if i64::try_from(request.metrics.len()).unwrap_or(i64::MAX) > subscription.max_bytes.into() {
            return Err(code::TELEMETRY_TOO_LARGE);
        }
        let data = compression.decompress(request.metrics.clone()).map_err(|_| code::INVALID_RECORD)?;
        let push = PushedMetrics {
            broker: self.id,
            client_instance_id: request.client_instance_id.as_u128(),
            is_terminating: request.terminating,
            compression,
            data,
            at: self.state.now,
        };
        push.metrics().and_then(|_| push.resource()).map_err(|_| code::INVALID_RECORD)?;
        Ok(push)
    }
}
