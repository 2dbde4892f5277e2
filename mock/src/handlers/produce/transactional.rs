//! What a leader does before it writes a batch of a transaction: it makes sure that the coordinator knows of it.

use crate::batch::{CheckedBatch, Rejection};
use crate::broker::Broker;
use crate::error::code;
use crate::request::Produce;
use crate::transactions::{Identity, Participant};

/// From here on Produce adds partitions to the transaction (KIP-890).
const FIRST_THAT_ADDS: i16 = 12;

/// Producers of older versions do not know TRANSACTION_ABORTABLE.
const FIRST_WITH_ABORTABLE: i16 = 11;

/// Whether all batches of transactions in a request are of one producer and one epoch.
pub(super) fn has_one_producer(produce: &Produce) -> bool {
    let partitions = produce.topics.iter().flat_map(|topic| &topic.partitions);
    let batches = partitions.filter_map(|(_, batch)| batch.as_ref().ok());
    let mut producers = batches
        .filter(|batch| batch.header.is_transactional())
        .map(|batch| (batch.header.producer_id, batch.header.producer_epoch));
    let first = producers.next();
    producers.all(|producer| Some(producer) == first)
}

impl Broker<'_> {
    /// Adds the partition to the transaction of a batch, or asks whether it was added; unless the transaction has records there
    /// already, or the batch is of none.
    pub(super) fn join_transaction(
        &mut self,
        topic: &str,
        index: i32,
        batch: &CheckedBatch,
        produce: &Produce,
    ) -> Result<(), Rejection> {
        let Some(id) = &produce.transactional_id else { return Ok(()) };
        let header = &batch.header;
        let is_added = produce.version >= FIRST_THAT_ADDS;
        if !header.is_transactional() || !(is_added || self.state.settings.verifies_transactions) {
            return Ok(());
        }
        let Some(partition) = self.state.partition_mut(topic, index) else { return Ok(()) };
        if !partition.log.start_verification(header, is_added)? {
            return Ok(());
        }
        let producer = Identity { producer_id: header.producer_id, epoch: header.producer_epoch };
        let participant = Participant::Partition(topic.to_owned(), index);
        let asked = self.state.ask_coordinator(id, producer, &participant, is_added);
        asked.map_err(|error| refusal(error, produce.version))
    }
}

/// Turns the answer of a coordinator into one that producers expect from Produce.
fn refusal(error: i16, version: i16) -> Rejection {
    let code = match error {
        code::COORDINATOR_LOAD_IN_PROGRESS | code::COORDINATOR_NOT_AVAILABLE | code::NOT_COORDINATOR => {
            code::NOT_ENOUGH_REPLICAS
        }
        code::CONCURRENT_TRANSACTIONS if version < FIRST_THAT_ADDS => code::NOT_ENOUGH_REPLICAS,
        code::TRANSACTION_ABORTABLE if version < FIRST_WITH_ABORTABLE => code::INVALID_TXN_STATE,
        error => error,
    };
    Rejection::new(code, format!("coordinator of the transaction answered with error {error}"))
}
