//! What the error code of an answer means for the transaction: a table from requests and codes to verdicts.

use crate::protocol::{ApiKey, ErrorCode};

/// What follows from an answer (Java: the handlers of `TransactionManager`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It is done.
    Done,
    /// The coordinator is busy with the transaction before this one: ask again soon.
    Busy,
    /// Ask again, after a pause.
    Retry,
    /// Ask the same of another broker: this one does not coordinate.
    OtherCoordinator,
    /// The transaction cannot be committed, and can be aborted.
    Abort,
    /// The call fails, and may succeed once the configuration is mended. Only while the producer comes by its id.
    Refused,
    /// Another producer has the transactional id now, or the coordinator has given this one up.
    Fenced,
    /// The producer cannot go on.
    Fatal,
}

/// What the outcome of a request to commit says of the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The transaction is not committed, whatever has become of attempts before.
    Impossible,
    /// This attempt has not committed. One before may have.
    NotWritten,
    /// This attempt may have committed.
    Unknown,
}

impl Attempt {
    /// Judges an answer (Kafka: `TransactionCoordinator.endTransaction`). What the coordinator says before it writes to its log proves
    /// that the attempt has not committed. All other errors can follow the write, if the log does not confirm it in time, or if the
    /// coordinator loses the log meanwhile: then the next coordinator finds the commit there, and carries it out.
    pub(super) fn of(code: ErrorCode, is_of_version_two: bool) -> Self {
        match code {
            // The epoch tells this transaction from all others, and the coordinator would have said that it is committed.
            ErrorCode::InvalidTxnState if is_of_version_two => Self::Impossible,
            ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::ConcurrentTransactions
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::InvalidRequest
            | ErrorCode::InvalidTxnState
            | ErrorCode::ProducerFenced
            | ErrorCode::TransactionAbortable
            | ErrorCode::TransactionalIdAuthorizationFailed
            | ErrorCode::UnknownProducerId
            | ErrorCode::UnsupportedVersion => Self::NotWritten,
            _ => Self::Unknown,
        }
    }
}

impl Verdict {
    /// Judges the answer to a request. `is_commit`: to an EndTxn that commits.
    pub(crate) fn of(api: ApiKey, code: ErrorCode, is_commit: bool) -> Self {
        match code {
            ErrorCode::None => Self::Done,
            ErrorCode::ConcurrentTransactions => Self::Busy,
            // A coordinator of Kafka 4 says so in the moment in which another producer fences this one.
            ErrorCode::UnknownServerError => Self::Retry,
            // Who asked for the coordinator asked the right broker.
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable
                if api == ApiKey::FindCoordinator =>
            {
                Self::Retry
            }
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => Self::OtherCoordinator,
            ErrorCode::RequestTimedOut if api == ApiKey::TxnOffsetCommit => Self::OtherCoordinator,
            ErrorCode::InvalidProducerEpoch | ErrorCode::ProducerFenced if api != ApiKey::FindCoordinator => {
                Self::Fenced
            }
            // The abort of a transaction must not wait for its own abort.
            ErrorCode::TransactionAbortable if api == ApiKey::EndTxn && !is_commit => Self::Fatal,
            ErrorCode::TransactionAbortable => Self::Abort,
            code => match api {
                ApiKey::InitProducerId => of_init_producer_id(code),
                ApiKey::AddPartitionsToTxn => of_add_partitions(code),
                ApiKey::AddOffsetsToTxn | ApiKey::EndTxn | ApiKey::FindCoordinator => {
                    of_others(api, code, is_commit)
                }
                ApiKey::TxnOffsetCommit => of_offset_commit(code),
                _ => Self::Fatal,
            },
        }
    }
}

fn of_init_producer_id(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::InvalidTransactionTimeout
        | ErrorCode::TransactionalIdAuthorizationFailed => Verdict::Refused,
        code => retried_or(code, Verdict::Fatal),
    }
}

fn of_add_partitions(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::InvalidProducerIdMapping
        | ErrorCode::InvalidTxnState
        | ErrorCode::TransactionalIdAuthorizationFailed => Verdict::Fatal,
        // Said of a partition because another one of the request was refused. The other decides.
        ErrorCode::OperationNotAttempted => Verdict::Done,
        code => retried_or(code, Verdict::Abort),
    }
}

fn of_offset_commit(code: ErrorCode) -> Verdict {
    match code {
        // They have changed hands, or the group does not have them.
        ErrorCode::FencedInstanceId
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::GroupIdNotFound
        | ErrorCode::IllegalGeneration
        | ErrorCode::InvalidCommitOffsetSize
        | ErrorCode::InvalidGroupId
        | ErrorCode::OffsetMetadataTooLarge
        | ErrorCode::StaleMemberEpoch
        | ErrorCode::TopicAuthorizationFailed
        | ErrorCode::UnknownMemberId => Verdict::Abort,
        code => retried_or(code, Verdict::Fatal),
    }
}

fn of_others(api: ApiKey, code: ErrorCode, is_commit: bool) -> Verdict {
    match code {
        ErrorCode::GroupAuthorizationFailed | ErrorCode::InvalidGroupId if api != ApiKey::EndTxn => {
            Verdict::Abort
        }
        ErrorCode::TransactionalIdAuthorizationFailed | ErrorCode::ClusterAuthorizationFailed
            if api == ApiKey::FindCoordinator =>
        {
            Verdict::Refused
        }
        // The coordinator has forgotten the producer, and gives it another epoch once the transaction is aborted.
        ErrorCode::UnknownProducerId if api == ApiKey::AddOffsetsToTxn || is_commit => Verdict::Abort,
        code => retried_or(code, Verdict::Fatal),
    }
}

fn retried_or(code: ErrorCode, verdict: Verdict) -> Verdict {
    if code.is_retriable() { Verdict::Retry } else { verdict }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::sender::transactions) const REQUESTS: [ApiKey; 6] = [
        ApiKey::FindCoordinator,
        ApiKey::InitProducerId,
        ApiKey::AddPartitionsToTxn,
        ApiKey::AddOffsetsToTxn,
        ApiKey::TxnOffsetCommit,
        ApiKey::EndTxn,
    ];

    fn of(api: ApiKey, code: i16) -> Verdict {
        Verdict::of(api, ErrorCode::from(code), true)
    }

    /// Kafka's handlers in `TransactionManager`, code by code, in the order of `REQUESTS`. `A`: abort, `B`: busy, `C`: the
    /// coordinator is another broker, `F`: fatal, `N`: never answered, `R`: again, `X`: fenced, `Z`: refused while the producer
    /// comes by its id.
    pub(in crate::sender::transactions) const TABLE: [(i16, &str); 23] = [
        (15, "RCCCCC"),  // COORDINATOR_NOT_AVAILABLE
        (16, "RCCCCC"),  // NOT_COORDINATOR
        (14, "RRRRRR"),  // COORDINATOR_LOAD_IN_PROGRESS
        (51, "BBBBBB"),  // CONCURRENT_TRANSACTIONS
        (47, "NXXXXX"),  // INVALID_PRODUCER_EPOCH
        (90, "NXXXXX"),  // PRODUCER_FENCED
        (53, "ZZFFFF"),  // TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        (31, "ZZAFFF"),  // CLUSTER_AUTHORIZATION_FAILED
        (48, "NFFFFF"),  // INVALID_TXN_STATE
        (49, "NFFFFF"),  // INVALID_PRODUCER_ID_MAPPING
        (59, "NFAAFA"),  // UNKNOWN_PRODUCER_ID
        (29, "NNANAN"), // TOPIC_AUTHORIZATION_FAILED: Java's commit of offsets is fatal; here the transaction can be aborted
        (30, "ANNAAN"), // GROUP_AUTHORIZATION_FAILED
        (24, "ANNAAN"), // INVALID_GROUP_ID: final in Java; here the transaction can be aborted
        (28, "NNNNAN"), // INVALID_COMMIT_OFFSET_SIZE: the same
        (82, "NNNNAN"), // FENCED_INSTANCE_ID
        (25, "NNNNAN"), // UNKNOWN_MEMBER_ID
        (22, "NNNNAN"), // ILLEGAL_GENERATION
        (69, "NNNNAN"), // GROUP_ID_NOT_FOUND
        (113, "NNNNAN"), // STALE_MEMBER_EPOCH
        (43, "NNNNFN"), // UNSUPPORTED_FOR_MESSAGE_FORMAT
        (120, "AAAAAA"), // TRANSACTION_ABORTABLE
        (50, "NZNNNN"), // INVALID_TRANSACTION_TIMEOUT
    ];

    #[test]
    fn codes_mean_what_they_mean_to_kafka_s_own_producer() {
        for (code, verdicts) in TABLE {
            for (api, verdict) in REQUESTS.into_iter().zip(verdicts.chars()) {
                let expected = match verdict {
                    'A' => Verdict::Abort,
                    'B' => Verdict::Busy,
                    'C' => Verdict::OtherCoordinator,
                    'F' => Verdict::Fatal,
                    'R' => Verdict::Retry,
                    'X' => Verdict::Fenced,
                    'Z' => Verdict::Refused,
                    _ => continue,
                };
                assert_eq!(of(api, code), expected, "{api:?} {code}");
            }
        }
    }

    #[test]
    fn every_code_has_a_verdict_and_retriable_ones_are_retried() {
        for code in -1..=140 {
            for api in REQUESTS {
                let verdict = of(api, code);
                let is_again = matches!(verdict, Verdict::Busy | Verdict::OtherCoordinator | Verdict::Retry);
                if ErrorCode::from(code).is_retriable() {
                    assert!(is_again, "{api:?} {code}: {verdict:?}");
                }
            }
        }
    }

    #[test]
    fn abort_does_not_wait_for_another_abort() {
        for code in [59, 120] {
            let verdict = Verdict::of(ApiKey::EndTxn, ErrorCode::from(code), false);
            assert_eq!(verdict, Verdict::Fatal, "{code}");
        }
    }
}
