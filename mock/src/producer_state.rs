//! What a partition remembers of idempotent producers, to drop doubles and refuse gaps.
//!
//! The rules are those of Kafka's `ProducerStateManager` and `ProducerAppendInfo`, without transactions.

use std::collections::VecDeque;

use crate::batch::{BatchHeader, Rejection};
use crate::error::code;

/// What is known of one producer id in one partition.
#[derive(Debug)]
pub(crate) struct ProducerState {
    epoch: i16,
    /// The newest batches of this epoch, oldest first; at most [`REMEMBERED_BATCHES`], never empty.
    batches: VecDeque<RememberedBatch>,
}

#[derive(Debug, Clone, Copy)]
struct RememberedBatch {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

/// What the sequence numbers say about a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SequenceVerdict {
    /// It follows what is there.
    Append,
    /// It is there already, at this offset.
    Duplicate {
        /// Offset of its first record.
        base_offset: i64,
    },
}

impl ProducerState {
    /// Judges a batch; `known` is what the partition remembers of its producer, if anything.
    pub(crate) fn judge(known: Option<&Self>, header: &BatchHeader) -> Result<SequenceVerdict, Rejection> {
        // A producer that is not known, or no longer, may start with any sequence (KIP-360).
        let Some(known) = known else { return Ok(SequenceVerdict::Append) };
        if header.producer_epoch == known.epoch {
            known.judge_same_epoch(header)
        } else if header.producer_epoch < known.epoch {
            let message = format!(
                "epoch {} of producer {} is older than {}",
                header.producer_epoch, header.producer_id, known.epoch
            );
            Err(Rejection::new(code::INVALID_PRODUCER_EPOCH, message))
        } else if header.base_sequence != 0 {
            let message = format!(
                "producer {} starts epoch {} with sequence {}",
                header.producer_id, header.producer_epoch, header.base_sequence
            );
            Err(Rejection::new(code::OUT_OF_ORDER_SEQUENCE_NUMBER, message))
        } else {
            Ok(SequenceVerdict::Append)
        }
    }

    /// Remembers a batch that was appended.
    pub(crate) fn remember(known: Option<Self>, header: &BatchHeader, base_offset: i64) -> Self {
        let mut state = known.filter(|known| known.epoch == header.producer_epoch).unwrap_or_else(|| Self {
            epoch: header.producer_epoch,
            batches: VecDeque::with_capacity(REMEMBERED_BATCHES),
        });
        if state.batches.len() == REMEMBERED_BATCHES {
            state.batches.pop_front();
        }
        state.batches.push_back(RememberedBatch {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset,
        });
        state
    }

    fn judge_same_epoch(&self, header: &BatchHeader) -> Result<SequenceVerdict, Rejection> {
        let twin = self.batches.iter().find(|batch| {
            batch.first_sequence == header.base_sequence && batch.last_sequence == header.last_sequence()
        });
        if let Some(twin) = twin {
            return Ok(SequenceVerdict::Duplicate { base_offset: twin.base_offset });
        }
        let last = self.batches.back().map_or(-1, |batch| batch.last_sequence);
        let expected = if last == i32::MAX { 0 } else { last + 1 };
        if header.base_sequence == expected {
            return Ok(SequenceVerdict::Append);
        }
        let message = format!(
            "producer {} sent sequence {}, expected {expected}",
            header.producer_id, header.base_sequence
        );
        Err(Rejection::new(code::OUT_OF_ORDER_SEQUENCE_NUMBER, message))
    }
}

/// As many as a producer may have in flight while idempotent.
const REMEMBERED_BATCHES: usize = 5;
