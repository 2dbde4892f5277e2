//! `RecordMetadata`: where a record stands in the log.

use std::fmt;
use std::sync::Arc;

#[cfg(any(test, feature = "test-util"))]
use super::Delivery;
use super::batch_facts::RecordFacts;
use super::{BatchCell, Outcome};
use crate::topic_partition::Topic;

/// Where a record stands in the log.
///
/// It is cheap to clone, and keeps nothing of the producer alive. All records of a batch share what it tells: the topic, and at most
/// some bytes for each record. If you keep one of a large batch for long, take out of it what you need.
#[derive(Clone)]
pub struct RecordMetadata {
    /// Its outcome is known.
    cell: Arc<BatchCell>,
    index: u32,
}

impl RecordMetadata {
    #[inline]
    pub(crate) fn of(cell: Arc<BatchCell>, index: u32) -> Self {
        Self { cell, index }
    }

    /// Makes the delivery that resolves to it.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn into_delivery(self) -> Delivery {
        Delivery::new(self.cell, self.index)
    }

    /// Returns the topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.cell.topic_partition().topic
    }

    /// Returns the partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.cell.topic_partition().partition
    }

    /// Returns the offset of the record in its partition.
    ///
    /// `None` with `acks=0`, because the broker does not answer, and for a batch that the broker has recognised as one that it
    /// has already, if it did not say where.
    #[must_use]
    pub fn offset(&self) -> Option<i64> {
        let Some(Outcome::Delivered { base_offset: Some(base), .. }) = self.cell.outcome() else {
            return None;
        };
        Some(base.saturating_add(i64::from(self.index))).filter(|offset| *offset >= 0)
    }

    /// Returns the timestamp of the record in milliseconds since 1970: the broker's if the topic has
    /// `message.timestamp.type=LogAppendTime`, the record's own otherwise.
    #[must_use]
    pub fn timestamp(&self) -> i64 {
        match self.cell.outcome() {
            Some(Outcome::Delivered { log_append_time: Some(time), .. }) => *time,
            _ => self.facts().timestamp,
        }
    }

    /// Returns the bytes of the serialized key, `None` for a null key.
    #[must_use]
    pub fn serialized_key_size(&self) -> Option<usize> {
        self.facts().sizes.key()
    }

    /// Returns the bytes of the serialized value, `None` for a null value.
    #[must_use]
    pub fn serialized_value_size(&self) -> Option<usize> {
        self.facts().sizes.value()
    }

    fn facts(&self) -> RecordFacts {
        match self.cell.outcome() {
            Some(Outcome::Delivered { facts, .. }) => facts.get(self.index),
            _ => RecordFacts::UNKNOWN,
        }
    }
}

impl PartialEq for RecordMetadata {
    fn eq(&self, other: &Self) -> bool {
        let values = |of: &Self| (of.offset(), of.timestamp(), of.facts().sizes);
        self.cell.topic_partition() == other.cell.topic_partition() && values(self) == values(other)
    }
}

impl Eq for RecordMetadata {}

impl fmt::Debug for RecordMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordMetadata")
            .field("topic", self.topic())
            .field("partition", &self.partition())
            .field("offset", &self.offset())
            .field("timestamp", &self.timestamp())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for RecordMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset() {
            Some(offset) => write!(f, "{}-{}@{offset}", self.topic(), self.partition()),
            None => write!(f, "{}-{}", self.topic(), self.partition()),
        }
    }
}
