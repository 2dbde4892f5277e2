//! How long the first write after a transaction waits, so that the brokers have written the markers of the one before.
//!
//! A coordinator answers EndTxn before the markers are written. In version 2 a leader that gets the next write within that time does not
//! refuse it: it asks the coordinator again after 20 ms (the broker's `add.partitions.to.txn.retry.backoff.ms`), and the answer comes
//! that much later. A client that writes a moment later is therefore served much earlier. How long that moment is depends on the cluster,
//! so it is found out by trying: a pause that was too short shows in a late answer.

use std::time::{Duration, Instant};

/// Timers are no finer.
const STEP: Duration = Duration::from_millis(1);
/// A longer pause would gain little over the broker's own.
const MAX_PAUSE: Duration = Duration::from_millis(8);
/// An answer that is later than the earliest ones by so much has waited for the broker's own pause.
const LATE: Duration = Duration::from_millis(15);
/// A write so long after the end does not meet the markers.
const NEAR: Duration = Duration::from_millis(20);
/// After so many answers in time a shorter pause is tried.
const TRIALS: u32 = 24;
/// For so many transactions no pause is made once the longest was too short.
const REST: u32 = 256;

/// The pause between the end of a transaction and the first write of the next one.
#[derive(Debug, Default)]
pub(super) struct Markers {
    pause: Duration,
    /// How long the earliest answers take.
    least: Option<Duration>,
    /// Answers in time since the pause has changed.
    in_time: u32,
    /// Transactions left that are not held.
    resting: u32,
    ended: Option<Instant>,
    /// Until when writes are held.
    until: Option<Instant>,
    /// A write that has no answer so far: the first one after the end, if that has none.
    sent: Option<Write>,
}

#[derive(Debug)]
struct Write {
    at: Instant,
    /// It is the first one after the end of a transaction, and may meet its markers.
    is_near: bool,
}

impl Markers {
    /// A transaction has ended whose markers the coordinator writes from now on.
    pub(super) fn note_end(&mut self, now: Instant) {
        self.ended = Some(now);
        self.sent = None;
        self.resting = self.resting.saturating_sub(1);
        let is_held = !self.pause.is_zero() && self.resting == 0;
        self.until = now.checked_add(self.pause).filter(|_| is_held);
    }

    /// Whether the next transaction must not write yet.
    pub(super) fn is_holding(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Until when it must not, if that was not taken for over so far.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether the pause has come to its end, which is told once.
    pub(super) fn take_over(&mut self, now: Instant) -> bool {
        self.until.take_if(|until| now >= *until).is_some()
    }

    /// A write is sent.
    pub(super) fn note_sent(&mut self, now: Instant) {
        let ended = self.ended.take();
        let is_near = ended.is_some_and(|ended| now.saturating_duration_since(ended) < NEAR);
        if ended.is_some() || self.sent.is_none() {
            self.sent = Some(Write { at: now, is_near });
        }
    }

    /// A write was answered.
    pub(super) fn note_answered(&mut self, now: Instant) {
        let Some(write) = self.sent.take() else { return };
        let took = now.saturating_duration_since(write.at);
        let least = self.least.map_or(took, |least| least.min(took));
        // The way to the brokers may have become longer.
        self.least = Some(least + (took - least) / 64);
        if !write.is_near {
            return;
        }
        if took >= least + LATE {
            self.lengthen();
        } else {
            self.in_time += 1;
            if self.in_time == TRIALS {
                self.in_time = 0;
                self.pause = self.pause.saturating_sub(STEP);
            }
        }
    }

    fn lengthen(&mut self) {
        self.in_time = 0;
        if self.resting > 0 {
            return;
        }
        if self.pause == MAX_PAUSE {
            self.pause = Duration::ZERO;
            self.resting = REST;
        } else {
            self.pause = (self.pause + STEP).min(MAX_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Transactions one after the other at brokers whose markers take a while, and whose leaders ask again after 20 ms.
    fn waits(
        markers: &mut Markers,
        now: &mut Instant,
        markers_take: Duration,
        way: Duration,
        count: u32,
    ) -> Vec<Duration> {
        let mut waits = Vec::new();
        for _ in 0..count {
            markers.note_end(*now);
            let ended = *now;
            let sent = markers.until().unwrap_or(ended);
            assert!(!markers.is_holding(sent));
            markers.take_over(sent);
            markers.note_sent(sent);
            let mut served = sent + way;
            while served < ended + markers_take {
                served += ms(20);
            }
            *now = served + way;
            markers.note_answered(*now);
            waits.push(now.duration_since(ended));
            // The end of it.
            *now += way * 2;
        }
        waits
    }

    fn mean(waits: &[Duration]) -> Duration {
        waits.iter().sum::<Duration>() / u32::try_from(waits.len()).unwrap()
    }

    /// It has written before, which told how long answers take.
    fn known(now: &mut Instant, way: Duration) -> Markers {
        let mut markers = Markers::default();
        waits(&mut markers, now, Duration::ZERO, way, 1);
        markers
    }

    #[test]
    fn pause_is_found_that_lets_the_first_write_be_served_at_once() {
        for (markers_take, most) in [(1, 4), (2, 4), (4, 7), (7, 11)] {
            let mut now = crate::clock::now();
            let mut markers = known(&mut now, ms(1) / 2);
            let waits = waits(&mut markers, &mut now, ms(markers_take), ms(1) / 2, 1000);
            let mean = mean(&waits[10..]);
            assert!(mean <= ms(most), "{markers_take} ms: {mean:?}");
        }
    }

    #[test]
    fn markers_that_take_longer_than_any_pause_cost_little_more_than_without_one() {
        for markers_take in [10, 15, 19, 30, 100] {
            let mut now = crate::clock::now();
            let mut plain = Markers { resting: u32::MAX, ..Markers::default() };
            let without = mean(&waits(&mut plain, &mut now, ms(markers_take), ms(1), 2000));
            let mut markers = known(&mut now, ms(1));
            let with = mean(&waits(&mut markers, &mut now, ms(markers_take), ms(1), 2000));
            assert!(with <= without + ms(1), "{markers_take} ms: {with:?}, {without:?} without");
        }
    }

    #[test]
    fn brokers_that_are_far_away_are_not_waited_for() {
        let mut now = crate::clock::now();
        let mut markers = known(&mut now, ms(50));
        let waits = waits(&mut markers, &mut now, ms(5), ms(50), 500);
        assert!(waits.iter().all(|wait| *wait == ms(100)), "{waits:?}");
    }

    #[test]
    fn end_of_a_pause_is_told_once() {
        let now = crate::clock::now();
        let mut markers = Markers { pause: ms(2), ..Markers::default() };
        markers.note_end(now);
        assert!(markers.is_holding(now) && markers.is_holding(now + ms(1)));
        assert!(!markers.take_over(now + ms(1)));
        assert_eq!(markers.until(), Some(now + ms(2)));
        assert!(!markers.is_holding(now + ms(2)));
        assert!(markers.take_over(now + ms(2)));
        assert!(!markers.take_over(now + ms(2)));
        assert_eq!(markers.until(), None);
    }

    #[test]
    fn write_long_after_the_end_tells_nothing_of_the_markers() {
        let mut now = crate::clock::now();
        let mut markers = known(&mut now, ms(1));
        markers.note_end(now);
        now += NEAR;
        markers.note_sent(now);
        markers.note_answered(now + ms(500));
        assert_eq!(markers.pause, Duration::ZERO);
    }
}
