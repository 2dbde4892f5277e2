//! `Authority`: who says which producer id and which epochs are in use.

use crate::sender::numbering::ProducerId;

/// What gives out the epochs of a producer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authority {
    /// A coordinator of transactions, for all partitions at once (KIP-360, KIP-890). A partition that cannot go on in the epoch has
    /// its transaction aborted, after which the coordinator gives the next one.
    Coordinator,
    /// The producer itself, for each partition on its own. A broker takes any higher epoch of a producer id.
    Producer,
}

impl Authority {
    /// Returns the epoch after one that is in use, if it is known without asking.
    pub(super) fn next_epoch(self, used: ProducerId) -> Option<ProducerId> {
        match self {
            Self::Coordinator => None,
            Self::Producer => used.epoch.checked_add(1).map(|epoch| ProducerId { epoch, ..used }),
        }
    }
}
