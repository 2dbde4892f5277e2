//! Which records are timed.

use std::time::{Duration, Instant};

use crate::now;

/// Times every record while a task sends slowly, and some of them when reading the clock would be a good part of what is
/// measured.
#[derive(Debug)]
pub(crate) struct Sampling {
    seen: u64,
    stride: u64,
    checked: Instant,
}

impl Sampling {
    pub(crate) fn new() -> Self {
        Self { seen: 0, stride: 1, checked: now() }
    }

    /// Returns how many records the next one stands for if it is to be timed.
    pub(crate) fn next_weight(&mut self) -> Option<u64> {
        self.seen += 1;
        if self.seen.is_multiple_of(CHECK_EVERY) {
            let now = now();
            let is_fast = self.seen > ALL_OF && now.duration_since(self.checked) < SLOW_CHECK;
            self.stride = if is_fast { SPARSE } else { 1 };
            self.checked = now;
        }
        self.seen.is_multiple_of(self.stride).then_some(self.stride)
    }
}

const CHECK_EVERY: u64 = 1_000;

/// A short run is timed in full: it costs some milliseconds.
const ALL_OF: u64 = 50_000;

/// 100 000 records/s: two readings of about 50 ns each would then be 1 % of a record's time.
const SLOW_CHECK: Duration = Duration::from_millis(10);

/// A prime, so as not to time the same place of every batch.
const SPARSE: u64 = 17;
