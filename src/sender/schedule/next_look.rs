//! `NextLook`: when to look at what has changed although no caller wakes the sender for it.
//!
//! While requests are under way their answers come, and with each answer the sender looks at what has changed meanwhile. If
//! callers also woke it for every batch, requests would only be more and smaller. But the time of a look must not depend on
//! the answers alone. So the sender also looks by itself soon after the last event, until nothing happens any more.

use std::time::{Duration, Instant};

/// How long a full batch may wait for a look while requests are under way, give or take a tick of the shell's timer.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// A [`LOOK_INTERVAL`] does not prolong a linger of this length noticeably. A user who sets a shorter one does not want to wait
/// even for that.
const SHORTEST_LINGER_TO_WAIT: Duration = Duration::from_millis(5);

/// The plan for the next look.
#[derive(Debug, Default)]
pub(super) struct NextLook {
    at: Option<Instant>,
    /// Something has happened since the last plan.
    has_news: bool,
}

impl NextLook {
    pub(super) fn note_news(&mut self) {
        self.has_news = true;
    }

    /// Plans the next look. Returns whether there is one, so that callers need not wake the sender.
    pub(super) fn plan(&mut self, linger: Duration, is_any_in_flight: bool, now: Instant) -> bool {
        let has_news = std::mem::take(&mut self.has_news);
        let may_wait = linger >= SHORTEST_LINGER_TO_WAIT && is_any_in_flight;
        self.at = match self.at {
            _ if !may_wait => None,
            _ if has_news => now.checked_add(LOOK_INTERVAL),
            planned => planned.filter(|planned| now < *planned),
        };
        self.at.is_some()
    }

    pub(super) fn at(&self) -> Option<Instant> {
        self.at
    }
}
