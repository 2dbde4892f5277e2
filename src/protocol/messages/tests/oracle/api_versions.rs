//! ApiVersions against `kafka-protocol`.

use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{Tags, read_by_oracle, read_from_oracle, string, tags, version};
use crate::protocol::messages::api_versions as ours;

/// The oracle knows no later version.
const KNOWN: i16 = 4;

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response()
-> impl Strategy<Value = (i16, ours::ApiVersionsResponse, ApiVersionsResponse)> {
    let feature = || (string(), any::<i16>(), any::<i16>());
    let keys = vec(any::<[i16; 3]>(), 0..4);
    let fields = (any::<i16>(), keys, any::<i32>(), vec(feature(), 0..3), any::<i64>(), vec(feature(), 0..3));
    (version::<ours::ApiVersionsResponse>(), fields, any::<bool>(), tags()).prop_map(
        |(version, (error, keys, throttle, supported, epoch, finalized), zk, tags)| {
            let mut response = ours::ApiVersionsResponse {
                error_code: error,
                api_keys: keys
                    .into_iter()
                    .map(|[api_key, min_version, max_version]| ours::ApiVersion {
                        api_key,
                        min_version,
                        max_version,
                    })
                    .collect(),
                finalized_features_epoch: -1,
                ..Default::default()
            };
            if version >= 1 {
                response.throttle_time_ms = throttle;
            }
            if version >= 3 {
                response.supported_features = supported
                    .into_iter()
                    .map(|(name, min_version, max_version)| ours::SupportedFeature {
                        name,
                        min_version,
                        max_version,
                    })
                    .collect();
                response.finalized_features_epoch = epoch;
                response.finalized_features = finalized
                    .into_iter()
                    .map(|(name, max_version_level, min_version_level)| ours::FinalizedFeature {
                        name,
                        max_version_level,
                        min_version_level,
                    })
                    .collect();
                response.zk_migration_ready = zk;
            }
            let tags = if version >= 3 { tags } else { Tags::new() };
            let theirs = theirs(&response, &tags);
            (version, response, theirs)
        },
    )
}

fn theirs(response: &ours::ApiVersionsResponse, tags: &Tags) -> ApiVersionsResponse {
    let keys = response.api_keys.iter().map(|key| {
        ApiVersion::default()
            .with_api_key(key.api_key)
            .with_min_version(key.min_version)
            .with_max_version(key.max_version)
            .with_unknown_tagged_fields(tags.clone())
    });
    let supported = response.supported_features.iter().map(|feature| {
        SupportedFeatureKey::default()
            .with_name(StrBytes::from_string(feature.name.clone()))
            .with_min_version(feature.min_version)
            .with_max_version(feature.max_version)
            .with_unknown_tagged_fields(tags.clone())
    });
    let finalized = response.finalized_features.iter().map(|feature| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_string(feature.name.clone()))
            .with_max_version_level(feature.max_version_level)
            .with_min_version_level(feature.min_version_level)
    });
    ApiVersionsResponse::default()
        .with_error_code(response.error_code)
        .with_api_keys(keys.collect())
        .with_throttle_time_ms(response.throttle_time_ms)
        .with_supported_features(supported.collect())
        .with_finalized_features_epoch(response.finalized_features_epoch)
        .with_finalized_features(finalized.collect())
        .with_zk_migration_ready(response.zk_migration_ready)
        .with_unknown_tagged_fields(tags.clone())
}

#[test]
fn refusal_in_version_0_is_read_whichever_version_was_asked_for() {
    let unsupported_version = 35;
    for keys in [Vec::new(), vec![ApiVersion::default().with_api_key(18).with_max_version(3)]] {
        let refusal =
            ApiVersionsResponse::default().with_error_code(unsupported_version).with_api_keys(keys.clone());
        let bytes = super::written_by_oracle(&refusal, 0);

        for version in 0..=4 {
            let response: ours::ApiVersionsResponse = super::decode(&bytes, version).unwrap();
            assert_eq!(response.error_code, unsupported_version);
            assert_eq!(response.api_keys.len(), keys.len());
        }
    }
}

proptest! {
    #[test]
    fn oracle_reads_our_request(
        version in 0_i16..=KNOWN,
        name in string(),
        number in string(),
    ) {
        let request = ours::ApiVersionsRequest {
            client_software_name: name.clone(),
            client_software_version: number.clone(),
            cluster_id: None,
            node_id: -1,
        };
        let read: ApiVersionsRequest = read_by_oracle(&request, version);

        let (name, number) = if version >= 3 { (name, number) } else { Default::default() };
        prop_assert_eq!(read.client_software_name.as_str(), name);
        prop_assert_eq!(read.client_software_version.as_str(), number);
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        prop_assert_eq!(read_from_oracle::<ours::ApiVersionsResponse>(&theirs, version), ours);
    }
}
