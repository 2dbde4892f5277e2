//! The log of one partition: batches in the order of their offsets.

mod transactions;

use std::collections::HashMap;
use std::time::Duration;

use crate::batch::{BatchHeader, CheckedBatch, MockBatch, Rejection};
use crate::end_marker::EndMarker;
use crate::error::code;
use crate::producer_state::{ProducerState, SequenceVerdict, Verification};
use crate::record::MockRecord;

use transactions::{EndedTransaction, EndedTransactions};

/// The batches of one partition, or of one replica of it.
#[derive(Debug, Default, Clone)]
pub(crate) struct PartitionLog {
    /// Ascending and without holes, unless batches are discarded.
    batches: Vec<MockBatch>,
    /// When each of `batches` was appended by its leader.
    times: Vec<Duration>,
    end_offset: i64,
    producers: HashMap<i64, ProducerState>,
    /// Producers whose transaction was to be added or verified, and that have written nothing for it since.
    verifications: HashMap<i64, Verification>,
    ended: EndedTransactions,
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
            if header.is_transactional() {
                self.check_first_of_transaction(header)?;
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

    /// Appends the marker of a transaction that has ended, and returns its offset.
    pub(crate) fn append_marker(&mut self, marker: EndMarker, appending: Appending) -> i64 {
        let base_offset = self.end_offset;
        let known = self.producers.get(&marker.producer.producer_id);
        // The mock keeps no time, so the marker is as old as the newest record of its producer.
        let timestamp = known.map_or(0, ProducerState::last_timestamp);
        let ended = self.take_in_marker(marker, base_offset, appending.now);
        if appending.keeps_records {
            self.ended.extend(ended);
            self.batches.push(marker.to_batch(base_offset, appending.leader_epoch, timestamp));
            self.times.push(appending.now);
        }
        self.end_offset = base_offset.saturating_add(1);
        base_offset
    }

    /// Says whether a coordinator must be asked before a batch of a transaction is written: not if the transaction has records here.
    pub(crate) fn start_verification(
        &mut self,
        header: &BatchHeader,
        is_added: bool,
    ) -> Result<bool, Rejection> {
        if let Some(known) = self.producers.get(&header.producer_id) {
            known.check_epoch(header)?;
            if known.has_open_transaction(header.producer_epoch) {
                return Ok(false);
            }
        }
        let new = Verification::new(header, is_added);
        self.verifications.entry(header.producer_id).or_insert(new).note(header);
        Ok(true)
    }

    /// Refuses a batch that overtakes one which was refused while the coordinator did not answer for the transaction.
    fn check_first_of_transaction(&self, header: &BatchHeader) -> Result<(), Rejection> {
        let known = self.producers.get(&header.producer_id);
        if known.is_some_and(|known| known.has_open_transaction(header.producer_epoch)) {
            return Ok(());
        }
        let Some(verification) = self.verifications.get(&header.producer_id) else { return Ok(()) };
        if verification.lets_pass(header, known.is_some_and(ProducerState::has_batches)) {
            return Ok(());
        }
        let message = format!(
            "producer {} sent sequence {} of a transaction before earlier ones",
            header.producer_id, header.base_sequence
        );
        Err(Rejection::new(code::OUT_OF_ORDER_SEQUENCE_NUMBER, message))
    }

    /// Forgets the producers that have appended nothing since `time`.
    pub(crate) fn forget_producers(&mut self, time: Duration) {
        self.forgotten_before = self.forgotten_before.max(time);
        self.producers.retain(|_, producer| producer.is_busy() || producer.last_used() >= time);
    }

    /// Forgets the producers whose newest records bear timestamps before this one.
    pub(crate) fn expire_producers(&mut self, timestamp: i64) {
        self.producers.retain(|_, producer| producer.is_busy() || producer.last_timestamp() >= timestamp);
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
            self.learn_from(batch, *time);
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
        self.verifications.clear();
        self.ended.clear();
        let kept: Vec<_> =
            self.batches.iter().zip(&self.times).map(|(batch, time)| (batch.clone(), *time)).collect();
        for (batch, time) in kept {
            self.learn_from(&batch, time);
        }
        self.forget_producers(self.forgotten_before);
        // Kafka goes back to a snapshot, too.
        self.restart();
    }

    /// Takes in what a batch says of its producer and its transaction.
    fn learn_from(&mut self, batch: &MockBatch, time: Duration) {
        let Some(header) = BatchHeader::read(&batch.bytes).filter(|header| header.producer_id >= 0) else {
            return;
        };
        if !header.is_control() {
            self.remember(&header, batch.base_offset, time);
        } else if let Some(marker) = EndMarker::read(&header, &batch.bytes) {
            let ended = self.take_in_marker(marker, batch.base_offset, time);
            self.ended.extend(ended);
        }
    }

    /// Returns the transaction that the marker ends, if it has records here.
    fn take_in_marker(&mut self, marker: EndMarker, offset: i64, now: Duration) -> Option<EndedTransaction> {
        let EndMarker { producer, outcome, .. } = marker;
        self.verifications.remove(&producer.producer_id);
        let known = self.producers.remove(&producer.producer_id);
        let (known, first_offset) = ProducerState::end_transaction(known, producer.epoch, now);
        self.producers.insert(producer.producer_id, known);
        let producer_id = producer.producer_id;
        first_offset.map(|first_offset| EndedTransaction {
            producer_id,
            first_offset,
            last_offset: offset,
            outcome,
        })
    }

    fn remember(&mut self, header: &BatchHeader, base_offset: i64, now: Duration) {
        if header.is_transactional() {
            self.verifications.remove(&header.producer_id);
        }
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

    /// Offset up to which all transactions have ended, as far as consumers may know.
    pub(crate) fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        let open = self.producers.values().filter_map(ProducerState::open_transaction).min();
        let unstable = open.into_iter().chain(self.ended.first_unreplicated(high_watermark)).min();
        unstable.map_or(high_watermark, |offset| offset.min(high_watermark))
    }

    /// Producer id and first offset of the aborted transactions that a consumer must know of who reads from one offset up to
    /// another.
    pub(crate) fn aborted_between(&self, start: i64, end: i64) -> Vec<(i64, i64)> {
        let aborted = self.ended.aborted_between(start, end);
        aborted.map(|transaction| (transaction.producer_id, transaction.first_offset)).collect()
    }

    /// What a consumer reads that reads only what is committed.
    pub(crate) fn committed_records(&self, high_watermark: i64) -> Vec<MockRecord> {
        let end = self.last_stable_offset(high_watermark);
        let aborted = self.ended.aborted_by_producer();
        let is_aborted = |batch: &MockBatch| {
            batch.is_transactional
                && aborted.get(&batch.producer_id).is_some_and(|all| all.cover(batch.base_offset))
        };
        let batches = self.batches.iter().take_while(|batch| batch.last_offset() < end);
        batches.filter(|batch| !is_aborted(batch)).flat_map(MockBatch::records).collect()
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
        let mut batches = self.batches.iter().filter(|batch| batch.max_timestamp() >= timestamp);
        let first =
            |batch: &MockBatch| batch.records().into_iter().find(|record| record.timestamp >= timestamp);
        batches.find_map(first).map(|found| (found.timestamp, found.offset))
    }

    /// Timestamp and offset of the record with the highest timestamp.
    pub(crate) fn max_timestamp(&self) -> Option<(i64, i64)> {
        // `max_by_key` returns the last of equals, Kafka the first.
        let data = self.batches.iter().rev().filter(|batch| !batch.is_control);
        let batch = data.max_by_key(|batch| batch.max_timestamp())?;
        let highest = batch.max_timestamp();
        let found = batch.records().into_iter().find(|record| record.timestamp == highest)?;
        Some((highest, found.offset))
    }
}
