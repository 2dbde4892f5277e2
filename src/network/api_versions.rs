//! What both a broker and this crate speak.

use crate::protocol::ApiKey;
use crate::protocol::messages::api_versions::ApiVersionsResponse;

/// For each API the versions that both a broker and this crate speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiVersions {
    /// In the order of `ApiKey::ALL`; `None` where there is no common version.
    common: [Option<(i16, i16)>; ApiKey::ALL.len()],
}

impl ApiVersions {
    pub(super) fn new(response: &ApiVersionsResponse) -> Self {
        Self { common: ApiKey::ALL.map(|api| common(api, response)) }
    }

    /// Returns the version to use for an API, or `None` if the broker lacks it or is too old or too new for us.
    pub(super) fn version_for(&self, api: ApiKey) -> Option<i16> {
        self.version_up_to(api, i16::MAX)
    }

    /// Returns the same for a request that means something else in later versions than `max`.
    pub(super) fn version_up_to(&self, api: ApiKey, max: i16) -> Option<i16> {
        let index = ApiKey::ALL.iter().position(|known| *known == api)?;
        let (lowest, highest) = self.common.get(index).copied().flatten()?;
        (lowest <= max).then_some(highest.min(max))
    }
}

fn common(api: ApiKey, response: &ApiVersionsResponse) -> Option<(i16, i16)> {
    let theirs = response.api_keys.iter().find(|version| version.api_key == api.code())?;
    let ours = api.versions();
    let (lowest, highest) = (theirs.min_version.max(*ours.start()), theirs.max_version.min(*ours.end()));
    // `ours` begins at 3 for Produce: brokers of Kafka 4 advertise 0 to 2 but refuse them.
    (lowest <= highest).then_some((lowest, highest))
}

#[cfg(test)]
mod tests {
    use crate::protocol::messages::api_versions::ApiVersion;

    use super::*;

    fn versions(ranges: &[(i16, i16, i16)]) -> ApiVersions {
        let range = |&(api_key, min_version, max_version)| ApiVersion { api_key, min_version, max_version };
        ApiVersions::new(&ApiVersionsResponse {
            api_keys: ranges.iter().map(range).collect(),
            ..ApiVersionsResponse::default()
        })
    }

    #[test]
    fn highest_version_of_the_intersection_is_chosen() {
        let versions = versions(&[(0, 0, 9), (3, 5, 99)]);

        assert_eq!(versions.version_for(ApiKey::Produce), Some(9));
        assert_eq!(versions.version_for(ApiKey::Metadata), Some(13));
    }

    #[test]
    fn broker_that_is_too_new_has_no_common_version() {
        assert_eq!(versions(&[(3, 100, 120)]).version_for(ApiKey::Metadata), None);
    }

    #[test]
    fn produce_below_version_3_is_never_chosen() {
        assert_eq!(versions(&[(0, 0, 2)]).version_for(ApiKey::Produce), None);
        assert_eq!(versions(&[(0, 0, 3)]).version_for(ApiKey::Produce), Some(3));
    }

    #[test]
    fn api_that_the_broker_lacks_has_no_version() {
        assert_eq!(versions(&[(0, 0, 9)]).version_for(ApiKey::InitProducerId), None);
    }

    #[test]
    fn unknown_apis_and_absurd_ranges_are_tolerated() {
        let versions = versions(&[(-1, 0, 1), (32_767, 0, 1), (3, 9, 2), (0, i16::MIN, i16::MAX)]);

        assert_eq!(versions.version_for(ApiKey::Metadata), None);
        assert_eq!(versions.version_for(ApiKey::Produce), Some(13));
    }
}
