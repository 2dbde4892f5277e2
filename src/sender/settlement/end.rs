//! The end of a batch: this file tells records what has become of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Settlement;
use super::failure_sums::FailedBatchFacts;
use super::giving_up::last_word;
use crate::accumulator::ProducerBatch;
use crate::delivery::Outcome;
use crate::error::{
    DeliveryError, DeliveryErrorKind, Explained, Persisted, Spent, TransactionError, TransactionErrorKind,
    Why,
};
use crate::fence::fenced;
use crate::log;
use crate::planted::planted;
use crate::sender::partition::{LogCount, Partition};

/// How a batch ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// The broker has it.
    Delivered {
        base_offset: Option<i64>,
        append_time: Option<i64>,
        /// Which log of the partition it was sent to.
        log: LogCount,
        /// Its latest timestamp as it is in the log, in milliseconds since 1970.
        timestamp: i64,
    },
    Failed(Failure),
    /// It was sent with `acks=0`, so that it was written to the socket is all that the sender will ever know.
    Written,
}

/// Why a batch fails.
#[derive(Debug)]
pub(super) enum Failure {
    /// Its time is over (`delivery.timeout.ms`). If the leader refuses the producer, `refusal` is why.
    Expired { refusal: Option<Arc<str>>, why: Arc<Why> },
    /// It cannot be sent, or not again.
    GivenUp(DeliveryErrorKind),
    /// The caller wants it back.
    Purged,
    /// The broker refuses it for good, and may name the records that it objects to.
    Refused { kind: DeliveryErrorKind, record_errors: Vec<(u32, Option<String>)> },
    /// Callers want these records back.
    Withdrawn,
}

impl Failure {
    /// With `fail_stop`, why the batches after it fail.
    fn kind_behind(&self) -> DeliveryErrorKind {
        match self {
            // A record that comes between the purge and the stop is given back as the others are.
            Self::Purged => DeliveryErrorKind::Purged,
            Self::Expired { .. } | Self::GivenUp(_) | Self::Refused { .. } | Self::Withdrawn => {
                DeliveryErrorKind::Stopped
            }
        }
    }
}

impl Settlement {
    /// Ends a batch of a partition. A batch that fails takes others with it, see [`Settlement::end_failed`].
    pub(super) fn end(
        &mut self,
        partition: &mut Partition,
        batch: Box<ProducerBatch>,
        ending: Ending,
        now: Instant,
    ) {
        if !matches!(ending, Ending::Failed(_)) {
            partition.queue.topic_counters().records_delivered.add(u64::from(batch.record_count()));
        }
        match ending {
            Ending::Delivered { base_offset, append_time, log, timestamp } => {
                partition.note_delivery(&batch, log, timestamp);
                self.tell_delivered(batch, base_offset, append_time);
            }
            Ending::Failed(failure) => self.end_failed(partition, vec![(*batch, failure)], now),
            Ending::Written => self.tell_delivered(batch, None, None),
        }
    }

    /// Ends a batch that fails.
    pub(super) fn fail(
        &mut self,
        partition: &mut Partition,
        batch: ProducerBatch,
        failure: Failure,
        now: Instant,
    ) {
        self.end(partition, Box::new(batch), Ending::Failed(failure), now);
    }

    /// Ends batches of a partition that fail at one moment, and those that fail because of them.
    ///
    /// If a batch fails and may be in the log, older batches that are certain not to be there fail with it: they could only be
    /// written out of order. With `fail_stop` everything after the first failure fails: queued batches now, those under way as
    /// soon as the sender knows that they are not written, or cannot know. The partition takes no records from then on.
    pub(super) fn end_failed(
        &mut self,
        partition: &mut Partition,
        failed: Vec<(ProducerBatch, Failure)>,
        now: Instant,
    ) {
        self.end_failed_into(None, partition, failed, now);
    }

    /// The same. Adds the error of each record to `errors`, in the order of the records, also if it ends in a panic.
    ///
    /// All batches are taken from their places, and the numbers know of their failure, before a caller learns of the first: the
    /// caller may resume the partition at once, and what it sends from then on is not to fail for a failure from before.
    pub(super) fn end_failed_into(
        &mut self,
        mut errors: Option<&mut Vec<DeliveryError>>,
        partition: &mut Partition,
        mut failed: Vec<(ProducerBatch, Failure)>,
        now: Instant,
    ) {
        take_overtaken(partition, &mut failed);
        in_order(&mut failed);
        if self.settings.is_fail_stop {
            stop_behind_first(partition, &mut failed);
            in_order(&mut failed);
        }
        for (batch, _) in &failed {
            partition.note_failure(batch);
        }
        let leader_known = partition.has_leader();
        for (batch, failure) in failed {
            self.tell_failed_into(errors.as_deref_mut(), batch, failure, leader_known, now);
        }
    }

    /// Tells the records of a batch, and adds their errors to `errors`.
    pub(super) fn tell_failed_into(
        &mut self,
        errors: Option<&mut Vec<DeliveryError>>,
        batch: ProducerBatch,
        failure: Failure,
        leader_known: bool,
        now: Instant,
    ) {
        let Some(errors) = errors else { return self.tell_failed(batch, failure, leader_known, now) };
        let (cell, count) = (Arc::clone(batch.cell()), batch.record_count());
        let done = fenced(|| self.tell_failed(batch, failure, leader_known, now));
        // If there was a panic after the batch got its outcome, the outcome counts: its records have been told.
        if let Some(Outcome::Failed(failure)) = cell.outcome() {
            errors.extend(DeliveryError::of_batch(failure, count));
        }
        if let Err(thrown) = done {
            thrown.rethrow();
        }
    }

    fn tell_failed(&mut self, mut batch: ProducerBatch, failure: Failure, leader_known: bool, now: Instant) {
        self.counters.batches_completed.add(1);
        self.counters.record_errors.add(u64::from(batch.record_count()));
        if let Some(queue) = batch.queue() {
            queue.topic_counters().record_errors.add(u64::from(batch.record_count()));
        }
        self.is_seal_late |= batch.is_sealing() && !planted!(SealingForEver);
        let persisted = batch.persisted();
        let spent = batch.time_spent(now, self.settings.linger, leader_known);
        let mut obstruction = None;
        let (kind, record_errors) = match failure {
            Failure::Expired { refusal: None, why } => {
                obstruction = Some(why);
                (DeliveryErrorKind::TimedOut(Box::new(spent)), Vec::new())
            }
            Failure::Expired { refusal: Some(reason), why } => {
                obstruction = Some(why);
                let (reason, spent) = (reason.to_string(), Box::new(spent));
                (DeliveryErrorKind::AuthenticationFailed { reason, spent }, Vec::new())
            }
            Failure::GivenUp(kind) => (kind, Vec::new()),
            Failure::Purged => (DeliveryErrorKind::Purged, Vec::new()),
            Failure::Refused { kind, record_errors } => (kind, record_errors),
            Failure::Withdrawn => (DeliveryErrorKind::Withdrawn, Vec::new()),
        };
        self.note_failure(&batch, &kind, persisted, obstruction.as_deref(), now);
        let first = record_errors.first().map_or(0, |(index, _)| *index);
        if self.settings.transactional.is_some() {
            self.note_failed(&batch, &kind, persisted);
        }
        let cell = Arc::clone(batch.cell());
        batch.fail_because(kind, persisted, record_errors, obstruction, &self.teller);
        if let (Some(failed), Some(Outcome::Failed(failure))) = (&mut self.failed, cell.outcome()) {
            failed.note_record(failure, first);
        }
    }

    /// Has the log told of it.
    fn note_failure(
        &mut self,
        batch: &ProducerBatch,
        kind: &DeliveryErrorKind,
        persisted: Persisted,
        why: Option<&Why>,
        now: Instant,
    ) {
        let (topic_partition, records) = (batch.topic_partition(), batch.record_count());
        let client_id = &*self.settings.client_id;
        log::debug!(client_id, partition = %topic_partition, records, reason = %kind, ?persisted, "records failed");
        let failed = FailedBatchFacts { topic_partition, records, kind, persisted };
        let words = batch.last_answer().and_then(|answer| answer.message.as_deref());
        let timeout = self.settings.delivery_timeout;
        self.failures.note(&failed, || cause(&Explained { kind, why, words }, timeout), now);
    }

    /// Keeps for the transaction what has failed.
    fn note_failed(&mut self, batch: &ProducerBatch, kind: &DeliveryErrorKind, persisted: Persisted) {
        let failed = self.failed.get_or_insert_default();
        let is_consequence =
            matches!(kind, DeliveryErrorKind::TransactionAborted | DeliveryErrorKind::TransactionFailed(_));
        if failed.error.is_none() && !is_consequence {
            failed.error = Some(TransactionError::new(TransactionErrorKind::RecordsFailed {
                topic_partition: batch.topic_partition().clone(),
                records: batch.record_count(),
                reason: Box::new(kind.clone()),
                persisted,
            }));
        }
        failed.was_numbered |= batch.is_numbered();
    }

    fn tell_delivered(
        &mut self,
        batch: Box<ProducerBatch>,
        base_offset: Option<i64>,
        append_time: Option<i64>,
    ) {
        self.counters.batches_completed.add(1);
        self.counters.records_delivered.add(u64::from(batch.record_count()));
        batch.deliver(base_offset, append_time, &self.teller);
    }
}

/// Says why several records have failed.
fn cause(more: &Explained<'_>, delivery_timeout: Duration) -> String {
    match more.kind {
        DeliveryErrorKind::Closed => "the producer was closed before delivery".to_owned(),
        DeliveryErrorKind::Purged => "purged".to_owned(),
        DeliveryErrorKind::Withdrawn => "withdrawn before being sent".to_owned(),
        DeliveryErrorKind::RuntimeShutdown => "the runtime was shut down before delivery".to_owned(),
        DeliveryErrorKind::TimedOut(spent) => {
            format!("not delivered within {} (delivery.timeout.ms): {spent}{more}", Spent(delivery_timeout))
        }
        DeliveryErrorKind::TransactionAborted => "the transaction was aborted before delivery".to_owned(),
        kind => format!("{kind}{more}"),
    }
}

/// Takes what could only be written out of order once these have failed, because one of them may be in the log.
fn take_overtaken(partition: &mut Partition, failed: &mut Vec<(ProducerBatch, Failure)>) {
    let in_doubt = failed.iter().filter(|(batch, _)| !batch.may_take_new_number());
    let Some(youngest) = in_doubt.map(|(batch, _)| batch.order()).max() else { return };
    failed.extend(partition.take_overtaken(youngest).into_iter().map(|batch| {
        let kind = last_word(&batch, "a younger batch may be in the log");
        (batch, Failure::GivenUp(kind))
    }));
}

/// Stops the partition behind the first of these that no earlier failure has stopped, and takes what is queued there.
fn stop_behind_first(partition: &mut Partition, failed: &mut Vec<(ProducerBatch, Failure)>) {
    // What an earlier failure has stopped may fail now, but the partition may have been resumed since.
    let first = failed.iter().find(|(batch, _)| !batch.is_stopped());
    let Some((first, behind)) = first.map(|(batch, failure)| (batch.order(), failure.kind_behind())) else {
        return;
    };
    let stopped = partition.stop_behind(first).into_iter();
    failed.extend(stopped.map(|batch| (batch, Failure::GivenUp(behind.clone()))));
}

/// Brings batches of one partition into the order in which they were to be written. A batch that was refused and is queued
/// again may be older than one that is under way, and the caller may send the records again in the order of their errors.
pub(super) fn in_order(failed: &mut [(ProducerBatch, Failure)]) {
    if !planted!(ReturnedOutOfOrder) {
        failed.sort_by_key(|(batch, _)| batch.order());
    }
}
