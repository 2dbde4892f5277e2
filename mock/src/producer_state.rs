//! What a partition remembers of idempotent producers, to drop doubles and refuse gaps.
//!
//! The rules are those of Kafka's `ProducerStateManager`, `ProducerAppendInfo` and `VerificationStateEntry`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::batch::{BatchHeader, Rejection};
use crate::error::code;

/// What is known of one producer id in one partition.
#[derive(Debug, Clone)]
pub(crate) struct ProducerState {
    epoch: i16,
    /// When it wrote last.
    last_used: Duration,
    /// The highest timestamp in its newest batch, in milliseconds since 1970.
    last_timestamp: i64,
    /// The newest batches of this epoch, oldest first; at most [`REMEMBERED_BATCHES`]. Empty when a marker has begun the epoch.
    batches: VecDeque<RememberedBatch>,
    /// Offset of the first record of the open transaction, if one is.
    open_transaction: Option<i64>,
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

/// What a leader remembers of a transaction that has no record in its partition yet, so that batches which wait for the coordinator
/// are not overtaken by later ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verification {
    epoch: i16,
    lowest_sequence: i32,
    /// Whether Produce adds the partition to the transaction by itself.
    is_added: bool,
}

impl Verification {
    pub(crate) fn new(header: &BatchHeader, is_added: bool) -> Self {
        Self { epoch: header.producer_epoch, lowest_sequence: header.base_sequence, is_added }
    }

    /// Takes note of a further batch.
    pub(crate) fn note(&mut self, header: &BatchHeader) {
        if header.producer_epoch > self.epoch {
            *self = Self::new(header, self.is_added);
        } else if header.producer_epoch == self.epoch {
            self.lowest_sequence = self.lowest_sequence.min(header.base_sequence);
        }
    }

    /// Whether a batch may be the first of the transaction.
    pub(crate) fn lets_pass(&self, header: &BatchHeader, has_batches: bool) -> bool {
        let may_begin = !self.is_added || has_batches || header.base_sequence == 0;
        may_begin && header.base_sequence <= self.lowest_sequence
    }
}

impl ProducerState {
    /// Judges a batch; `known` is what the partition remembers of its producer, if anything.
    pub(crate) fn judge(known: Option<&Self>, header: &BatchHeader) -> Result<SequenceVerdict, Rejection> {
        // A producer that is not known, or no longer, may start with any sequence (KIP-360).
        let Some(known) = known else { return Ok(SequenceVerdict::Append) };
        known.check_epoch(header)?;
        if header.producer_epoch == known.epoch {
            if let verdict @ SequenceVerdict::Duplicate { .. } = known.judge_same_epoch(header)? {
                return Ok(verdict);
            }
        } else if header.base_sequence != 0 {
            let message = format!(
                "producer {} starts epoch {} with sequence {}",
                header.producer_id, header.producer_epoch, header.base_sequence
            );
            return Err(Rejection::new(code::OUT_OF_ORDER_SEQUENCE_NUMBER, message));
        }
        if known.open_transaction.is_some() && !header.is_transactional() {
            let message =
                format!("producer {} has an open transaction in this partition", header.producer_id);
            return Err(Rejection::new(code::INVALID_TXN_STATE, message));
        }
        Ok(SequenceVerdict::Append)
    }

    /// Refuses a batch of a producer that another one has taken the place of.
    pub(crate) fn check_epoch(&self, header: &BatchHeader) -> Result<(), Rejection> {
        if header.producer_epoch >= self.epoch {
            return Ok(());
        }
        let message = format!(
            "epoch {} of producer {} is older than {}",
            header.producer_epoch, header.producer_id, self.epoch
        );
        Err(Rejection::new(code::INVALID_PRODUCER_EPOCH, message))
    }

    /// Judges the first batch of a producer as brokers did before they knew that they forget (KIP-360).
    pub(crate) fn judge_first(header: &BatchHeader) -> Result<(), Rejection> {
        if header.base_sequence == 0 {
            return Ok(());
        }
        let message =
            format!("producer {} is not known and goes on with {}", header.producer_id, header.base_sequence);
        Err(Rejection::new(code::UNKNOWN_PRODUCER_ID, message))
    }

    /// Forgets all but the last batch, as a broker that is restarted does: more is not kept on disk (Kafka:
    /// `ProducerStateManager.writeSnapshot`).
    pub(crate) fn restart(&mut self) {
        let forgotten = self.batches.len().saturating_sub(1);
        self.batches.drain(..forgotten);
    }

    /// Takes in a marker, which has the epoch of the transaction or a higher one. Returns the first offset of the transaction that
    /// was open, if one was.
    pub(crate) fn end_transaction(known: Option<Self>, epoch: i16, now: Duration) -> (Self, Option<i64>) {
        let mut state = known.unwrap_or_else(|| Self::new(epoch, now, 0));
        if state.epoch != epoch {
            state.batches.clear();
            state.epoch = epoch;
        }
        state.last_used = now;
        let first_offset = state.open_transaction.take();
        (state, first_offset)
    }

    fn new(epoch: i16, now: Duration, last_timestamp: i64) -> Self {
        let batches = VecDeque::with_capacity(REMEMBERED_BATCHES);
        Self { epoch, last_used: now, last_timestamp, batches, open_transaction: None }
    }

    /// Whether a transaction of this epoch is open.
    pub(crate) fn has_open_transaction(&self, epoch: i16) -> bool {
        self.epoch == epoch && self.open_transaction.is_some()
    }

    /// Offset of the first record of the open transaction, if one is.
    pub(crate) fn open_transaction(&self) -> Option<i64> {
        self.open_transaction
    }

    /// Whether the producer may not be forgotten.
    pub(crate) fn is_busy(&self) -> bool {
        self.open_transaction.is_some()
    }

    pub(crate) fn has_batches(&self) -> bool {
        !self.batches.is_empty()
    }

    pub(crate) fn last_used(&self) -> Duration {
        self.last_used
    }

    pub(crate) fn last_timestamp(&self) -> i64 {
        self.last_timestamp
    }

    /// What would be known had the producer gone on, in this epoch or the next: a batch that begins there and has up to forty
    /// records counts as written.
    pub(crate) fn gone_on(&self, is_next_epoch: bool, now: Duration) -> Self {
        let last = self.batches.back().map_or(-1, |batch| batch.last_sequence);
        let (epoch, first) = match is_next_epoch {
            true => (self.epoch.saturating_add(1), 0),
            false => (self.epoch, last.saturating_add(1)),
        };
        let batches = (first..=first.saturating_add(39)).map(|last_sequence| RememberedBatch {
            first_sequence: first,
            last_sequence,
            // Those records lie in front of all that is in the log.
            base_offset: i64::from(first) - i64::from(last_sequence) - 1,
        });
        let batches = batches.collect();
        Self { epoch, last_used: now, last_timestamp: i64::MAX, batches, open_transaction: None }
    }

    /// Remembers a batch that was appended.
    pub(crate) fn remember(
        known: Option<Self>,
        header: &BatchHeader,
        base_offset: i64,
        now: Duration,
    ) -> Self {
        let open_transaction = known.as_ref().and_then(Self::open_transaction);
        let mut state = known
            .filter(|known| known.epoch == header.producer_epoch)
            .unwrap_or_else(|| Self::new(header.producer_epoch, now, header.max_timestamp));
        state.open_transaction =
            open_transaction.or_else(|| header.is_transactional().then_some(base_offset));
        state.last_used = now;
        state.last_timestamp = header.max_timestamp;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ProducerState, SequenceVerdict};
    use crate::batch::BatchHeader;
    use crate::error::code;

    fn batch(epoch: i16, base_sequence: i32, records: i32) -> BatchHeader {
        BatchHeader {
            batch_length: 0,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: records - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: 7,
            producer_epoch: epoch,
            base_sequence,
            record_count: records,
        }
    }

    /// A producer whose batches were appended one after the other.
    fn after(batches: &[BatchHeader]) -> Option<ProducerState> {
        let mut offset = 0;
        let mut state = None;
        for header in batches {
            state = Some(ProducerState::remember(state, header, offset, Duration::ZERO));
            offset += i64::from(header.record_count);
        }
        state
    }

    fn judge(known: Option<&ProducerState>, header: BatchHeader) -> Result<SequenceVerdict, i16> {
        ProducerState::judge(known, &header).map_err(|rejection| rejection.code)
    }

    const DUPLICATE_OF_FIRST: Result<SequenceVerdict, i16> =
        Ok(SequenceVerdict::Duplicate { base_offset: 0 });
    const APPEND: Result<SequenceVerdict, i16> = Ok(SequenceVerdict::Append);
    const OUT_OF_ORDER: Result<SequenceVerdict, i16> = Err(code::OUT_OF_ORDER_SEQUENCE_NUMBER);

    #[test]
    fn verdicts_follow_kafka() {
        let two = after(&[batch(3, 0, 5), batch(3, 5, 2)]);
        let cases = [
            ("next", batch(3, 7, 1), APPEND),
            ("gap", batch(3, 8, 1), OUT_OF_ORDER),
            ("newest again", batch(3, 5, 2), Ok(SequenceVerdict::Duplicate { base_offset: 5 })),
            ("oldest again", batch(3, 0, 5), DUPLICATE_OF_FIRST),
            ("part of an old one", batch(3, 0, 4), OUT_OF_ORDER),
            ("end of an old one", batch(3, 1, 4), OUT_OF_ORDER),
            ("older epoch", batch(2, 7, 1), Err(code::INVALID_PRODUCER_EPOCH)),
            ("older epoch, old sequence", batch(2, 0, 5), Err(code::INVALID_PRODUCER_EPOCH)),
            ("newer epoch from 0", batch(4, 0, 5), APPEND),
            ("newer epoch, goes on counting", batch(4, 7, 1), OUT_OF_ORDER),
        ];
        for (what, header, expected) in cases {
            assert_eq!(judge(two.as_ref(), header), expected, "{what}");
        }
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere() {
        assert_eq!(judge(None, batch(0, 0, 1)), APPEND);
        assert_eq!(judge(None, batch(5, 1000, 1)), APPEND);
    }

    #[test]
    fn five_batches_are_remembered() {
        let batches: Vec<_> = (0..6).map(|sequence| batch(0, sequence, 1)).collect();
        let six = after(&batches);

        for sequence in 1..6 {
            let expected = Ok(SequenceVerdict::Duplicate { base_offset: sequence.into() });
            assert_eq!(judge(six.as_ref(), batch(0, sequence, 1)), expected);
        }
        assert_eq!(judge(six.as_ref(), batch(0, 0, 1)), OUT_OF_ORDER);
    }

    #[test]
    fn a_new_epoch_forgets_the_batches_of_the_old_one() {
        let state = after(&[batch(0, 0, 3), batch(1, 0, 3)]);

        assert_eq!(judge(state.as_ref(), batch(1, 0, 3)), Ok(SequenceVerdict::Duplicate { base_offset: 3 }));
        assert_eq!(judge(state.as_ref(), batch(1, 3, 1)), APPEND);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let at_end = after(&[batch(0, i32::MAX - 1, 2)]);
        assert_eq!(judge(at_end.as_ref(), batch(0, 0, 1)), APPEND);
        assert_eq!(judge(at_end.as_ref(), batch(0, 1, 1)), OUT_OF_ORDER);

        let wrapped = after(&[batch(0, i32::MAX, 3)]);
        assert_eq!(judge(wrapped.as_ref(), batch(0, 2, 1)), APPEND);
        assert_eq!(judge(wrapped.as_ref(), batch(0, i32::MAX, 3)), DUPLICATE_OF_FIRST);
    }
}
