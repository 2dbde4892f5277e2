//! Bugs that are planted on purpose: the simulation must find each of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::corpus::kept;
use super::mix::Trouble;
use super::schedule::Schedule;
use super::shrink::shrink;
use super::simulate;
use crate::planted::{Bug, plant};

/// Each bug, the trouble that it takes if it shows in few of all runs, and a seed that has shown it. Others are searched
/// when that does not show it any more.
const BUGS: &[(Bug, &[Trouble], u64)] = &[
    (Bug::ClusterChangeIgnored, &[], 22),
    (Bug::CommitUnanswered, &[Trouble::Transactions], 0),
    (Bug::ConsentTakenForWelcome, &[Trouble::Sasl], 3),
    (Bug::ControllersAreAsked, &[Trouble::Controllers], 2),
    (Bug::CoordinatorKept, &[Trouble::Transactions], 2),
    (Bug::CreditNotReturned, &[], 5),
    (Bug::DisconnectedIsNotWritten, &[], 7),
    (Bug::DoubtIsDenied, &[Trouble::Transactions, Trouble::Replacement], 262),
    (Bug::DroppedGuardKept, &[Trouble::Transactions], 1),
    (Bug::DuplicateIsFailure, &[], 73),
    (Bug::EndedBatchesKept, &[], 0),
    (Bug::EndedTokenInForce, &[Trouble::Login], 1),
    (Bug::EndingLeftBehind, &[Trouble::Transactions, Trouble::Replacement], 3),
    (Bug::EpochBumpWithoutDraining, &[], 92),
    (Bug::EpochOfEndIgnored, &[Trouble::Transactions], 7),
    (Bug::EpochsNeverGoBack, &[Trouble::Epochs], 0),
    (Bug::ExpiredIsNotWritten, &[], 145),
    (Bug::FailedRecordCommits, &[Trouble::Transactions], 0),
    (Bug::FencedGoesOn, &[Trouble::Transactions], 11),
    (Bug::ForgottenInTransaction, &[Trouble::Transactions, Trouble::Idle], 12),
    (Bug::ForgottenNumbers, &[], 31),
    (Bug::GapNotHealed, &[], 0),
    (Bug::HintLoop, &[], 89),
    (Bug::LateAnswerCounts, &[Trouble::Reborn], 521),
    (Bug::LateRecordCounts, &[Trouble::Transactions], 0),
    (Bug::LeakedGuardBlocks, &[Trouble::Transactions], 1),
    (Bug::LostWakeUp, &[], 31),
    (Bug::MismatchedAnswer, &[], 23),
    (Bug::NamelessFailsAll, &[Trouble::BadRecords], 12),
    (Bug::NeverPatient, &[Trouble::Sasl], 13),
    (Bug::NoMuteOnRetry, &[], 98),
    (Bug::NoPause, &[], 92),
    (Bug::OffsetsNotAwaited, &[Trouble::Transactions], 0),
    (Bug::OldIsRemembered, &[Trouble::Backfill], 241),
    (Bug::OvertakenIsSent, &[Trouble::Backfill, Trouble::BadRecords], 354),
    (Bug::PartitionNotAdded, &[Trouble::Transactions], 3),
    (Bug::PassingErrorCounts, &[], 0),
    (Bug::QueueOutlivesAbort, &[Trouble::Transactions], 0),
    (Bug::QuotaIgnored, &[], 0),
    (Bug::RefreshCreatesTopics, &[], 0),
    (Bug::RefusedTokenKept, &[Trouble::Login], 6),
    (Bug::RenewedWithoutDraining, &[Trouble::Sasl], 0),
    (Bug::RetiredWithRecords, &[Trouble::Idle, Trouble::FailStop], 5),
    (Bug::RetryBehindNewBatch, &[], 5),
    (Bug::ReturnedOutOfOrder, &[], 548),
    (Bug::SealingForEver, &[], 717),
    (Bug::SentDuringRenewal, &[Trouble::Sasl], 0),
    (Bug::SequenceReuse, &[], 8),
    (Bug::SessionNotRenewed, &[Trouble::Sasl], 0),
    (Bug::SignatureNotChecked, &[Trouble::Sasl], 0),
    (Bug::SplitLosesOrder, &[], 10),
    (Bug::StopSparesInFlight, &[Trouble::FailStop], 28),
    (Bug::SwappedRetries, &[], 110),
    (Bug::UnflushedIsUnsent, &[Trouble::Tls], 452),
    (Bug::UnknownAbortIsFatal, &[Trouble::Transactions], 15),
    (Bug::UnresolvedAtClose, &[], 7),
    (Bug::WaitForCredentialsNotEnded, &[Trouble::Login], 1),
    (Bug::WrongOffset, &[], 10),
];

/// Bugs that no run shows: tests of single machines find them. `SIMULATION_ENOUGH` has these searched, too.
const UNSEEN: &[Bug] = &[Bug::UnreadAnswersDoNotCount];

/// A bug that as many runs do not show would not be found by those of every change either.
const ENOUGH: u64 = 2000;

/// `SIMULATION_ENOUGH` has it search for longer.
fn wanted() -> Option<u64> {
    std::env::var("SIMULATION_ENOUGH").ok().and_then(|text| text.parse().ok())
}

/// Returns every bug there is.
pub(super) fn bugs() -> impl Iterator<Item = Bug> {
    BUGS.iter().map(|(bug, ..)| *bug).chain(UNSEEN.iter().copied())
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimization; .ci/run runs it optimized")]
fn every_planted_bug_is_found() {
    let enough = wanted().unwrap_or(ENOUGH);
    let unseen = UNSEEN.iter().filter(|_| wanted().is_some()).map(|bug| (*bug, &[][..], 0));
    let only = std::env::var("SIMULATION_PLANT").ok();
    let is_wanted =
        |bug: Bug| only.as_ref().is_none_or(|only| only.split(',').any(|name| name == format!("{bug:?}")));
    let bugs: Vec<_> = BUGS.iter().copied().chain(unseen).filter(|(bug, ..)| is_wanted(*bug)).collect();
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    let work = || {
        while let Some((bug, troubles, hint)) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
            plant(Some(*bug));
            let shows = |seed: u64| {
                let schedule = match troubles {
                    [] => Schedule::new(seed),
                    troubles => Schedule::with(seed, troubles),
                };
                let reason = simulate(&schedule).err()?;
                Some((seed, schedule, reason))
            };
            let is_kept = || kept().iter().any(|(_, schedule)| simulate(schedule).is_err());
            match shows(*hint) {
                None if is_kept() => eprintln!("| {bug:?} | kept |"),
                hinted => match hinted.or_else(|| (0..enough).find_map(shows)) {
                    Some((seed, schedule, reason)) => {
                        eprintln!("| {bug:?} | {seed} | {reason:.70} |");
                        show_least(*bug, &schedule);
                    }
                    None => missed.lock().unwrap().push(*bug),
                },
            }
            plant(None);
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{missed:?} are not found by {enough} seeds");
}

/// With `SIMULATION_SHRINK` set, shows the least that it takes, for the corpus.
fn show_least(bug: Bug, schedule: &Schedule) {
    if std::env::var_os("SIMULATION_SHRINK").is_some() {
        let (least, reason) = shrink(schedule);
        eprintln!("{bug:?}: {reason:.200}\n{least:?}");
    }
}
