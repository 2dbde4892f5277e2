//! Many runs.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::schedule::Schedule;
use super::shrink::shrink;
use super::{Figures, simulate};
use crate::clock;

/// As many as every change must pass.
const SEEDS: Range<u64> = 0..2000;
/// Failures that are shown; more say nothing new.
const SHOWN: usize = 3;

#[test]
fn nothing_is_lost_doubled_or_reordered_whatever_happens() {
    let seeds = seeds();
    let begin = clock::now();
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let total = Mutex::new(Figures::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failed.lock().unwrap().len() >= SHOWN {
                return;
            }
            match simulate(&Schedule::new(seed)) {
                Ok(figures) => total.lock().unwrap().add(figures),
                Err(reason) => failed.lock().unwrap().push((seed, reason)),
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let failed = failed.into_inner().unwrap();
    report(&total.into_inner().unwrap(), seeds.end - seeds.start, begin);
    for (seed, reason) in &failed {
        let (least, least_reason) = shrink(&Schedule::new(*seed));
        eprintln!("seed {seed}: {reason}");
        eprintln!("    again: SIMULATION_SEEDS={seed} cargo test --lib simulation::seeds -- --nocapture");
        eprintln!("    least, for corpus.rs: {least_reason}\n{least:#?}");
    }
    assert!(failed.is_empty(), "seeds {:?} fail", failed.iter().map(|(seed, _)| seed).collect::<Vec<_>>());
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..40 {
        let schedule = Schedule::new(seed);
        assert_eq!(simulate(&schedule), simulate(&schedule), "seed {seed}");
    }
}

fn report(total: &Figures, seeds: u64, begin: Instant) {
    let spent = clock::now().saturating_duration_since(begin);
    eprintln!(
        "{seeds} seeds in {spent:.1?}: {} records accepted, {} delivered, {} produce requests, {} batches truncated, {} \
         virtual seconds",
        total.accepted,
        total.delivered,
        total.requests,
        total.truncated,
        total.virtual_time.as_secs()
    );
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.requests += other.requests;
        self.truncated += other.truncated;
        self.virtual_time += other.virtual_time;
    }
}

fn seeds() -> Range<u64> {
    let Ok(wanted) = std::env::var("SIMULATION_SEEDS") else { return SEEDS };
    let (first, end) = wanted.split_once("..").unwrap_or((&wanted, ""));
    let first = first.parse().unwrap();
    first..end.parse().unwrap_or(first + 1)
}
