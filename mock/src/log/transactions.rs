//! Transactions of one log that have ended, and what consumers are told of them.

use std::collections::HashMap;

use crate::transactions::Outcome;

/// A transaction that has a marker in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndedTransaction {
    pub(crate) producer_id: i64,
    /// Offset of its first record.
    pub(crate) first_offset: i64,
    /// Offset of its marker.
    pub(crate) last_offset: i64,
    pub(crate) outcome: Outcome,
}

/// All transactions of a log that have ended, by the offsets of their markers.
#[derive(Debug, Default, Clone)]
pub(super) struct EndedTransactions {
    ended: Vec<EndedTransaction>,
}

impl EndedTransactions {
    pub(super) fn extend(&mut self, transaction: Option<EndedTransaction>) {
        self.ended.extend(transaction);
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
    pub(super) fn aborted_between(&self, start: i64, end: i64) -> impl Iterator<Item = &EndedTransaction> {
        let first = self.ended.partition_point(|transaction| transaction.last_offset < start);
        let rest = self.ended.get(first..).unwrap_or_default();
        rest.iter().filter(move |ended| ended.outcome == Outcome::Abort && ended.first_offset < end)
    }

    /// The aborted transactions of each producer id.
    pub(super) fn aborted_by_producer(&self) -> HashMap<i64, AbortedRanges> {
        let mut all = HashMap::<_, AbortedRanges>::new();
        for ended in self.ended.iter().filter(|transaction| transaction.outcome == Outcome::Abort) {
            let AbortedRanges(ranges) = all.entry(ended.producer_id).or_default();
            ranges.push((ended.first_offset, ended.last_offset));
        }
        all
    }
}

/// First and last offsets of the aborted transactions of one producer id, ascending and apart from each other.
#[derive(Debug, Default)]
pub(super) struct AbortedRanges(Vec<(i64, i64)>);

impl AbortedRanges {
    pub(super) fn cover(&self, offset: i64) -> bool {
        let Self(ranges) = self;
        let place = ranges.partition_point(|(_, last)| *last < offset);
        ranges.get(place).is_some_and(|(first, _)| *first <= offset)
    }
}
