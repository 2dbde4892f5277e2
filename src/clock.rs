//! The only reader of clocks.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Returns the monotonic time. It follows tokio's paused clock in tests.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns the wall-clock time in milliseconds since 1970, the unit of record timestamps.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(crate) fn wall_clock_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Tells record timestamps from the monotonic time that `enqueue` has read already, so that a record costs one look at
/// a clock and not two.
#[derive(Debug)]
pub(crate) struct WallClock {
    origin: Instant,
    /// Wall-clock milliseconds at `origin`, by the last comparison of the two clocks.
    offset_ms: AtomicI64,
    /// Second since `origin` of the last comparison.
    compared_at: AtomicU64,
}

impl WallClock {
    pub(crate) fn new(origin: Instant) -> Self {
        let clock = Self { origin, offset_ms: AtomicI64::new(0), compared_at: AtomicU64::new(0) };
        clock.compare(now());
        clock
    }

    /// Returns the whole seconds since the origin.
    pub(crate) fn seconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_secs()
    }

    /// Returns the wall-clock time in milliseconds. A step of the system's clock shows after a second at most.
    pub(crate) fn millis(&self, now: Instant) -> i64 {
        let elapsed = now.saturating_duration_since(self.origin);
        if elapsed.as_secs() != self.compared_at.load(Ordering::Relaxed) {
            self.compare(now);
        }
        self.offset_ms.load(Ordering::Relaxed).saturating_add(millis(elapsed))
    }

    fn compare(&self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.origin);
        self.offset_ms.store(wall_clock_ms().saturating_sub(millis(elapsed)), Ordering::Relaxed);
        self.compared_at.store(elapsed.as_secs(), Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
