//! The table of metrics: each number once, with its name, kind, unit and meaning. It becomes the public structures and their
//! documentation, what [`Metrics::iter`] gives, and `docs/metrics.md`.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use super::histogram::HistogramSnapshot;
use super::sample::{Measured, MetricGroup, MetricKind, MetricUnit, Sample};
use crate::topic_partition::{NodeId, Topic};

/// A number of the table, without a value.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) field: &'static str,
    pub(super) name: &'static str,
    pub(super) is_kafkas: bool,
    pub(super) kind: MetricKind,
    pub(super) unit: MetricUnit,
    pub(super) doc: &'static str,
}

macro_rules! origin {
    (Kafka, $name:literal) => {
        concat!("Kafka's `", $name, "`.")
    };
    (Ours, $name:literal) => {
        concat!("Exported as `", $name, "`.")
    };
}

/// Makes a structure whose numbers are known by name. `Kafka` stands before a name of Kafka's, `Ours` before others.
macro_rules! numbers {
    (
        $(#[$outer:meta])*
        $name:ident, $group:ident
        has { $($(#[$plain_doc:meta])+ $plain:ident: $plain_type:ty,)* }
        counts {
            $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $origin:ident $metric:literal, $kind:ident of $unit:ident;)*
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$plain_doc])+ pub $plain: $plain_type,)*
            $(
                $(#[doc = $doc])+
                #[doc = ""]
                #[doc = origin!($origin, $metric)]
                pub $field: $type,
            )*
        }

        impl $name {
            #[cfg(test)]
            pub(super) const GROUP: MetricGroup = MetricGroup::$group;
            #[cfg(test)]
            pub(super) const ROWS: &[Row] = &[$(Row {
                field: stringify!($field),
                name: $metric,
                is_kafkas: matches!(stringify!($origin).as_bytes(), b"Kafka"),
                kind: MetricKind::$kind,
                unit: MetricUnit::$unit,
                doc: concat!($($doc),+),
            }),*];

            fn add_to<'a>(&'a self, samples: &mut Vec<Sample<'a>>, labels: &[(&'static str, Cow<'a, str>)]) {
                $(if let Some(value) = self.$field.measured() {
                    samples.push(Sample {
                        group: MetricGroup::$group,
                        name: $metric,
                        is_kafkas: matches!(stringify!($origin).as_bytes(), b"Kafka"),
                        labels: labels.to_vec(),
                        kind: MetricKind::$kind,
                        unit: MetricUnit::$unit,
                        help: concat!($($doc),+).trim_start(),
                        value,
                    });
                })*
            }
        }
    };
}

numbers! {
    /// A snapshot of what a producer has done and does, from [`KafkaProducer::metrics`](crate::KafkaProducer::metrics).
    ///
    /// There are no rates: take two snapshots, and divide what lies between them by what lies between their
    /// [`taken_at`](Self::taken_at).
    ///
    /// Numbers that Kafka's producer has, too, have its name in `docs/metrics.md` and in [`iter`](Self::iter). Times are in
    /// [`Duration`]s or seconds, not in milliseconds.
    Metrics, Producer
    has {
        /// `client.id`.
        client_id: String,
        /// When the snapshot was taken.
        taken_at: Instant,
        /// By topic. A topic is forgotten, with its counts, when it has not been used for `metadata.max.idle.ms`; the numbers
        /// of the producer keep what was counted.
        topics: Vec<TopicMetrics>,
        /// By broker.
        brokers: Vec<BrokerMetrics>,
        /// By partition, of those that have had records.
        partitions: Vec<PartitionMetrics>,
    }
    counts {
        /// Batches whose records were acknowledged, or failed.
        batches_completed: u64 = Ours "batch-completed-total", Counter of Batches;
        /// Batches that were cut into smaller ones because the broker found them too large.
        batch_splits: u64 = Kafka "batch-split-total", Counter of Batches;
        /// Bytes of `buffer.memory` that are free.
        buffer_available_bytes: usize = Kafka "buffer-available-bytes", Gauge of Bytes;
        /// `buffer.memory`.
        buffer_total_bytes: usize = Kafka "buffer-total-bytes", Gauge of Bytes;
        /// Bytes of `buffer.memory` that batches hold.
        buffered_bytes: usize = Ours "buffer-used-bytes", Gauge of Bytes;
        /// Records accepted and neither acknowledged nor failed yet.
        buffered_records: u64 = Ours "buffered-records", Gauge of Records;
        /// Until when the certificate is valid that the producer shows to brokers. `None` if it has none, or if it connects by a
        /// configuration of rustls that the application has made.
        certificate_ends: Option<SystemTime> = Ours "certificate-end-time", Gauge of Seconds;
        /// Connections that are open.
        connections: u64 = Kafka "connection-count", Gauge of Connections;
        /// Connections that have ended, and attempts that have come to nothing.
        connections_closed: u64 = Kafka "connection-close-total", Counter of Connections;
        /// Connections that were made, as far as being ready for requests.
        connections_created: u64 = Kafka "connection-creation-total", Counter of Connections;
        /// Connections that have ended because broker and producer do not accept each other.
        failed_authentications: u64 = Kafka "failed-authentication-total", Counter of Connections;
        /// Requests that await their answer.
        requests_in_flight: u64 = Kafka "requests-in-flight", Gauge of Requests;
        /// Requests of all kinds sent.
        requests_sent: u64 = Kafka "request-total", Counter of Requests;
        /// Requests of all kinds answered.
        responses_received: u64 = Kafka "response-total", Counter of Requests;
        /// Produce requests sent.
        produce_requests_sent: u64 = Ours "produce-request-total", Counter of Requests;
        /// Metadata requests sent.
        metadata_requests_sent: u64 = Ours "metadata-request-total", Counter of Requests;
        /// Records accepted.
        records_accepted: u64 = Ours "record-accepted-total", Counter of Records;
        /// Records acknowledged.
        records_delivered: u64 = Ours "record-delivered-total", Counter of Records;
        /// Records that failed after they had been accepted.
        record_errors: u64 = Kafka "record-error-total", Counter of Records;
        /// Records sent again.
        record_retries: u64 = Kafka "record-retry-total", Counter of Records;
        /// Bytes of batches sent, retries included.
        bytes_sent: u64 = Kafka "byte-total", Counter of Bytes;
        /// Calls that wait for memory at the moment.
        waiting_for_memory: usize = Kafka "waiting-threads", Gauge of Calls;
        /// Calls that failed because no memory came free within `max.block.ms`.
        memory_timeouts: u64 = Kafka "buffer-exhausted-total", Counter of Calls;
        /// Time that calls have waited for memory, all together.
        memory_wait: Duration = Kafka "bufferpool-wait-time-total", Counter of Seconds;
        /// Time that calls have waited for metadata, all together.
        metadata_wait: Duration = Kafka "metadata-wait-time-total", Counter of Seconds;
        /// Time since brokers described all topics in use. `None` before the first time, and after a new start from
        /// `bootstrap.servers`.
        metadata_age: Option<Duration> = Kafka "metadata-age", Gauge of Seconds;
        /// Time since a broker last acknowledged a record. `None` before the first time.
        last_delivery_age: Option<Duration> = Ours "last-delivery-age", Gauge of Seconds;
        /// Age of the oldest batch that is neither acknowledged nor failed. `None` if there is none.
        oldest_batch_age: Option<Duration> = Ours "oldest-batch-age", Gauge of Seconds;
        /// When the producer was built.
        start_time: SystemTime = Kafka "start-time", Gauge of Seconds;
        /// Bytes of each batch as it was first sent.
        batch_size: HistogramSnapshot = Kafka "batch-size", Histogram of Bytes;
        /// Share of its bytes that compression has left of each batch. 1 without compression.
        compression_ratio: HistogramSnapshot = Kafka "compression-rate", Histogram of Ratio;
        /// Time from the first record of a batch until it was first sent.
        queue_time: HistogramSnapshot = Kafka "record-queue-time", Histogram of Seconds;
        /// Records of each batch as it was first sent.
        records_per_batch: HistogramSnapshot = Ours "records-per-batch", Histogram of Records;
        /// Time from handing a request of any kind to its connection until the answer.
        request_latency: HistogramSnapshot = Kafka "request-latency", Histogram of Seconds;
        /// Time for which brokers have asked to be left alone, once for each answer that did.
        throttle_time: HistogramSnapshot = Kafka "produce-throttle-time", Histogram of Seconds;
    }
}

numbers! {
    /// What a producer has done for one topic.
    TopicMetrics, Topic
    has {
        /// The topic.
        topic: Topic,
    }
    counts {
        /// Bytes of batches sent, retries included.
        bytes_sent: u64 = Kafka "byte-total", Counter of Bytes;
        /// Bytes that the batches would have had without compression, retries included.
        bytes_before_compression: u64 = Ours "uncompressed-byte-total", Counter of Bytes;
        /// Records accepted.
        records_accepted: u64 = Ours "record-accepted-total", Counter of Records;
        /// Records acknowledged.
        records_delivered: u64 = Ours "record-delivered-total", Counter of Records;
        /// Records sent, retries included.
        records_sent: u64 = Kafka "record-send-total", Counter of Records;
        /// Records that failed after they had been accepted.
        record_errors: u64 = Kafka "record-error-total", Counter of Records;
        /// Records sent again.
        record_retries: u64 = Kafka "record-retry-total", Counter of Records;
        /// Time from the first record of a batch until it was first sent.
        queue_time: HistogramSnapshot = Ours "record-queue-time", Histogram of Seconds;
    }
}

numbers! {
    /// What a producer has done with one broker.
    BrokerMetrics, Node
    has {
        /// The broker. Entries of `bootstrap.servers` have negative ids.
        node: NodeId,
    }
    counts {
        /// Requests that await their answer.
        requests_in_flight: u64 = Ours "requests-in-flight", Gauge of Requests;
        /// Requests with records sent.
        produce_requests_sent: u64 = Ours "produce-request-total", Counter of Requests;
        /// Requests of all kinds answered.
        responses_received: u64 = Kafka "response-total", Counter of Requests;
        /// Bytes of batches sent, retries included.
        bytes_sent: u64 = Ours "byte-total", Counter of Bytes;
        /// Time from handing a request of any kind to its connection until the answer.
        request_latency: HistogramSnapshot = Kafka "request-latency", Histogram of Seconds;
        /// Time for which the broker has asked to be left alone, all together.
        throttled: Duration = Ours "throttle-time-total", Counter of Seconds;
    }
}

numbers! {
    /// What a producer has queued for one partition.
    PartitionMetrics, Partition
    has {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: i32,
    }
    counts {
        /// Bytes of `buffer.memory` that its batches hold, on their way or not.
        buffered_bytes: usize = Ours "buffer-used-bytes", Gauge of Bytes;
        /// Batches that are not on their way.
        queued_batches: usize = Ours "queued-batches", Gauge of Batches;
    }
}

impl Metrics {
    /// Returns every number with its name, its labels and its kind, so that an exporter needs no list of them: first those of the
    /// producer, then those of topics, of brokers and of partitions. What is not known at the moment is left out.
    ///
    /// ```no_run
    /// # fn example(producer: kafka_producer::KafkaProducer) {
    /// use kafka_producer::MetricValue;
    ///
    /// for sample in producer.metrics().iter() {
    ///     if let MetricValue::Integer(value) = sample.value {
    ///         println!("{} {} {:?} {value}", sample.group, sample.name, sample.labels);
    ///     }
    /// }
    /// # }
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Sample<'_>> {
        let client_id = ("client-id", Cow::Borrowed(self.client_id.as_str()));
        let mut samples = Vec::new();
        self.add_to(&mut samples, std::slice::from_ref(&client_id));
        for topic in &self.topics {
            topic.add_to(&mut samples, &[client_id.clone(), ("topic", Cow::Borrowed(&*topic.topic))]);
        }
        for broker in &self.brokers {
            let node_id = ("node-id", Cow::Owned(format!("node-{}", broker.node)));
            broker.add_to(&mut samples, &[client_id.clone(), node_id]);
        }
        for partition in &self.partitions {
            let number = ("partition", Cow::Owned(partition.partition.to_string()));
            let labels = [client_id.clone(), ("topic", Cow::Borrowed(&*partition.topic)), number];
            partition.add_to(&mut samples, &labels);
        }
        samples.into_iter()
    }
}
