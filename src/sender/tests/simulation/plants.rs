//! Bugs that are planted on purpose: the simulation must find each of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::corpus::kept;
use super::schedule::Schedule;
use super::shrink::shrink;
use super::simulate;
use crate::planted::{Bug, plant};

pub(super) const BUGS: &[Bug] = &[
    Bug::CreditNotReturned,
    Bug::DisconnectedIsNotWritten,
    Bug::DuplicateIsFailure,
    Bug::EpochBumpWithoutDraining,
    Bug::ExpiredIsNotWritten,
    Bug::GapNotHealed,
    Bug::HintLoop,
    Bug::LostWakeUp,
    Bug::MismatchedAnswer,
    Bug::NoMuteOnRetry,
    Bug::NoPause,
    Bug::OvertakenIsSent,
    Bug::RetryBehindNewBatch,
    Bug::ReturnedOutOfOrder,
    Bug::SealingForEver,
    Bug::SequenceReuse,
    Bug::SplitLosesOrder,
    Bug::SwappedRetries,
    Bug::UnresolvedAtClose,
    Bug::ClusterChangeIgnored,
    Bug::EndedBatchesKept,
    Bug::ForgottenNumbers,
    Bug::LateAnswerCounts,
    Bug::OldIsRemembered,
    Bug::RetiredWithRecords,
    Bug::WrongOffset,
];

/// A bug that as many runs do not show would not be found by those of every change either.
const ENOUGH: u64 = 2000;

/// Bugs that other walls hide, or that take trouble that is off.
const NOT_FOUND: &[Bug] = &[
    Bug::ClusterChangeIgnored,
    Bug::LateAnswerCounts,
    Bug::OldIsRemembered,
    Bug::OvertakenIsSent,
    Bug::RetiredWithRecords,
];

/// `SIMULATION_ENOUGH` has it search for longer.
fn enough() -> u64 {
    std::env::var("SIMULATION_ENOUGH").ok().and_then(|text| text.parse().ok()).unwrap_or(ENOUGH)
}

#[test]
fn every_planted_bug_is_found() {
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    let work = || {
        while let Some(bug) = BUGS.get(next.fetch_add(1, Ordering::Relaxed)) {
            plant(Some(*bug));
            let found = (0..enough()).find_map(|seed| Some((seed, simulate(&Schedule::new(seed)).err()?)));
            if found.is_none() && kept().iter().any(|(_, schedule)| simulate(schedule).is_err()) {
                eprintln!("| {bug:?} | kept |");
                continue;
            }
            match found {
                Some((seed, reason)) => {
                    eprintln!("| {bug:?} | {} | {reason:.70} |", seed + 1);
                    show_least(*bug, seed);
                }
                None => missed.lock().unwrap().push(*bug),
            }
            plant(None);
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let mut missed = missed.into_inner().unwrap();
    missed.retain(|bug| !NOT_FOUND.contains(bug));
    assert!(missed.is_empty(), "{missed:?} are not found by {ENOUGH} seeds");
}

/// With `SIMULATION_SHRINK` set, shows the least that it takes, for the corpus.
fn show_least(bug: Bug, seed: u64) {
    if std::env::var_os("SIMULATION_SHRINK").is_some() {
        let (least, reason) = shrink(&Schedule::new(seed));
        eprintln!("{bug:?}: {reason:.200}\n{least:?}");
    }
}
