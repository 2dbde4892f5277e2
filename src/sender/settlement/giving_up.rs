//! Batches that the sender cannot send, or not again.

use std::time::Instant;

use super::Settlement;
use super::end::Failure;
use crate::accumulator::{LastAnswer, ProducerBatch};
use crate::error::DeliveryErrorKind;
use crate::sender::partition::Partition;

/// Why there is no other attempt for a batch. Callers read it in the errors of its records.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WhyNotAgain {
    /// The producer has come to another cluster.
    ClusterLeft,
    /// It may not get a new number, and the old one means nothing any more.
    NumberLost,
    /// It could only be written out of order.
    Overtaken,
}

impl WhyNotAgain {
    fn text(self) -> &'static str {
        match self {
            Self::ClusterLeft => "it may be in the log of a cluster that is another one now",
            Self::NumberLost => "it may be in the log under a number that cannot be used any more",
            Self::Overtaken => "a younger batch is in the log, or may be",
        }
    }
}

impl Settlement {
    /// Fails batches that were sent before and cannot be sent again. Their errors say what the last attempt came to, and why there
    /// is no other.
    pub(crate) fn give_up_sent(
        &mut self,
        partition: &mut Partition,
        batches: Vec<ProducerBatch>,
        why_not_again: WhyNotAgain,
        now: Instant,
    ) {
        let with_last_word = |batch| {
            let kind = last_word(&batch, why_not_again.text());
            (batch, Failure::GivenUp(kind))
        };
        self.end_failed(partition, batches.into_iter().map(with_last_word).collect(), now);
    }

    /// Fails everything that is queued in a partition.
    pub(crate) fn give_up_queued(
        &mut self,
        partition: &mut Partition,
        kind: &DeliveryErrorKind,
        now: Instant,
    ) {
        let batches = partition.queue.take_all().into_iter();
        let failed = batches.map(|batch| (batch, Failure::GivenUp(kind.clone())));
        self.end_failed(partition, failed.collect(), now);
    }
}

/// Returns what the last attempt of a batch came to, and why there is no other.
pub(super) fn last_word(batch: &ProducerBatch, why_not_again: &str) -> DeliveryErrorKind {
    let Some(LastAnswer { code, message }) = batch.last_answer() else {
        return DeliveryErrorKind::NotSentAgain(why_not_again.to_owned());
    };
    let message = match message {
        Some(words) => format!("{words}; {why_not_again}"),
        None => why_not_again.to_owned(),
    };
    DeliveryErrorKind::Broker { code: *code, message: Some(message) }
}
