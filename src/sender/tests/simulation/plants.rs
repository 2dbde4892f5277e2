//! Bugs that are planted on purpose: the simulation must find each of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::corpus::kept;
use super::schedule::Schedule;
use super::shrink::shrink;
use super::simulate;
use crate::planted::{Bug, plant};

/// Each bug, and a seed that has shown it. Others are searched when that does not show it any more.
const BUGS: &[(Bug, u64)] = &[
    (Bug::CreditNotReturned, 5),
    (Bug::DisconnectedIsNotWritten, 7),
    (Bug::DuplicateIsFailure, 8),
    (Bug::EndedBatchesKept, 0),
    (Bug::EpochBumpWithoutDraining, 1188),
    (Bug::ExpiredIsNotWritten, 115),
    (Bug::ForgottenNumbers, 31),
    (Bug::GapNotHealed, 0),
    (Bug::HintLoop, 59),
    (Bug::LostWakeUp, 6),
    (Bug::MismatchedAnswer, 23),
    (Bug::NoMuteOnRetry, 98),
    (Bug::NoPause, 1188),
    (Bug::RetryBehindNewBatch, 38),
    (Bug::ReturnedOutOfOrder, 9),
    (Bug::SealingForEver, 717),
    (Bug::SequenceReuse, 8),
    (Bug::SplitLosesOrder, 10),
    (Bug::SwappedRetries, 110),
    (Bug::UnresolvedAtClose, 7),
    (Bug::WrongOffset, 10),
];

/// Bugs that no run has shown so far: tests of single machines find them. `SIMULATION_ENOUGH` has these searched, too.
const UNSEEN: &[Bug] = &[
    Bug::ClusterChangeIgnored,
    Bug::LateAnswerCounts,
    Bug::OldIsRemembered,
    Bug::OvertakenIsSent,
    Bug::RetiredWithRecords,
    Bug::UnreadAnswersDoNotCount,
];

/// A bug that as many runs do not show would not be found by those of every change either.
const ENOUGH: u64 = 2000;

/// `SIMULATION_ENOUGH` has it search for longer.
fn wanted() -> Option<u64> {
    std::env::var("SIMULATION_ENOUGH").ok().and_then(|text| text.parse().ok())
}

/// Returns every bug there is.
pub(super) fn bugs() -> impl Iterator<Item = Bug> {
    BUGS.iter().map(|(bug, _)| *bug).chain(UNSEEN.iter().copied())
}

#[test]
fn every_planted_bug_is_found() {
    let enough = wanted().unwrap_or(ENOUGH);
    let unseen = UNSEEN.iter().filter(|_| wanted().is_some()).map(|bug| (*bug, 0));
    let bugs: Vec<_> = BUGS.iter().copied().chain(unseen).collect();
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    let work = || {
        while let Some((bug, hint)) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
            plant(Some(*bug));
            let shows = |seed: u64| Some((seed, simulate(&Schedule::new(seed)).err()?));
            let is_kept = || kept().iter().any(|(_, schedule)| simulate(schedule).is_err());
            match shows(*hint) {
                None if is_kept() => eprintln!("| {bug:?} | kept |"),
                hinted => match hinted.or_else(|| (0..enough).find_map(shows)) {
                    Some((seed, reason)) => {
                        eprintln!("| {bug:?} | {seed} | {reason:.70} |");
                        show_least(*bug, seed);
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
fn show_least(bug: Bug, seed: u64) {
    if std::env::var_os("SIMULATION_SHRINK").is_some() {
        let (least, reason) = shrink(&Schedule::new(seed));
        eprintln!("{bug:?}: {reason:.200}\n{least:?}");
    }
}
