//! Batches whose time is over (`delivery.timeout.ms`).

use std::time::Instant;

use super::Settlement;
use super::end::Failure;
use crate::accumulator::{Head, ProducerBatch};
use crate::sender::partition::Partition;

impl Settlement {
    /// Fails what is too old as of `judged_at`. `head` is that of the queue. Returns whether there was any.
    pub(crate) fn expire(
        &mut self,
        partition: &mut Partition,
        head: Option<Head>,
        judged_at: Instant,
        now: Instant,
    ) -> bool {
        let timeout = self.settings.delivery_timeout;
        let mut expired = partition.expire_in_flight(judged_at, timeout);
        expired.iter_mut().for_each(ProducerBatch::expired);
        if head.is_some_and(|head| judged_at.saturating_duration_since(head.created) >= timeout) {
            expired.extend(partition.queue.expire(judged_at, timeout));
        }
        if expired.is_empty() {
            return false;
        }
        let expired = expired.into_iter().map(|batch| (batch, Failure::Expired));
        self.end_failed(partition, expired.collect(), now);
        true
    }
}
