//! SaslAuthenticate against `kafka-protocol`.

use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use kafka_protocol::protocol::StrBytes;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{Tags, nullable_string, read_by_oracle, read_from_oracle, tags, version};
use crate::protocol::messages::sasl_authenticate as ours;

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response()
-> impl Strategy<Value = (i16, ours::SaslAuthenticateResponse, SaslAuthenticateResponse)> {
    let fields = (any::<i16>(), nullable_string(), vec(any::<u8>(), 0..40), any::<i64>());
    (version::<ours::SaslAuthenticateResponse>(), fields, tags()).prop_map(
        |(version, (error_code, error_message, auth_bytes, lifetime), tags)| {
            let session_lifetime_ms = if version >= 1 { lifetime } else { 0 };
            let theirs = SaslAuthenticateResponse::default()
                .with_error_code(error_code)
                .with_error_message(error_message.clone().map(StrBytes::from_string))
                .with_auth_bytes(Bytes::from(auth_bytes.clone()))
                .with_session_lifetime_ms(session_lifetime_ms)
                .with_unknown_tagged_fields(if version >= 2 { tags } else { Tags::new() });
            let ours =
                ours::SaslAuthenticateResponse { error_code, error_message, auth_bytes, session_lifetime_ms };
            (version, ours, theirs)
        },
    )
}

proptest! {
    #[test]
    fn oracle_reads_our_request(
        version in version::<ours::SaslAuthenticateResponse>(),
        auth_bytes in vec(any::<u8>(), 0..300),
    ) {
        let request = ours::SaslAuthenticateRequest { auth_bytes: Bytes::from(auth_bytes) };
        let read: SaslAuthenticateRequest = read_by_oracle(&request, version);

        prop_assert_eq!(read.auth_bytes, request.auth_bytes);
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        prop_assert_eq!(read_from_oracle::<ours::SaslAuthenticateResponse>(&theirs, version), ours);
    }
}
