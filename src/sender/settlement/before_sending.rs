//! A batch before it is sent: whether it may be, and what becomes of it if not.

use std::time::Instant;

use super::Settlement;
use super::end::Failure;
use super::giving_up::WhyNotAgain;
use crate::accumulator::ProducerBatch;
use crate::error::DeliveryErrorKind;
use crate::protocol::compression::Compression;
use crate::sender::numbering::Numbers;
use crate::sender::partition::Partition;

/// Whether a batch may be sent.
#[derive(Debug, Clone, Copy)]
enum Fitness {
    Fit,
    /// It could only be written out of order.
    Overtaken,
    /// The broker cannot read its compression.
    UnknownCodec(Compression),
}

impl Settlement {
    /// Returns a batch that is next to be sent if it may be, and fails it if not. `produce_version`: in which the request goes to
    /// the node, as far as that is known.
    pub(crate) fn admit(
        &mut self,
        partition: &mut Partition,
        batch: Box<ProducerBatch>,
        numbers: Numbers,
        produce_version: impl FnOnce() -> Option<i16>,
        now: Instant,
    ) -> Option<Box<ProducerBatch>> {
        match fitness(partition, &batch, numbers, produce_version) {
            Fitness::Fit => return Some(batch),
            Fitness::Overtaken => {
                self.give_up_sent(partition, vec![*batch], WhyNotAgain::Overtaken, now);
            }
            Fitness::UnknownCodec(codec) => {
                let kind = DeliveryErrorKind::UnsupportedCompression(codec);
                self.fail(partition, *batch, Failure::GivenUp(kind), now);
            }
        }
        None
    }
}

fn fitness(
    partition: &Partition,
    batch: &ProducerBatch,
    numbers: Numbers,
    produce_version: impl FnOnce() -> Option<i16>,
) -> Fitness {
    let codec = batch.compression();
    let least = codec.least_produce_version();
    if least > 0 && produce_version().is_some_and(|version| version < least) {
        return Fitness::UnknownCodec(codec);
    }
    if numbers != Numbers::None && partition.is_overtaken(batch) {
        return Fitness::Overtaken;
    }
    Fitness::Fit
}
