//! AddOffsetsToTxn against `kafka-protocol`.

use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{Tags, read_by_oracle, read_from_oracle, string, tags, version};
use crate::protocol::messages::add_offsets_to_txn as ours;

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response()
-> impl Strategy<Value = (i16, ours::AddOffsetsToTxnResponse, AddOffsetsToTxnResponse)> {
    (version::<ours::AddOffsetsToTxnResponse>(), any::<i32>(), any::<i16>(), tags()).prop_map(
        |(version, throttle_time_ms, error_code, tags)| {
            let theirs = AddOffsetsToTxnResponse::default()
                .with_throttle_time_ms(throttle_time_ms)
                .with_error_code(error_code)
                .with_unknown_tagged_fields(if version >= 3 { tags } else { Tags::new() });
            (version, ours::AddOffsetsToTxnResponse { throttle_time_ms, error_code }, theirs)
        },
    )
}

proptest! {
    #[test]
    fn oracle_reads_our_request(
        version in version::<ours::AddOffsetsToTxnResponse>(),
        transactional_id in string(),
        producer_id: i64,
        producer_epoch: i16,
        group_id in string(),
    ) {
        let request =
            ours::AddOffsetsToTxnRequest { transactional_id, producer_id, producer_epoch, group_id };
        let read: AddOffsetsToTxnRequest = read_by_oracle(&request, version);

        prop_assert_eq!(read.transactional_id.to_string(), request.transactional_id);
        prop_assert_eq!((read.producer_id.0, read.producer_epoch), (producer_id, producer_epoch));
        prop_assert_eq!(read.group_id.to_string(), request.group_id);
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        prop_assert_eq!(read_from_oracle::<ours::AddOffsetsToTxnResponse>(&theirs, version), ours);
    }
}
