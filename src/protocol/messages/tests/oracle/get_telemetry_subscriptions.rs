//! GetTelemetrySubscriptions against `kafka-protocol`.

use kafka_protocol::messages::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};
use kafka_protocol::protocol::StrBytes;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{read_by_oracle, read_from_oracle, string, tags, version};
use crate::protocol::messages::get_telemetry_subscriptions as ours;
use crate::wire::Uuid;

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response()
-> impl Strategy<Value = (i16, ours::GetTelemetrySubscriptionsResponse, GetTelemetrySubscriptionsResponse)> {
    let numbers = (any::<i32>(), any::<i16>(), any::<[u8; 16]>(), any::<[i32; 3]>());
    let wishes = (vec(any::<i8>(), 0..6), any::<bool>(), vec(string(), 0..5));
    (version::<ours::GetTelemetrySubscriptionsResponse>(), numbers, wishes, tags()).prop_map(
        |(version, (throttle_time_ms, error_code, id, numbers), (codecs, is_delta, metrics), tags)| {
            let [subscription_id, push_interval_ms, telemetry_max_bytes] = numbers;
            let theirs = GetTelemetrySubscriptionsResponse::default()
                .with_throttle_time_ms(throttle_time_ms)
                .with_error_code(error_code)
                .with_client_instance_id(id.to_vec().try_into().unwrap())
                .with_subscription_id(subscription_id)
                .with_accepted_compression_types(codecs.clone())
                .with_push_interval_ms(push_interval_ms)
                .with_telemetry_max_bytes(telemetry_max_bytes)
                .with_delta_temporality(is_delta)
                .with_requested_metrics(metrics.iter().cloned().map(StrBytes::from_string).collect())
                .with_unknown_tagged_fields(tags);
            let ours = ours::GetTelemetrySubscriptionsResponse {
                throttle_time_ms,
                error_code,
                client_instance_id: Uuid(id),
                subscription_id,
                accepted_compression_types: codecs,
                push_interval_ms,
                telemetry_max_bytes,
                delta_temporality: is_delta,
                requested_metrics: metrics,
            };
            (version, ours, theirs)
        },
    )
}

proptest! {
    #[test]
    fn oracle_reads_our_request(id: [u8; 16]) {
        let request = ours::GetTelemetrySubscriptionsRequest { client_instance_id: Uuid(id) };
        let read: GetTelemetrySubscriptionsRequest = read_by_oracle(&request, 0);

        prop_assert_eq!(read.client_instance_id.into_bytes(), id);
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        let read = read_from_oracle::<ours::GetTelemetrySubscriptionsResponse>(&theirs, version);

        prop_assert_eq!(read, ours);
    }
}
