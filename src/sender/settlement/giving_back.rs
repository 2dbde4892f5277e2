//! Records that go back to the caller before they are settled: at a purge, when they are withdrawn, and at the end of the sender.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::Settlement;
use super::end::{Failure, in_order};
use crate::accumulator::{ProducerBatch, SealJob, withdraw};
use crate::delivery::{BatchCell, Outcome};
use crate::error::{BatchFailure, DeliveryError, DeliveryErrorKind, FailedBatch, Persisted, TimeSpent};
use crate::sender::Purge;
use crate::sender::partition::Partition;

impl Settlement {
    /// Fails what is queued in a partition, or that and what is under way. Adds the error of each record to `purged`, in the
    /// order of the records, also if it ends in a panic.
    ///
    /// A batch that was sent before is treated as if it had expired: what has become of its number is found out with
    /// the next batch of its partition.
    pub(crate) fn purge(
        &mut self,
        partition: &mut Partition,
        what: Purge,
        now: Instant,
        purged: &mut Vec<DeliveryError>,
    ) {
        let mut batches = match what {
            Purge::All => partition.take_all_in_flight(),
            Purge::Queued => Vec::new(),
        };
        batches.extend(partition.queue.take_all());
        let failed = batches.into_iter().map(|batch| (batch, Failure::Purged));
        self.end_failed_into(Some(purged), partition, failed.collect(), now);
    }

    /// Fails records of a batch, by their index, if the batch is queued and was never sent. Returns whether it was, and the compression that
    /// the rest of the batch waits for.
    ///
    /// The other records of the batch keep their places. In a log without gaps (`fail_stop`) and in a transaction no record may be
    /// missing that others follow, so nothing is withdrawn there.
    pub(crate) fn withdraw(
        &mut self,
        partition: &mut Partition,
        cell: &Arc<BatchCell>,
        indices: &BTreeSet<u32>,
        now: Instant,
    ) -> (bool, Option<SealJob>) {
        if self.settings.is_fail_stop || self.settings.transactional.is_some() {
            return (false, None);
        }
        let queue = Arc::clone(&partition.queue);
        let Some(batch) = queue.take_unsent(cell) else { return (false, None) };
        // Its compression is of no use any more, as that of a batch that fails.
        self.is_seal_late |= batch.is_sealing();
        match withdraw(batch, indices, &queue, now) {
            Ok((withdrawn, seal)) => {
                self.fail(partition, withdrawn, Failure::Withdrawn, now);
                (true, seal)
            }
            Err(batch) => {
                queue.put_back(std::iter::once(*batch));
                (false, None)
            }
        }
    }

    /// Fails batches of one partition at the end of the sender, after which numbers are of no use. Adds the error of each
    /// record to `errors`, in the order of the records, also if it ends in a panic.
    pub(crate) fn close(
        &mut self,
        batches: Vec<ProducerBatch>,
        kind: &DeliveryErrorKind,
        now: Instant,
        errors: &mut Vec<DeliveryError>,
    ) {
        let mut failed: Vec<_> =
            batches.into_iter().map(|batch| (batch, Failure::GivenUp(kind.clone()))).collect();
        in_order(&mut failed);
        for (batch, failure) in failed {
            self.tell_failed_into(Some(&mut *errors), batch, failure, true, now);
        }
    }

    /// Fails the records of a batch that is lost except for the cell in which callers wait for its outcome.
    pub(crate) fn fail_what_is_left(&self, cell: &Arc<BatchCell>, kind: &DeliveryErrorKind) {
        let failure = BatchFailure {
            kind: kind.clone(),
            persisted: Persisted::Maybe,
            topic_partition: cell.topic_partition().clone(),
            time_spent: TimeSpent::default(),
            record_errors: Vec::new(),
            why: None,
            last_words: None,
            batch: FailedBatch::default(),
        };
        cell.end(Outcome::Failed(Arc::new(failure)), &[], &self.teller);
    }
}
