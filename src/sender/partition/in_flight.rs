//! `InFlight`: the batches of a partition that are under way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::accumulator::{BatchOrder, ProducerBatch};
use crate::planted::planted;
use crate::protocol::ErrorCode;
use crate::topic_partition::NodeId;

/// The batches of a partition that are under way.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// Sent, neither answered nor ended; oldest first.
    batches: VecDeque<Box<ProducerBatch>>,
    /// Requests without an answer that carry a batch of the partition. The batch itself may have ended.
    outstanding: usize,
    /// Where the last of them was sent.
    node: Option<NodeId>,
}

impl InFlight {
    /// A connection to a node takes a batch.
    pub(super) fn push(&mut self, batch: Box<ProducerBatch>, node: NodeId) {
        self.outstanding += 1;
        self.node = Some(node);
        self.batches.push_back(batch);
    }

    /// Takes the batch of a request that has come to its end. `None` if the batch has ended meanwhile.
    pub(super) fn take_answered(&mut self, batch_id: u64) -> Option<Box<ProducerBatch>> {
        self.outstanding = self.outstanding.saturating_sub(1);
        let at = self.batches.iter().position(|batch| batch.id() == batch_id)?;
        self.batches.remove(at)
    }

    /// Takes the batches that are `timeout` old or older.
    pub(super) fn expire(&mut self, now: Instant, timeout: Duration) -> Vec<ProducerBatch> {
        let is_expired = |batch: &ProducerBatch| now.saturating_duration_since(batch.created()) >= timeout;
        if !self.batches.front().is_some_and(|batch| is_expired(batch)) {
            return Vec::new();
        }
        let batches = std::mem::take(&mut self.batches).into_iter();
        let (expired, kept): (VecDeque<_>, _) = batches.partition(|batch| is_expired(batch));
        self.batches = kept;
        expired.into_iter().map(|batch| *batch).collect()
    }

    /// Takes all batches.
    pub(super) fn take_all(&mut self) -> Vec<ProducerBatch> {
        self.batches.drain(..).map(|batch| *batch).collect()
    }

    /// A batch has failed (`fail_stop`): none behind it is sent again.
    pub(super) fn stop_behind(&mut self, order: BatchOrder) {
        for batch in self.batches.iter_mut().filter(|batch| batch.order() > order) {
            if !planted!(StopSparesInFlight) {
                batch.stopped();
            }
        }
    }

    /// The producer has come to another cluster.
    pub(super) fn leave_cluster(&mut self) {
        for batch in &mut self.batches {
            batch.left_behind();
        }
    }

    /// Returns how many requests without an answer carry a batch of the partition.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Returns where the last of them was sent.
    pub(super) fn node(&self) -> Option<NodeId> {
        self.node
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Returns when the oldest batch was created.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.batches.front().map(|batch| batch.created())
    }

    /// Returns what a broker has answered last about the oldest batch, if it was an error, and how often that batch was sent.
    pub(super) fn last_answer(&self) -> Option<(ErrorCode, u32)> {
        let oldest = self.batches.front()?;
        Some((oldest.last_answer()?.code, oldest.attempts()))
    }

    /// Whether any of the batches is not on its first attempt.
    pub(super) fn is_any_sent_again(&self) -> bool {
        self.batches.iter().any(|batch| batch.attempts() > 1)
    }

    /// Whether any of the batches has only records from before a timestamp.
    pub(super) fn is_any_older_than(&self, timestamp: i64) -> bool {
        self.batches.iter().any(|batch| batch.max_timestamp() < timestamp)
    }

    /// Whether any of the batches comes before another.
    pub(super) fn is_any_before(&self, order: BatchOrder) -> bool {
        self.batches.iter().any(|batch| batch.order() < order)
    }

    /// Counts requests without having sent them.
    #[cfg(test)]
    pub(super) fn pretend(&mut self, outstanding: usize, node: NodeId) {
        (self.outstanding, self.node) = (outstanding, Some(node));
    }
}
