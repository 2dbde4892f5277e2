//! Many runs.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::plants::bugs;
use super::schedule::Schedule;
use super::shrink::shrink;
use super::{Figures, simulate};
use crate::clock;
use crate::planted::plant;

/// As many as fit into a test run without optimization. `.ci/run` has every change pass some more.
const SEEDS: Range<u64> = 0..100;
/// Failures after which a run ends; more say nothing new.
const MOST_FAILURES: usize = 20;
/// Failures that are shrunk.
const SHRUNK: usize = 3;
/// Seeds that are run twice.
const MOST_REPEATED: usize = 100;
/// Between two lines about how far a run has come.
const PROGRESS: Duration = Duration::from_secs(20);

#[test]
fn nothing_is_lost_doubled_or_reordered_whatever_happens() {
    if std::env::var_os("SIMULATION_TRACE").is_some() {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time();
        let _ = subscriber.with_test_writer().try_init();
    }
    let work = Work::ordered();
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(|| work.run())));
    });
    let failed = work.failed.into_inner().unwrap();
    work.total.into_inner().unwrap().report(work.begin);
    for seed in failed.iter().take(SHRUNK) {
        let (least, reason) = shrink(&Schedule::new(*seed));
        eprintln!("seed {seed}, least, for corpus.rs: {reason}\n{least:#?}");
    }
    assert!(failed.is_empty(), "seeds {failed:?} fail");
}

/// The seeds of a run, and what has come of them so far.
struct Work {
    end: u64,
    until: Option<Instant>,
    next: AtomicU64,
    begin: Instant,
    reported: Mutex<Instant>,
    failed: Mutex<Vec<u64>>,
    total: Mutex<Figures>,
}

impl Work {
    /// `SIMULATION_SEEDS` says which, `SIMULATION_SECONDS` how long to go on with those that follow.
    fn ordered() -> Self {
        let begin = clock::now();
        let seconds = std::env::var("SIMULATION_SECONDS").ok().and_then(|text| text.parse().ok());
        let until = seconds.map(|seconds| begin + Duration::from_secs(seconds));
        let seeds = wanted_seeds();
        Self {
            end: if until.is_some() { u64::MAX } else { seeds.end },
            until,
            next: AtomicU64::new(seeds.start),
            begin,
            reported: Mutex::new(begin),
            failed: Mutex::default(),
            total: Mutex::default(),
        }
    }

    fn run(&self) {
        // To see how a planted bug shows.
        let wanted = std::env::var("SIMULATION_PLANT").ok();
        plant(bugs().find(|bug| wanted.as_ref().is_some_and(|name| *name == format!("{bug:?}"))));
        while let Some(seed) = self.next_seed() {
            match simulate(&Schedule::new(seed)) {
                Ok(figures) => self.total.lock().unwrap().add(figures),
                Err(reason) => {
                    eprintln!("seed {seed}: {reason:.1000}");
                    eprintln!(
                        "    again: SIMULATION_SEEDS={seed} cargo test --lib simulation::seeds -- --nocapture"
                    );
                    self.failed.lock().unwrap().push(seed);
                }
            }
        }
    }

    fn next_seed(&self) -> Option<u64> {
        let now = clock::now();
        if self.failed.lock().unwrap().len() >= MOST_FAILURES || self.until.is_some_and(|until| now >= until)
        {
            return None;
        }
        let mut reported = self.reported.lock().unwrap();
        if now.saturating_duration_since(*reported) >= PROGRESS {
            *reported = now;
            self.total.lock().unwrap().report(self.begin);
        }
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        (seed < self.end).then_some(seed)
    }
}

/// `SIMULATION_SEEDS`, or the usual ones.
fn wanted_seeds() -> Range<u64> {
    std::env::var("SIMULATION_SEEDS").map_or(SEEDS, |wanted| range(&wanted))
}

fn range(text: &str) -> Range<u64> {
    let (first, end) = text.split_once("..").unwrap_or((text, ""));
    let first = first.parse().unwrap();
    first..end.parse().unwrap_or(first + 1)
}

#[test]
fn a_seed_decides_everything() {
    for seed in wanted_seeds().step_by(10).take(MOST_REPEATED) {
        let schedule = Schedule::new(seed);
        assert_eq!(simulate(&schedule), simulate(&schedule), "seed {seed}");
    }
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.requests += other.requests;
        self.connects += other.connects;
        self.truncated += other.truncated;
        self.virtual_time += other.virtual_time;
    }

    fn report(&self, begin: Instant) {
        eprintln!(
            "{} seeds passed in {:.1?}: {} records accepted, {} delivered, {} produce requests, {} connections, {} batches \
             truncated, {} virtual seconds",
            self.runs,
            clock::now().saturating_duration_since(begin),
            self.accepted,
            self.delivered,
            self.requests,
            self.connects,
            self.truncated,
            self.virtual_time.as_secs()
        );
    }
}
