//! Transactions of one log that have ended, and what consumers are told of them.

use crate::transactions::Outcome;

/// A transaction that has a marker in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndedTransaction {
    pub(crate) producer_id: i64,
    /// Offset of its first record.
    pub(crate) first_offset: i64,
    /// Offset of its marker.
    pub(crate) last_offset: i64,
    pub(crate) outcome: Outcome,
}

/// All transactions of a log that have ended, by the offsets of their markers.
#[derive(Debug, Default, Clone)]
pub(crate) struct EndedTransactions {
    ended: Vec<EndedTransaction>,
}

impl EndedTransactions {
    pub(super) fn push(&mut self, transaction: EndedTransaction) {
        self.ended.push(transaction);
    }

    pub(super) fn clear(&mut self) {
        self.ended.clear();
    }

    /// First offset of all those whose marker is not replicated yet.
    pub(super) fn first_unreplicated(&self, high_watermark: i64) -> Option<i64> {
        let newest = self.ended.iter().rev();
        let unreplicated = newest.take_while(|transaction| transaction.last_offset >= high_watermark);
        unreplicated.map(|transaction| transaction.first_offset).min()
    }

    /// Aborted transactions with records between two offsets, the second not included.
    pub(crate) fn aborted_between(&self, start: i64, end: i64) -> impl Iterator<Item = &EndedTransaction> {
        let aborted = self.ended.iter().filter(|transaction| transaction.outcome == Outcome::Abort);
        aborted.filter(move |transaction| transaction.last_offset >= start && transaction.first_offset < end)
    }
}
