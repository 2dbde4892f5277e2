//! EndTxn against `kafka-protocol`.

use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{Tags, read_by_oracle, read_from_oracle, string, tags, version};
use crate::protocol::messages::end_txn as ours;

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response() -> impl Strategy<Value = (i16, ours::EndTxnResponse, EndTxnResponse)> {
    let fields = (any::<i32>(), any::<i16>(), any::<i64>(), any::<i16>());
    (version::<ours::EndTxnResponse>(), fields, tags()).prop_map(
        |(version, (throttle_time_ms, error_code, id, epoch), tags)| {
            let (producer_id, producer_epoch) = if version >= 5 { (id, epoch) } else { (-1, -1) };
            let theirs = EndTxnResponse::default()
                .with_throttle_time_ms(throttle_time_ms)
                .with_error_code(error_code)
                .with_producer_id(producer_id.into())
                .with_producer_epoch(producer_epoch)
                .with_unknown_tagged_fields(if version >= 3 { tags } else { Tags::new() });
            let ours = ours::EndTxnResponse { throttle_time_ms, error_code, producer_id, producer_epoch };
            (version, ours, theirs)
        },
    )
}

proptest! {
    #[test]
    fn oracle_reads_our_request(
        version in version::<ours::EndTxnResponse>(),
        transactional_id in string(),
        producer_id: i64,
        producer_epoch: i16,
        committed: bool,
    ) {
        let request = ours::EndTxnRequest { transactional_id, producer_id, producer_epoch, committed };
        let read: EndTxnRequest = read_by_oracle(&request, version);

        prop_assert_eq!(read.transactional_id.to_string(), request.transactional_id);
        prop_assert_eq!((read.producer_id.0, read.producer_epoch), (producer_id, producer_epoch));
        prop_assert_eq!(read.committed, committed);
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        prop_assert_eq!(read_from_oracle::<ours::EndTxnResponse>(&theirs, version), ours);
    }
}
