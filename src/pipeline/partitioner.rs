//! [`Partitioner`]: the user's own choice of partitions, and what Kafka provides for it.

mod keyed;
mod librdkafka;
mod murmur2;
mod round_robin;

use std::fmt;
use std::sync::Arc;

use super::BoxError;
use crate::metadata::Cluster;
use crate::record::Headers;

pub use self::keyed::partition_for_key;
pub use self::librdkafka::{LibrdkafkaPartitioner, UnknownPartitioner};
pub use self::murmur2::murmur2;
pub use self::round_robin::RoundRobinPartitioner;

/// Chooses the partition of each record that does not name one.
///
/// A producer needs no partitioner. By default it hashes the key as Java's does. Records without a key go to one partition
/// until a batch is full, and then to another; slow partitions get fewer batches. A partitioner of your own replaces both.
///
/// It runs on the task that calls `send`, on several threads at once, and must not block. A closure is a partitioner:
///
/// ```
/// use kafka_producer::{BoxError, Cluster, Node, NodeId, PartitionInfo, Partitioner, PartitionerRecord, TopicInfo};
///
/// /// Partition 0 is for VIPs.
/// fn choose(record: &PartitionerRecord<'_>, cluster: &Cluster) -> Result<i32, BoxError> {
///     if record.key() == Some(b"vip") {
///         return Ok(0);
///     }
///     let others: Vec<_> = cluster.available_partitions(record.topic()).iter().filter(|&&p| p != 0).collect();
///     others.first().map(|&&partition| partition).ok_or_else(|| "no partition but that for VIPs".into())
/// }
///
/// let cluster = Cluster::new(
///     [Node::new(NodeId(1), "kafka-1", 9092)],
///     [TopicInfo::new("orders", [0, 1].map(|partition| PartitionInfo::new(partition, Some(NodeId(1)))))],
/// );
/// # let headers = Default::default();
/// let record = PartitionerRecord::new("orders", Some(b"vip"), None, &headers);
/// assert_eq!(choose.partition(&record, &cluster)?, 0);
/// # Ok::<_, BoxError>(())
/// ```
pub trait Partitioner: Send + Sync + 'static {
    /// Returns the number of a partition of the record's topic, from 0.
    ///
    /// `cluster` knows the topic. The partition need not have a leader at the moment; the record then waits for one.
    ///
    /// # Errors
    ///
    /// If it returns an error, or a number that is no partition of the topic, the producer does not send the record, and `send`
    /// returns the error.
    fn partition(&self, record: &PartitionerRecord<'_>, cluster: &Cluster) -> Result<i32, BoxError>;
}

impl<F> Partitioner for F
where
    F: Fn(&PartitionerRecord<'_>, &Cluster) -> Result<i32, BoxError> + Send + Sync + 'static,
{
    fn partition(&self, record: &PartitionerRecord<'_>, cluster: &Cluster) -> Result<i32, BoxError> {
        self(record, cluster)
    }
}

impl<P: Partitioner + ?Sized> Partitioner for Arc<P> {
    fn partition(&self, record: &PartitionerRecord<'_>, cluster: &Cluster) -> Result<i32, BoxError> {
        (**self).partition(record, cluster)
    }
}

/// What a [`Partitioner`] sees of a record: its parts, serialized.
///
/// `Debug` shows the sizes of key and value, not what is in them.
#[derive(Clone, Copy)]
pub struct PartitionerRecord<'a> {
    topic: &'a str,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a Headers,
}

impl<'a> PartitionerRecord<'a> {
    /// Makes one; for tests of partitioners.
    #[must_use]
    pub fn new(topic: &'a str, key: Option<&'a [u8]>, value: Option<&'a [u8]>, headers: &'a Headers) -> Self {
        Self { topic, key, value, headers }
    }

    /// Returns the topic.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// Returns the key's bytes, or `None` for a null key.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// Returns the value's bytes, or `None` for a null value.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.value
    }

    /// Returns the headers, as the serializers left them.
    #[must_use]
    pub fn headers(&self) -> &'a Headers {
        self.headers
    }
}

impl fmt::Debug for PartitionerRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionerRecord")
            .field("topic", &self.topic)
            .field("key_size", &self.key.map(<[u8]>::len))
            .field("value_size", &self.value.map(<[u8]>::len))
            .field("headers", self.headers)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(partitioner: impl Partitioner, record: &PartitionerRecord<'_>) -> i32 {
        partitioner.partition(record, &Cluster::default()).unwrap()
    }

    #[test]
    fn closure_is_a_partitioner_and_sees_the_parts_of_the_record() {
        let headers = Headers::from([("h", "xyz")]);
        let record = PartitionerRecord::new("topic", Some(b"k"), Some(b"vv"), &headers);

        let partition = choose(
            |record: &PartitionerRecord<'_>, _: &Cluster| {
                let parts =
                    [record.key(), record.value(), record.headers().last("h").and_then(|h| h.value())];
                let length: usize = parts.into_iter().flatten().map(<[u8]>::len).sum();
                Ok(i32::try_from(record.topic().len() * 10 + length)?)
            },
            &record,
        );

        assert_eq!(partition, 56);
    }

    #[test]
    fn partitioner_may_be_shared_and_hidden_behind_its_trait() {
        let shared: Arc<dyn Partitioner> = Arc::new(|_: &PartitionerRecord<'_>, _: &Cluster| Ok(3));

        assert_eq!(choose(shared, &PartitionerRecord::new("t", None, None, &Headers::new())), 3);
    }

    #[test]
    fn debug_shows_sizes_and_no_contents() {
        let headers = Headers::new();

        let shown = format!("{:?}", PartitionerRecord::new("t", Some(b"secret"), None, &headers));

        assert_eq!(
            shown,
            "PartitionerRecord { topic: \"t\", key_size: Some(6), value_size: None, headers: [] }"
        );
    }
}
