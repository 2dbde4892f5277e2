//! `ErrorCode`: Kafka's error codes by name, and which of them time or fresh metadata may cure.

use std::fmt;

/// Whether time or fresh metadata may cure an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cure {
    /// Fresh metadata may: the request went to a place that is out of date.
    InvalidMetadata,
    /// Nothing will.
    Lasting,
    /// Time may.
    Retriable,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $cure:ident;)*) => {
        /// An error code of the Kafka protocol: why a broker refused a request or a part of it.
        ///
        /// The variants are Kafka's own, in the order of their numbers; codes that a newer broker may send
        /// and this crate does not know are [`Unknown`](Self::Unknown).
        ///
        /// ```
        /// use kafka_producer::ErrorCode;
        ///
        /// let code = ErrorCode::from(6);
        /// assert_eq!(code, ErrorCode::NotLeaderOrFollower);
        /// assert_eq!(code.to_string(), "NOT_LEADER_OR_FOLLOWER (6)");
        /// assert!(code.is_retriable());
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
            /// A code that this crate has no name for. [`From`] gives no listed code this way.
            Unknown(i16),
        }

        impl ErrorCode {
            /// Returns the number that stands on the wire.
            #[must_use]
            pub const fn code(self) -> i16 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Unknown(code) => code,
                }
            }

            /// Returns Kafka's name for the code, such as `NOT_LEADER_OR_FOLLOWER`; `UNKNOWN` for
            /// [`Unknown`](Self::Unknown).
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown(_) => "UNKNOWN",
                }
            }

            const fn cure(self) -> Cure {
                match self {
                    $(Self::$variant => Cure::$cure,)*
                    Self::Unknown(_) => Cure::Lasting,
                }
            }
        }

        impl From<i16> for ErrorCode {
            fn from(code: i16) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    _ => Self::Unknown(code),
                }
            }
        }
    };
}

error_codes! {
    /// The broker met an error that it does not name.
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", Lasting;
    /// No error.
    None = 0, "NONE", Lasting;
    /// The offset lies outside of what the partition holds.
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", Lasting;
    /// A record failed its checksum, has an invalid size or lacks a key that the topic demands.
    CorruptMessage = 2, "CORRUPT_MESSAGE", Retriable;
    /// The broker does not host the topic or the partition.
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", InvalidMetadata;
    /// A fetch asked for an invalid number of bytes.
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", Lasting;
    /// The partition has no leader at the moment, as during an election.
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", InvalidMetadata;
    /// The broker is not, or no longer, the leader of the partition.
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", InvalidMetadata;
    /// The broker could not finish the request within the time that the request allowed.
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", Retriable;
    /// The broker is not available.
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", Lasting;
    /// The replica is not available.
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", InvalidMetadata;
    /// A record, or a batch of records, is larger than the topic or the broker allows (`max.message.bytes`).
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", Lasting;
    /// The controller has been replaced by a newer one.
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", Lasting;
    /// The metadata that goes with an offset is too long.
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", Lasting;
    /// The connection closed before an answer came; made up by clients, never sent by a broker.
    NetworkException = 13, "NETWORK_EXCEPTION", InvalidMetadata;
    /// The coordinator still loads its state.
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", Retriable;
    /// No coordinator is available.
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", Retriable;
    /// The broker is not the coordinator that was asked for.
    NotCoordinator = 16, "NOT_COORDINATOR", Retriable;
    /// The name of the topic is invalid, or the topic may not be written to.
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", Lasting;
    /// The batch is larger than a segment of the log (`segment.bytes`).
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", Lasting;
    /// Fewer replicas are in sync than `min.insync.replicas`; nothing was written.
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", Retriable;
    /// Fewer replicas were in sync than `min.insync.replicas` after the leader had written the records.
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", Retriable;
    /// The request asked for `acks` other than 0, 1 and all.
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", Lasting;
    /// The generation of the consumer group is not the current one.
    IllegalGeneration = 22, "ILLEGAL_GENERATION", Lasting;
    /// The member's protocol does not match those of its group.
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", Lasting;
    /// The id of the group is invalid.
    InvalidGroupId = 24, "INVALID_GROUP_ID", Lasting;
    /// The group does not know the member.
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", Lasting;
    /// The session timeout lies outside of what the broker allows.
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", Lasting;
    /// The group rebalances; the member has to join again.
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", Lasting;
    /// The data of the offset commit is too large.
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", Lasting;
    /// The principal may not access the topic.
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", Lasting;
    /// The principal may not access the group.
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", Lasting;
    /// The principal may not do this to the cluster; an idempotent producer needs `IdempotentWrite` or
    /// `Write` on a topic.
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", Lasting;
    /// The timestamp of a record lies outside of what the topic allows.
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", Lasting;
    /// The broker does not offer the SASL mechanism.
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", Lasting;
    /// The request does not belong to the present step of the SASL exchange.
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", Lasting;
    /// The broker does not speak this version of the API.
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", Lasting;
    /// A topic of this name exists already.
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", Lasting;
    /// The number of partitions is invalid.
    InvalidPartitions = 37, "INVALID_PARTITIONS", Lasting;
    /// The replication factor is below one or above the number of brokers.
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", Lasting;
    /// The assignment of replicas is invalid.
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", Lasting;
    /// The configuration is invalid.
    InvalidConfig = 40, "INVALID_CONFIG", Lasting;
    /// The broker is not the controller.
    NotController = 41, "NOT_CONTROLLER", Retriable;
    /// The request is malformed or contradicts itself.
    InvalidRequest = 42, "INVALID_REQUEST", Lasting;
    /// The broker's message format does not support the request.
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", Lasting;
    /// A policy of the broker forbids the request.
    PolicyViolation = 44, "POLICY_VIOLATION", Lasting;
    /// The batch does not continue the sequence of numbers that the broker holds for the producer.
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", Lasting;
    /// The broker has already written a batch with these sequence numbers.
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", Lasting;
    /// The epoch of the producer is older than one that the broker has seen.
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", Lasting;
    /// The transaction is in a state that does not allow the request.
    InvalidTxnState = 48, "INVALID_TXN_STATE", Lasting;
    /// The producer id does not belong to the transactional id.
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", Lasting;
    /// The transaction timeout exceeds `transaction.max.timeout.ms` of the broker.
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", Lasting;
    /// Another operation on the transaction is still under way.
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", Retriable;
    /// The transaction coordinator has been replaced by a newer one.
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", Lasting;
    /// The principal may not use the transactional id.
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", Lasting;
    /// Security features are turned off on the broker.
    SecurityDisabled = 54, "SECURITY_DISABLED", Lasting;
    /// The broker did not get as far as this operation of a request.
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", Lasting;
    /// The broker could not read or write its disk.
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", InvalidMetadata;
    /// The log directory does not exist.
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", Lasting;
    /// The SASL credentials were refused.
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", Lasting;
    /// The broker holds nothing about the producer id, as after its records were deleted.
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", Lasting;
    /// A reassignment of the partition is under way.
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", Lasting;
    /// Delegation tokens are turned off on the broker.
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", Lasting;
    /// The delegation token does not exist.
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", Lasting;
    /// The principal is neither owner nor renewer of the delegation token.
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", Lasting;
    /// The connection is not authenticated in a way that allows requests about delegation tokens.
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", Lasting;
    /// The principal may not use delegation tokens.
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", Lasting;
    /// The delegation token has expired.
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", Lasting;
    /// The type of the principal is not supported.
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", Lasting;
    /// The group still has members.
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", Lasting;
    /// The group does not exist.
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", Lasting;
    /// The broker does not hold the fetch session.
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", Retriable;
    /// The epoch of the fetch session is not the expected one.
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", Retriable;
    /// The leader has no listener of the name through which the client asked.
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", InvalidMetadata;
    /// Deletion of topics is turned off on the broker.
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", Lasting;
    /// The leader epoch of the request is older than the broker's.
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", InvalidMetadata;
    /// The leader epoch of the request is newer than the broker's.
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", Retriable;
    /// The client's version of the API does not allow the compression type.
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", Lasting;
    /// The epoch of the broker is not the current one.
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", Lasting;
    /// The leader cannot name offsets yet, as right after its election.
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", Retriable;
    /// The group asks the member to join again with the id that it was given.
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", Lasting;
    /// The preferred leader is not available for an election.
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", InvalidMetadata;
    /// The group is full.
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", Lasting;
    /// Another member has taken over the static member id.
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", Lasting;
    /// No replica is eligible as leader.
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", InvalidMetadata;
    /// The partition has the desired leader already.
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", InvalidMetadata;
    /// No reassignment of the partition is under way.
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", Lasting;
    /// The group is subscribed to the topic.
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", Lasting;
    /// The broker refused a record, as its validation demands.
    InvalidRecord = 87, "INVALID_RECORD", Lasting;
    /// A transaction has not yet decided about the offsets.
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", Retriable;
    /// The request exceeds a quota on the rate of such requests.
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", Retriable;
    /// A newer producer with the same transactional id has taken over.
    ProducerFenced = 90, "PRODUCER_FENCED", Lasting;
    /// The resource does not exist.
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", Lasting;
    /// The request names a resource twice, or one that exists already.
    DuplicateResource = 92, "DUPLICATE_RESOURCE", Lasting;
    /// The credential does not meet the broker's demands.
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", Lasting;
    /// The sets of voters of sender and receiver differ.
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", Lasting;
    /// The feature cannot be updated to the given version.
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", Lasting;
    /// The update of finalized features failed.
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", Lasting;
    /// The broker could not read the principal of a forwarded request.
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", Lasting;
    /// The snapshot does not exist.
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", Lasting;
    /// The position lies outside of the snapshot.
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", Lasting;
    /// The broker does not know the topic id, as after the topic was deleted and made again.
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", InvalidMetadata;
    /// Another broker has registered with this id.
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", Lasting;
    /// No broker has registered with this id.
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", Lasting;
    /// The topic id of the log differs from that of the request.
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", InvalidMetadata;
    /// The cluster id of the request differs from that of the cluster.
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", Lasting;
    /// The transactional id does not exist.
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", Lasting;
    /// The topic ids of the fetch session changed their meaning.
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", Retriable;
    /// The replica may not become part of the in-sync set.
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", Lasting;
    /// The election chose another leader while the request was under way.
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", Lasting;
    /// The offset has been moved to tiered storage.
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", Lasting;
    /// The epoch of the group's member has been replaced by a newer one.
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", Lasting;
    /// Another member still holds the static member id.
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", Lasting;
    /// The group coordinator does not offer the assignor.
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", Lasting;
    /// The epoch of the group's member is older than that of the group; retry with the new one.
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", Lasting;
    /// The request went to an endpoint of the other type, controller or broker.
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", Lasting;
    /// The endpoint type is not supported.
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", Lasting;
    /// The controller id is not known.
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", Lasting;
    /// The subscription id of pushed telemetry is not the current one.
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", Lasting;
    /// The pushed telemetry is larger than the broker accepts.
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", Lasting;
    /// The registration of the broker is invalid.
    InvalidRegistration = 119, "INVALID_REGISTRATION", Lasting;
    /// The broker gave up on the transaction, which can only be aborted (KIP-890).
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", Lasting;
    /// The record's state of delivery does not allow the acknowledgement.
    InvalidRecordState = 121, "INVALID_RECORD_STATE", Lasting;
    /// The broker does not hold the share session.
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", Retriable;
    /// The epoch of the share session is not the expected one.
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", Retriable;
    /// The state epoch of the share coordinator is older than one that it has seen.
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", Lasting;
    /// The voter key does not match that of the receiving replica.
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", Lasting;
    /// The voter is part of the set already.
    DuplicateVoter = 126, "DUPLICATE_VOTER", Lasting;
    /// The voter is not part of the set.
    VoterNotFound = 127, "VOTER_NOT_FOUND", Lasting;
    /// The regular expression is invalid.
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", Lasting;
    /// The client's metadata is too old; it has to start over from `bootstrap.servers` (KIP-1102).
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", Lasting;
    /// The topology of the streams group is invalid.
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", Lasting;
    /// The topology epoch of the streams group is invalid.
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", Lasting;
    /// The topology epoch of the member is older than that of the streams group.
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED", Lasting;
    /// The broker holds as many share sessions as it allows.
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED", Retriable;
}

impl ErrorCode {
    /// Returns whether the same request may succeed later, as Java's `RetriableException` says.
    ///
    /// [`Unknown`](Self::Unknown) codes are not retriable.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        !matches!(self.cure(), Cure::Lasting)
    }

    /// Returns whether the error is retriable and asks for fresh metadata first, as Java's
    /// `InvalidMetadataException` says.
    #[must_use]
    pub const fn is_invalid_metadata(self) -> bool {
        matches!(self.cure(), Cure::InvalidMetadata)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}

#[cfg(test)]
mod tests;
