//! `Stall`: that nothing is delivered although something waits, and when the log is told so.
//!
//! It looks from time to time, and only while something waits. In a stall it tells the log at once, after ten seconds, after a minute
//! and each minute from there on, and whenever the reason is another one. A reason that was told within the last minute is not told
//! again for a stall that has just begun: where each answer takes three seconds, that is told once a minute.

use std::time::{Duration, Instant};

use crate::error::Spent;
use crate::sender::line::{Level, Line};

/// Whether anything is delivered.
#[derive(Debug)]
pub(super) struct Stall {
    /// Nothing is a stall before it has lasted so long.
    patience: Duration,
    delivered_at: Instant,
    look_at: Instant,
    /// Nothing has been delivered since. `None` while there is no stall.
    present: Option<Present>,
    /// Which reasons the log was told lately, and when.
    told: Vec<(Reason, Instant)>,
    /// Stalls that the log was not told of.
    folded: u32,
    line: Option<Line>,
}

#[derive(Debug, Clone, Copy)]
struct Present {
    since: Instant,
    /// When to tell that it goes on.
    tell_at: Instant,
    is_told: bool,
}

/// Why nothing is delivered, as far as that tells one line of the log from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// A broker has answered with an error, and is asked again.
    Answer,
    Compression,
    /// Batches before it have to be answered first, or it lingers.
    Line,
    NoBroker,
    NoLeader,
    NoTopic,
    NotAnswered,
    NotConnected,
    ProducerId,
    /// Brokers do not let the producer in.
    Refused,
    Throttled,
    Transaction,
}

/// What the log is told of a stall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Explanation {
    pub(super) reason: Reason,
    /// What waits, and why.
    pub(super) text: String,
}

impl Stall {
    pub(super) fn new(linger: Duration, now: Instant) -> Self {
        Self {
            patience: linger.saturating_add(PATIENCE),
            delivered_at: now,
            look_at: now,
            present: None,
            told: Vec::new(),
            folded: 0,
            line: None,
        }
    }

    /// Takes in that records are delivered.
    pub(super) fn handle_delivery(&mut self, now: Instant) {
        self.delivered_at = now;
        if let Some(Present { since, is_told: true, .. }) = self.present.take() {
            let after = Spent(now.saturating_duration_since(since));
            self.line = Some(Line::info(format!("delivering again after {after}")));
        }
    }

    /// Takes in that nothing waits.
    pub(super) fn handle_rest(&mut self) {
        self.present = None;
    }

    /// Whether to look, if something waits.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.look_at
    }

    /// Returns when to look, if something waits.
    pub(super) fn timeout(&self) -> Instant {
        self.look_at
    }

    /// Takes a look. `oldest` says since when that has waited which has waited longest. Returns since when nothing is delivered, if
    /// that is a stall.
    pub(super) fn look(&mut self, oldest: impl FnOnce() -> Option<Instant>, now: Instant) -> Option<Instant> {
        let end = |since: Instant| since.checked_add(self.patience);
        self.look_at = now + SHORTEST_PAUSE;
        let mut since = self.delivered_at;
        if end(since).is_some_and(|end| end <= now) {
            since = since.max(oldest()?);
        }
        match end(since) {
            Some(end) if end <= now => return Some(self.present.map_or(since, |present| present.since)),
            Some(end) => self.look_at = end,
            None => {}
        }
        None
    }

    /// Takes in why nothing has been delivered `since` then.
    pub(super) fn explain(&mut self, since: Instant, explanation: &Explanation, now: Instant) {
        let reason = explanation.reason;
        self.told.retain(|(_, at)| now.saturating_duration_since(*at) < QUIET);
        let is_new_reason = self.told.iter().all(|(told, _)| *told != reason);
        let is_new = self.present.is_none();
        let tell_again = if is_new_reason { FIRST_PAUSE } else { QUIET };
        let begun = Present { since, tell_at: since + tell_again, is_told: false };
        let present = self.present.get_or_insert(begun);
        let is_over = now >= present.tell_at;
        if is_over {
            let lasted = now.saturating_duration_since(present.since);
            // After ten seconds a minute is next.
            let minutes = u32::try_from(lasted.as_secs() / QUIET.as_secs()).unwrap_or(u32::MAX);
            present.tell_at = present.since + QUIET * minutes.saturating_add(1);
        }
        let lasted = now.saturating_duration_since(present.since);
        let pause = (lasted / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        self.look_at = present.tell_at.min(now + pause);
        if !is_over && !is_new_reason {
            self.folded = self.folded.saturating_add(u32::from(is_new));
            return;
        }
        present.is_told = true;
        self.told.retain(|(told, _)| *told != reason);
        self.told.push((reason, now));
        let text = format!("nothing delivered for {}: {}", Spent(lasted), explanation.text);
        self.line = Some(Line { level: Level::Warn, text, folded: std::mem::take(&mut self.folded) });
    }

    /// Returns what the log is to be told.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        self.line.take()
    }
}

/// A record that lingers is not late before this has passed in addition.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks in a stall: half as long as it lasts, but no less and no more than this.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// After so long, a stall is told for the second time.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// From then on, and between two stalls for one reason.
const QUIET: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SECOND: Duration = Duration::from_secs(1);

    /// A machine, and the seconds since a test has begun.
    struct Bench {
        stall: Stall,
        began: Instant,
        now: Instant,
    }

    impl Bench {
        fn new(linger: Duration) -> Self {
            let now = clock::now();
            Self { stall: Stall::new(linger, now), began: now, now }
        }

        /// Lets time pass while something has waited since a second. Returns the lines with the seconds at which they came.
        fn wait(&mut self, since: u32, until: u32, reason: Reason) -> Vec<String> {
            let mut lines = Vec::new();
            let oldest = self.began + since * SECOND;
            let end = self.began + until * SECOND;
            self.now = self.now.max(oldest);
            while self.now <= end {
                if self.stall.is_due(self.now)
                    && let Some(since) = self.stall.look(|| Some(oldest), self.now)
                {
                    let explanation = Explanation { reason, text: format!("{reason:?}") };
                    self.stall.explain(since, &explanation, self.now);
                }
                lines.extend(self.line());
                let next = self.stall.timeout();
                assert!(next > self.now);
                if next > end {
                    break;
                }
                self.now = next;
            }
            self.now = end;
            lines
        }

        fn line(&mut self) -> Option<String> {
            let Line { level, text, folded } = self.stall.next_line()?;
            let at = (self.now - self.began).as_secs();
            Some(match folded {
                0 => format!("{at}: {level:?} {text}"),
                _ => format!("{at}: {level:?} {text} ({folded})"),
            })
        }
    }

    #[test]
    fn stall_is_told_after_two_seconds_then_after_ten_a_minute_and_each_minute() {
        let mut bench = Bench::new(Duration::ZERO);

        let lines = bench.wait(0, 200, Reason::NoBroker);

        let line = |at, lasted| format!("{at}: Warn nothing delivered for {lasted} s: NoBroker");
        assert_eq!(lines, [line(2, 2), line(10, 10), line(60, 60), line(120, 120), line(180, 180)]);
        bench.now = bench.began + 200 * SECOND;
        bench.stall.handle_delivery(bench.now);
        assert_eq!(bench.line().unwrap(), "200: Info delivering again after 200 s");
    }

    #[test]
    fn what_lingers_is_not_late() {
        let mut bench = Bench::new(60 * SECOND);

        assert_eq!(bench.wait(0, 61, Reason::NoBroker), [""; 0]);
        assert_eq!(bench.wait(0, 62, Reason::NoBroker), ["62: Warn nothing delivered for 62 s: NoBroker"]);
    }

    #[test]
    fn time_counts_from_the_last_delivery_and_from_when_something_waits() {
        let mut bench = Bench::new(Duration::ZERO);
        bench.now += 3 * SECOND;
        bench.stall.handle_delivery(bench.now);

        assert_eq!(bench.wait(0, 4, Reason::NoBroker), [""; 0]);
        bench.stall.handle_delivery(bench.now);
        assert_eq!(bench.wait(100, 103, Reason::NoBroker), ["102: Warn nothing delivered for 2 s: NoBroker"]);
    }

    #[test]
    fn other_reason_is_told_at_once() {
        let mut bench = Bench::new(Duration::ZERO);
        assert_eq!(bench.wait(0, 4, Reason::NoBroker).len(), 1);

        assert_eq!(bench.wait(0, 6, Reason::NoTopic), ["4: Warn nothing delivered for 4.5 s: NoTopic"]);
        assert_eq!(bench.wait(0, 9, Reason::NoBroker), [""; 0]);
    }

    #[test]
    fn slow_broker_is_told_once_a_minute() {
        let mut bench = Bench::new(Duration::ZERO);
        let mut lines = Vec::new();

        for round in 0..22 {
            lines.extend(bench.wait(3 * round, 3 * round + 3, Reason::NotAnswered));
            bench.stall.handle_delivery(bench.now);
            lines.extend(bench.line());
        }

        assert_eq!(
            lines,
            [
                "2: Warn nothing delivered for 2 s: NotAnswered",
                "3: Info delivering again after 3 s",
                "62: Warn nothing delivered for 2 s: NotAnswered (19)",
                "63: Info delivering again after 3 s",
            ]
        );
    }

    #[test]
    fn stall_that_ends_without_a_delivery_is_not_told_to_be_over() {
        let mut bench = Bench::new(Duration::ZERO);
        assert_eq!(bench.wait(0, 4, Reason::NoBroker).len(), 1);

        bench.stall.handle_rest();
        bench.stall.handle_delivery(bench.now + 100 * SECOND);

        assert_eq!(bench.line(), None);
    }

    #[test]
    fn looks_are_two_seconds_apart_while_all_is_well_and_few_in_a_stall() {
        let mut bench = Bench::new(Duration::ZERO);
        let now = bench.now;
        bench.stall.handle_delivery(now + SECOND);
        assert_eq!(bench.stall.look(|| unreachable!("not asked"), now + 2 * SECOND), None);
        assert_eq!(bench.stall.timeout(), now + 3 * SECOND);

        let explanation = Explanation { reason: Reason::NoBroker, text: String::new() };
        let mut looks = 0;
        while bench.stall.timeout() < now + 120 * SECOND {
            let at = bench.stall.timeout();
            let since = bench.stall.look(|| Some(now), at).unwrap();
            bench.stall.explain(since, &explanation, at);
            looks += 1;
        }

        assert!(looks < 20, "{looks} looks");
    }
}
