//! `Line`: what the sender tells the log of brokers. Pure machines make lines; they are written here.

use crate::log;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) text: String,
    /// How often the same came up since it was told last.
    pub(super) folded: u32,
}

/// Whether a user should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warn,
}

impl Line {
    /// Writes the line. `client_id` tells producers apart.
    pub(super) fn log(&self, client_id: &str) {
        let Self { level, text, folded } = self;
        match level {
            Level::Info => log::info!(client_id, folded, "{text}"),
            Level::Warn => log::warn!(client_id, folded, "{text}"),
        }
    }
}
