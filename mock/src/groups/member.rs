//! A member of a group that has joined by the classic protocol.

use std::time::Duration;

use bytes::Bytes;

use super::answers::{JoinedMember, Ticket};

/// A member of a group.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    /// How it could agree with others on who reads what, with what it tells of itself; what it likes best comes first.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Empty until the leader has decided.
    pub(crate) assignment: Bytes,
    /// When it counts as dead, unless it waits for others.
    pub(crate) expires_at: Duration,
    pub(crate) awaits: Awaited,
    /// Whether its first JoinGroup is unanswered: it has no way to say that it lives.
    pub(crate) is_new: bool,
    /// Whether it has not asked for its assignment in this generation.
    pub(crate) owes_sync: bool,
}

/// What a member waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    Join(Ticket),
    Nothing,
    Sync(Ticket),
}

impl Member {
    pub(crate) fn awaits_join(&self) -> bool {
        matches!(self.awaits, Awaited::Join(_))
    }

    /// Says when it counts as dead; `None` while it waits for others.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        (self.is_new || self.awaits == Awaited::Nothing).then_some(self.expires_at)
    }

    pub(crate) fn heard_of(&mut self, now: Duration) {
        self.expires_at = now + self.session_timeout;
    }

    pub(crate) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// What it tells the leader.
    pub(crate) fn told(&self, id: &str, protocol: &str) -> JoinedMember {
        let metadata = self.protocols.iter().find(|(name, _)| name == protocol);
        JoinedMember {
            id: id.to_owned(),
            instance_id: self.instance_id.clone(),
            metadata: metadata.map(|(_, metadata)| metadata.clone()).unwrap_or_default(),
        }
    }
}
