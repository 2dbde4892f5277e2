//! `Line`: what the sender tells the log. Pure machines make lines; they are written here.

use crate::log;
use crate::topic_partition::NodeId;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) text: String,
    /// How often the same came up since it was told last.
    pub(super) folded: u32,
}

/// A line, unless the log was told the same within the last minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    /// The broker that it is about, if it is about one.
    pub(super) node: Option<NodeId>,
    /// What it is about: two of a broker's that are about the same are the same, whatever their texts say.
    pub(super) about: &'static str,
    pub(super) line: Line,
}

/// Whether a user should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warn,
}

impl Line {
    pub(super) fn info(text: String) -> Self {
        Self { level: Level::Info, text, folded: 0 }
    }

    pub(super) fn warn(text: String) -> Self {
        Self { level: Level::Warn, text, folded: 0 }
    }

    /// Writes the line. `client_id` tells producers apart.
    pub(super) fn log(&self, client_id: &str) {
        let Self { level, text, folded } = self;
        match level {
            Level::Info => log::info!(client_id, folded, "{text}"),
            Level::Warn => log::warn!(client_id, folded, "{text}"),
        }
    }
}

impl News {
    /// Something about a broker that a user should look at.
    pub(super) fn warn(node: NodeId, about: &'static str, text: String) -> Self {
        Self { node: Some(node), about, line: Line::warn(text) }
    }

    /// Something about the cluster.
    pub(super) fn of_cluster(about: &'static str, line: Line) -> Self {
        Self { node: None, about, line }
    }
}
