//! ApiVersions: what the broker offers.

use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;

use crate::api::Api;
use crate::broker::Broker;
use crate::error::code;
use crate::faults::FaultPlan;
use crate::reaction::Reaction;
use crate::reply::{reply, reply_in_version};
use crate::request::Request;

impl Broker<'_> {
    pub(crate) fn api_versions(&self, request: &Request, plan: &FaultPlan) -> Reaction {
        let versions = &self.state.versions;
        let entry = |(api, range): (Api, crate::api::VersionRange)| {
            ApiVersion::default()
                .with_api_key(api.key())
                .with_min_version(range.min)
                .with_max_version(range.max)
        };
        let is_refused = plan.request_error() == code::UNSUPPORTED_VERSION;
        if versions.offers(Api::ApiVersions, request.version) && !is_refused {
            let response = ApiVersionsResponse::default()
                .with_error_code(plan.request_error())
                .with_throttle_time_ms(plan.throttle_time_ms())
                .with_api_keys(versions.offered().map(entry).collect());
            return reply(request, plan, &response);
        }
        // A client that is refused does not know yet what the broker speaks, so the answer is in the oldest version.
        // KIP-511: since 2.4 (ApiVersions 3) the refusal tells which versions would do.
        let own = versions.offered().filter(|(api, range)| *api == Api::ApiVersions && range.max >= 3);
        let response = ApiVersionsResponse::default()
            .with_error_code(code::UNSUPPORTED_VERSION)
            .with_api_keys(own.map(entry).collect());
        reply_in_version(request, plan, &response, 0)
    }
}
