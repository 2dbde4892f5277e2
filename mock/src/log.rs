//! The log of one partition: batches in the order of their offsets.

use std::collections::HashMap;

use crate::batch::{CheckedBatch, MockBatch, Rejection};
use crate::producer_state::{ProducerState, SequenceVerdict};
use crate::record::MockRecord;

/// The batches of one partition, shared by all its replicas: a new leader has everything the old one had.
#[derive(Debug, Default)]
pub(crate) struct PartitionLog {
    /// Ascending and without holes, unless batches are discarded.
    batches: Vec<MockBatch>,
    end_offset: i64,
    producers: HashMap<i64, ProducerState>,
}

impl PartitionLog {
    /// Appends a batch and returns the offset of its first record; a double gets the offset of its twin.
    pub(crate) fn append(
        &mut self,
        batch: &CheckedBatch,
        leader_epoch: i32,
        keep: bool,
    ) -> Result<i64, Rejection> {
        let header = &batch.header;
        let base_offset = self.end_offset;
        if header.producer_id >= 0 {
            let known = self.producers.get(&header.producer_id);
            match ProducerState::judge(known, header)? {
                SequenceVerdict::Duplicate { base_offset } => return Ok(base_offset),
                SequenceVerdict::Append => {}
            }
            let known = self.producers.remove(&header.producer_id);
            let state = ProducerState::remember(known, header, base_offset);
            self.producers.insert(header.producer_id, state);
        }
        if keep {
            self.batches.push(batch.store(base_offset, leader_epoch));
        }
        self.end_offset = base_offset.saturating_add(header.record_count.into());
        Ok(base_offset)
    }

    /// Offset that the next record will get.
    pub(crate) fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// Offset of the first record that can be read.
    pub(crate) fn start_offset(&self) -> i64 {
        self.batches.first().map_or(self.end_offset, |batch| batch.base_offset)
    }

    pub(crate) fn batches(&self) -> &[MockBatch] {
        &self.batches
    }

    /// Batches from the one that holds `offset` on.
    pub(crate) fn batches_from(&self, offset: i64) -> &[MockBatch] {
        let first = self.batches.partition_point(|batch| batch.last_offset() < offset);
        self.batches.get(first..).unwrap_or_default()
    }

    /// Timestamp and offset of the first record at or after a point in time, as far as the codec can be read;
    /// of an unreadable batch, its first offset.
    pub(crate) fn offset_for_timestamp(&self, timestamp: i64) -> Option<(i64, i64)> {
        let batch = self.batches.iter().find(|batch| batch.max_timestamp() >= timestamp)?;
        let unreadable = (batch.max_timestamp(), batch.base_offset);
        let first = |record: &MockRecord| record.timestamp >= timestamp;
        let found = batch.records().and_then(|records| records.into_iter().find(first));
        Some(found.map_or(unreadable, |record| (record.timestamp, record.offset)))
    }

    /// Timestamp and offset of the record with the highest timestamp; of an unreadable batch, its last offset.
    pub(crate) fn max_timestamp(&self) -> Option<(i64, i64)> {
        // `max_by_key` returns the last of equals, Kafka the first.
        let batch = self.batches.iter().rev().max_by_key(|batch| batch.max_timestamp())?;
        let highest = batch.max_timestamp();
        let found = batch
            .records()
            .and_then(|records| records.into_iter().find(|record| record.timestamp == highest));
        Some((highest, found.map_or_else(|| batch.last_offset(), |record| record.offset)))
    }
}
