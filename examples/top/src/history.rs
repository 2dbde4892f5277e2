//! `History`: the snapshots of the last minute, and what follows from looking at several.

use std::collections::VecDeque;
use std::time::Duration;

use crate::sizes::Sizes;
use crate::snapshot::{Mood, Snapshot};

/// The snapshots of the last minute, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History(VecDeque<Snapshot>);

/// Whether the producer gets anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Records are acknowledged, and nothing is in the way.
    Delivering,
    /// Records are acknowledged, but not all, or not at once.
    Hampered,
    /// Nothing is acknowledged, though records wait.
    Stuck,
    /// There was nothing to send so far.
    Idle,
}

impl History {
    pub(crate) fn push(&mut self, snapshot: Snapshot) {
        let oldest_kept = snapshot.at.saturating_sub(KEPT);
        while self.0.front().is_some_and(|old| old.at < oldest_kept) {
            self.0.pop_front();
        }
        self.0.push_back(snapshot);
    }

    pub(crate) fn latest(&self) -> Option<&Snapshot> {
        self.0.back()
    }

    /// Returns the youngest snapshot that is at least so old, or else the oldest.
    fn before(&self, window: Duration) -> Option<&Snapshot> {
        let at = self.latest()?.at.checked_sub(window);
        let old = self.0.iter().rev().find(|snapshot| at.is_some_and(|at| snapshot.at <= at));
        old.or_else(|| self.0.front())
    }

    /// Returns by how much a count has grown per second, over the last second.
    pub(crate) fn rate(&self, count: impl Fn(&Snapshot) -> u64) -> f64 {
        let (Some(latest), Some(before)) = (self.latest(), self.before(RATE_WINDOW)) else { return 0.0 };
        growth(before, latest, count)
    }

    /// Returns the rates between the last `most + 1` snapshots, oldest first.
    pub(crate) fn rates(&self, most: usize, count: impl Fn(&Snapshot) -> u64) -> Vec<f64> {
        let skipped = self.0.len().saturating_sub(most + 1);
        let pairs = self.0.iter().zip(self.0.iter().skip(1)).skip(skipped);
        pairs.map(|(before, after)| growth(before, after, &count)).collect()
    }

    /// Returns the latencies of the requests of the last seconds.
    pub(crate) fn latency(&self, window: Duration) -> Sizes {
        match (self.latest(), self.before(window)) {
            (Some(latest), Some(before)) => latest.latency.since(&before.latency),
            _ => Sizes::default(),
        }
    }

    /// Returns the latencies of a broker's requests of the last seconds.
    pub(crate) fn latency_of(&self, node: i32, window: Duration) -> Sizes {
        let of = |snapshot: &Snapshot| {
            let broker = snapshot.brokers.iter().find(|broker| broker.node == Some(node));
            broker.map(|broker| broker.latency.clone()).unwrap_or_default()
        };
        match (self.latest(), self.before(window)) {
            (Some(latest), Some(before)) => of(latest).since(&of(before)),
            _ => Sizes::default(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        let Some(latest) = self.latest().filter(|latest| latest.accepted > 0) else { return Status::Idle };
        let waits_since = latest.oldest_waiting.unwrap_or_default();
        let is_quiet = latest.last_delivery_age.is_none_or(|age| age >= PATIENCE);
        let is_any_bad = latest.brokers.iter().any(|broker| broker.mood == Mood::Bad);
        if latest.waiting > 0 && is_quiet && waits_since >= PATIENCE {
            Status::Stuck
        } else if is_any_bad || waits_since >= PATIENCE || self.rate(|snapshot| snapshot.failed) > 0.0 {
            Status::Hampered
        } else {
            Status::Delivering
        }
    }
}

fn growth(before: &Snapshot, after: &Snapshot, count: impl Fn(&Snapshot) -> u64) -> f64 {
    let time = after.at.saturating_sub(before.at).as_secs_f64();
    if time > 0.0 { count(after).saturating_sub(count(before)) as f64 / time } else { 0.0 }
}

const KEPT: Duration = Duration::from_secs(60);
const RATE_WINDOW: Duration = Duration::from_secs(1);
/// A record that waits for longer is worth a word.
const PATIENCE: Duration = Duration::from_millis(750);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Broker;

    fn at(milliseconds: u64, delivered: u64) -> Snapshot {
        Snapshot { at: Duration::from_millis(milliseconds), accepted: 1, delivered, ..Snapshot::default() }
    }

    fn history(snapshots: impl IntoIterator<Item = Snapshot>) -> History {
        let mut history = History::default();
        snapshots.into_iter().for_each(|snapshot| history.push(snapshot));
        history
    }

    fn delivered(snapshot: &Snapshot) -> u64 {
        snapshot.delivered
    }

    #[test]
    fn rate_is_that_of_the_last_second() {
        let history = history([at(0, 0), at(1000, 1000), at(1500, 1000), at(2000, 1200)]);

        assert_eq!(history.rate(delivered), 200.0);
        assert_eq!(history.rates(2, delivered), [0.0, 400.0]);
        assert_eq!(history.rates(9, delivered).len(), 3);
    }

    #[test]
    fn single_snapshot_has_no_rate() {
        assert_eq!(History::default().rate(delivered), 0.0);
        assert_eq!(history([at(500, 7)]).rate(delivered), 0.0);
    }

    #[test]
    fn snapshots_are_kept_for_a_minute() {
        let history = history((0..200).map(|second| at(second * 1000, 0)));

        assert_eq!(history.rates(usize::MAX - 1, delivered).len(), 60);
    }

    #[test]
    fn status_says_whether_records_get_through() {
        let age = |milliseconds| Some(Duration::from_millis(milliseconds));
        let fine = Snapshot { waiting: 3, last_delivery_age: age(10), oldest_waiting: age(20), ..at(0, 5) };
        let slow = Snapshot { oldest_waiting: age(2000), ..fine.clone() };
        let stuck = Snapshot { last_delivery_age: age(2000), ..slow.clone() };
        let lost = Broker { mood: Mood::Bad, ..Broker::default() };
        let lost = Snapshot { brokers: vec![lost], ..fine.clone() };

        assert_eq!(history([]).status(), Status::Idle);
        assert_eq!(history([fine.clone()]).status(), Status::Delivering);
        assert_eq!(history([slow]).status(), Status::Hampered);
        assert_eq!(history([lost]).status(), Status::Hampered);
        assert_eq!(history([stuck]).status(), Status::Stuck);
        let failing = Snapshot { failed: 1, ..fine.clone() };
        assert_eq!(history([fine, failing]).status(), Status::Delivering, "no time has passed");
    }
}
