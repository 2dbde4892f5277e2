//! Another attempt: whether there is one, and after which backoff.

use std::time::Instant;

use rand::RngExt;

use super::Settlement;
use super::end::Failure;
use crate::accumulator::ProducerBatch;
use crate::error::DeliveryErrorKind;
use crate::log;
use crate::protocol::ErrorCode;
use crate::sender::partition::Partition;
use crate::sender::transactions::BUSY_BACKOFF;

/// Whether the coordinator is still busy with the transaction before, which is over in a moment.
fn is_busy(kind: &DeliveryErrorKind) -> bool {
    matches!(kind, DeliveryErrorKind::Broker { code: ErrorCode::ConcurrentTransactions, .. })
}

/// If a batch is answered CORRUPT_MESSAGE this many times, the sender takes the cause to be a record in it.
///
/// The code may mean that bytes were damaged on their way, and then another attempt helps; Java tries again until
/// `delivery.timeout.ms`. But some brokers, old ones among them, give it for a record that they will never take, for example
/// one without a key for a compacted topic. Everything after that record would wait and expire with it.
const MAX_CORRUPT_ATTEMPTS: u32 = 3;

impl Settlement {
    /// Puts a batch back into its queue, or fails it if it must not be sent again. `kind`: what the last attempt came to.
    pub(super) fn retry_or_fail(
        &mut self,
        partition: &mut Partition,
        mut batch: ProducerBatch,
        kind: DeliveryErrorKind,
        now: Instant,
    ) {
        let kind = if batch.is_stopped() { DeliveryErrorKind::Stopped } else { kind };
        let is_last = batch.is_stopped() || batch.attempts() > self.settings.retries;
        if is_last || !batch.forget_foreign_number() {
            self.fail(partition, batch, Failure::GivenUp(kind), now);
            return;
        }
        log::debug!(
            partition = %batch.topic_partition(), attempts = batch.attempts(), reason = %kind, "sending a batch again"
        );
        let records = u64::from(batch.record_count());
        self.counters.record_retries.add(records);
        partition.queue.topic_counters().record_retries.add(records);
        let delay = self.settings.retry_backoff.delay(batch.attempts() - 1, self.random.random());
        let delay = if is_busy(&kind) { delay.min(BUSY_BACKOFF) } else { delay };
        partition.put_back(batch, delay, now);
    }

    /// Whether another attempt with the same records would come to the same.
    pub(super) fn is_corrupt_for_good(&self, batch: &ProducerBatch, code: ErrorCode) -> bool {
        // The batch that a piece was cut from has had its attempts. A record that stands alone has none behind it.
        let is_known = batch.is_suspect() && batch.record_count() > 1;
        let attempts = if is_known { 1 } else { MAX_CORRUPT_ATTEMPTS };
        let is_last = batch.attempts() >= attempts || batch.attempts() > self.settings.retries;
        code == ErrorCode::CorruptMessage && is_last
    }
}
