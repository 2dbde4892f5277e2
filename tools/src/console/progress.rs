//! How far the run has come, on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::now;
use crate::outbox::Outbox;

/// Shows a line of progress when the input is a file or a pipe and it takes longer than a moment.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    next: Instant,
    is_terminal: bool,
    /// False when a user types the lines, and so knows the progress.
    is_wanted: bool,
    /// Lines until the next look at the clock.
    countdown: u32,
    is_shown: bool,
}

impl Progress {
    pub(crate) fn new(started: Instant) -> Self {
        Self {
            started,
            next: started + FIRST,
            is_terminal: io::stderr().is_terminal(),
            is_wanted: !io::stdin().is_terminal(),
            countdown: 0,
            is_shown: false,
        }
    }

    /// Is called for every line, and cheap.
    pub(crate) fn show(&mut self, lines: u64, outbox: &Outbox) {
        self.countdown = self.countdown.checked_sub(1).unwrap_or(LINES_PER_LOOK);
        if self.countdown > 0 || !self.is_wanted {
            return;
        }
        let now = now();
        if now < self.next {
            return;
        }
        let seconds = now.duration_since(self.started).as_secs_f64();
        let Outbox { delivered, failed, .. } = outbox;
        let rate = *delivered as f64 / seconds;
        let text = format!("{lines} lines read, {delivered} delivered, {failed} failed, {rate:.0} records/s");
        // A terminal shows one line that changes, a log gets a line now and then.
        let (text, pause) =
            if self.is_terminal { (format!("\r\x1b[K{text}"), OFTEN) } else { (text + "\n", SELDOM) };
        // Progress that cannot be shown is no reason to end.
        let _ = io::stderr().write_all(text.as_bytes());
        self.is_shown = self.is_terminal;
        self.next = now + pause;
    }

    /// Wipes the changing line.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

const FIRST: Duration = Duration::from_secs(1);
const OFTEN: Duration = Duration::from_millis(200);
const SELDOM: Duration = Duration::from_secs(5);
const LINES_PER_LOOK: u32 = 100;
