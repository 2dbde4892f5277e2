//! Batches whose time is over (`delivery.timeout.ms`).

use std::sync::Arc;
use std::time::Instant;

use super::Settlement;
use super::end::Failure;
use crate::accumulator::{Head, ProducerBatch};
use crate::error::Why;
use crate::sender::partition::Partition;
use crate::topic_partition::NodeId;

impl Settlement {
    /// Fails what is too old as of `judged_at`. `head` is that of the queue, and `why` says why the leader refuses the producer, if it
    /// does, and what else stands in the way. Returns whether there was any.
    ///
    /// A refusal by itself fails no record that was accepted: an earlier attempt may have written it, and brokers also refuse a
    /// producer for moments, as when they start or when what they ask for users does not answer. Java's producer waits, too.
    pub(crate) fn expire(
        &mut self,
        partition: &mut Partition,
        head: Option<Head>,
        why: impl FnOnce(Option<NodeId>) -> (Option<Arc<str>>, Why),
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
        let (refusal, why) = why(partition.leader());
        let why = Arc::new(why);
        let failure = || Failure::Expired { refusal: refusal.clone(), why: Arc::clone(&why) };
        let expired = expired.into_iter().map(|batch| (batch, failure())).collect();
        self.end_failed(partition, expired, now);
        true
    }
}
