//! [`RefreshSchedule`]: when to fetch credentials (Java: `ExpiringCredentialRefreshingLogin`). Pure.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::clock::earliest;

/// How long before their end credentials are fetched anew, and how often if that fails.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RefreshSettings {
    /// `sasl.login.refresh.window.factor`: the part of the lifetime after which the next ones are fetched.
    pub(crate) window_factor: f64,
    /// `sasl.login.refresh.window.jitter`: the most that is added to that part at random.
    pub(crate) window_jitter: f64,
    /// `sasl.login.refresh.min.period.seconds`: the least time between two fetches.
    pub(crate) min_period: Duration,
    /// `sasl.login.refresh.buffer.seconds`: the time before the end in which there should be no need to fetch.
    pub(crate) buffer: Duration,
    /// `sasl.login.retry.backoff.ms`, `sasl.login.retry.backoff.max.ms`.
    pub(crate) retry_backoff: Backoff,
}

/// When to fetch.
#[derive(Debug)]
pub(super) struct RefreshSchedule {
    settings: RefreshSettings,
    /// `None` if only doubt is a reason to fetch.
    fetch_at: Option<Instant>,
    /// When the last ones came.
    came_at: Option<Instant>,
    /// When what is in force ends, if it does and has not.
    ends: Option<Instant>,
    /// Attempts since credentials came that were of use.
    failures: u32,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefreshStep {
    /// What is in force has ended.
    End,
    Fetch,
    /// Nothing before this time, or for ever.
    Wait(Option<Instant>),
}

impl RefreshSchedule {
    pub(super) fn new(settings: RefreshSettings, now: Instant) -> Self {
        Self { settings, fetch_at: Some(now), came_at: None, ends: None, failures: 0 }
    }

    pub(super) fn next(&self, now: Instant) -> RefreshStep {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.ends) {
            RefreshStep::End
        } else if is_due(self.fetch_at) {
            RefreshStep::Fetch
        } else {
            RefreshStep::Wait(earliest([self.fetch_at, self.ends]))
        }
    }

    pub(super) fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// Credentials have come. `random` is drawn from `[0, 1)`.
    pub(super) fn handle_fetched(&mut self, lifetime: Option<Duration>, now: Instant, random: f64) {
        self.came_at = Some(now);
        match lifetime {
            // A fetch that brings nothing of use must not be repeated at once.
            Some(Duration::ZERO) => {
                self.ends = None;
                self.handle_failed(now, random);
            }
            Some(lifetime) => {
                self.failures = 0;
                self.ends = now.checked_add(lifetime);
                self.fetch_at = now.checked_add(self.refresh_delay(lifetime, random));
            }
            None => {
                self.failures = 0;
                self.ends = None;
                self.fetch_at = None;
            }
        }
    }

    /// None have come. `random` is drawn from `[0, 1)`.
    pub(super) fn handle_failed(&mut self, now: Instant, random: f64) {
        self.fetch_at =
            now.checked_add(self.settings.retry_backoff.delay(self.failures, random).max(SHORTEST_WAIT));
        self.failures = self.failures.saturating_add(1);
    }

    /// What was in force has ended.
    pub(super) fn handle_end(&mut self) {
        self.ends = None;
    }

    /// A broker does not accept what is in force: it may have been withdrawn before its end. It is fetched anew, but not more often
    /// than every `sasl.login.refresh.min.period.seconds`, for the broker may be wrong.
    pub(super) fn doubt(&mut self, now: Instant) {
        // While fetching fails, it is repeated anyway.
        if self.failures > 0 {
            return;
        }
        let at =
            self.came_at.and_then(|came_at| came_at.checked_add(self.settings.min_period.max(SHORTEST_WAIT)));
        let at = at.unwrap_or(now).max(now);
        self.fetch_at = earliest([self.fetch_at, Some(at)]);
    }

    /// As in Java: in the window, but neither too soon after the last fetch nor too close to the end. If the lifetime is too short
    /// for that, the window alone counts.
    fn refresh_delay(&self, lifetime: Duration, random: f64) -> Duration {
        let RefreshSettings { window_factor, window_jitter, min_period, buffer, .. } = self.settings;
        let part = (window_factor + window_jitter * random).clamp(0.0, 1.0);
        // A lifetime may be so long that a product with it does not fit.
        let proposed = Duration::try_from_secs_f64(lifetime.as_secs_f64() * part).unwrap_or(lifetime);
        let delay = match lifetime.checked_sub(buffer) {
            Some(latest) if min_period <= latest => proposed.clamp(min_period, latest),
            _ => proposed,
        };
        delay.max(SHORTEST_WAIT)
    }
}

/// Between two fetches, whatever is configured.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Kafka's defaults.
    pub(crate) fn settings() -> RefreshSettings {
        RefreshSettings {
            window_factor: 0.8,
            window_jitter: 0.05,
            min_period: secs(60),
            buffer: secs(300),
            retry_backoff: Backoff::new(Duration::from_millis(100), secs(10)),
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn any_lifetime_can_be_waited_for() {
        for window_factor in [0.5, 0.8, 1.0] {
            for lifetime in [Duration::ZERO, Duration::from_nanos(1), secs(u64::MAX), Duration::MAX] {
                let now = clock::now();
                let mut schedule = RefreshSchedule::new(RefreshSettings { window_factor, ..settings() }, now);
                schedule.handle_fetched(Some(lifetime), now, 1.0);
                schedule.next(now);
            }
        }
    }

    fn delay(lifetime: u64, random: f64) -> f64 {
        RefreshSchedule::new(settings(), clock::now()).refresh_delay(secs(lifetime), random).as_secs_f64()
    }

    /// What Java's class computes for a token that begins when it comes.
    #[test]
    fn next_fetch_is_in_the_window_unless_the_buffers_forbid_it() {
        for (lifetime, random, expected) in [
            (3600, 0.0, 2880.0),
            (3600, 0.5, 2970.0),
            // 0.85 of it lies within the last 300 s.
            (1800, 0.999_999_9, 1500.0),
            // Too short for both buffers: the window alone.
            (300, 0.0, 240.0),
            (10, 0.5, 8.25),
            // Just long enough for them.
            (360, 0.0, 60.0),
        ] {
            assert!(
                (delay(lifetime, random) - expected).abs() < 0.001,
                "{lifetime}: {}",
                delay(lifetime, random)
            );
        }
    }

    #[test]
    fn first_fetch_is_due_at_once_and_later_ones_in_the_window() {
        let now = clock::now();
        let mut schedule = RefreshSchedule::new(settings(), now);
        assert_eq!(schedule.next(now), RefreshStep::Fetch);

        schedule.handle_fetched(Some(secs(1000)), now, 0.0);

        assert_eq!(schedule.next(now), RefreshStep::Wait(Some(now + secs(700))));
        assert_eq!(schedule.next(now + secs(700)), RefreshStep::Fetch);
    }

    #[test]
    fn failures_back_off_and_the_end_comes_all_the_same() {
        let mut now = clock::now();
        let mut schedule = RefreshSchedule::new(settings(), now);
        schedule.handle_fetched(Some(secs(10)), now, 0.0);
        now += secs(8);

        let mut waits = Vec::new();
        for _ in 0..5 {
            assert_eq!(schedule.next(now), RefreshStep::Fetch);
            schedule.handle_failed(now, 0.5);
            let RefreshStep::Wait(Some(until)) = schedule.next(now) else { break };
            waits.push((until - now).as_millis());
            now = until;
        }

        assert_eq!(waits, [100, 200, 400, 800, 500]);
        assert_eq!(schedule.next(now), RefreshStep::End);
        schedule.handle_end();
        assert!(matches!(schedule.next(now), RefreshStep::Wait(Some(_))), "the fetch is still to come");
    }

    #[test]
    fn token_without_end_is_fetched_anew_only_in_doubt() {
        let now = clock::now();
        let mut schedule = RefreshSchedule::new(settings(), now);
        schedule.handle_fetched(None, now, 0.0);
        assert_eq!(schedule.next(now + secs(1_000_000)), RefreshStep::Wait(None));

        schedule.doubt(now + secs(5));

        assert_eq!(
            schedule.next(now + secs(5)),
            RefreshStep::Wait(Some(now + secs(60))),
            "a minute after it came"
        );
        schedule.doubt(now + secs(70));
        assert_eq!(schedule.next(now + secs(70)), RefreshStep::Fetch);
    }

    #[test]
    fn token_that_has_ended_when_it_comes_is_not_fetched_anew_at_once() {
        let now = clock::now();
        let mut schedule = RefreshSchedule::new(settings(), now);

        let mut last = 0;
        for _ in 0..20 {
            schedule.handle_fetched(Some(Duration::ZERO), now, 0.5);
            let RefreshStep::Wait(Some(until)) = schedule.next(now) else { panic!() };
            last = (until - now).as_millis();
            assert!(last >= 100);
        }

        assert_eq!(last, 10_000);
    }

    #[test]
    fn settings_of_none_do_not_make_it_spin() {
        let now = clock::now();
        let none = RefreshSettings {
            window_factor: 0.5,
            window_jitter: 0.0,
            min_period: Duration::ZERO,
            buffer: Duration::ZERO,
            retry_backoff: Backoff::new(Duration::ZERO, Duration::ZERO),
        };
        let mut schedule = RefreshSchedule::new(none, now);

        schedule.handle_failed(now, 0.0);
        assert_eq!(schedule.next(now), RefreshStep::Wait(Some(now + SHORTEST_WAIT)));
        schedule.handle_fetched(Some(Duration::from_nanos(1)), now, 0.0);
        assert_eq!(schedule.fetch_at, Some(now + SHORTEST_WAIT));
        schedule.handle_fetched(Some(Duration::MAX), now, 0.999);
        schedule.doubt(now);
    }
}
