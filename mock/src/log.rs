//! The log of one partition: batches in the order of their offsets.

use std::collections::HashMap;
use std::time::Duration;

use crate::batch::{BatchHeader, CheckedBatch, MockBatch, Rejection};
use crate::producer_state::{ProducerState, SequenceVerdict};

/// The batches of one partition, or of one replica of it.
#[derive(Debug, Default, Clone)]
pub(crate) struct PartitionLog {
    /// Ascending and without holes, unless batches are discarded.
    batches: Vec<MockBatch>,
    /// When each of `batches` was appended by its leader.
    times: Vec<Duration>,
    end_offset: i64,
    producers: HashMap<i64, ProducerState>,
    /// Producers that wrote nothing since then are forgotten.
    forgotten_before: Duration,
}

/// What a log must know of its broker to append a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appending {
    pub(crate) leader_epoch: i32,
    pub(crate) now: Duration,
    /// Whether the bytes are kept, or only counted.
    pub(crate) keeps_records: bool,
    /// Whether a producer that is not known must begin with sequence 0, as before Kafka 2.5 (KIP-360).
    pub(crate) knows_all_producers: bool,
}

impl PartitionLog {
    /// Appends a batch and returns the offset of its first record; a double gets the offset of its twin.
    pub(crate) fn append(&mut self, batch: &CheckedBatch, appending: Appending) -> Result<i64, Rejection> {
        let header = &batch.header;
        let base_offset = self.end_offset;
        if header.producer_id >= 0 {
            let known = self.producers.get(&header.producer_id);
            if known.is_none() && appending.knows_all_producers {
                ProducerState::judge_first(header)?;
            }
            match ProducerState::judge(known, header)? {
                SequenceVerdict::Duplicate { base_offset } => return Ok(base_offset),
                SequenceVerdict::Append => {}
            }
            self.remember(header, base_offset, appending.now);
        }
        if appending.keeps_records {
            self.batches.push(batch.store(base_offset, appending.leader_epoch));
            self.times.push(appending.now);
        }
        self.end_offset = base_offset.saturating_add(header.record_count.into());
        Ok(base_offset)
    }

    /// Forgets the producers that have appended nothing since `time`.
    pub(crate) fn forget_producers(&mut self, time: Duration) {
        self.forgotten_before = self.forgotten_before.max(time);
        self.producers.retain(|_, producer| producer.last_used() >= time);
    }

    /// Forgets the producers whose newest records bear timestamps before this one.
    pub(crate) fn expire_producers(&mut self, timestamp: i64) {
        self.producers.retain(|_, producer| producer.last_timestamp() >= timestamp);
    }

    /// Knows the producers of another log, as if they had gone on, without their records.
    pub(crate) fn know_producers_of(&mut self, other: &Self, is_next_epoch: bool, now: Duration) {
        let known = other.producers.iter();
        self.producers = known.map(|(id, producer)| (*id, producer.gone_on(is_next_epoch, now))).collect();
    }

    /// Remembers no more of producers than a broker does that is restarted.
    pub(crate) fn restart(&mut self) {
        self.producers.values_mut().for_each(ProducerState::restart);
    }

    /// Makes this log, of a follower, a copy of its leader's; at most `batches` more than they have in common.
    /// Returns the offset up to which it held the same as the leader before, and how many batches it has lost.
    pub(crate) fn follow(&mut self, leader: &Self, batches: usize) -> (i64, usize) {
        let common = self.common_batches(leader);
        let lost = self.batches.len() - common;
        if lost > 0 {
            self.truncate(common);
        }
        let held = self.end_offset;
        let new = leader.batches.iter().zip(&leader.times).skip(common).take(batches);
        for (batch, time) in new {
            if let Some(header) = BatchHeader::read(&batch.bytes).filter(|header| header.producer_id >= 0) {
                self.remember(&header, batch.base_offset, *time);
            }
            self.batches.push(batch.clone());
            self.times.push(*time);
            self.end_offset = batch.last_offset() + 1;
        }
        if leader.forgotten_before > self.forgotten_before {
            self.forget_producers(leader.forgotten_before);
        }
        (held, lost)
    }

    /// Returns up to which offset two logs hold the same.
    pub(crate) fn common_offset(&self, other: &Self) -> i64 {
        let common = self.common_batches(other);
        common
            .checked_sub(1)
            .and_then(|last| self.batches.get(last))
            .map_or(0, |batch| batch.last_offset() + 1)
    }

    /// Two batches at the same offset, appended in the same leader epoch, are the same.
    fn common_batches(&self, other: &Self) -> usize {
        let key = |batch: &MockBatch| (batch.base_offset, batch.partition_leader_epoch);
        self.batches.iter().zip(&other.batches).take_while(|(own, other)| key(own) == key(other)).count()
    }

    /// Cuts off all but the first batches, and what they have told of producers.
    fn truncate(&mut self, batches: usize) {
        self.batches.truncate(batches);
        self.times.truncate(batches);
        self.end_offset = self.batches.last().map_or(0, |batch| batch.last_offset() + 1);
        self.producers.clear();
        let kept: Vec<_> =
            self.batches.iter().zip(&self.times).map(|(batch, time)| (batch.clone(), *time)).collect();
        for (batch, time) in kept {
            if let Some(header) = BatchHeader::read(&batch.bytes).filter(|header| header.producer_id >= 0) {
                self.remember(&header, batch.base_offset, time);
            }
        }
        self.forget_producers(self.forgotten_before);
        // Kafka goes back to a snapshot, too.
        self.restart();
    }

    fn remember(&mut self, header: &BatchHeader, base_offset: i64, now: Duration) {
        let known = self.producers.remove(&header.producer_id);
        let state = ProducerState::remember(known, header, base_offset, now);
        self.producers.insert(header.producer_id, state);
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

    /// Timestamp and offset of the first record at or after a point in time.
    pub(crate) fn offset_for_timestamp(&self, timestamp: i64) -> Option<(i64, i64)> {
        let batch = self.batches.iter().find(|batch| batch.max_timestamp() >= timestamp)?;
        let found = batch.records().into_iter().find(|record| record.timestamp >= timestamp)?;
        Some((found.timestamp, found.offset))
    }

    /// Timestamp and offset of the record with the highest timestamp.
    pub(crate) fn max_timestamp(&self) -> Option<(i64, i64)> {
        // `max_by_key` returns the last of equals, Kafka the first.
        let batch = self.batches.iter().rev().max_by_key(|batch| batch.max_timestamp())?;
        let highest = batch.max_timestamp();
        let found = batch.records().into_iter().find(|record| record.timestamp == highest)?;
        Some((highest, found.offset))
    }
}
