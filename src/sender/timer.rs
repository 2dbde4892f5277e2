//! `Timer`: what the sender waits for, by name.

use std::time::Instant;

use super::schedule::PartitionWait;
use crate::network::Deadline;
use crate::topic_partition::NodeId;

/// What is looked at again at some time, if nothing happens before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A broker that is being connected to has not answered for so long that the log is told.
    Attempt,
    /// The log is to be told of records that have failed.
    Failures,
    /// Metadata is due, or will be.
    Metadata,
    /// What callers have announced without waking the sender is looked at.
    NextLook,
    /// A connection, or a node, has come to a deadline.
    Network(Deadline),
    /// An answer has come, or a connection came or went, and was not taken in so far.
    NetworkEvent,
    /// A partition has something to do.
    Partition(PartitionWait),
    /// The producer has no id, or no epoch, and asks for one.
    ProducerId,
    /// A node that partitions have batches for takes a request.
    ReadyNode,
    /// Metrics are due to be pushed, or a question for what to push.
    #[cfg(feature = "telemetry")]
    Telemetry,
    /// The next request of a transaction is due.
    Transaction,
    /// Something waits, and the sender looks whether anything is delivered.
    Stall,
    /// No broker was of use for so long that all starts over from `bootstrap.servers`.
    StartingOver,
}

#[cfg(test)]
impl Timer {
    /// Whether only the log would miss it.
    pub(super) fn is_of_log(self) -> bool {
        matches!(self, Self::Attempt | Self::Failures | Self::Stall)
    }
}

/// What has to come before something is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Some node that takes a request: one that backs off or is throttled now.
    AnyNode,
    /// This node, until it takes a request.
    Node(NodeId),
    /// A time.
    Until(Instant),
}
