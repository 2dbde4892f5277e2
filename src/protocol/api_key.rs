//! `ApiKey`: the kinds of requests, and the versions of each that the crate speaks.

use std::ops::RangeInclusive;

/// An API of the Kafka protocol: a request and its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub(crate) enum ApiKey {
    Produce = 0,
    Metadata = 3,
    FindCoordinator = 10,
    SaslHandshake = 17,
    ApiVersions = 18,
    InitProducerId = 22,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
    TxnOffsetCommit = 28,
    SaslAuthenticate = 36,
    GetTelemetrySubscriptions = 71,
    PushTelemetry = 72,
}

impl ApiKey {
    /// Every API that has a place here, by number.
    pub(crate) const ALL: [Self; 13] = [
        Self::Produce,
        Self::Metadata,
        Self::FindCoordinator,
        Self::SaslHandshake,
        Self::ApiVersions,
        Self::InitProducerId,
        Self::AddPartitionsToTxn,
        Self::AddOffsetsToTxn,
        Self::EndTxn,
        Self::TxnOffsetCommit,
        Self::SaslAuthenticate,
        Self::GetTelemetrySubscriptions,
        Self::PushTelemetry,
    ];

    /// Returns Kafka's name of the request.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AddOffsetsToTxn => "AddOffsetsToTxn",
            Self::AddPartitionsToTxn => "AddPartitionsToTxn",
            Self::ApiVersions => "ApiVersions",
            Self::EndTxn => "EndTxn",
            Self::FindCoordinator => "FindCoordinator",
            Self::GetTelemetrySubscriptions => "GetTelemetrySubscriptions",
            Self::InitProducerId => "InitProducerId",
            Self::Metadata => "Metadata",
            Self::Produce => "Produce",
            Self::PushTelemetry => "PushTelemetry",
            Self::SaslAuthenticate => "SaslAuthenticate",
            Self::SaslHandshake => "SaslHandshake",
            Self::TxnOffsetCommit => "TxnOffsetCommit",
        }
    }

    /// Returns the number that stands on the wire.
    pub(crate) const fn code(self) -> i16 {
        self as i16
    }

    /// Returns the versions that this crate speaks.
    ///
    /// AddPartitionsToTxn ends at 3, the last version that is for clients (KIP-890).
    /// Produce begins at 3, the first version with record batches of format 2. Brokers of Kafka 4 advertise 0
    /// to 2 and refuse them (KAFKA-18659), so a common version must be looked for within this range. After version 0 of SaslHandshake
    /// the words of a mechanism follow without headers, not in SaslAuthenticate.
    pub(crate) const fn versions(self) -> RangeInclusive<i16> {
        match self {
            Self::AddOffsetsToTxn => 0..=4,
            Self::AddPartitionsToTxn => 0..=3,
            Self::ApiVersions | Self::EndTxn | Self::InitProducerId => 0..=5,
            Self::FindCoordinator | Self::TxnOffsetCommit => 0..=6,
            Self::Metadata => 0..=13,
            Self::Produce => 3..=13,
            Self::SaslAuthenticate => 0..=2,
            Self::SaslHandshake => 0..=1,
            Self::GetTelemetrySubscriptions | Self::PushTelemetry => 0..=0,
        }
    }

    /// Returns whether `version` has compact lengths and tag sections (KIP-482).
    pub(crate) const fn is_flexible(self, version: i16) -> bool {
        match self.first_flexible_version() {
            Some(first) => version >= first,
            None => false,
        }
    }

    pub(crate) const fn first_flexible_version(self) -> Option<i16> {
        match self {
            Self::AddOffsetsToTxn
            | Self::AddPartitionsToTxn
            | Self::ApiVersions
            | Self::EndTxn
            | Self::FindCoordinator
            | Self::TxnOffsetCommit => Some(3),
            Self::GetTelemetrySubscriptions | Self::PushTelemetry => Some(0),
            Self::InitProducerId | Self::SaslAuthenticate => Some(2),
            Self::Metadata | Self::Produce => Some(9),
            Self::SaslHandshake => None,
        }
    }

    /// Returns the version of the header that goes before a request of `version`.
    pub(crate) const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// Returns the version of the header that goes before a response of `version`.
    ///
    /// That of ApiVersions never has tags: its reader does not know yet what the broker speaks (KIP-511).
    pub(crate) const fn response_header_version(self, version: i16) -> i16 {
        match self {
            Self::ApiVersions => 0,
            _ if self.is_flexible(version) => 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
