//! The requests that the mock serves, and the versions of each that it can decode and answer.

use kafka_protocol::messages::ApiKey;

/// A kind of request that the mock serves, named as in Kafka's protocol.
///
/// # Examples
///
/// ```
/// use kafka_mock::Api;
///
/// assert_eq!(Api::Produce.key(), 0);
/// assert_eq!(Api::from_key(3), Some(Api::Metadata));
/// assert_eq!(Api::from_key(42), None); // DeleteGroups: not served
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Api {
    /// Makes the offsets of a group part of a transaction (key 25).
    AddOffsetsToTxn,
    /// Makes partitions part of a transaction (key 24).
    AddPartitionsToTxn,
    /// Which requests a broker serves, in which versions (key 18).
    ApiVersions,
    /// Creates topics (key 19).
    CreateTopics,
    /// Deletes topics (key 20).
    DeleteTopics,
    /// Commits or aborts a transaction (key 26).
    EndTxn,
    /// Reads records (key 1).
    Fetch,
    /// Which broker coordinates a transactional id or a group (key 10).
    FindCoordinator,
    /// Which metrics of a client brokers want (key 71). Offered by clusters with [telemetry](crate::MockClusterBuilder::telemetry) only.
    GetTelemetrySubscriptions,
    /// A member of a group says that it lives (key 12).
    Heartbeat,
    /// Hands out a producer id for idempotence, and epochs for transactions (key 22).
    InitProducerId,
    /// Makes a client a member of a group (key 11).
    JoinGroup,
    /// Members leave a group (key 13).
    LeaveGroup,
    /// First, last or timestamped offsets of partitions (key 2).
    ListOffsets,
    /// Brokers, topics and leaders (key 3).
    Metadata,
    /// Commits offsets of a group (key 8).
    OffsetCommit,
    /// Which offsets groups have committed (key 9).
    OffsetFetch,
    /// Writes records (key 0).
    Produce,
    /// Metrics of a client (key 72). Offered by clusters with [telemetry](crate::MockClusterBuilder::telemetry) only.
    PushTelemetry,
    /// What a client says of who it is (key 36). Offered by clusters with users only.
    SaslAuthenticate,
    /// By which mechanism a client wants to say who it is (key 17). Offered by clusters with users only.
    SaslHandshake,
    /// Tells a member of a group what it reads (key 14).
    SyncGroup,
    /// Commits offsets of a group when the transaction commits (key 28).
    TxnOffsetCommit,
}

impl Api {
    /// Every request that the mock serves.
    pub const ALL: [Self; 23] = [
        Self::AddOffsetsToTxn,
        Self::AddPartitionsToTxn,
        Self::ApiVersions,
        Self::CreateTopics,
        Self::DeleteTopics,
        Self::EndTxn,
        Self::Fetch,
        Self::FindCoordinator,
        Self::GetTelemetrySubscriptions,
        Self::Heartbeat,
        Self::InitProducerId,
        Self::JoinGroup,
        Self::LeaveGroup,
        Self::ListOffsets,
        Self::Metadata,
        Self::OffsetCommit,
        Self::OffsetFetch,
        Self::Produce,
        Self::PushTelemetry,
        Self::SaslAuthenticate,
        Self::SaslHandshake,
        Self::SyncGroup,
        Self::TxnOffsetCommit,
    ];

    /// Returns the request with this key, if the mock serves it.
    pub fn from_key(key: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.key() == key)
    }

    /// Returns the number that stands for this request on the wire.
    pub fn key(self) -> i16 {
        self.api_key() as i16
    }

    /// Versions that the mock can decode and answer, lowest and highest.
    pub(crate) fn served(self) -> VersionRange {
        let (min, max) = match self {
            Self::AddOffsetsToTxn => (0, 4),
            Self::AddPartitionsToTxn => (0, 5),
            Self::ApiVersions => (0, 5),
            Self::CreateTopics => (2, 7),
            Self::DeleteTopics => (1, 6),
            Self::EndTxn => (0, 5),
            Self::Fetch => (4, 18),
            Self::FindCoordinator => (0, 6),
            Self::GetTelemetrySubscriptions | Self::PushTelemetry => (0, 0),
            Self::Heartbeat => (0, 4),
            Self::InitProducerId => (0, 5),
            Self::JoinGroup => (0, 9),
            Self::LeaveGroup => (0, 5),
            Self::ListOffsets => (1, 10),
            Self::Metadata => (0, 13),
            Self::OffsetCommit => (2, 9),
            Self::OffsetFetch => (1, 9),
            Self::Produce => (3, 13),
            Self::SaslAuthenticate => (0, 2),
            Self::SaslHandshake => (0, 1),
            Self::SyncGroup => (0, 5),
            Self::TxnOffsetCommit => (0, 6),
        };
        VersionRange { min, max }
    }

    pub(crate) fn has_flexible_request_header(self, version: i16) -> bool {
        self.api_key().request_header_version(version) >= 2
    }

    pub(crate) fn has_flexible_response_header(self, version: i16) -> bool {
        self.api_key().response_header_version(version) >= 1
    }

    /// Whether a client may ask for it before it has said who it is.
    pub(crate) fn is_for_strangers(self) -> bool {
        matches!(self, Self::ApiVersions | Self::SaslAuthenticate | Self::SaslHandshake)
    }

    /// Whether a Fetch that waits may have an answer after this request.
    pub(crate) fn changes_the_cluster(self) -> bool {
        matches!(
            self,
            Self::CreateTopics | Self::DeleteTopics | Self::EndTxn | Self::InitProducerId | Self::Produce
        )
    }

    fn api_key(self) -> ApiKey {
        match self {
            Self::AddOffsetsToTxn => ApiKey::AddOffsetsToTxn,
            Self::AddPartitionsToTxn => ApiKey::AddPartitionsToTxn,
            Self::ApiVersions => ApiKey::ApiVersions,
            Self::CreateTopics => ApiKey::CreateTopics,
            Self::DeleteTopics => ApiKey::DeleteTopics,
            Self::EndTxn => ApiKey::EndTxn,
            Self::Fetch => ApiKey::Fetch,
            Self::FindCoordinator => ApiKey::FindCoordinator,
            Self::GetTelemetrySubscriptions => ApiKey::GetTelemetrySubscriptions,
            Self::Heartbeat => ApiKey::Heartbeat,
            Self::InitProducerId => ApiKey::InitProducerId,
            Self::JoinGroup => ApiKey::JoinGroup,
            Self::LeaveGroup => ApiKey::LeaveGroup,
            Self::ListOffsets => ApiKey::ListOffsets,
            Self::Metadata => ApiKey::Metadata,
            Self::OffsetCommit => ApiKey::OffsetCommit,
            Self::OffsetFetch => ApiKey::OffsetFetch,
            Self::Produce => ApiKey::Produce,
            Self::PushTelemetry => ApiKey::PushTelemetry,
            Self::SaslAuthenticate => ApiKey::SaslAuthenticate,
            Self::SaslHandshake => ApiKey::SaslHandshake,
            Self::SyncGroup => ApiKey::SyncGroup,
            Self::TxnOffsetCommit => ApiKey::TxnOffsetCommit,
        }
    }
}

/// An inclusive range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VersionRange {
    pub(crate) min: i16,
    pub(crate) max: i16,
}

impl VersionRange {
    pub(crate) fn contains(self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}
