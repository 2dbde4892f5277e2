//! `Head`: what the sender learns from a look at a queue.

use std::time::Instant;

use super::{Inner, PartitionQueue};
use crate::accumulator::producer_batch::BatchOrder;
use crate::accumulator::stage_clock::Stage;
use crate::protocol::ErrorCode;

/// The oldest batch of a queue, as far as the sender's decisions go by it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) created: Instant,
    pub(crate) attempts: u32,
    pub(crate) sent_leader_epoch: Option<i32>,
    /// The batch takes no more records, or has reached `batch.size`, or others wait behind it.
    pub(crate) is_full: bool,
    /// A flush waits for its records.
    pub(crate) is_flushed: bool,
    /// A thread is compressing it, and announces the queue to the sender when it is done.
    pub(crate) is_sealing: bool,
    /// It has a sequence number.
    pub(crate) is_numbered: bool,
    /// Another number cannot write it twice: it has none, or is certain not to be in the log under its own.
    pub(crate) may_take_new_number: bool,
    /// A task waits for each of its records: no task that waits for it will add to it.
    pub(crate) is_awaited: bool,
    /// The latest of its records, in milliseconds since 1970.
    pub(crate) max_timestamp: i64,
    pub(crate) order: BatchOrder,
    pub(crate) len: usize,
    pub(crate) stage: Stage,
}

impl PartitionQueue {
    /// Describes the oldest batch. Unlike [`PartitionQueue::look`] it is for reports: the sender has still to hear of announcements.
    pub(crate) fn peek(&self) -> Option<Head> {
        self.lock().head()
    }

    /// Returns what a broker has answered last about the oldest batch, if it was an error, and how often that batch was sent.
    pub(crate) fn last_answer(&self) -> Option<(ErrorCode, u32)> {
        let inner = self.lock();
        let head = inner.batches.front()?;
        Some((head.last_answer()?.code, head.attempts()))
    }
}

impl Inner {
    /// Describes the oldest batch.
    pub(super) fn head(&self) -> Option<Head> {
        let more = self.batches.len() > 1;
        self.batches.front().map(|head| Head {
            created: head.created(),
            attempts: head.attempts(),
            sent_leader_epoch: head.sent_leader_epoch(),
            is_full: more || !head.may_linger(),
            is_flushed: head.is_flushed(),
            is_sealing: head.is_sealing(),
            is_numbered: head.is_numbered(),
            may_take_new_number: head.may_take_new_number(),
            is_awaited: head.cell().is_all_awaited(),
            max_timestamp: head.max_timestamp(),
            order: head.order(),
            len: head.len(),
            stage: head.stage(),
        })
    }
}
