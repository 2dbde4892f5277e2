//! A batch that the broker does not take as it is: cut, rebuilt without the records that the broker names, or failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::Settlement;
use super::end::Failure;
use super::error_codes::is_of_a_record;
use crate::accumulator::{ProducerBatch, Rescue, halve, rescue, split};
use crate::error::{DeliveryErrorKind, Persisted};
use crate::log;
use crate::planted::planted;
use crate::protocol::ErrorCode;
use crate::protocol::messages::produce::PartitionProduceResponse;
use crate::sender::partition::Partition;

impl Settlement {
    /// The broker does not want a batch. If it names the records that it objects to (KIP-467), the others are sent again
    /// without them, before anything behind them. If it names none, the batch is halved until the culprit stands alone.
    pub(super) fn refuse(
        &mut self,
        partition: &mut Partition,
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
        if is_final {
            let failure = Failure::Refused { kind, record_errors: named.into_iter().collect() };
            self.fail(partition, batch, failure, now);
            return;
        }
        let is_forgotten = batch.forget_foreign_number();
        debug_assert!(is_forgotten, "what is in doubt has failed above");
        if is_nameless {
            self.halve(partition, batch, kind, now);
        } else {
            self.rescue(partition, batch, kind, &named, now);
        }
    }

    /// The broker finds a batch too large (KIP-126): it is cut into pieces.
    pub(super) fn split(
        &mut self,
        partition: &mut Partition,
        mut batch: ProducerBatch,
        message: Option<String>,
        now: Instant,
    ) {
        let kind = DeliveryErrorKind::Broker { code: ErrorCode::MessageTooLarge, message };
        if batch.is_stopped() || !batch.forget_foreign_number() {
            let kind = if batch.is_stopped() { DeliveryErrorKind::Stopped } else { kind };
            self.fail(partition, batch, Failure::GivenUp(kind), now);
            return;
        }
        let queue = Arc::clone(&partition.queue);
        match split(batch, &queue, self.batch_size, now) {
            Ok(pieces) => {
                log::debug!(partition = %queue.topic_partition(), pieces, "split a batch that is too large");
                self.counters.batch_splits.add(1);
            }
            Err(batch) => self.fail(partition, *batch, Failure::GivenUp(kind), now),
        }
    }

    fn halve(
        &mut self,
        partition: &mut Partition,
        batch: ProducerBatch,
        kind: DeliveryErrorKind,
        now: Instant,
    ) {
        log::debug!(
            partition = %batch.topic_partition(), "halving a batch to find what was refused"
        );
        if let Err(batch) = halve(batch, &partition.queue, now) {
            self.fail(partition, *batch, Failure::GivenUp(kind), now);
        }
    }

    fn rescue(
        &mut self,
        partition: &mut Partition,
        batch: ProducerBatch,
        kind: DeliveryErrorKind,
        named: &BTreeMap<u32, Option<String>>,
        now: Instant,
    ) {
        // Neither the culprits nor the rest keep the number of the batch.
        partition.note_failure(&batch);
        let (batch, record_errors) = match rescue(batch, named, &partition.queue, now) {
            Ok(Rescue { culprits, messages }) => {
                log::debug!(
                    partition = %culprits.topic_partition(), "sending a batch again without what was refused"
                );
                (culprits, messages)
            }
            Err(batch) => {
                let named = named.iter().map(|(index, message)| (*index, message.clone()));
                (*batch, named.collect())
            }
        };
        self.fail(partition, batch, Failure::Refused { kind, record_errors }, now);
    }
}
