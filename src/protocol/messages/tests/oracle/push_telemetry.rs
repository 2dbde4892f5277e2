//! PushTelemetry against `kafka-protocol`.

use bytes::Bytes;
use kafka_protocol::messages::{PushTelemetryRequest, PushTelemetryResponse};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{read_by_oracle, read_from_oracle, tags, version};
use crate::protocol::messages::push_telemetry as ours;
use crate::wire::Uuid;

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response()
-> impl Strategy<Value = (i16, ours::PushTelemetryResponse, PushTelemetryResponse)> {
    (version::<ours::PushTelemetryResponse>(), any::<i32>(), any::<i16>(), tags()).prop_map(
        |(version, throttle_time_ms, error_code, tags)| {
            let theirs = PushTelemetryResponse::default()
                .with_throttle_time_ms(throttle_time_ms)
                .with_error_code(error_code)
                .with_unknown_tagged_fields(tags);
            (version, ours::PushTelemetryResponse { throttle_time_ms, error_code }, theirs)
        },
    )
}

proptest! {
    #[test]
    fn oracle_reads_our_request(
        id: [u8; 16],
        subscription_id: i32,
        terminating: bool,
        compression_type: i8,
        metrics in vec(any::<u8>(), 0..300),
    ) {
        let request = ours::PushTelemetryRequest {
            client_instance_id: Uuid(id),
            subscription_id,
            terminating,
            compression_type,
            metrics: Bytes::from(metrics),
        };
        let read: PushTelemetryRequest = read_by_oracle(&request, 0);

        prop_assert_eq!(read.client_instance_id.into_bytes(), id);
        prop_assert_eq!((read.subscription_id, read.terminating), (subscription_id, terminating));
        prop_assert_eq!((read.compression_type, read.metrics), (compression_type, request.metrics));
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        prop_assert_eq!(read_from_oracle::<ours::PushTelemetryResponse>(&theirs, version), ours);
    }
}
