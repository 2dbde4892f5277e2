//! What the log is told: machines make the lines.

use std::time::Instant;

use super::SenderCore;
use crate::sender::line::Line;

impl SenderCore {
    /// Tells the log what the machines have to say.
    pub(super) fn tell_log(&mut self, now: Instant) {
        while let Some(line) = self.next_line(now) {
            line.log(&self.settings.client_id);
            #[cfg(test)]
            self.told.push(line);
        }
    }

    fn next_line(&mut self, now: Instant) -> Option<Line> {
        self.brokers.next_line().or_else(|| self.settlement.next_line(now))
    }

    /// Returns what the log was told since the last call.
    #[cfg(test)]
    pub(in crate::sender) fn take_told(&mut self) -> Vec<String> {
        self.told.drain(..).map(|line| format!("{:?} {}", line.level, line.text)).collect()
    }
}
