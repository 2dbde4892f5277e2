//! Every request in every state. What is expected stands in Kafka's `TransactionCoordinatorTest`, and in the table of
//! `TransactionCoordinator.endTransaction`; where both `Prepare` states are concerned, in the check of `pendingTransitionInProgress`,
//! since a coordinator that writes markers is between two states.

use std::time::Duration;

use super::super::{Identity, Outcome, Participant, Protocol, TransactionState, WrittenMarker};
use super::{LAST_USABLE_EPOCH, NO_EPOCH, Transaction};
use crate::error::code;

const ID: i64 = 10;
const NEW_ID: i64 = 11;
const EPOCH: i16 = 5;
const TIMEOUT: Duration = Duration::from_secs(60);

const FENCED: i16 = code::PRODUCER_FENCED;
const CONCURRENT: i16 = code::CONCURRENT_TRANSACTIONS;
const MAPPING: i16 = code::INVALID_PRODUCER_ID_MAPPING;
const INVALID: i16 = code::INVALID_TXN_STATE;

/// Producer id and epoch, or an error code.
type Answer = Result<(i64, i16), i16>;

const STATES: [TransactionState; 6] = [
    TransactionState::Empty,
    TransactionState::Ongoing,
    TransactionState::PrepareCommit,
    TransactionState::PrepareAbort,
    TransactionState::CompleteCommit,
    TransactionState::CompleteAbort,
];

fn identity(producer_id: i64, epoch: i16) -> Identity {
    Identity { producer_id, epoch }
}

fn partition(index: i32) -> Participant {
    Participant::Partition("t".to_owned(), index)
}

fn transaction(state: TransactionState, epoch: i16) -> Transaction {
    let has_partitions = !matches!(
        state,
        TransactionState::Empty | TransactionState::CompleteAbort | TransactionState::CompleteCommit
    );
    Transaction {
        current: identity(ID, epoch),
        last_epoch: epoch - 1,
        previous_producer_id: ID,
        next_producer_id: -1,
        timeout: TIMEOUT,
        state,
        participants: has_partitions.then(|| (partition(0), None)).into_iter().collect(),
        started_at: Duration::ZERO,
        protocol: Protocol::V1,
    }
}

fn init(of: &mut Transaction, known: Option<Identity>, cluster: Protocol) -> Answer {
    let given = of.init(TIMEOUT, known, cluster, &mut || NEW_ID);
    given.map(|given| (given.producer_id, given.epoch))
}

fn end(of: &mut Transaction, producer: Identity, outcome: Outcome, protocol: Protocol) -> Answer {
    let next = of.end(producer, outcome, protocol, &mut || NEW_ID);
    next.map(|next| (next.producer_id, next.epoch))
}

/// All partitions have their markers.
fn complete(of: &mut Transaction) {
    let all: Vec<_> = of.participants().map(|(participant, _)| participant.clone()).collect();
    all.iter().for_each(|participant| of.remove(participant));
}

#[test]
fn init_producer_id_in_every_state() {
    let next = Ok((ID, EPOCH + 1));
    let waits = Err(CONCURRENT);
    // In the order of STATES.
    let cases: [(&str, Option<Identity>, [Answer; 6]); 5] = [
        ("a new producer", None, [next, waits, waits, waits, next, next]),
        ("the present one", Some(identity(ID, EPOCH)), [next, waits, waits, waits, next, next]),
        (
            "the present one, again",
            Some(identity(ID, EPOCH - 1)),
            [Ok((ID, EPOCH)), waits, waits, waits, Ok((ID, EPOCH)), Ok((ID, EPOCH))],
        ),
        (
            "an older one",
            Some(identity(ID, EPOCH - 2)),
            [Err(FENCED), waits, waits, waits, Err(FENCED), Err(FENCED)],
        ),
        (
            "one with another id",
            Some(identity(ID - 1, EPOCH)),
            [Err(FENCED), Err(FENCED), waits, waits, Err(FENCED), Err(FENCED)],
        ),
    ];
    for (what, known, expected) in cases {
        for (state, expected) in STATES.into_iter().zip(expected) {
            let mut transaction = transaction(state, EPOCH);
            assert_eq!(init(&mut transaction, known, Protocol::V2), expected, "{what}, {state}");
            if expected.is_ok() {
                assert_eq!(transaction.state(), TransactionState::Empty, "{what}, {state}");
            }
        }
    }
}

#[test]
fn the_first_producer_of_an_id_begins_with_epoch_zero_whatever_it_says_that_it_had() {
    for known in [None, Some(identity(3, 7))] {
        let mut new = Transaction::new(ID, TIMEOUT);

        assert_eq!(init(&mut new, known, Protocol::V2), Ok((ID, 0)), "{known:?}");
    }
}

#[test]
fn a_new_producer_fences_the_open_transaction_and_gets_a_further_epoch() {
    for cluster in [Protocol::V1, Protocol::V2] {
        let mut transaction = transaction(TransactionState::Ongoing, EPOCH);

        assert_eq!(init(&mut transaction, None, cluster), Err(CONCURRENT));
        assert_eq!(transaction.state(), TransactionState::PrepareAbort);
        assert_eq!(transaction.current(), identity(ID, EPOCH + 1));
        assert_eq!(init(&mut transaction, None, cluster), Err(CONCURRENT));
        complete(&mut transaction);
        assert_eq!(transaction.state(), TransactionState::CompleteAbort);

        assert_eq!(init(&mut transaction, None, cluster), Ok((ID, EPOCH + 2)), "{cluster:?}");
    }
}

#[test]
fn an_old_producer_does_not_get_back_what_a_new_one_took() {
    let mut transaction = transaction(TransactionState::Empty, 10);

    assert_eq!(init(&mut transaction, None, Protocol::V1), Ok((ID, 11)));

    assert_eq!(init(&mut transaction, Some(identity(ID, 10)), Protocol::V1), Err(FENCED));
}

#[test]
fn exhausted_epochs_bring_a_new_producer_id() {
    let exhausted = || transaction(TransactionState::Empty, LAST_USABLE_EPOCH);
    assert_eq!(init(&mut exhausted(), None, Protocol::V1), Ok((NEW_ID, 0)));

    let known = Some(identity(ID, LAST_USABLE_EPOCH));
    let mut rotated = exhausted();
    assert_eq!(init(&mut rotated, known, Protocol::V1), Ok((NEW_ID, 0)));
    assert_eq!(init(&mut rotated, known, Protocol::V1), Ok((NEW_ID, 0)), "the answer was lost");

    let stale = Some(identity(ID, LAST_USABLE_EPOCH - 1));
    assert_eq!(init(&mut rotated, stale, Protocol::V1), Err(FENCED));
}

#[test]
fn add_in_every_state() {
    // In the order of STATES.
    let cases = [
        ("the producer", identity(ID, EPOCH), [0, 0, CONCURRENT, CONCURRENT, 0, 0]),
        ("an older epoch", identity(ID, EPOCH - 1), [FENCED, FENCED, CONCURRENT, CONCURRENT, FENCED, FENCED]),
        ("a newer epoch", identity(ID, EPOCH + 1), [FENCED, FENCED, CONCURRENT, CONCURRENT, FENCED, FENCED]),
        ("another id", identity(ID - 1, EPOCH), [MAPPING, MAPPING, CONCURRENT, CONCURRENT, MAPPING, MAPPING]),
    ];
    for (what, producer, expected) in cases {
        for (state, expected) in STATES.into_iter().zip(expected) {
            let mut transaction = transaction(state, EPOCH);
            let added = transaction.add(producer, &[partition(0), partition(1)], Duration::from_secs(9));
            assert_eq!(added.err().unwrap_or(0), expected, "{what}, {state}");
            if expected == 0 {
                assert_eq!(transaction.state(), TransactionState::Ongoing);
                assert_eq!(transaction.participants().count(), 2);
                let start = if state == TransactionState::Ongoing { 0 } else { 9 };
                assert!(!transaction.is_late(Duration::from_secs(start) + TIMEOUT));
                assert!(transaction.is_late(Duration::from_secs(start + 1) + TIMEOUT));
            }
        }
    }
}

#[test]
fn verify_in_every_state() {
    const MISSING: i16 = code::TRANSACTION_ABORTABLE;
    // In the order of STATES. Kafka looks at the epoch before it looks whether markers are being written.
    let cases = [
        (
            "a partition that was added",
            identity(ID, EPOCH),
            0,
            [MISSING, 0, CONCURRENT, CONCURRENT, MISSING, MISSING],
        ),
        (
            "one that was not",
            identity(ID, EPOCH),
            1,
            [MISSING, MISSING, CONCURRENT, CONCURRENT, MISSING, MISSING],
        ),
        ("an older epoch", identity(ID, EPOCH - 1), 0, [FENCED; 6]),
        ("another id", identity(ID - 1, EPOCH), 0, [MAPPING; 6]),
    ];
    for (what, producer, index, expected) in cases {
        for (state, expected) in STATES.into_iter().zip(expected) {
            let verified = transaction(state, EPOCH).verify(producer, &partition(index));
            assert_eq!(verified.err().unwrap_or(0), expected, "{what}, {state}");
        }
    }
}

#[test]
fn end_in_every_state_by_the_first_protocol() {
    use Outcome::{Abort, Commit};
    // In the order of STATES.
    let cases = [
        ("commit", identity(ID, EPOCH), Commit, [INVALID, 0, CONCURRENT, CONCURRENT, 0, INVALID]),
        ("abort", identity(ID, EPOCH), Abort, [INVALID, 0, CONCURRENT, CONCURRENT, INVALID, 0]),
        ("an older epoch commits", identity(ID, EPOCH - 1), Commit, [FENCED; 6]),
        ("a newer epoch commits", identity(ID, EPOCH + 1), Commit, [FENCED; 6]),
        ("another id aborts", identity(ID - 1, EPOCH), Abort, [MAPPING; 6]),
    ];
    for (what, producer, outcome, expected) in cases {
        for (state, expected) in STATES.into_iter().zip(expected) {
            let mut transaction = transaction(state, EPOCH);
            let ended = end(&mut transaction, producer, outcome, Protocol::V1);
            assert_eq!(ended.err().unwrap_or(0), expected, "{what}, {state}");
            assert_eq!(transaction.current(), identity(ID, EPOCH), "the epoch stays: {what}, {state}");
        }
    }
}

#[test]
fn end_in_every_state_by_the_second_protocol() {
    use Outcome::{Abort, Commit};
    let bumped = Ok((ID, EPOCH + 1));
    let present = Ok((ID, EPOCH));
    let waits = Err(CONCURRENT);
    let (fenced, invalid) = (Err(FENCED), Err(INVALID));
    // In the order of STATES.
    let cases: [(&str, Identity, Outcome, [Answer; 6]); 8] = [
        ("commit", identity(ID, EPOCH), Commit, [invalid, bumped, waits, waits, invalid, invalid]),
        ("abort", identity(ID, EPOCH), Abort, [bumped, bumped, waits, waits, bumped, bumped]),
        ("commit, again", identity(ID, EPOCH - 1), Commit, [fenced, fenced, waits, waits, present, invalid]),
        ("abort, again", identity(ID, EPOCH - 1), Abort, [fenced, fenced, waits, waits, invalid, present]),
        (
            "an older epoch commits",
            identity(ID, EPOCH - 2),
            Commit,
            [fenced, fenced, waits, waits, fenced, fenced],
        ),
        (
            "a newer epoch aborts",
            identity(ID, EPOCH + 1),
            Abort,
            [fenced, fenced, waits, waits, fenced, fenced],
        ),
        (
            "another id commits",
            identity(ID - 1, EPOCH),
            Commit,
            [Err(MAPPING), Err(MAPPING), waits, waits, Err(MAPPING), Err(MAPPING)],
        ),
        (
            "another id aborts",
            identity(ID - 1, EPOCH),
            Abort,
            [Err(MAPPING), Err(MAPPING), waits, waits, Err(MAPPING), Err(MAPPING)],
        ),
    ];
    for (what, producer, outcome, expected) in cases {
        for (state, expected) in STATES.into_iter().zip(expected) {
            let mut transaction = transaction(state, EPOCH);
            let ended = end(&mut transaction, producer, outcome, Protocol::V2);
            assert_eq!(ended, expected, "{what}, {state}");
        }
    }
}

#[test]
fn an_end_is_complete_when_the_last_participant_knows_it() {
    for (outcome, prepared, completed) in [
        (Outcome::Commit, TransactionState::PrepareCommit, TransactionState::CompleteCommit),
        (Outcome::Abort, TransactionState::PrepareAbort, TransactionState::CompleteAbort),
    ] {
        let mut transaction = transaction(TransactionState::Ongoing, EPOCH);
        transaction.add(identity(ID, EPOCH), &[partition(1)], Duration::ZERO).unwrap();

        end(&mut transaction, identity(ID, EPOCH), outcome, Protocol::V1).unwrap();
        transaction.set_written(&partition(0), WrittenMarker { leader_epoch: 0, end_offset: 1 });
        transaction.remove(&partition(0));
        assert_eq!(transaction.state(), prepared);
        transaction.remove(&partition(1));

        assert_eq!(transaction.state(), completed);
    }
}

#[test]
fn the_last_epoch_of_an_id_ends_with_a_new_id() {
    let last = identity(ID, LAST_USABLE_EPOCH);
    let mut transaction = transaction(TransactionState::Ongoing, LAST_USABLE_EPOCH);

    assert_eq!(end(&mut transaction, last, Outcome::Commit, Protocol::V2), Ok((NEW_ID, 0)));
    // The markers bear the old id with the one epoch that no producer gets.
    assert_eq!(transaction.current(), identity(ID, i16::MAX));
    assert_eq!(end(&mut transaction, last, Outcome::Commit, Protocol::V2), Err(CONCURRENT));
    let early = transaction.add(identity(NEW_ID, 0), &[partition(0)], Duration::ZERO);
    assert_eq!(early, Err(CONCURRENT));
    complete(&mut transaction);

    assert_eq!(end(&mut transaction, last, Outcome::Commit, Protocol::V2), Ok((NEW_ID, 0)), "sent again");
    assert_eq!(transaction.add(identity(NEW_ID, 0), &[partition(0)], Duration::ZERO), Ok(()));
}

#[test]
fn a_transaction_that_took_too_long_has_another_epoch_than_its_producer() {
    for (cluster, last_epoch) in [(Protocol::V1, NO_EPOCH), (Protocol::V2, EPOCH)] {
        let mut transaction = transaction(TransactionState::Ongoing, EPOCH);

        transaction.fence(cluster, &mut || NEW_ID);
        complete(&mut transaction);

        assert_eq!(transaction.state(), TransactionState::CompleteAbort);
        assert_eq!(transaction.current(), identity(ID, EPOCH + 1));
        assert_eq!(transaction.last_epoch, last_epoch);
        let late = transaction.add(identity(ID, EPOCH), &[partition(0)], Duration::ZERO);
        assert_eq!(late, Err(FENCED));
    }
}

#[test]
fn a_late_abort_of_a_transaction_that_took_too_long_learns_the_new_epoch() {
    let mut transaction = transaction(TransactionState::Ongoing, EPOCH);
    transaction.fence(Protocol::V2, &mut || NEW_ID);
    complete(&mut transaction);

    let late = identity(ID, EPOCH);
    assert_eq!(end(&mut transaction, late, Outcome::Commit, Protocol::V2), Err(INVALID));
    assert_eq!(end(&mut transaction, late, Outcome::Abort, Protocol::V2), Ok((ID, EPOCH + 1)));
}

#[test]
fn fencing_at_the_last_epoch_does_not_overflow() {
    for (cluster, expected) in [(Protocol::V1, (NEW_ID, 0)), (Protocol::V2, (NEW_ID, 1))] {
        let mut transaction = transaction(TransactionState::Ongoing, LAST_USABLE_EPOCH);

        assert_eq!(init(&mut transaction, None, cluster), Err(CONCURRENT));
        assert_eq!(transaction.current(), identity(ID, i16::MAX));
        complete(&mut transaction);

        assert_eq!(init(&mut transaction, None, cluster), Ok(expected), "{cluster:?}");
    }
}
