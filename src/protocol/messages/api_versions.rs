//! ApiVersions: which versions of which API a broker speaks (KIP-35, KIP-511).

use std::sync::Arc;

use super::{begin_request, begin_response};
use crate::protocol::{ApiKey, ErrorCode};
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Asks a broker for the versions it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiVersionsRequest {
    /// On the wire from version 3 on, as is the version.
    pub(crate) client_software_name: String,
    pub(crate) client_software_version: String,
    /// The cluster, and the broker in it, that the client means to reach; on the wire from version 5 on (KIP-1242).
    pub(crate) cluster_id: Option<Arc<str>>,
    /// -1 for none.
    pub(crate) node_id: i32,
}

impl ApiVersionsRequest {
    pub(crate) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        begin_request(out, ApiKey::ApiVersions, version)?;
        if version >= 3 {
            out.string(&self.client_software_name)?;
            out.string(&self.client_software_version)?;
        }
        if version >= 5 {
            out.nullable_string(self.cluster_id.as_deref())?;
            out.i32(self.node_id);
        }
        out.no_tags();
        Ok(())
    }
}

/// The versions that a broker speaks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ApiVersionsResponse {
    pub(crate) error_code: i16,
    pub(crate) api_keys: Vec<ApiVersion>,
    pub(crate) throttle_time_ms: i32,
    pub(crate) supported_features: Vec<SupportedFeature>,
    /// -1 when unknown.
    pub(crate) finalized_features_epoch: i64,
    pub(crate) finalized_features: Vec<FinalizedFeature>,
    pub(crate) zk_migration_ready: bool,
}

impl ApiVersionsResponse {
    /// A broker that does not know the version of the request answers with `UNSUPPORTED_VERSION` in version
    /// 0, whichever version was asked for.
    pub(crate) fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        begin_response(reader, ApiKey::ApiVersions, version)?;
        let mut fallback = reader.clone();
        let error_code = reader.i16()?;
        if version > 0
            && ErrorCode::from(error_code) == ErrorCode::UnsupportedVersion
            && let Ok(response) = Self::decode(&mut fallback, 0)
        {
            *reader = fallback;
            return Ok(response);
        }

        let mut response = Self {
            error_code,
            api_keys: reader.array(MIN_API_VERSION, ApiVersion::decode)?,
            finalized_features_epoch: -1,
            ..Self::default()
        };
        if version >= 1 {
            response.throttle_time_ms = reader.i32()?;
        }
        reader.tags(|tag, field| {
            match tag {
                0 => response.supported_features = field.array(MIN_FEATURE, SupportedFeature::decode)?,
                1 => response.finalized_features_epoch = field.i64()?,
                2 => response.finalized_features = field.array(MIN_FEATURE, FinalizedFeature::decode)?,
                3 => response.zk_migration_ready = field.bool()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(response)
    }
}

/// One API and its range of versions, ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApiVersion {
    pub(crate) api_key: i16,
    pub(crate) min_version: i16,
    pub(crate) max_version: i16,
}

impl ApiVersion {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (api_key, min_version, max_version) = (reader.i16()?, reader.i16()?, reader.i16()?);
        reader.skip_tags()?;
        Ok(Self { api_key, min_version, max_version })
    }
}

/// A feature and the range of its versions that the broker supports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SupportedFeature {
    pub(crate) name: String,
    pub(crate) min_version: i16,
    pub(crate) max_version: i16,
}

impl SupportedFeature {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = reader.string()?.to_owned();
        let (min_version, max_version) = (reader.i16()?, reader.i16()?);
        reader.skip_tags()?;
        Ok(Self { name, min_version, max_version })
    }
}

/// A feature and the range of its versions that the cluster has agreed upon.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FinalizedFeature {
    pub(crate) name: String,
    pub(crate) max_version_level: i16,
    pub(crate) min_version_level: i16,
}

impl FinalizedFeature {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = reader.string()?.to_owned();
        let (max_version_level, min_version_level) = (reader.i16()?, reader.i16()?);
        reader.skip_tags()?;
        Ok(Self { name, max_version_level, min_version_level })
    }
}

// What an element takes at the least, in the version in which it is smallest.
const MIN_API_VERSION: usize = 6;
const MIN_FEATURE: usize = 6;
