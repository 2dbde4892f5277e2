//! `RefreshSchedule`: when metadata is asked for next, and when all starts over from `bootstrap.servers`.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::backoff::Backoff;

/// When to ask for metadata next.
///
/// Asking again is held back after a failure, and while the answers bring nothing new (KIP-580).
#[derive(Debug)]
pub(super) struct RefreshSchedule {
    max_age: Duration,
    backoff: Backoff,
    random: StdRng,
    /// The last answer or failure; none while nothing holds the next request back.
    last_refresh: Option<Instant>,
    /// The last answer about all topics.
    last_success: Option<Instant>,
    /// Failures since the last answer.
    failures: u32,
    /// Answers in a row that brought nothing new.
    equivalent_answers: u32,
    /// Wait after `last_refresh`, whatever is asked for.
    failure_delay: Duration,
    /// Wait after `last_refresh` when the sender or a caller wants news, unless age alone calls for a refresh.
    equivalent_delay: Duration,
    /// When the attempts began that have not succeeded since.
    unsuccessful_since: Option<Instant>,
    /// Between two new starts that led to no broker.
    restart_backoff: Backoff,
    /// New starts since a broker was reached that the cluster had named.
    restarts: u32,
    /// When the next new start may be, by itself.
    next_restart: Option<Instant>,
}

impl RefreshSchedule {
    pub(super) fn new(max_age: Duration, backoff: Backoff, seed: u64) -> Self {
        Self {
            max_age,
            backoff,
            random: StdRng::seed_from_u64(seed),
            last_refresh: None,
            last_success: None,
            failures: 0,
            equivalent_answers: 0,
            failure_delay: Duration::ZERO,
            equivalent_delay: Duration::ZERO,
            unsuccessful_since: None,
            restart_backoff: backoff.with_longer_max(RESTART_PATIENCE),
            restarts: 0,
            next_restart: None,
        }
    }

    /// Lets the next request go at once.
    pub(super) fn skip_backoff(&mut self) {
        self.last_refresh = None;
        self.equivalent_answers = 0;
        self.equivalent_delay = Duration::ZERO;
    }

    pub(super) fn handle_attempt(&mut self, now: Instant) {
        if self.is_stale(now) {
            self.equivalent_answers = 0;
        }
        self.unsuccessful_since.get_or_insert(now);
    }

    /// Takes in an answer: whether it was about all topics, and whether it brought anything new.
    pub(super) fn handle_success(&mut self, is_full: bool, is_progress: bool, now: Instant) {
        self.last_refresh = Some(now);
        self.failures = 0;
        self.unsuccessful_since = None;
        if is_full {
            self.last_success = Some(now);
        }
        self.equivalent_answers = if is_progress { 0 } else { self.equivalent_answers.saturating_add(1) };
        self.draw_delays();
    }

    /// Takes in an answer that is to be followed by another request at once: whether it was the last about all topics.
    pub(super) fn handle_part(&mut self, is_full: bool, now: Instant) {
        self.last_refresh = None;
        self.failures = 0;
        self.unsuccessful_since = None;
        if is_full {
            self.last_success = Some(now);
        }
    }

    pub(super) fn handle_failure(&mut self, now: Instant) {
        self.last_refresh = Some(now);
        self.failures = self.failures.saturating_add(1);
        self.equivalent_answers = 0;
        self.unsuccessful_since.get_or_insert(now);
        self.draw_delays();
    }

    /// Starts over with nothing known. Failures still hold the next request back.
    pub(super) fn restart(&mut self, now: Instant) {
        self.equivalent_answers = 0;
        self.equivalent_delay = Duration::ZERO;
        self.last_success = None;
        self.unsuccessful_since = Some(now);
        let delay = self.restart_backoff.delay(self.restarts, self.random.random());
        self.next_restart = now.checked_add(delay);
        self.restarts = self.restarts.saturating_add(1);
    }

    /// Notes that a broker was reached that the cluster had named: the last new start has led to something.
    pub(super) fn handle_recovery(&mut self) {
        self.restarts = 0;
        self.next_restart = None;
    }

    pub(super) fn is_recovering(&self) -> bool {
        self.restarts > 0
    }

    /// Returns until when the next new start must wait, if it must.
    pub(super) fn restart_wait(&self, now: Instant) -> Option<Instant> {
        self.next_restart.filter(|at| now < *at)
    }

    /// Returns how long the next request must wait; `is_wanted` if the sender or a caller asks before its age does.
    pub(super) fn wait(&self, is_wanted: bool, now: Instant) -> Duration {
        let by_age = self.wait_for_age(now);
        if !is_wanted && by_age >= self.failure_delay {
            return by_age;
        }
        let after_failure = self.remaining(self.failure_delay, now);
        let by_age = by_age.max(after_failure);
        if !is_wanted {
            return by_age;
        }

        let after_equivalent = self.remaining(self.equivalent_delay, now);
        by_age.min(after_failure.max(after_equivalent))
    }

    /// Whether the last answer about all topics is older than the maximum age, or there was none.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.wait_for_age(now).is_zero()
    }

    /// Returns when the last answer about all topics came.
    pub(super) fn last_success(&self) -> Option<Instant> {
        self.last_success
    }

    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.last_success.map(|last| now.saturating_duration_since(last))
    }

    /// Returns for how long all attempts have been unsuccessful, if the last one was.
    pub(super) fn unsuccessful_for(&self, now: Instant) -> Option<Duration> {
        self.unsuccessful_since.map(|since| now.saturating_duration_since(since))
    }

    fn wait_for_age(&self, now: Instant) -> Duration {
        self.age(now).map_or(Duration::ZERO, |age| self.max_age.saturating_sub(age))
    }

    fn remaining(&self, delay: Duration, now: Instant) -> Duration {
        self.last_refresh
            .map_or(Duration::ZERO, |last| delay.saturating_sub(now.saturating_duration_since(last)))
    }

    fn draw_delays(&mut self) {
        let random = self.random.random();
        self.failure_delay = self.backoff.delay(self.failures.saturating_sub(1), random);
        self.equivalent_delay = match self.equivalent_answers.checked_sub(1) {
            Some(attempt) => self.backoff.delay(attempt, random),
            None => Duration::ZERO,
        };
    }
}

/// The longest wait between two new starts, as a multiple of that between two requests. A new start brings a connection to a
/// bootstrap server, and that connection stays: another start soon after brings little.
const RESTART_PATIENCE: u32 = 10;

#[cfg(test)]
mod tests {
    use crate::clock;

    use super::*;

    const MAX_AGE: Duration = Duration::from_secs(300);

    /// Without growth there is no jitter, so waits are exact.
    fn constant_backoff() -> RefreshSchedule {
        let hundred = Duration::from_millis(100);
        RefreshSchedule::new(MAX_AGE, Backoff::new(hundred, hundred), 7)
    }

    fn growing_backoff() -> RefreshSchedule {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(1000));
        RefreshSchedule::new(MAX_AGE, backoff, 7)
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn assert_about(wait: Duration, mean: u64) {
        let range = mean * 8 / 10..=mean * 12 / 10;
        assert!(range.contains(&u64::try_from(wait.as_millis()).unwrap()), "{wait:?} is not about {mean} ms");
    }

    #[test]
    fn first_request_is_due_at_once() {
        assert_eq!(constant_backoff().wait(false, clock::now()), Duration::ZERO);
    }

    #[test]
    fn answer_is_good_for_its_maximum_age() {
        let mut schedule = constant_backoff();
        let start = clock::now();

        schedule.handle_success(true, true, start);

        assert_eq!(schedule.wait(false, start), MAX_AGE);
        assert_eq!(schedule.wait(false, start + millis(299_999)), millis(1));
        assert!(!schedule.is_stale(start + millis(299_999)));
        assert_eq!(schedule.wait(false, start + MAX_AGE), Duration::ZERO);
    }

    #[test]
    fn answer_about_some_topics_does_not_count_for_age() {
        let mut schedule = constant_backoff();
        let start = clock::now();

        schedule.handle_success(true, true, start);
        schedule.handle_success(false, true, start + millis(1000));

        assert_eq!(schedule.age(start + millis(1500)), Some(millis(1500)));
    }

    #[test]
    fn wanted_refresh_keeps_a_distance_from_the_last() {
        let mut schedule = constant_backoff();
        let start = clock::now();

        schedule.handle_success(true, true, start);

        assert_eq!(schedule.wait(true, start), millis(100));
        assert_eq!(schedule.wait(true, start + millis(100)), Duration::ZERO);
    }

    #[test]
    fn failures_back_off_even_when_a_refresh_is_wanted() {
        let mut schedule = growing_backoff();
        let start = clock::now();

        for mean in [100, 200, 400, 800] {
            schedule.handle_failure(start);
            assert_about(schedule.wait(true, start), mean);
            assert_about(schedule.wait(false, start), mean);
        }
        assert_eq!(schedule.age(start), None);
    }

    #[test]
    fn equivalent_answers_back_off_until_one_brings_news() {
        let mut schedule = growing_backoff();
        let start = clock::now();

        for mean in [100, 200, 400, 800] {
            schedule.handle_success(true, false, start);
            assert_about(schedule.wait(true, start), mean);
        }
        schedule.handle_success(true, true, start);

        assert_about(schedule.wait(true, start), 100);
    }

    #[test]
    fn skipped_backoff_lets_the_next_request_go_at_once() {
        let mut schedule = growing_backoff();
        let start = clock::now();
        for _ in 0..5 {
            schedule.handle_success(true, false, start);
        }

        schedule.skip_backoff();

        assert_eq!(schedule.wait(true, start), Duration::ZERO);
        assert_eq!(schedule.wait(false, start), MAX_AGE);
    }

    #[test]
    fn equivalent_answers_do_not_delay_a_refresh_for_age() {
        let backoff = Backoff::new(millis(100), millis(10_000));
        let mut schedule = RefreshSchedule::new(millis(500), backoff, 7);
        let start = clock::now();
        for _ in 0..8 {
            schedule.handle_success(true, false, start);
        }

        assert_eq!(schedule.wait(true, start), millis(500));
    }

    #[test]
    fn longest_age_does_not_overflow() {
        let mut schedule = RefreshSchedule::new(Duration::MAX, Backoff::new(millis(1), Duration::MAX), 7);
        let start = clock::now();

        schedule.handle_success(true, true, start);

        assert_eq!(schedule.wait(false, start), Duration::MAX);
    }

    #[test]
    fn unsuccessful_time_counts_from_the_first_attempt() {
        let mut schedule = constant_backoff();
        let start = clock::now();

        schedule.handle_attempt(start);
        schedule.handle_failure(start + millis(10));
        schedule.handle_attempt(start + millis(110));
        assert_eq!(schedule.unsuccessful_for(start + millis(200)), Some(millis(200)));

        schedule.handle_success(true, true, start + millis(200));
        assert_eq!(schedule.unsuccessful_for(start + millis(300)), None);
    }
}
