//! SaslHandshake against `kafka-protocol`.

use kafka_protocol::messages::{SaslHandshakeRequest, SaslHandshakeResponse};
use kafka_protocol::protocol::StrBytes;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{read_by_oracle, read_from_oracle, string, version};
use crate::protocol::messages::sasl_handshake as ours;

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response()
-> impl Strategy<Value = (i16, ours::SaslHandshakeResponse, SaslHandshakeResponse)> {
    let fields = (any::<i16>(), vec(string(), 0..4));
    (version::<ours::SaslHandshakeResponse>(), fields).prop_map(|(version, (error_code, mechanisms))| {
        let theirs = SaslHandshakeResponse::default()
            .with_error_code(error_code)
            .with_mechanisms(mechanisms.iter().cloned().map(StrBytes::from_string).collect());
        (version, ours::SaslHandshakeResponse { error_code, mechanisms }, theirs)
    })
}

proptest! {
    #[test]
    fn oracle_reads_our_request(version in version::<ours::SaslHandshakeResponse>(), mechanism in string()) {
        let request = ours::SaslHandshakeRequest { mechanism };
        let read: SaslHandshakeRequest = read_by_oracle(&request, version);

        prop_assert_eq!(read.mechanism.as_str(), request.mechanism);
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        prop_assert_eq!(read_from_oracle::<ours::SaslHandshakeResponse>(&theirs, version), ours);
    }
}
