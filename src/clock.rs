//! The only reader of clocks.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Returns the monotonic time. It follows tokio's paused clock in tests.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns the wall-clock time in microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn wall_clock_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    micros(since_epoch)
}

/// Tells record timestamps from the monotonic time that `enqueue` has read already, so that a record costs one look at
/// a clock and not two.
#[derive(Debug)]
pub(crate) struct WallClock {
    origin: Instant,
    /// Wall-clock microseconds at `origin`, by the last comparison of the two clocks. Finer than the milliseconds of
    /// timestamps, so that rounding down happens once and no timestamp lies in the future.
    offset_us: AtomicI64,
    /// Second since `origin` of the last comparison.
    compared_at: AtomicU64,
}

impl WallClock {
    pub(crate) fn new(origin: Instant) -> Self {
        let clock = Self { origin, offset_us: AtomicI64::new(0), compared_at: AtomicU64::new(0) };
        clock.compare();
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
            self.compare();
        }
        self.offset_us.load(Ordering::Relaxed).saturating_add(micros(elapsed)).div_euclid(1000)
    }

    fn compare(&self) {
        let wall = wall_clock_us();
        // Read last: whatever happens in between makes timestamps older, never younger than they are.
        let elapsed = now().saturating_duration_since(self.origin);
        self.offset_us.store(wall.saturating_sub(micros(elapsed)), Ordering::Relaxed);
        self.compared_at.store(elapsed.as_secs(), Ordering::Relaxed);
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
