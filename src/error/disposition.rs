//! What to do about an error: one table over every code that a broker can send.

use crate::protocol::ErrorCode;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Disposition {
    /// The transaction cannot be committed: abort it, and begin another with the same records.
    AbortTransaction,
    /// It should not happen with a correct application, producer and broker: report it, unless it is the application's.
    Bug,
    /// Nothing tells whether what was asked for was done: look for it before you ask again.
    FindOutcome,
    /// The configuration of the producer, the topic or its access rights must change first.
    FixConfiguration,
    /// The same record will be refused again: change it or leave it out.
    FixRecord,
    /// This producer cannot go on: make a new one.
    NewProducer,
    /// What was asked for goes on: repeat the same call to learn what came of it.
    RepeatCall,
    /// The partition is stopped: decide what to do with the record that failed, then call
    /// [`resume`](crate::KafkaProducer::resume).
    ResumePartition,
    /// The cause may pass: send the record again later.
    RetryLater,
    /// Nothing counts of the transaction before the one that was to be begun: begin another with the records of that one, if they are
    /// still to be sent.
    SendPreviousAgain,
}

impl Disposition {
    /// Returns what to do when time is over and this is what a broker said last, if it said anything.
    pub(super) fn of_last_answer(code: Option<ErrorCode>) -> Self {
        code.map_or(Self::RetryLater, Self::of)
    }

    /// Returns what to do when a broker gives this code as its last word on a record.
    ///
    /// The producer itself has retried what is worth it by then, within `retries` and `delivery.timeout.ms`.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub fn of(code: ErrorCode) -> Self {
        // Exhaustive on purpose: a new code does not compile until a developer has decided.
        match code {
            ErrorCode::UnknownServerError
            | ErrorCode::CorruptMessage
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::RequestTimedOut
            | ErrorCode::BrokerNotAvailable
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::StaleControllerEpoch
            | ErrorCode::NetworkException
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::RebalanceInProgress
            | ErrorCode::NotController
            | ErrorCode::ConcurrentTransactions
            | ErrorCode::KafkaStorageError
            | ErrorCode::ReassignmentInProgress
            | ErrorCode::FetchSessionIdNotFound
            | ErrorCode::InvalidFetchSessionEpoch
            | ErrorCode::ListenerNotFound
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::StaleBrokerEpoch
            | ErrorCode::OffsetNotAvailable
            | ErrorCode::PreferredLeaderNotAvailable
            | ErrorCode::EligibleLeadersNotAvailable
            | ErrorCode::ElectionNotNeeded
            | ErrorCode::UnstableOffsetCommit
            | ErrorCode::ThrottlingQuotaExceeded
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId
            | ErrorCode::FetchSessionTopicIdError
            | ErrorCode::IneligibleReplica
            | ErrorCode::NewLeaderElected
            | ErrorCode::ShareSessionNotFound
            | ErrorCode::InvalidShareSessionEpoch
            | ErrorCode::RebootstrapRequired
            | ErrorCode::ShareSessionLimitReached => Self::RetryLater,
            ErrorCode::MessageTooLarge
            | ErrorCode::InvalidTopicException
            | ErrorCode::RecordListTooLarge
            | ErrorCode::InvalidTimestamp
            | ErrorCode::InvalidPartitions
            | ErrorCode::InvalidRecord => Self::FixRecord,
            ErrorCode::InvalidRequiredAcks
            | ErrorCode::TopicAuthorizationFailed
            | ErrorCode::GroupAuthorizationFailed
            | ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::UnsupportedSaslMechanism
            | ErrorCode::IllegalSaslState
            | ErrorCode::UnsupportedVersion
            | ErrorCode::InvalidReplicationFactor
            | ErrorCode::InvalidReplicaAssignment
            | ErrorCode::InvalidConfig
            | ErrorCode::UnsupportedForMessageFormat
            | ErrorCode::PolicyViolation
            | ErrorCode::InvalidTransactionTimeout
            | ErrorCode::TransactionalIdAuthorizationFailed
            | ErrorCode::SecurityDisabled
            | ErrorCode::SaslAuthenticationFailed
            | ErrorCode::DelegationTokenAuthDisabled
            | ErrorCode::DelegationTokenNotFound
            | ErrorCode::DelegationTokenOwnerMismatch
            | ErrorCode::DelegationTokenRequestNotAllowed
            | ErrorCode::DelegationTokenAuthorizationFailed
            | ErrorCode::DelegationTokenExpired
            | ErrorCode::InvalidPrincipalType
            | ErrorCode::UnsupportedCompressionType
            | ErrorCode::UnacceptableCredential
            | ErrorCode::InconsistentClusterId
            | ErrorCode::MismatchedEndpointType
            | ErrorCode::UnsupportedEndpointType => Self::FixConfiguration,
            ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::InvalidTxnState
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::TransactionCoordinatorFenced
            | ErrorCode::UnknownProducerId
            | ErrorCode::FencedInstanceId
            | ErrorCode::ProducerFenced
            | ErrorCode::TransactionAbortable => Self::NewProducer,
            ErrorCode::None
            | ErrorCode::Unknown(_)
            | ErrorCode::OffsetOutOfRange
            | ErrorCode::InvalidFetchSize
            | ErrorCode::OffsetMetadataTooLarge
            | ErrorCode::IllegalGeneration
            | ErrorCode::InconsistentGroupProtocol
            | ErrorCode::InvalidGroupId
            | ErrorCode::UnknownMemberId
            | ErrorCode::InvalidSessionTimeout
            | ErrorCode::InvalidCommitOffsetSize
            | ErrorCode::TopicAlreadyExists
            | ErrorCode::InvalidRequest
            | ErrorCode::DuplicateSequenceNumber
            | ErrorCode::OperationNotAttempted
            | ErrorCode::LogDirNotFound
            | ErrorCode::NonEmptyGroup
            | ErrorCode::GroupIdNotFound
            | ErrorCode::TopicDeletionDisabled
            | ErrorCode::MemberIdRequired
            | ErrorCode::GroupMaxSizeReached
            | ErrorCode::NoReassignmentInProgress
            | ErrorCode::GroupSubscribedToTopic
            | ErrorCode::ResourceNotFound
            | ErrorCode::DuplicateResource
            | ErrorCode::InconsistentVoterSet
            | ErrorCode::InvalidUpdateVersion
            | ErrorCode::FeatureUpdateFailed
            | ErrorCode::PrincipalDeserializationFailure
            | ErrorCode::SnapshotNotFound
            | ErrorCode::PositionOutOfRange
            | ErrorCode::DuplicateBrokerRegistration
            | ErrorCode::BrokerIdNotRegistered
            | ErrorCode::TransactionalIdNotFound
            | ErrorCode::OffsetMovedToTieredStorage
            | ErrorCode::FencedMemberEpoch
            | ErrorCode::UnreleasedInstanceId
            | ErrorCode::UnsupportedAssignor
            | ErrorCode::StaleMemberEpoch
            | ErrorCode::UnknownControllerId
            | ErrorCode::UnknownSubscriptionId
            | ErrorCode::TelemetryTooLarge
            | ErrorCode::InvalidRegistration
            | ErrorCode::InvalidRecordState
            | ErrorCode::FencedStateEpoch
            | ErrorCode::InvalidVoterKey
            | ErrorCode::DuplicateVoter
            | ErrorCode::VoterNotFound
            | ErrorCode::InvalidRegularExpression
            | ErrorCode::StreamsInvalidTopology
            | ErrorCode::StreamsInvalidTopologyEpoch
            | ErrorCode::StreamsTopologyFenced => Self::Bug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_retriable_code_is_worth_a_retry() {
        for code in (-1..=200).map(ErrorCode::from).filter(|code| code.is_retriable()) {
            assert_eq!(Disposition::of(code), Disposition::RetryLater, "{code}");
        }
    }

    #[test]
    fn codes_that_name_a_culprit_say_so() {
        let table = [
            (10, Disposition::FixRecord),
            (17, Disposition::FixRecord),
            (18, Disposition::FixRecord),
            (21, Disposition::FixConfiguration),
            (29, Disposition::FixConfiguration),
            (31, Disposition::FixConfiguration),
            (32, Disposition::FixRecord),
            (35, Disposition::FixConfiguration),
            (42, Disposition::Bug),
            (44, Disposition::FixConfiguration),
            (47, Disposition::NewProducer),
            (76, Disposition::FixConfiguration),
            (87, Disposition::FixRecord),
            (90, Disposition::NewProducer),
            (4242, Disposition::Bug),
        ];
        for (code, disposition) in table {
            assert_eq!(Disposition::of(ErrorCode::from(code)), disposition, "{code}");
        }
    }
}
