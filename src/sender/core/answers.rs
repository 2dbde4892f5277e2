//! What becomes of batches: delivered, sent again, cut or failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use rand::RngExt;

use super::SenderCore;
use super::sending::last_word;
use crate::accumulator::{ProducerBatch, Rescue, Stage, halve, rescue, split};
use crate::error::{BatchFailure, DeliveryErrorKind, Persisted};
use crate::log;
use crate::metadata::LeaderHint;
use crate::network::FailureReason;
use crate::planted::planted;
use crate::protocol::messages::produce::{PartitionProduceResponse, ProduceResponse};
use crate::protocol::{ApiKey, ErrorCode};
use crate::sender::request::{ProduceSent, SentBatch};
use crate::sender::retry::{MAX_CORRUPT_ATTEMPTS, Verdict, is_of_a_record};
use crate::topic_partition::NodeId;
use crate::wire::Reader;

impl SenderCore {
    pub(super) fn handle_produce(
        &mut self,
        node: NodeId,
        mut sent: ProduceSent,
        version: i16,
        body: &[u8],
        now: Instant,
    ) {
        let mut response = match ProduceResponse::decode_asked(&mut Reader::new(body), version, sent.asked())
        {
            Ok(response) => response,
            Err(error) => {
                let problem = self.close_unreadable(node, ApiKey::Produce, version, &error, now);
                self.resend_or_fail(sent, &problem, true, now);
                return;
            }
        };
        if version >= 6 {
            self.throttle(node, response.throttle_time_ms, now);
        }
        let endpoints = std::mem::take(&mut response.node_endpoints);
        let mut hints = Vec::new();
        let answers: usize = response.topics.iter().map(|topic| topic.partitions.len()).sum();
        for (sent, answer) in sent.match_answers(response) {
            hints.extend(leader_hint(node, &sent, &answer));
            self.settle(&sent, answer, now);
        }
        if answers > sent.batches.len() {
            log::warn!(%node, "produce answer tells of batches that were not sent; closing the connection");
            self.network.close(node, ApiKey::Produce, now);
        }
        if sent.batches.iter().any(|sent| !sent.is_answered) {
            log::warn!(%node, "produce answer leaves batches out; closing the connection");
            sent.batches.retain(|sent| !sent.is_answered);
            self.network.close(node, ApiKey::Produce, now);
            self.resend_or_fail(sent, "the answer cannot be read", true, now);
        }
        if let Some(update) = self.metadata.update_leaders(&hints, &endpoints) {
            self.take_in(update, now);
        }
    }

    /// Acts on the answer for one batch (Java: `Sender.completeBatch`).
    pub(super) fn settle(&mut self, sent: &SentBatch, answer: PartitionProduceResponse, now: Instant) {
        let Some(mut batch) = self.take_in_flight(sent) else {
            self.look(sent.queue_id, now);
            return;
        };
        let code = ErrorCode::from(answer.error_code);
        match Verdict::of(code, batch.is_numbered()) {
            Verdict::Retriable { persisted, .. } if self.is_corrupt_for_good(&batch, code) => {
                batch.answered(code, persisted);
                self.refuse(sent, *batch, persisted, answer, now);
            }
            Verdict::Delivered => {
                let base_offset = (answer.base_offset >= 0).then_some(answer.base_offset);
                let append_time = (answer.log_append_time_ms >= 0).then_some(answer.log_append_time_ms);
                // A broker that stamps records itself has done so now, whatever its clock says.
                let timestamp = append_time.map_or_else(|| batch.max_timestamp(), |_| self.wall_clock);
                if let Some(partition) = self.partition_mut(sent.queue_id) {
                    partition.note_delivery(&batch, sent.log, timestamp);
                }
                self.deliver(batch, base_offset, append_time);
            }
            Verdict::OutOfOrder => self.handle_out_of_order(sent, *batch, code, answer.error_message, now),
            Verdict::TooLarge => {
                batch.answered(code, Persisted::No);
                self.split(sent, *batch, answer.error_message, now);
            }
            Verdict::Retriable { persisted, refresh_metadata } => {
                batch.answered(code, persisted);
                if refresh_metadata {
                    self.metadata.request_update();
                }
                if matches!(code, ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition) {
                    self.metadata.doubt_leader(&sent.topic_partition);
                }
                let kind = DeliveryErrorKind::Broker { code, message: answer.error_message };
                self.retry_or_fail(sent, *batch, kind, now);
            }
            Verdict::Refused(persisted) => {
                batch.answered(code, persisted);
                self.refuse(sent, *batch, persisted, answer, now);
            }
        }
        self.look(sent.queue_id, now);
    }

    /// A request with `acks=0` is written; that is all that will ever be known of it.
    pub(super) fn handle_unanswerable(&mut self, sent: ProduceSent, now: Instant) {
        for sent in sent.batches {
            if let Some(batch) = self.take_in_flight(&sent) {
                self.deliver(batch, None, None);
            }
            self.look(sent.queue_id, now);
        }
    }

    pub(super) fn handle_produce_failure(
        &mut self,
        sent: ProduceSent,
        reason: &FailureReason,
        on_wire: bool,
        now: Instant,
    ) {
        match reason {
            FailureReason::UnsupportedVersion(_) => {
                for sent in sent.batches {
                    if let Some(mut batch) = self.take_in_flight(&sent) {
                        batch.unsent();
                        let kind = DeliveryErrorKind::UnsupportedVersion;
                        self.give_up(sent.queue_id, *batch, kind, Vec::new(), now, true);
                    }
                    self.look(sent.queue_id, now);
                }
            }
            FailureReason::Disconnected(reason) => {
                self.resend_or_fail(sent, &reason.to_string(), on_wire, now);
            }
            reason => self.resend_or_fail(sent, &reason.to_string(), on_wire, now),
        }
    }

    /// A request came to nothing without an answer for these batches.
    fn resend_or_fail(&mut self, sent: ProduceSent, reason: &str, on_wire: bool, now: Instant) {
        self.metadata.request_update();
        for sent in sent.batches {
            if let Some(mut batch) = self.take_in_flight(&sent) {
                if on_wire && !planted!(DisconnectedIsNotWritten) {
                    batch.lost();
                } else {
                    batch.unsent();
                }
                let kind = DeliveryErrorKind::Disconnected(reason.to_owned());
                self.retry_or_fail(&sent, *batch, kind, now);
            }
            self.look(sent.queue_id, now);
        }
    }

    /// The broker waits for another sequence number: older batches come first, or it has forgotten the producer.
    fn handle_out_of_order(
        &mut self,
        sent: &SentBatch,
        mut batch: ProducerBatch,
        code: ErrorCode,
        message: Option<String>,
        now: Instant,
    ) {
        let kind = DeliveryErrorKind::Broker { code, message };
        batch.answered(code, Persisted::No);
        if !batch.may_go_on_after_refused_number(code) {
            self.give_up(sent.queue_id, batch, kind, Vec::new(), now, true);
            return;
        }
        let order = batch.order;
        self.retry_or_fail(sent, batch, kind, now);
        if let Some(partition) = self.partition_mut(sent.queue_id) {
            partition.note_out_of_order(order);
        }
    }

    /// Whether another attempt with the same records would come to the same.
    fn is_corrupt_for_good(&self, batch: &ProducerBatch, code: ErrorCode) -> bool {
        // The batch that a piece was cut from has had its attempts. A record that stands alone has none behind it.
        let is_known = batch.is_suspect && batch.record_count() > 1;
        let attempts = if is_known { 1 } else { MAX_CORRUPT_ATTEMPTS };
        let is_last = batch.attempts() >= attempts || batch.attempts() > self.settings.retries;
        code == ErrorCode::CorruptMessage && is_last
    }

    /// The broker does not want a batch. If it names the records that it objects to (KIP-467), the others are sent again
    /// without them, before anything behind them. If it names none, the batch is halved until the culprit stands alone.
    fn refuse(
        &mut self,
        sent: &SentBatch,
        mut batch: ProducerBatch,
        persisted: Persisted,
        answer: PartitionProduceResponse,
        now: Instant,
    ) {
        let code = ErrorCode::from(answer.error_code);
        let kind = DeliveryErrorKind::Broker { code, message: answer.error_message };
        // The first word on a record counts, and none on records that do not exist.
        let named = answer.record_errors.into_iter().rev();
        let named: BTreeMap<_, _> = named
            .filter_map(|error| Some((u32::try_from(error.batch_index).ok()?, error.message)))
            .filter(|(index, _)| *index < batch.record_count())
            .collect();
        let is_certain = persisted == Persisted::No && batch.may_take_new_number() && !batch.is_stopped();
        let is_nameless = named.is_empty() && is_of_a_record(code) && !planted!(NamelessFailsAll);
        // With `fail_stop` nothing may be written behind a culprit; halves that come before it may.
        let is_final = !is_certain || (self.settings.is_fail_stop && !is_nameless);
        let queue = self.partition_mut(sent.queue_id).map(|partition| Arc::clone(&partition.queue));
        let Some(queue) = queue.filter(|_| !is_final) else {
            self.give_up(sent.queue_id, batch, kind, named.into_iter().collect(), now, true);
            return;
        };
        let is_forgotten = batch.forget_foreign_number();
        debug_assert!(is_forgotten, "what is in doubt has failed above");
        if is_nameless {
            log::debug!(partition = %sent.topic_partition, "halving a batch to find what was refused");
            if let Err(batch) = halve(batch, &queue, now) {
                self.give_up(sent.queue_id, *batch, kind, Vec::new(), now, true);
            }
            return;
        }
        self.note_failure(sent.queue_id, &batch);
        match rescue(batch, &named, &queue, now) {
            Ok(Rescue { culprits, messages }) => {
                log::debug!(partition = %sent.topic_partition, "sending a batch again without what was refused");
                self.fail(culprits, kind, messages, now, true);
            }
            Err(batch) => {
                self.fail(*batch, kind, named.into_iter().collect(), now, true);
            }
        }
    }

    /// Fails a batch of a partition and, with `fail_stop`, everything behind it: what is queued now, what is under way as
    /// soon as it is certain that it is not written, or may be. The partition takes no records from then on.
    pub(super) fn give_up(
        &mut self,
        queue_id: usize,
        batch: ProducerBatch,
        kind: DeliveryErrorKind,
        record_errors: Vec<(u32, Option<String>)>,
        now: Instant,
        leader_known: bool,
    ) {
        self.end_failed(queue_id, vec![Failed { batch, kind, record_errors }], now, leader_known);
    }

    /// The same for several batches of a partition that fail at one moment. For `fail_stop` they are one failure.
    pub(super) fn give_up_all(
        &mut self,
        queue_id: usize,
        batches: Vec<(ProducerBatch, DeliveryErrorKind)>,
        now: Instant,
        leader_known: bool,
    ) {
        let failed =
            batches.into_iter().map(|(batch, kind)| Failed { batch, kind, record_errors: Vec::new() });
        self.end_failed(queue_id, failed.collect(), now, leader_known);
    }

    /// Fails batches in their order, with all that fails because of them.
    ///
    /// All of it is taken from its places before a caller learns of the first failure: the caller may resume the partition
    /// at once, and what it sends from then on is not to fail for a failure from before.
    fn end_failed(&mut self, queue_id: usize, mut failed: Vec<Failed>, now: Instant, leader_known: bool) {
        let in_doubt = failed.iter().map(|failed| &failed.batch).filter(|batch| !batch.may_take_new_number());
        let youngest = in_doubt.map(|batch| batch.order).max();
        let is_fail_stop = self.settings.is_fail_stop;
        if let Some(partition) = self.partition_mut(queue_id) {
            let overtaken = youngest.map(|youngest| partition.take_overtaken(youngest));
            failed.extend(overtaken.into_iter().flatten().map(|batch| {
                let kind = last_word(&batch, "a younger batch may be in the log");
                Failed { batch, kind, record_errors: Vec::new() }
            }));
            failed.sort_by_key(|failed| failed.batch.order);
            // What an earlier failure has stopped may fail now, but the partition may have been resumed since.
            let first = failed.iter().find(|failed| is_fail_stop && !failed.batch.is_stopped());
            let stopped = first.map(|first| partition.stop_behind(first.batch.order));
            failed.extend(stopped.into_iter().flatten().map(|batch| Failed {
                batch,
                kind: DeliveryErrorKind::Stopped,
                record_errors: Vec::new(),
            }));
        }
        failed.sort_by_key(|failed| failed.batch.order);
        for Failed { batch, kind, record_errors } in failed {
            self.note_failure(queue_id, &batch);
            self.fail(batch, kind, record_errors, now, leader_known);
        }
    }

    /// Fails what waits in every partition.
    pub(super) fn refuse_queued(&mut self, kind: &DeliveryErrorKind, now: Instant) {
        for id in 0..self.partitions.len() {
            let Some(partition) = self.partition_mut(id) else { continue };
            let queue = Arc::clone(&partition.queue);
            let batches = if self.settings.is_fail_stop { queue.stop_at_head() } else { queue.take_all() };
            let refused = batches.into_iter().map(|batch| (batch, kind.clone())).collect();
            self.give_up_all(id, refused, now, true);
        }
    }

    fn retry_or_fail(
        &mut self,
        sent: &SentBatch,
        mut batch: ProducerBatch,
        kind: DeliveryErrorKind,
        now: Instant,
    ) {
        if batch.is_stopped() || batch.attempts() > self.settings.retries {
            let kind = if batch.is_stopped() { DeliveryErrorKind::Stopped } else { kind };
            self.give_up(sent.queue_id, batch, kind, Vec::new(), now, true);
            return;
        }
        if !batch.forget_foreign_number() {
            self.give_up(sent.queue_id, batch, kind, Vec::new(), now, true);
            return;
        }
        log::debug!(
            partition = %sent.topic_partition, attempts = batch.attempts(), reason = %kind, "sending a batch again"
        );
        self.counters.record_retries.add(u64::from(batch.record_count()));
        let delay = self.settings.retry_backoff.delay(batch.attempts() - 1, self.random.random());
        batch.clock.enter(Stage::Backoff, now);
        if let Some(partition) = self.partition_mut(sent.queue_id) {
            partition.retry_at = now.checked_add(delay);
            partition.queue.put_back(std::iter::once(batch));
        }
    }

    fn split(&mut self, sent: &SentBatch, mut batch: ProducerBatch, message: Option<String>, now: Instant) {
        if batch.is_stopped() {
            self.give_up(sent.queue_id, batch, DeliveryErrorKind::Stopped, Vec::new(), now, true);
            return;
        }
        if !batch.forget_foreign_number() {
            let kind = DeliveryErrorKind::Broker { code: ErrorCode::MessageTooLarge, message };
            self.give_up(sent.queue_id, batch, kind, Vec::new(), now, true);
            return;
        }
        let Some(partition) = self.partition_mut(sent.queue_id) else { return };
        let queue = Arc::clone(&partition.queue);
        match split(batch, &queue, self.accumulator.settings(), now) {
            Ok(pieces) => {
                log::debug!(partition = %sent.topic_partition, pieces, "split a batch that is too large");
                self.counters.batch_splits.add(1);
            }
            Err(batch) => {
                let kind = DeliveryErrorKind::Broker { code: ErrorCode::MessageTooLarge, message };
                self.give_up(sent.queue_id, *batch, kind, Vec::new(), now, true);
            }
        }
    }

    fn take_in_flight(&mut self, sent: &SentBatch) -> Option<Box<ProducerBatch>> {
        let partition = self.partition_mut(sent.queue_id)?;
        partition.outstanding = partition.outstanding.saturating_sub(1);
        partition.take_in_flight(sent.batch_id)
    }

    pub(super) fn note_failure(&mut self, queue_id: usize, batch: &ProducerBatch) {
        if let Some(partition) = self.partition_mut(queue_id) {
            partition.note_failure(batch);
        }
    }

    fn deliver(&mut self, batch: Box<ProducerBatch>, base_offset: Option<i64>, append_time: Option<i64>) {
        self.counters.batches_completed.add(1);
        self.counters.records_delivered.add(u64::from(batch.record_count()));
        batch.deliver(base_offset, append_time, self.observer.as_deref());
    }

    pub(super) fn fail(
        &mut self,
        mut batch: ProducerBatch,
        kind: DeliveryErrorKind,
        record_errors: Vec<(u32, Option<String>)>,
        now: Instant,
        leader_known: bool,
    ) -> Arc<BatchFailure> {
        self.counters.batches_completed.add(1);
        self.counters.record_errors.add(u64::from(batch.record_count()));
        // The work holds the memory of the batch until a thread comes for it.
        self.is_seal_late |= batch.is_sealing() && !planted!(SealingForEver);
        let persisted = batch.persisted();
        batch.time_spent(now, self.settings.linger, leader_known);
        log::warn!(
            partition = %batch.topic_partition(), records = batch.record_count(), reason = %kind, ?persisted,
            "records failed"
        );
        batch.fail(kind, persisted, record_errors, self.observer.as_deref())
    }
}

/// A batch that has failed, and why.
struct Failed {
    batch: ProducerBatch,
    kind: DeliveryErrorKind,
    record_errors: Vec<(u32, Option<String>)>,
}

/// Reads who leads the partition now, if the broker knows better than to name itself.
///
/// A broker that refuses and names itself would make us try it again at once, for ever.
fn leader_hint(node: NodeId, sent: &SentBatch, answer: &PartitionProduceResponse) -> Option<LeaderHint> {
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
