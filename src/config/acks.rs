//! How many replicas must have a record before it counts as delivered.

use std::fmt;

/// Which replicas must have stored a batch before the broker answers for it (`acks`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "these are all that the protocol has, and users match them")]
pub enum Acks {
    /// All in-sync replicas, Kafka's `all` or `-1`. The broker refuses the batch when fewer than the topic's
    /// `min.insync.replicas` are in sync.
    #[default]
    All,
    /// The leader alone, Kafka's `1`. A record is lost when the leader dies before a follower has copied it.
    Leader,
    /// No replica, Kafka's `0`. The broker does not answer at all: no offset is reported and losses go unnoticed.
    None,
}

impl fmt::Display for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Leader => "1",
            Self::None => "0",
        })
    }
}
