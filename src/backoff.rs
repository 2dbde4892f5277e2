//! Exponential backoff with jitter (KIP-580).

use std::time::Duration;

/// How long to wait before the next attempt at something that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// Never above `max`.
    initial: Duration,
    max: Duration,
}

impl Backoff {
    pub(crate) fn new(initial: Duration, max: Duration) -> Self {
        Self { initial: initial.min(max), max }
    }

    /// Returns the same with a maximum that is `factor` times as long.
    pub(crate) fn with_longer_max(self, factor: u32) -> Self {
        Self { max: self.max.saturating_mul(factor), ..self }
    }

    /// Returns the longest delay.
    pub(crate) fn max(&self) -> Duration {
        self.max
    }

    /// Returns the wait after failure number `attempt`, counted from 0, for a `random` drawn from `[0, 1)`.
    ///
    /// As in Java's `ExponentialBackoff`, the cap comes after the jitter, and a backoff that cannot grow has
    /// no jitter either.
    pub(crate) fn delay(&self, attempt: u32, random: f64) -> Duration {
        if self.initial >= self.max {
            return self.initial;
        }

        let exponent = f64::from(attempt).min(self.max_exponent());
        let jitter = 1.0 - JITTER + 2.0 * JITTER * random;
        let seconds = self.initial.as_secs_f64() * exponent.exp2() * jitter;
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max).min(self.max)
    }

    /// The exponent at which the delay without jitter is `max`.
    fn max_exponent(&self) -> f64 {
        // Java counts in whole milliseconds and guards against an initial delay of none in the same way.
        let initial = self.initial.max(Duration::from_millis(1));
        (self.max.as_secs_f64() / initial.as_secs_f64()).log2()
    }
}

/// The share by which a delay may fall short of its mean or exceed it.
const JITTER: f64 = 0.2;

#[cfg(test)]
mod tests {
    use super::*;

    /// A draw in the middle: the jitter factor is exactly 1.
    const MEAN: f64 = 0.5;

    fn millis(initial: u64, max: u64) -> Backoff {
        Backoff::new(Duration::from_millis(initial), Duration::from_millis(max))
    }

    fn delays(backoff: Backoff, random: f64) -> Vec<u128> {
        (0..6).map(|attempt| backoff.delay(attempt, random).as_millis()).collect()
    }

    #[test]
    fn delay_doubles_up_to_the_maximum() {
        assert_eq!(delays(millis(100, 1000), MEAN), [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn jitter_takes_off_a_fifth_at_most() {
        assert_eq!(delays(millis(100, 1000), 0.0), [80, 160, 320, 640, 800, 800]);
    }

    #[test]
    fn cap_comes_after_the_jitter() {
        assert_eq!(delays(millis(100, 1000), 0.999_999), [119, 239, 479, 959, 1000, 1000]);
    }

    #[test]
    fn delay_that_cannot_grow_has_no_jitter() {
        assert_eq!(delays(millis(50, 50), 0.9), [50; 6]);
        assert_eq!(delays(millis(100, 50), 0.1), [50; 6]);
    }

    #[test]
    fn no_initial_delay_stays_none() {
        assert_eq!(delays(millis(0, 1000), MEAN), [0; 6]);
    }

    #[test]
    fn extremes_neither_panic_nor_pass_the_maximum() {
        let backoff = Backoff::new(Duration::from_nanos(1), Duration::MAX);

        assert!(backoff.delay(u32::MAX, 0.999_999) <= Duration::MAX);
        assert_eq!(millis(1, 1000).delay(u32::MAX, MEAN), Duration::from_millis(1000));
    }
}
