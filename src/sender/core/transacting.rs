//! Transactions: what they need to know of partitions and records, and what these need to know of them.

use std::time::Instant;

use super::SenderCore;
use crate::error::{TransactionError, TransactionErrorKind};
use crate::protocol::ApiKey;
use crate::sender::nodes::Nodes;
use crate::sender::transactions::{Call, Surroundings};
use crate::topic_partition::NodeId;

impl SenderCore {
    /// Takes in what a caller asks of the transactions.
    pub(crate) fn handle_transaction_call(&mut self, call: Call, now: Instant) {
        // What has come says how the records fared that the call is about.
        self.handle_network_events(now);
        self.note_failed_records();
        if let Some(transactions) = &mut self.transactions {
            transactions.handle_call(call, now, &mut self.effects);
        }
        self.act(now);
    }

    /// Whether nothing is left to do for a producer that is closed: records are settled, its transaction has ended, and metrics were
    /// pushed for the last time. Call it again after the next poll if not.
    pub(crate) fn is_done(&mut self, now: Instant) -> bool {
        self.accumulator.has_ended() && self.has_no_transaction_to_end() && self.has_told_the_last(now)
    }

    #[cfg(not(feature = "telemetry"))]
    fn has_told_the_last(&self, _: Instant) -> bool {
        true
    }

    /// Whether no transaction is about to end.
    pub(crate) fn has_no_transaction_to_end(&self) -> bool {
        self.transactions.as_ref().is_none_or(|transactions| !transactions.is_ending())
    }

    /// Asks what transactions have to ask, and lets them take what steps they can.
    pub(super) fn go_on_with_transactions(&mut self, now: Instant) {
        let mut is_going_on = self.transactions.is_some();
        for _ in 0..MAX_STEPS {
            if !is_going_on {
                return;
            }
            self.note_failed_records();
            let Some(transactions) = &mut self.transactions else { return };
            let mut nodes = Nodes::new(&mut self.network);
            let schedule = &self.schedule;
            let around = Surroundings {
                are_records_settled: self.accumulator.is_complete(),
                has_unanswered: &|| schedule.is_any_unanswered(),
                is_closed: self.accumulator.is_closed(),
            };
            is_going_on = transactions.next_request(&mut nodes, &around, now, &mut self.effects);
            self.act(now);
        }
    }

    /// A partition has records: they may have to wait until the transaction knows of it.
    pub(super) fn want_in_transaction(&mut self, id: usize) {
        if let Some(transactions) = &mut self.transactions
            && let Some(partition) = self.schedule.partition(id)
        {
            transactions.want(partition.queue.topic_partition());
        }
    }

    /// A partition cannot go on in the epoch of the transaction.
    pub(super) fn note_lost_sequence(&mut self, id: usize) {
        if let Some(transactions) = &mut self.transactions
            && let Some(partition) = self.schedule.partition(id)
        {
            let topic_partition = partition.queue.topic_partition().clone();
            let error = TransactionError::new(TransactionErrorKind::SequenceLost { topic_partition });
            transactions.note_failed_records(Some(error), true, &mut self.effects);
        }
    }

    /// Whether a broker can have records of the transaction.
    pub(super) fn suits_transaction(&mut self, node: NodeId) -> bool {
        let Some(transactions) = &mut self.transactions else { return true };
        let spoken = self.network.version_for(node, ApiKey::Produce);
        transactions.suits(spoken, &mut self.effects)
    }

    /// Opens a transaction of which the coordinator may know, without asking for it.
    #[cfg(test)]
    pub(crate) fn open_transaction(&mut self) {
        if let Some(transactions) = &mut self.transactions {
            transactions.open_at_once();
        }
    }

    fn note_failed_records(&mut self) {
        if let Some(transactions) = &mut self.transactions
            && let Some(failed) = self.settlement.take_failed_records()
        {
            transactions.note_failed_records(failed.error, failed.was_numbered, &mut self.effects);
        }
    }
}

/// Steps at one moment. What is refused is settled by the next step, unless it is under way.
const MAX_STEPS: usize = 4;
