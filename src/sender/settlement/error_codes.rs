//! What the error code of an answer means for its batch: a table from codes to verdicts. `not_leader.rs` says what it means for
//! the leader.

use crate::error::Persisted;
use crate::planted::planted;
use crate::protocol::ErrorCode;

/// What an answer means for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The broker has the batch.
    Delivered,
    /// The broker waits for another sequence number, or does not know the producer (any more).
    OutOfOrder,
    /// The broker refuses it for good.
    Refused(Persisted),
    /// The batch may be accepted when it is sent again.
    Retriable(Persisted),
    /// It may be accepted in smaller pieces (KIP-126).
    TooLarge,
}

impl Verdict {
    /// Judges the error code of a partition in a produce response (Java: `Sender.completeBatch`).
    ///
    /// `is_numbered`: the batch bears a sequence number. `is_in_transaction`: only the coordinator gives the producer another epoch.
    pub(super) fn of(code: ErrorCode, is_numbered: bool, is_in_transaction: bool) -> Self {
        match code {
            ErrorCode::DuplicateSequenceNumber if planted!(DuplicateIsFailure) => {
                Self::Refused(Persisted::No)
            }
            ErrorCode::InvalidProducerEpoch if is_in_transaction => Self::Refused(Persisted::No),
            ErrorCode::InvalidProducerEpoch
            | ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::UnknownProducerId
                if is_numbered =>
            {
                Self::OutOfOrder
            }
            ErrorCode::None | ErrorCode::DuplicateSequenceNumber => Self::Delivered,
            ErrorCode::MessageTooLarge => Self::TooLarge,
            code if code.is_retriable() => Self::Retriable(persisted_after(code)),
            code => Self::Refused(persisted_after(code)),
        }
    }
}

/// Whether a broker that gives this code objects to a record of the batch, so that it may take the others.
pub(super) fn is_of_a_record(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::CorruptMessage
            | ErrorCode::InvalidRecord
            | ErrorCode::InvalidTimestamp
            | ErrorCode::RecordListTooLarge
    )
}

/// Whether an attempt that is answered by an error may have left the batch in the log: the broker gave up after it had
/// appended the batch, or cannot say.
fn persisted_after(code: ErrorCode) -> Persisted {
    match code {
        // With `acks=all` a leader that was deposed while it waited for its followers says that it does not lead,
        // or, if its disk failed, that; the followers may have the batch (Kafka: `DelayedProduce`).
        ErrorCode::KafkaStorageError
        | ErrorCode::NotLeaderOrFollower
        | ErrorCode::NetworkException
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut
        | ErrorCode::Unknown(_)
        | ErrorCode::UnknownServerError => Persisted::Maybe,
        _ => Persisted::No,
    }
}

#[cfg(test)]
mod tests {
    use super::super::LeaderNews;
    use super::*;

    /// The table of Java's behaviour for a producer without idempotence: code, retried, refreshes metadata.
    const RETRIED: [(i16, bool); 26] = [
        (2, false),
        (3, true),
        (5, true),
        (6, true),
        (7, false),
        (9, true),
        (13, true),
        (14, false),
        (15, false),
        (16, false),
        (19, false),
        (20, false),
        (41, false),
        (51, false),
        (56, true),
        (70, false),
        (71, false),
        (72, true),
        (74, true),
        (75, false),
        (78, false),
        (88, false),
        (89, false),
        (100, true),
        (103, true),
        (106, false),
    ];
    const REFUSED: [i16; 24] =
        [-1, 17, 18, 21, 29, 31, 32, 35, 42, 43, 45, 47, 48, 49, 53, 59, 76, 87, 90, 120, 1, 4, 44, 999];

    #[test]
    fn retriable_codes_are_retried_and_refresh_metadata_where_java_does() {
        for (code, refreshes) in RETRIED {
            let code = ErrorCode::from(code);
            let verdict = Verdict::of(code, false, false);
            assert!(matches!(verdict, Verdict::Retriable(_)), "{code}: {verdict:?}");
            assert_eq!(LeaderNews::of(code) != LeaderNews::Current, refreshes, "{code}");
        }
    }

    #[test]
    fn other_codes_are_final() {
        for code in REFUSED {
            let verdict = Verdict::of(ErrorCode::from(code), false, false);
            assert!(matches!(verdict, Verdict::Refused(_)), "{code}: {verdict:?}");
        }
    }

    #[test]
    fn success_duplicate_and_too_large_have_verdicts_of_their_own() {
        assert_eq!(Verdict::of(ErrorCode::from(0), true, false), Verdict::Delivered);
        assert_eq!(Verdict::of(ErrorCode::from(46), true, false), Verdict::Delivered);
        assert_eq!(Verdict::of(ErrorCode::from(10), true, false), Verdict::TooLarge);
    }

    #[test]
    fn lost_numbers_are_healed_for_batches_that_have_one() {
        for code in [45, 47, 59] {
            assert_eq!(Verdict::of(ErrorCode::from(code), true, false), Verdict::OutOfOrder);
            assert!(matches!(Verdict::of(ErrorCode::from(code), false, false), Verdict::Refused(_)));
        }
    }

    #[test]
    fn old_epoch_in_a_transaction_is_for_the_coordinator_to_judge() {
        let code = ErrorCode::InvalidProducerEpoch;
        assert_eq!(Verdict::of(code, true, true), Verdict::Refused(Persisted::No));
    }

    #[test]
    fn only_codes_that_may_follow_an_append_leave_doubt() {
        let open: Vec<i16> = (-1..=140)
            .filter(|code| persisted_after(ErrorCode::from(*code)) == Persisted::Maybe)
            .filter(|code| !matches!(ErrorCode::from(*code), ErrorCode::Unknown(_)))
            .collect();

        assert_eq!(open, [-1, 6, 7, 13, 20, 56]);
    }
}
