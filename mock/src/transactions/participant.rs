//! What a transaction touches.

/// A partition or a group whose records or offsets wait for the end of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Participant {
    /// Kafka counts the partition of `__consumer_offsets` that holds the group; the mock does not have that topic.
    Group(String),
    Partition(String, i32),
}

/// A marker that lies in the log of a leader, but not yet with all replicas in sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenMarker {
    pub(crate) leader_epoch: i32,
    /// Offset behind the marker.
    pub(crate) end_offset: i64,
}
