//! What a caller hands to `send`.
//!
//! In this room: [`ProducerRecord`] and its [`Headers`]. Not here: how a record is turned into bytes (`pipeline`) or laid
//! out in a batch (`protocol`).

mod header_name;
mod header_value;
mod headers;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

pub use self::header_name::HeaderName;
pub use self::header_value::HeaderValue;
pub use self::headers::{Header, Headers};
use crate::topic_partition::Topic;

/// A record to be sent: a topic, and optionally a key, a value, headers, a partition and a timestamp.
///
/// `K` and `V` are the types that the producer's serializers take. In `ProducerRecord` without parameters both are
/// [`Bytes`], for which the builder methods take `&'static str`, `String`, `Vec<u8>`, `&'static [u8]` and `Bytes`.
///
/// A record owns what it sends. Text and bytes that borrow from elsewhere are made owned first, else the compiler complains that they do
/// not live long enough (E0597, E0521):
///
/// ```
/// use kafka_producer::ProducerRecord;
///
/// fn order(topic: &str, line: &str) -> ProducerRecord {
///     ProducerRecord::to(topic.to_owned()).value(line.to_owned())
/// }
/// ```
///
/// A key or value that you do not set is null in Kafka's sense, which is not the same as an empty one. A record with a key and
/// a null value is a tombstone, which deletes the key from a compacted topic. Only a null key lets the producer choose any
/// partition.
///
/// `Debug` shows the sizes of key, value and headers, never what is in them.
///
/// ```
/// use kafka_producer::ProducerRecord;
///
/// let record: ProducerRecord = ProducerRecord::to("orders")
///     .key("customer-7")
///     .value(format!("{{\"total\": {}}}", 42))
///     .header("source", "web");
/// assert_eq!(record.key.as_deref(), Some(&b"customer-7"[..]));
///
/// let tombstone: ProducerRecord = ProducerRecord::to("orders").key("customer-7");
/// assert_eq!(tombstone.value, None);
/// ```
///
/// With a producer of other types the same methods take whatever turns into these types:
///
/// ```
/// use kafka_producer::ProducerRecord;
///
/// let record: ProducerRecord<String, i64> = ProducerRecord::to("totals").key("customer-7").value(42);
/// assert_eq!(record.value, Some(42));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerRecord<K = Bytes, V = Bytes> {
    /// The topic.
    pub topic: Topic,
    /// The partition, from 0; `None` leaves the choice to the producer's partitioner.
    pub partition: Option<i32>,
    /// When the record was created, in milliseconds since 1970. `None` stands for the time of the call of `send`, however long
    /// that call has to wait. In a burst, up to 16 records share one reading of the clock, but only within one tick of the
    /// system (1 to 10 ms).
    pub timestamp: Option<i64>,
    /// The key; `None` is null.
    pub key: Option<K>,
    /// The value; `None` is null.
    pub value: Option<V>,
    /// The headers, in the order in which they are sent.
    pub headers: Headers,
}

impl<K, V> ProducerRecord<K, V> {
    /// Starts a record for a topic: null key, null value, no headers, partition and timestamp chosen by the producer.
    #[must_use]
    pub fn to(topic: impl Into<Topic>, // A name that borrows from elsewhere: `.to_owned()` it.
    ) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            timestamp: None,
            key: None,
            value: None,
            headers: Headers::new(),
        }
    }

    /// Sets the key.
    #[must_use]
    pub fn key(
        mut self,
        key: impl Into<K>, // Text or bytes that borrow from elsewhere: `.to_owned()` them.
    ) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the key, or leaves it null.
    ///
    /// ```
    /// use kafka_producer::ProducerRecord;
    ///
    /// let customer: Option<&str> = None;
    /// let record: ProducerRecord = ProducerRecord::to("orders").key_or_null(customer).value("2 apples");
    /// assert_eq!(record.key, None);
    /// ```
    #[must_use]
    pub fn key_or_null(mut self, key: Option<impl Into<K>>) -> Self {
        self.key = key.map(Into::into);
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn value(
        mut self,
        value: impl Into<V>, // Text or bytes that borrow from elsewhere: `.to_owned()` them.
    ) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Sets the value, or leaves it null, as that of a tombstone is.
    #[must_use]
    pub fn value_or_null(mut self, value: Option<impl Into<V>>) -> Self {
        self.value = value.map(Into::into);
        self
    }

    /// Sets the partition, from 0. Sending a record with a negative one fails.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the timestamp in milliseconds since 1970. Sending a record with a negative one fails.
    ///
    /// The broker replaces it if the topic has `message.timestamp.type=LogAppendTime`.
    #[must_use]
    pub fn timestamp(mut self, milliseconds: i64) -> Self {
        self.timestamp = Some(milliseconds);
        self
    }

    /// Sets the timestamp, rounded down to milliseconds. Sending a record with a time before 1970 fails.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// use kafka_producer::ProducerRecord;
    ///
    /// let at = UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_999);
    /// let record: ProducerRecord = ProducerRecord::to("orders").timestamp_at(at);
    /// assert_eq!(record.timestamp, Some(1_700_000_000_000));
    /// ```
    #[must_use]
    pub fn timestamp_at(self, time: SystemTime) -> Self {
        self.timestamp(milliseconds_since_epoch(time))
    }

    /// Adds a header after those that are already there; names may repeat.
    ///
    /// ```
    /// use kafka_producer::{HeaderValue, ProducerRecord};
    ///
    /// let record: ProducerRecord = ProducerRecord::to("orders")
    ///     .header("source", "web")
    ///     .header("trace", vec![1, 2, 3])
    ///     .header("retry-of", HeaderValue::NULL);
    /// assert_eq!(record.headers.len(), 3);
    /// ```
    #[must_use]
    pub fn header(
        mut self,
        name: impl Into<HeaderName>, // A name that borrows from elsewhere: `.to_owned()` it.
        value: impl Into<HeaderValue>, // Text or bytes that borrow from elsewhere: `.to_owned()` them.
    ) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Replaces all headers.
    #[must_use]
    pub fn headers(mut self, headers: impl Into<Headers>) -> Self {
        self.headers = headers.into();
        self
    }

    /// Refuses what no record may have.
    pub(crate) fn check(&self) -> Result<(), InvalidRecord> {
        InvalidRecord::check_topic(&self.topic)?;
        if let Some(partition) = self.partition
            && partition < 0
        {
            return Err(InvalidRecord::NegativePartition { partition });
        }
        if let Some(timestamp) = self.timestamp
            && timestamp < 0
        {
            return Err(InvalidRecord::NegativeTimestamp { timestamp });
        }
        Ok(())
    }
}

impl<K: 'static, V: 'static> fmt::Debug for ProducerRecord<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerRecord")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("timestamp", &self.timestamp)
            .field("key", &self.key.as_ref().map(Hidden))
            .field("value", &self.value.as_ref().map(Hidden))
            .field("headers", &self.headers)
            .finish()
    }
}

/// Why a record can never be sent, whatever the state of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRecord {
    #[error("partition {partition} of the record is negative")]
    NegativePartition { partition: i32 },
    #[error("timestamp {timestamp} of the record is negative")]
    NegativeTimestamp { timestamp: i64 },
    #[error("topic name of {bytes} bytes exceeds the protocol's limit of {LONGEST_TOPIC}")]
    TopicTooLong { bytes: usize },
}

impl InvalidRecord {
    /// Says whether the name of a topic fits into requests.
    #[inline]
    pub(crate) fn check_topic(topic: &Topic) -> Result<(), Self> {
        let bytes = topic.as_str().len();
        if bytes > LONGEST_TOPIC { Err(Self::TopicTooLong { bytes }) } else { Ok(()) }
    }
}

/// Brokers refuse much shorter names, too, with an error. A name that is longer than this does not fit into a request, and
/// one request asks for all topics: it must not fail because of one name.
pub(crate) const LONGEST_TOPIC: usize = i16::MAX as usize;

/// Stands for a value in `Debug` output. It shows the value's length if the type has a known one, and never its content.
struct Hidden<'a, T>(&'a T);

impl<T: 'static> fmt::Debug for Hidden<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match length_of(self.0) {
            Some(length) => write!(f, "{length} bytes"),
            None => f.write_str("_"),
        }
    }
}

fn length_of(value: &dyn Any) -> Option<usize> {
    None.or_else(|| value.downcast_ref::<Bytes>().map(Bytes::len))
        .or_else(|| value.downcast_ref::<String>().map(String::len))
        .or_else(|| value.downcast_ref::<Vec<u8>>().map(Vec::len))
        .or_else(|| value.downcast_ref::<&'static str>().map(|text| text.len()))
        .or_else(|| value.downcast_ref::<&'static [u8]>().map(|bytes| bytes.len()))
        .or_else(|| value.downcast_ref::<Arc<str>>().map(|text| text.len()))
}

fn milliseconds_since_epoch(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        // Rounded away from 1970, so that no time before it turns into the valid timestamp 0.
        Err(before) => {
            let nanoseconds = before.duration().as_nanos();
            i64::try_from(nanoseconds.div_ceil(1_000_000)).map_or(i64::MIN, |milliseconds| -milliseconds)
        }
    }
}

#[cfg(test)]
mod tests;
