//! `Timer`: what the sender waits for, by name.

use std::time::Instant;

/// What is looked at again at some time, if nothing happens before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Metadata is due, or will be.
    Metadata,
    /// The producer has no id, or no epoch, and asks for one.
    ProducerId,
    /// No broker was of use for so long that all starts over from `bootstrap.servers`.
    StartingOver,
}

/// What has to come before something is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Some node that takes a request: one that backs off or is throttled now.
    AnyNode,
    /// A time.
    Until(Instant),
}
