//! When to look whether certificates have changed, and whether they have. It reads neither files nor clocks.
//!
//! Who writes a file, or one after the other, does not do it at once. So what has changed counts only if it is still the same a
//! moment later.

use std::time::{Duration, Instant};

/// What the files hold, in so few bits that it can be kept.
pub(super) type Fingerprint = u64;

#[derive(Debug)]
pub(super) struct Rotation {
    interval: Duration,
    /// What was loaded last, or could not be.
    known: Fingerprint,
    /// What was seen at the last look, if that is something else.
    seen: Option<Fingerprint>,
    next_look: Instant,
}

/// What follows from a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing new, or nothing that has come to rest.
    Nothing,
    /// New ones, to be loaded now.
    New,
}

impl Rotation {
    /// `known` is what was loaded at `now`.
    pub(super) fn new(interval: Duration, known: Fingerprint, now: Instant) -> Self {
        Self { interval, known, seen: None, next_look: now + interval }
    }

    pub(super) fn next_look(&self) -> Instant {
        self.next_look
    }

    /// Takes in what the files hold at `now`. What is to be loaded counts as known from here on, whether that succeeds or not:
    /// the same files would fail in the same way.
    pub(super) fn handle_look(&mut self, fingerprint: Fingerprint, now: Instant) -> Found {
        let was_seen = self.seen.replace(fingerprint) == Some(fingerprint);
        if fingerprint == self.known {
            self.seen = None;
            self.next_look = now + self.interval;
            return Found::Nothing;
        }
        if !was_seen {
            self.next_look = now + self.interval / DEBOUNCES_PER_INTERVAL;
            return Found::Nothing;
        }
        self.known = fingerprint;
        self.seen = None;
        self.next_look = now + self.interval;
        Found::New
    }
}

/// KIP-1288 looks every 60 seconds, and waits for 5.
const DEBOUNCES_PER_INTERVAL: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const MINUTE: Duration = Duration::from_secs(60);
    const MOMENT: Duration = Duration::from_secs(5);

    #[test]
    fn files_are_looked_at_every_minute() {
        let begin = clock::now();
        let mut rotation = Rotation::new(MINUTE, 1, begin);

        for minute in 1..5 {
            assert_eq!(rotation.next_look(), begin + MINUTE * minute);
            assert_eq!(rotation.handle_look(1, rotation.next_look()), Found::Nothing);
        }
    }

    #[test]
    fn change_counts_when_it_has_lasted_for_a_moment() {
        let begin = clock::now();
        let mut rotation = Rotation::new(MINUTE, 1, begin);

        assert_eq!(rotation.handle_look(2, begin + MINUTE), Found::Nothing);
        assert_eq!(rotation.next_look(), begin + MINUTE + MOMENT);
        assert_eq!(rotation.handle_look(2, begin + MINUTE + MOMENT), Found::New);
        assert_eq!(rotation.next_look(), begin + MINUTE * 2 + MOMENT);
        assert_eq!(rotation.handle_look(2, rotation.next_look()), Found::Nothing);
    }

    #[test]
    fn files_that_go_on_changing_are_left_alone_until_they_rest() {
        let begin = clock::now();
        let mut rotation = Rotation::new(MINUTE, 1, begin);

        for (step, fingerprint) in (0..10).zip([2, 3].into_iter().cycle()) {
            let now = begin + MINUTE + MOMENT * step;
            assert_eq!(rotation.handle_look(fingerprint, now), Found::Nothing);
            assert_eq!(rotation.next_look(), now + MOMENT);
        }
        assert_eq!(rotation.handle_look(3, rotation.next_look()), Found::New);
    }

    #[test]
    fn change_that_is_taken_back_is_none() {
        let begin = clock::now();
        let mut rotation = Rotation::new(MINUTE, 1, begin);

        assert_eq!(rotation.handle_look(2, begin + MINUTE), Found::Nothing);
        assert_eq!(rotation.handle_look(1, begin + MINUTE + MOMENT), Found::Nothing);
        assert_eq!(rotation.next_look(), begin + MINUTE * 2 + MOMENT);
        assert_eq!(rotation.handle_look(2, rotation.next_look()), Found::Nothing);
    }

    #[test]
    fn files_that_could_not_be_loaded_are_tried_again_when_they_have_changed() {
        let begin = clock::now();
        let mut rotation = Rotation::new(MINUTE, 1, begin);
        for _ in 0..2 {
            rotation.handle_look(2, rotation.next_look());
        }

        assert_eq!(rotation.handle_look(2, rotation.next_look()), Found::Nothing);
        assert_eq!(rotation.handle_look(1, rotation.next_look()), Found::Nothing);
        assert_eq!(rotation.handle_look(1, rotation.next_look()), Found::New);
    }
}
