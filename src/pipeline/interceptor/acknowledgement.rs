//! [`Acknowledgement`]: what interceptors learn about the end of a record.

use std::error::Error;

use crate::delivery::RecordMetadata;
use crate::record::Headers;

/// What has become of one record, for interceptors.
///
/// A record is delivered if [`error`](Self::error) is `None`.
#[derive(Debug, Clone, Copy)]
pub struct Acknowledgement<'a> {
    topic: &'a str,
    partition: Option<i32>,
    headers: &'a Headers,
    outcome: AckOutcome<'a>,
}

impl<'a> Acknowledgement<'a> {
    pub(crate) fn new(
        topic: &'a str,
        partition: Option<i32>,
        headers: &'a Headers,
        outcome: AckOutcome<'a>,
    ) -> Self {
        Self { topic, partition, headers, outcome }
    }

    /// Returns the topic.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// Returns the partition, or `None` for a record that failed before it had one.
    #[must_use]
    pub fn partition(&self) -> Option<i32> {
        self.partition
    }

    /// Returns the headers with which the record was sent.
    #[must_use]
    pub fn headers(&self) -> &'a Headers {
        self.headers
    }

    /// Returns the offset in the partition, or `None` if the record failed or the broker named none, as with `acks=0`.
    #[must_use]
    pub fn offset(&self) -> Option<i64> {
        self.outcome.offset
    }

    /// Returns the timestamp with which the record was stored, in milliseconds since 1970, or `None` if it failed.
    #[must_use]
    pub fn timestamp(&self) -> Option<i64> {
        self.outcome.timestamp
    }

    /// Returns the size of the serialized key in bytes, or `None` for a null key or a record that failed.
    #[must_use]
    pub fn serialized_key_size(&self) -> Option<usize> {
        self.outcome.serialized_key_size
    }

    /// Returns the size of the serialized value in bytes, or `None` for a null value or a record that failed.
    #[must_use]
    pub fn serialized_value_size(&self) -> Option<usize> {
        self.outcome.serialized_value_size
    }

    /// Returns why the record failed, or `None` if it was delivered.
    #[must_use]
    pub fn error(&self) -> Option<&'a (dyn Error + Send + Sync + 'static)> {
        self.outcome.error
    }
}

/// The part of an [`Acknowledgement`] that delivery or failure decides.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AckOutcome<'a> {
    pub(crate) offset: Option<i64>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) serialized_key_size: Option<usize>,
    pub(crate) serialized_value_size: Option<usize>,
    /// `Some` iff the record failed; then all others are `None`.
    pub(crate) error: Option<&'a (dyn Error + Send + Sync + 'static)>,
}

impl<'a> AckOutcome<'a> {
    pub(crate) fn delivered(metadata: &RecordMetadata) -> Self {
        Self {
            offset: metadata.offset(),
            timestamp: Some(metadata.timestamp()),
            serialized_key_size: metadata.serialized_key_size(),
            serialized_value_size: metadata.serialized_value_size(),
            error: None,
        }
    }

    pub(crate) fn failed(error: &'a (dyn Error + Send + Sync + 'static)) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}
