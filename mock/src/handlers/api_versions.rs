//! ApiVersions: what the broker offers.

use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::protocol::StrBytes;

use crate::api::Api;
use crate::broker::Broker;
use crate::error::code;
use crate::faults::FaultPlan;
use crate::features::HIGHEST_TRANSACTION_VERSION;
use crate::reaction::Reaction;
use crate::reply::reply_in_version;
use crate::request::{Intended, Request};

/// From here on the answer tells features (KIP-584).
const FIRST_WITH_FEATURES: i16 = 3;

impl Broker<'_> {
    /// `intended` is whom the client means to reach.
    pub(crate) fn api_versions(
        &self,
        request: &Request,
        intended: Option<&Intended>,
        plan: &FaultPlan,
    ) -> Reaction {
        let versions = &self.state.versions;
        let entry = |(api, range): (Api, crate::api::VersionRange)| {
            ApiVersion::default()
                .with_api_key(api.key())
                .with_min_version(range.min)
                .with_max_version(range.max)
        };
        let is_refused = plan.request_error() == code::UNSUPPORTED_VERSION;
        if versions.offers(Api::ApiVersions, request.version) && !is_refused {
            let is_another = intended.is_some_and(|intended| self.is_another(intended));
            let error_code = match plan.request_error() {
                0 if is_another => code::REBOOTSTRAP_REQUIRED,
                error_code => error_code,
            };
            let response = ApiVersionsResponse::default()
                .with_error_code(error_code)
                .with_throttle_time_ms(plan.throttle_time_ms())
                .with_api_keys(versions.offered().map(entry).collect());
            let response = self.with_features(response, request.version);
            // Answers in version 5 are those of version 4, which is the last that `kafka-protocol` knows.
            return reply_in_version(request, plan, &response, request.version.min(4));
        }
        // A client that is refused does not know yet what the broker speaks, so the answer is in the oldest version.
        // KIP-511: since 2.4 (ApiVersions 3) the refusal tells which versions would do.
        let own = versions.offered().filter(|(api, range)| *api == Api::ApiVersions && range.max >= 3);
        let response = ApiVersionsResponse::default()
            .with_error_code(code::UNSUPPORTED_VERSION)
            .with_api_keys(own.map(entry).collect());
        reply_in_version(request, plan, &response, 0)
    }

    /// Tells what the brokers have agreed on.
    fn with_features(&self, response: ApiVersionsResponse, version: i16) -> ApiVersionsResponse {
        let features = self.state.features;
        let Some(finalized) = features.transaction_version().filter(|_| version >= FIRST_WITH_FEATURES)
        else {
            return response;
        };
        let name = StrBytes::from_static_str("transaction.version");
        // Version 3 cannot tell that a feature may be off (KAFKA-17011).
        let min = if version > FIRST_WITH_FEATURES { 0 } else { 1 };
        let supported = SupportedFeatureKey::default()
            .with_name(name.clone())
            .with_min_version(min)
            .with_max_version(HIGHEST_TRANSACTION_VERSION);
        let finalized = FinalizedFeatureKey::default()
            .with_name(name)
            .with_min_version_level(finalized)
            .with_max_version_level(finalized);
        let is_on = finalized.max_version_level > 0;
        response
            .with_supported_features(vec![supported])
            .with_finalized_features_epoch(features.epoch())
            .with_finalized_features(is_on.then_some(finalized).into_iter().collect())
    }

    /// Whether a client means to reach another broker, or one of another cluster (KIP-1242).
    fn is_another(&self, intended: &Intended) -> bool {
        let Intended { cluster_id, node_id } = intended;
        cluster_id.as_ref().is_some_and(|id| *id != self.state.cluster_id)
            || (*node_id >= 0 && *node_id != self.id)
    }
}
