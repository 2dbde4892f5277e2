//! `Authority`: who says which producer id and which epochs are in use.

use crate::protocol::messages::init_producer_id::InitProducerIdRequest;
use crate::sender::numbering::ProducerId;

/// What gives out the epochs of a producer id.
///
/// A coordinator of transactions would be another variant (KIP-360, KIP-890). The sender would ask it for every epoch, so
/// `next_epoch` would return none until there is an answer, and partitions would wait as they do for the first id. Its epochs
/// are for all partitions at once; [`ProducerId::allows`] would have to know that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authority {
    /// The producer itself, for each partition on its own. A broker takes any higher epoch of a producer id.
    Producer,
}

impl Authority {
    /// Returns what to ask for a producer id.
    pub(super) fn question(self) -> InitProducerIdRequest {
        match self {
            Self::Producer => InitProducerIdRequest {
                transactional_id: None,
                transaction_timeout_ms: i32::MAX,
                producer_id: -1,
                producer_epoch: -1,
            },
        }
    }

    /// Returns the epoch after one that is in use, if it is known without asking.
    pub(super) fn next_epoch(self, used: ProducerId) -> Option<ProducerId> {
        match self {
            Self::Producer => used.epoch.checked_add(1).map(|epoch| ProducerId { epoch, ..used }),
        }
    }
}
