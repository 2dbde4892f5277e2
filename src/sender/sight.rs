//! `Sight`: the time up to which the sender has seen everything that came. It decides how far the time may move on for the core.

use std::time::{Duration, Instant};

/// What the timer was set to, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Armed {
    pub(super) deadline: Instant,
    pub(super) at: Instant,
}

/// The time up to which we have seen everything that came.
///
/// A runtime that was blocked, or a process that was frozen, may poll the sender long after a deadline although the answer came
/// in time: the answer lies in a socket, and the runtime has yet to notice it. The runtime looks at the sockets before it lets a
/// timer fire. So a deadline counts only once a timer has fired: then everything that had come by the timer's time can be read.
#[derive(Debug)]
pub(super) struct Sight {
    /// What had come by then was taken in.
    read_until: Instant,
    /// What had come by then can be read.
    readable_until: Instant,
    /// Rounds in a row in which there was more to read.
    unread_rounds: u32,
}

/// If a timer fires later than this, the runtime's look at the sockets before it may have been long ago.
const PUNCTUAL: Duration = Duration::from_millis(10);

/// A peer that sends without end does not keep others from being given up.
const MAX_UNREAD_ROUNDS: u32 = 1000;

impl Sight {
    pub(super) fn new(now: Instant) -> Self {
        Self { read_until: now, readable_until: now, unread_rounds: 0 }
    }

    /// The timer has fired.
    pub(super) fn note_timer(&mut self, armed: Armed, now: Instant) {
        let is_punctual = now.saturating_duration_since(armed.deadline) <= PUNCTUAL;
        // The runtime looked at the sockets after the timer was set: usually not long before it fires, but a thread that was
        // frozen between the two is late.
        let seen = if is_punctual { armed.deadline } else { armed.at };
        self.readable_until = self.readable_until.max(seen);
    }

    /// The sockets were read, to their ends or not.
    pub(super) fn note_reading(&mut self, has_read_all: bool) {
        self.unread_rounds = if has_read_all { 0 } else { self.unread_rounds + 1 };
        if has_read_all || self.unread_rounds >= MAX_UNREAD_ROUNDS {
            self.read_until = self.readable_until;
        }
    }

    /// Returns the time up to which all that had come was taken in.
    pub(super) fn read_until(&self) -> Instant {
        self.read_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const A_MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn timer_that_fires_in_time_tells_that_the_sockets_were_looked_at() {
        let start = clock::now();
        let deadline = start + Duration::from_secs(30);
        let mut sight = Sight::new(start);

        sight.note_timer(Armed { deadline, at: start }, deadline + A_MOMENT);
        assert_eq!(sight.read_until(), start, "they must be read, too");
        sight.note_reading(false);
        assert_eq!(sight.read_until(), start);
        sight.note_reading(true);

        assert_eq!(sight.read_until(), deadline);
    }

    #[test]
    fn late_timer_tells_nothing_of_what_has_come_since_it_was_set() {
        let start = clock::now();
        let (deadline, late) = (start + Duration::from_secs(30), start + Duration::from_secs(60));
        let mut sight = Sight::new(start);

        sight.note_timer(Armed { deadline, at: start }, late);
        sight.note_reading(true);
        assert_eq!(sight.read_until(), start);
        // Set again, and late again: the runtime has much to do.
        let again = late + A_MOMENT;
        sight.note_timer(Armed { deadline: again, at: late }, again + Duration::from_secs(1));
        sight.note_reading(true);

        assert_eq!(sight.read_until(), late);
    }

    #[test]
    fn peer_that_sends_without_end_does_not_keep_others_from_being_given_up() {
        let start = clock::now();
        let deadline = start + Duration::from_secs(30);
        let mut sight = Sight::new(start);
        sight.note_timer(Armed { deadline, at: start }, deadline);

        (0..MAX_UNREAD_ROUNDS).for_each(|_| sight.note_reading(false));

        assert_eq!(sight.read_until(), deadline);
    }
}
