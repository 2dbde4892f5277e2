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

#[cfg(test)]
mod tests {
    use super::*;

    fn wall_clock_ms() -> i64 {
        wall_clock_us() / 1000
    }

    #[test]
    fn timestamps_are_those_of_the_system_and_never_of_the_future() {
        let clock = WallClock::new(now());

        let before = wall_clock_ms();
        let millis = clock.millis(now());
        let after = wall_clock_ms();

        // The system's clock may be adjusted a little while the test runs.
        assert!((before - 50..=after).contains(&millis), "{before} {millis} {after}");
    }

    #[test]
    fn timestamps_follow_the_monotonic_time() {
        let origin = now();
        let clock = WallClock::new(origin);

        let first = clock.millis(origin);
        let second = clock.millis(origin + Duration::from_millis(500));

        assert!((499..=501).contains(&(second - first)), "{first} {second}");
        assert_eq!(clock.seconds(origin + Duration::from_millis(2999)), 2);
    }

    #[test]
    fn time_before_the_origin_counts_as_the_origin() {
        let origin = now() + Duration::from_secs(100);
        let clock = WallClock::new(origin);

        assert_eq!(clock.seconds(now()), 0);
        assert_eq!(clock.millis(now()), clock.millis(origin));
    }

    #[test]
    fn very_long_uptimes_do_not_overflow() {
        let origin = now();
        let clock = WallClock::new(origin);
        let century = Duration::from_secs(100 * 365 * 24 * 3600);

        assert!(clock.millis(origin + century) > wall_clock_ms());
    }

    #[tokio::test(start_paused = true)]
    async fn clock_follows_the_paused_time_of_tests() {
        let before = now();

        tokio::time::advance(Duration::from_secs(3600)).await;

        assert_eq!(now() - before, Duration::from_secs(3600));
    }
}
