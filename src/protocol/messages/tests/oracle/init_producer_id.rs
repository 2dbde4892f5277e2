//! InitProducerId against `kafka-protocol`.

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{Tags, nullable_string, read_by_oracle, read_from_oracle, tags, version};
use crate::protocol::messages::init_producer_id as ours;

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response()
-> impl Strategy<Value = (i16, ours::InitProducerIdResponse, InitProducerIdResponse)> {
    let fields = (any::<i32>(), any::<i16>(), any::<i64>(), any::<i16>());
    (version::<ours::InitProducerIdResponse>(), fields, tags()).prop_map(
        |(version, (throttle_time_ms, error_code, producer_id, producer_epoch), tags)| {
            let theirs = InitProducerIdResponse::default()
                .with_throttle_time_ms(throttle_time_ms)
                .with_error_code(error_code)
                .with_producer_id(producer_id.into())
                .with_producer_epoch(producer_epoch)
                .with_unknown_tagged_fields(if version >= 2 { tags } else { Tags::new() });
            let ours =
                ours::InitProducerIdResponse { throttle_time_ms, error_code, producer_id, producer_epoch };
            (version, ours, theirs)
        },
    )
}

proptest! {
    #[test]
    fn oracle_reads_our_request(
        version in version::<ours::InitProducerIdResponse>(),
        transactional_id in nullable_string(),
        transaction_timeout_ms: i32,
        id: i64,
        epoch: i16,
    ) {
        let (producer_id, producer_epoch) = if version >= 3 { (id, epoch) } else { (-1, -1) };
        let request = ours::InitProducerIdRequest {
            transactional_id,
            transaction_timeout_ms,
            producer_id,
            producer_epoch,
        };
        let read: InitProducerIdRequest = read_by_oracle(&request, version);

        prop_assert_eq!(read.transactional_id.as_ref().map(|id| id.to_string()), request.transactional_id);
        prop_assert_eq!(read.transaction_timeout_ms, transaction_timeout_ms);
        prop_assert_eq!(read.producer_id.0, producer_id);
        prop_assert_eq!(read.producer_epoch, producer_epoch);
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        prop_assert_eq!(read_from_oracle::<ours::InitProducerIdResponse>(&theirs, version), ours);
    }
}
