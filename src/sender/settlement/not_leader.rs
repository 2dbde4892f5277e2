//! What follows when a broker says that it does not lead the partition: NOT_LEADER_OR_FOLLOWER. For other codes that speak
//! against the leader, [`LeaderNews::of`] says what follows, and [`error_codes`](super::error_codes) whether the batch may be in
//! the log.
//!
//! 1. The batch is sent again while it has retries left (`retrying.rs`). It may be in the log: a leader that was deposed while it
//!    waited for its followers says this, too, and the followers may have the batch.
//! 2. The sender asks for metadata, and doubts the leader that metadata has named: [`LeaderNews`]. If the batch has ended
//!    meanwhile, it does neither.
//! 3. If the answer names the leader, the next attempt goes there at once (KIP-951): [`leader_hint`]. The backoff holds only
//!    until a leader with a newer epoch is known ([`Partition::next`](crate::sender::partition::Partition::next)).

use crate::metadata::LeaderHint;
use crate::protocol::ErrorCode;
use crate::protocol::messages::produce::PartitionProduceResponse;
use crate::sender::request::SentBatch;
use crate::topic_partition::NodeId;

/// What an answer for a batch says about the leader that metadata has named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaderNews {
    /// Nothing speaks against it.
    Current,
    /// The broker does not lead the partition, or does not know it. Metadata must be asked for, and the same leader is not
    /// believed as before.
    Doubted,
    /// Metadata must be asked for.
    Stale,
}

impl LeaderNews {
    /// Reads what an error code says of the leader.
    pub(super) fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition => Self::Doubted,
            code if code.is_invalid_metadata() => Self::Stale,
            _ => Self::Current,
        }
    }
}

/// Reads who leads the partition now, if the broker knows better than to name itself.
///
/// A broker that refuses and names itself would have the sender try it again at once, for ever.
pub(crate) fn leader_hint(
    node: NodeId,
    sent: &SentBatch,
    answer: &PartitionProduceResponse,
) -> Option<LeaderHint> {
    let is_hint = matches!(
        ErrorCode::from(answer.error_code),
        ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
    );
    let leader = NodeId(answer.current_leader_id);
    (is_hint && leader != node && leader.0 >= 0 && answer.current_leader_epoch >= 0).then(|| LeaderHint {
        topic: sent.topic().clone(),
        partition: sent.topic_partition.partition,
        leader,
        leader_epoch: answer.current_leader_epoch,
    })
}
