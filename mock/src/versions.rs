//! The versions that the brokers of a cluster offer, which may be fewer than the mock serves.

use std::collections::BTreeMap;

use crate::api::{Api, VersionRange};
use crate::error::MockError;

/// The versions that the brokers of a cluster offer; what is not in here is not offered.
#[derive(Debug, Clone)]
pub(crate) struct VersionTable {
    offered: BTreeMap<Api, VersionRange>,
}

impl VersionTable {
    /// Imitates the newest release that the mock knows.
    pub(crate) fn newest() -> Self {
        let is_for_all = |api: &Api| !SASL.contains(api) && !TELEMETRY.contains(api);
        let offered = Api::ALL.into_iter().filter(is_for_all).map(|api| (api, api.served()));
        let mut offered: BTreeMap<_, _> = offered.collect();
        // Brokers of 4.x announce Produce from 0 although they refuse what is below 3: librdkafka needs the
        // announcement to believe that the broker knows the record format (KAFKA-18659).
        offered.insert(Api::Produce, VersionRange { min: 0, max: Api::Produce.served().max });
        Self { offered }
    }

    /// Offers what clients need to say who they are: in all versions, or as before Kafka 1.0.
    pub(crate) fn add_sasl(&mut self, is_without_headers: bool) {
        if is_without_headers {
            self.offered.insert(Api::SaslHandshake, VersionRange { min: 0, max: 0 });
            return;
        }
        for api in SASL {
            self.offered.insert(api, api.served());
        }
    }

    /// Offers what clients need to push metrics.
    pub(crate) fn add_telemetry(&mut self) {
        for api in TELEMETRY {
            self.offered.insert(api, api.served());
        }
    }

    pub(crate) fn set(&mut self, api: Api, min: i16, max: i16) -> Result<(), MockError> {
        if min < 0 || min > max {
            return Err(MockError::InvalidVersions { api, min, max });
        }
        self.offered.insert(api, VersionRange { min, max });
        Ok(())
    }

    pub(crate) fn remove(&mut self, api: Api) {
        self.offered.remove(&api);
    }

    pub(crate) fn offers(&self, api: Api, version: i16) -> bool {
        self.offered.get(&api).is_some_and(|range| range.contains(version))
    }

    pub(crate) fn offered(&self) -> impl Iterator<Item = (Api, VersionRange)> {
        self.offered.iter().map(|(api, range)| (*api, *range))
    }
}

const SASL: [Api; 2] = [Api::SaslAuthenticate, Api::SaslHandshake];
const TELEMETRY: [Api; 2] = [Api::GetTelemetrySubscriptions, Api::PushTelemetry];
