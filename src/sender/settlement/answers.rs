//! What follows from the end of a request: an answer for each of its batches, or none.

use std::time::Instant;

use super::Settlement;
use super::end::{Ending, Failure};
use super::error_codes::Verdict;
use super::not_leader::LeaderNews;
use crate::accumulator::ProducerBatch;
use crate::error::{DeliveryErrorKind, Persisted};
use crate::planted::planted;
use crate::protocol::ErrorCode;
use crate::protocol::messages::produce::PartitionProduceResponse;
use crate::sender::partition::Partition;
use crate::sender::request::SentBatch;

impl Settlement {
    /// Acts on the answer for one batch (Java: `Sender.completeBatch`). Returns what it says of the leader. `wall_clock`: in
    /// milliseconds since 1970.
    pub(crate) fn handle_answer(
        &mut self,
        partition: &mut Partition,
        sent: &SentBatch,
        answer: PartitionProduceResponse,
        wall_clock: i64,
        now: Instant,
    ) -> LeaderNews {
        let Some(mut batch) = partition.take_answered(sent.batch_id) else { return LeaderNews::Current };
        let code = ErrorCode::from(answer.error_code);
        let words = || answer.error_message.clone();
        match Verdict::of(code, batch.is_numbered(), self.settings.transactional.is_some()) {
            Verdict::Delivered => {
                let append_time = (answer.log_append_time_ms >= 0).then_some(answer.log_append_time_ms);
                let ending = Ending::Delivered {
                    base_offset: (answer.base_offset >= 0).then_some(answer.base_offset),
                    append_time,
                    log: sent.log,
                    // A broker that stamps records itself has done so now. Its clock may say something else.
                    timestamp: append_time.map_or_else(|| batch.max_timestamp(), |_| wall_clock),
                };
                self.end(partition, batch, ending, now);
                return LeaderNews::Current;
            }
            Verdict::OutOfOrder => {
                batch.answered(code, words(), Persisted::No);
                self.handle_out_of_order(partition, *batch, code, answer.error_message, now);
            }
            Verdict::Refused(persisted) => {
                batch.answered(code, words(), persisted);
                self.refuse(partition, *batch, persisted, answer, now);
            }
            Verdict::Retriable(persisted) if self.is_corrupt_for_good(&batch, code) => {
                batch.answered(code, words(), persisted);
                self.refuse(partition, *batch, persisted, answer, now);
            }
            Verdict::Retriable(persisted) => {
                batch.answered(code, words(), persisted);
                let kind = DeliveryErrorKind::Broker { code, message: answer.error_message };
                self.retry_or_fail(partition, *batch, kind, now);
            }
            Verdict::TooLarge => {
                batch.answered(code, words(), Persisted::No);
                self.split(partition, *batch, answer.error_message, now);
            }
        }
        LeaderNews::of(code)
    }

    /// A request with `acks=0` is written.
    pub(crate) fn handle_written(&mut self, partition: &mut Partition, sent: &SentBatch, now: Instant) {
        if let Some(batch) = partition.take_answered(sent.batch_id) {
            self.end(partition, batch, Ending::Written, now);
        }
    }

    /// No answer came for a batch, because of `loss`, which is a [`DeliveryErrorKind::Disconnected`]. `on_wire`: bytes of the request may
    /// have been written to the socket.
    pub(crate) fn handle_loss(
        &mut self,
        partition: &mut Partition,
        sent: &SentBatch,
        loss: &DeliveryErrorKind,
        on_wire: bool,
        now: Instant,
    ) {
        let Some(mut batch) = partition.take_answered(sent.batch_id) else { return };
        if on_wire && !planted!(DisconnectedIsNotWritten) {
            batch.lost();
        } else {
            batch.unsent();
        }
        self.retry_or_fail(partition, *batch, loss.clone(), now);
    }

    /// The broker speaks no version of the request that the producer speaks.
    pub(crate) fn handle_unsupported_version(
        &mut self,
        partition: &mut Partition,
        sent: &SentBatch,
        now: Instant,
    ) {
        let Some(mut batch) = partition.take_answered(sent.batch_id) else { return };
        batch.unsent();
        let failure = Failure::GivenUp(DeliveryErrorKind::UnsupportedVersion);
        self.fail(partition, *batch, failure, now);
    }

    /// The broker waits for another sequence number: older batches come first, or it has forgotten the producer.
    fn handle_out_of_order(
        &mut self,
        partition: &mut Partition,
        batch: ProducerBatch,
        code: ErrorCode,
        message: Option<String>,
        now: Instant,
    ) {
        let kind = DeliveryErrorKind::Broker { code, message };
        if !batch.may_go_on_after_refused_number(code) {
            self.fail(partition, batch, Failure::GivenUp(kind), now);
            return;
        }
        let order = batch.order();
        self.retry_or_fail(partition, batch, kind, now);
        partition.note_out_of_order(order);
    }
}
