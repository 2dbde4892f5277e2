//! When the sender leaves a broker alone because an answer says so (KIP-219), and for how long.

use std::time::Duration;

use crate::planted::planted;
use crate::protocol::ApiKey;

/// Returns for how long a broker wishes to be left alone whose answer says `throttle_time_ms`, if that is for the client to do.
pub(super) fn wish(api_key: ApiKey, version: i16, throttle_time_ms: i32) -> Option<Duration> {
    let Ok(delay @ 1..) = u64::try_from(throttle_time_ms) else { return None };
    let is_obeyed = client_throttles(api_key, version) && !planted!(QuotaIgnored);
    is_obeyed.then(|| Duration::from_millis(delay))
}

/// Returns how much of a wish is granted: no more than records may wait, which is `delivery.timeout.ms`.
///
/// A damaged answer may say weeks. A broker that really wants a longer pause does not read until the pause is over.
pub(super) fn granted(wish: Duration, delivery_timeout: Duration) -> Duration {
    wish.min(delivery_timeout)
}

/// Whether it is for the client to pause. A broker that answers in a version before these has paused itself before its answer.
fn client_throttles(api_key: ApiKey, version: i16) -> bool {
    let first = match api_key {
        ApiKey::AddOffsetsToTxn
        | ApiKey::AddPartitionsToTxn
        | ApiKey::EndTxn
        | ApiKey::InitProducerId
        | ApiKey::TxnOffsetCommit => 1,
        ApiKey::FindCoordinator => 2,
        ApiKey::Metadata | ApiKey::Produce => 6,
        // The handshake of connections throttles by itself.
        _ => return false,
    };
    version >= first
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From KIP-219: the versions that it added.
    #[test]
    fn client_pauses_from_the_versions_of_kip_219_on() {
        for (api_key, first) in [(ApiKey::InitProducerId, 1), (ApiKey::Metadata, 6), (ApiKey::Produce, 6)] {
            assert_eq!(wish(api_key, first - 1, 100), None);
            assert_eq!(wish(api_key, first, 100), Some(Duration::from_millis(100)));
        }
    }

    #[test]
    fn answer_without_a_time_is_no_wish() {
        assert_eq!([0, -1].map(|millis| wish(ApiKey::Produce, 6, millis)), [None, None]);
    }
}
