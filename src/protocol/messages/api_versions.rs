//! ApiVersions: which versions of which API a broker speaks (KIP-35, KIP-511).

/// Asks a broker for the versions it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiVersionsRequest {
    pub(crate) client_software_name: String,
    pub(crate) client_software_version: String,
}

/// The versions that a broker speaks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ApiVersionsResponse {
    pub(crate) error_code: i16,
    pub(crate) api_keys: Vec<ApiVersion>,
    pub(crate) throttle_time_ms: i32,
    pub(crate) supported_features: Vec<SupportedFeature>,
    pub(crate) finalized_features_epoch: i64,
    pub(crate) finalized_features: Vec<FinalizedFeature>,
    pub(crate) zk_migration_ready: bool,
}

/// One API and its range of versions, ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApiVersion {
    pub(crate) api_key: i16,
    pub(crate) min_version: i16,
    pub(crate) max_version: i16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SupportedFeature {
    pub(crate) name: String,
    pub(crate) min_version: i16,
    pub(crate) max_version: i16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FinalizedFeature {
    pub(crate) name: String,
    pub(crate) max_version_level: i16,
    pub(crate) min_version_level: i16,
}
