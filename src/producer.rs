//! [`KafkaProducer`]: the handle, and the walk of a record from `send` to its batch.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use crate::accumulator::{EnqueueWaits, RecordAccumulator};
use crate::clock::{self, WallClock};
use crate::config::ProducerSettings;
use crate::delivery::{Delivery, RecordMetadata};
use crate::error::{DeliveryError, DeliveryErrorKind, SendError, SendErrorKind};
use crate::metadata::{Cluster, PartitionInfo};
use crate::metrics::{Counters, Metrics};
use crate::pipeline::{InterceptorChain, RoutingRules, Serializer};
use crate::record::ProducerRecord;
use crate::sender::{Control, Purge};
use crate::topic_partition::Topic;

mod builder;
mod caller;
mod deadline;
mod enqueue;
mod memory_wait;
mod placing;
mod topic_wait;
mod topics;
mod walk;
pub(crate) mod workers;

pub use self::builder::{BuildError, KafkaProducerBuilder};
use self::enqueue::{Enqueue, Waits, far};
use self::topic_wait::{TopicWait, TopicWaitError};
use self::topics::TopicDirectory;
use self::walk::{Stop, Walk};

/// Sends records to Kafka.
///
/// Cheap to clone, and usable from any number of tasks at once: all clones share one memory, one background task and
/// one connection per broker. Make one for the life of the application.
///
/// `K` and `V` are the types of keys and values; [`Bytes`] unless serializers for others are given to the builder.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kafka_producer::{KafkaProducer, ProducerRecord};
///
/// let producer: KafkaProducer = KafkaProducer::builder().bootstrap_servers("localhost:9092").build()?;
/// let metadata = producer.send(ProducerRecord::to("orders").key("customer-7").value("2 apples")).await?;
/// println!("written to partition {} at offset {:?}", metadata.partition(), metadata.offset());
/// # Ok(())
/// # }
/// ```
///
/// # The two stages of a send
///
/// [`send`](Self::send) is [`enqueue`](Self::enqueue) followed by awaiting the [`Delivery`]. Awaiting each record before
/// sending the next costs a round trip per record. To pipeline, enqueue many and await their deliveries later; records of
/// one partition are written in the order in which `enqueue` returned.
///
/// # Runtimes and threads
///
/// A producer is built within a tokio runtime that has I/O and timers, and its background task runs there: records are sent
/// as long as a thread drives that runtime. The producer may be used from anywhere: from other runtimes, whether they
/// have timers or not, and from threads without one, with any executor or `Handle::block_on`. `max.block.ms` and the
/// timeout of [`close`](Self::close) hold everywhere. Only in a program that is built with `panic = "abort"` a
/// current-thread runtime around the caller needs timers, for tokio tells by a panic that it has none. When the runtime
/// is shut down, everything that was accepted fails with
/// [`DeliveryErrorKind::RuntimeShutdown`](crate::DeliveryErrorKind::RuntimeShutdown).
///
/// # Dropping
///
/// Dropping the last handle neither blocks nor loses anything by itself: the background task goes on until everything
/// that was accepted is delivered or has failed, for as long as the runtime lives. An application that is about to end
/// should [`close`](Self::close) instead, which waits for that.
pub struct KafkaProducer<K = Bytes, V = Bytes> {
    shared: Arc<ProducerShared<K, V>>,
}

pub(crate) struct ProducerShared<K, V> {
    /// Numbers the producers of a process.
    id: u64,
    settings: ProducerSettings,
    /// The smaller of `max.request.size` and `buffer.memory`.
    largest_record: usize,
    interceptors: Arc<InterceptorChain<K, V>>,
    key_serializer: Box<dyn Serializer<K>>,
    value_serializer: Box<dyn Serializer<V>>,
    routing: RoutingRules,
    topics: Arc<TopicDirectory>,
    accumulator: Arc<RecordAccumulator>,
    clusters: watch::Receiver<Arc<Cluster>>,
    control: Arc<Control>,
    counters: Arc<Counters>,
    wall_clock: WallClock,
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Sends a record and waits for its acknowledgement.
    ///
    /// The same as `producer.enqueue(record).await?.await`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the record is accepted: it is not sent and never will be. Dropped after: it is sent all the same.
    /// A `timeout` around this call therefore means "stop waiting", not "not written".
    ///
    /// # Errors
    ///
    /// [`SendError`] says why, gives the record back, and tells whether it may stand in the log.
    pub async fn send(&self, record: ProducerRecord<K, V>) -> Result<RecordMetadata, SendError<K, V>> {
        Ok(self.enqueue(record).await?.await?)
    }

    /// Hands a record over, and returns once the producer has accepted it.
    ///
    /// Waits for the topic's metadata and for memory, together at most `max.block.ms`. When it returns, the record has
    /// its partition and its place behind those enqueued before. The [`Delivery`] resolves when the broker has
    /// acknowledged it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it has returned withdraws the record: it is not sent and holds no memory. Interceptors
    /// that have seen it are told so.
    ///
    /// # Errors
    ///
    /// The record was not accepted and comes back in the error.
    #[inline]
    pub fn enqueue(
        &self,
        record: ProducerRecord<K, V>,
    ) -> impl Future<Output = Result<Delivery, SendError<K, V>>> + Send + '_ {
        Enqueue::new(&self.shared, record)
    }

    /// Hands a record over if that needs no waiting.
    ///
    /// # Errors
    ///
    /// The record was not accepted and comes back in the error: [`SendErrorKind::Full`] when memory is short,
    /// [`SendErrorKind::TopicUnknown`] when the topic's metadata is still to come (it has been asked for by then),
    /// [`SendErrorKind::Closed`], [`SendErrorKind::TooLarge`] and those about the record itself.
    #[inline]
    pub fn try_enqueue(&self, record: ProducerRecord<K, V>) -> Result<Delivery, SendError<K, V>> {
        let mut record = record;
        let mut walk = Walk::new(&self.shared, &mut record);
        let kind = match walk.step() {
            Ok(delivery) => return Ok(delivery),
            Err(Stop::Refused(kind)) => *kind,
            Err(Stop::Retired | Stop::TopicUnknown) => self.shared.ask_for_topic(walk.record()),
            Err(Stop::NoMemory { queue, least, .. }) => {
                // Lingering batches would keep it full.
                self.shared.accumulator.want_memory();
                let available = queue.memory().available();
                SendErrorKind::Full {
                    needed: least,
                    available,
                    limit: self.shared.accumulator.memory().total(),
                }
            }
        };
        Err(walk.refuse(kind))
    }

    /// Sends records in their order and waits for all of them; the results are in the same order.
    ///
    /// # Cancel safety
    ///
    /// Dropped early: records that were accepted by then are sent, the others are not.
    pub async fn send_all(
        &self,
        records: impl IntoIterator<Item = ProducerRecord<K, V>>,
    ) -> Vec<Result<RecordMetadata, SendError<K, V>>> {
        let mut accepted = Vec::new();
        for record in records {
            accepted.push(self.enqueue(record).await);
        }
        let mut results = Vec::with_capacity(accepted.len());
        for delivery in accepted {
            results.push(match delivery {
                Ok(delivery) => delivery.await.map_err(SendError::from),
                Err(error) => Err(error),
            });
        }
        results
    }

    /// Returns the partitions of a topic, waiting for its metadata at most `max.block.ms`.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time.
    ///
    /// # Errors
    ///
    /// [`SendErrorKind::MetadataTimeout`], [`SendErrorKind::TopicRefused`] or [`SendErrorKind::Closed`], and
    /// [`SendErrorKind::InvalidRecord`] for a name that is too long to be asked for.
    pub async fn partitions_for(&self, topic: impl Into<Topic>) -> Result<Vec<PartitionInfo>, SendErrorKind> {
        let topic = topic.into();
        let record = ProducerRecord::<K, V>::to(topic.clone());
        record.check().map_err(|error| SendErrorKind::InvalidRecord(error.to_string()))?;
        let deadline = Waits::default().deadline(self.shared.settings.max_block);
        match self.shared.wait_for_topic(&record, deadline).await {
            Ok(cluster) => Ok(cluster.partitions(&topic).to_vec()),
            Err(error) => Err(self.shared.topic_error(&record, error, EnqueueWaits::default())),
        }
    }

    /// Waits until every record accepted before the call is delivered or has failed. None of them lingers; a record that
    /// is accepted later does, unless it finds room in a batch that waits to be sent.
    ///
    /// Whether they were delivered is told by their [`Delivery`]s, not here. It ends within `delivery.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up waiting and nothing else: once it has been polled, the records go without lingering.
    pub async fn flush(&self) {
        for cell in self.shared.accumulator.begin_flush() {
            cell.completed().await;
        }
    }

    /// Closes the producer, for all its clones: refuses new records, waits up to `timeout` until everything accepted is
    /// delivered or has failed, and then fails what is left with [`DeliveryErrorKind::Closed`].
    ///
    /// The report gives those back, and each one's error says whether it may have been written. Closing again waits for the
    /// end, too, and returns the same report. Of several calls that are under way the longest timeout counts, so that none
    /// of them cuts another short; to end at once all the same, [`purge`](Self::purge) everything.
    ///
    /// The timeout holds even if no thread drives the runtime in which the producer was built, or if this is called
    /// outside of any runtime: what is left is then failed by the caller itself.
    ///
    /// [`DeliveryErrorKind::Closed`]: crate::DeliveryErrorKind::Closed
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the producer closed to new records while it goes on delivering what it has accepted.
    pub async fn close(&self, timeout: Duration) -> CloseReport {
        let control = &self.shared.control;
        let mut closing = control.begin_close(far(clock::now(), timeout));
        self.shared.accumulator.close();
        control.end_if_idle();
        let mut clusters = self.shared.clusters.clone();
        // The sender drops its end of the channel when it ends.
        let ended = async move { while clusters.changed().await.is_ok() {} };
        let mut ended = std::pin::pin!(ended);
        while let Some(deadline) = closing.deadline() {
            let wait = async {
                tokio::select! {
                    biased;
                    () = ended.as_mut() => true,
                    () = closing.changed() => false,
                }
            };
            match deadline::timeout_at(deadline, wait).await {
                Some(true) => break,
                Some(false) => {}
                None => {
                    control.abort();
                    ended.await;
                    break;
                }
            }
        }
        CloseReport {
            delivered: self.shared.counters.records_delivered.value(),
            failed: self.shared.counters.record_errors.value(),
            undelivered: control.undelivered(),
        }
    }

    /// Gives up records that were accepted and are not settled, at once: they fail with [`DeliveryErrorKind::Purged`].
    ///
    /// [`Purge::Queued`] leaves alone what is under way to a broker; what it fails was not written, unless an attempt
    /// before may have been ([`DeliveryError::persisted`]). [`Purge::All`] fails that, too. Returns the error of each
    /// record, which gives it back, for those whose [`Delivery`] no caller holds.
    ///
    /// Calls of [`enqueue`](Self::enqueue) that still wait are not concerned, and the producer can be used as before. A
    /// producer that has ended gives up nothing. Nothing is waited for but the producer's background task, if it is just at
    /// work.
    ///
    /// [`DeliveryErrorKind::Purged`]: crate::DeliveryErrorKind::Purged
    ///
    /// # Cancel safety
    ///
    /// Once the future has been polled the records are given up, whether it is dropped or not.
    ///
    /// ```no_run
    /// # async fn example(producer: kafka_producer::KafkaProducer) {
    /// use kafka_producer::Purge;
    ///
    /// for error in producer.purge(Purge::Queued).await {
    ///     println!("not sent: {:?}", error.record());
    /// }
    /// # }
    /// ```
    pub async fn purge(&self, what: Purge) -> Vec<DeliveryError> {
        let purged = self.shared.control.purge(what);
        self.shared.accumulator.wake_sender();
        purged.await.unwrap_or_default()
    }

    /// Has a partition take records again that [`fail_stop`](KafkaProducerBuilder::fail_stop) has stopped, and returns
    /// whether it was stopped.
    ///
    /// To be called once it is decided what becomes of the records that came back: what is sent afterwards stands behind
    /// the gap that they leave. To leave none, send them again first thing, in their order, after having looked up those
    /// whose error says [`Persisted::Maybe`](crate::Persisted::Maybe). Batches that were under way behind the failed one
    /// are not brought back: their records fail, or are delivered if the broker has them, whenever that becomes certain.
    pub fn resume(&self, topic: impl Into<Topic>, partition: i32) -> bool {
        let topic = topic.into();
        self.shared.accumulator.queue(&topic, partition).is_some_and(|queue| queue.resume())
    }

    /// Returns a snapshot of the producer's counters.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let counters = &self.shared.counters;
        let memory = self.shared.accumulator.memory();
        let settled = counters.records_delivered.value() + counters.record_errors.value();
        let appended: u64 = self.shared.accumulator.appended_records();
        Metrics {
            batches_completed: counters.batches_completed.value(),
            batch_splits: counters.batch_splits.value(),
            buffer_available_bytes: memory.available(),
            buffer_total_bytes: memory.total(),
            buffered_bytes: memory.total() - memory.available(),
            buffered_records: appended.saturating_sub(settled),
            connections_created: counters.connections_created.value(),
            requests_in_flight: counters.requests_in_flight.value(),
            requests_sent: counters.requests_sent.value(),
            produce_requests_sent: counters.produce_requests_sent.value(),
            metadata_requests_sent: counters.metadata_requests_sent.value(),
            records_delivered: counters.records_delivered.value(),
            record_errors: counters.record_errors.value(),
            record_retries: counters.record_retries.value(),
            bytes_sent: counters.bytes_sent.value(),
            waiting_for_memory: memory.waiters(),
        }
    }

    /// Returns the value in force of one of Kafka's property names, as Kafka writes it; `None` for a name that this
    /// crate does not support.
    #[must_use]
    pub fn config_value(&self, key: &str) -> Option<String> {
        self.shared.settings.get(key)
    }
}

impl<K, V> ProducerShared<K, V> {
    async fn wait_for_topic(
        &self,
        record: &ProducerRecord<K, V>,
        deadline: Instant,
    ) -> Result<Arc<Cluster>, TopicWaitError> {
        let wait = TopicWait {
            topic: &record.topic,
            partition: record.partition,
            control: &self.control,
            accumulator: &self.accumulator,
        };
        wait.wait(&self.clusters, deadline).await
    }

    fn ask_for_topic(&self, record: &ProducerRecord<K, V>) -> SendErrorKind {
        self.control.want_topic(&record.topic);
        self.accumulator.wake_sender();
        let cluster = Arc::clone(&self.clusters.borrow());
        match topic_wait::refusal(&cluster, &record.topic) {
            Some(code) => SendErrorKind::TopicRefused { topic: record.topic.clone(), code },
            None => SendErrorKind::TopicUnknown {
                topic: record.topic.clone(),
                partition: record.partition,
                partition_count: cluster.partition_count(&record.topic),
            },
        }
    }

    fn topic_error(
        &self,
        record: &ProducerRecord<K, V>,
        error: TopicWaitError,
        spent: EnqueueWaits,
    ) -> SendErrorKind {
        let topic = record.topic.clone();
        match error {
            TopicWaitError::Closed => self.end(),
            TopicWaitError::Refused(code) => SendErrorKind::TopicRefused { topic, code },
            TopicWaitError::TimedOut { partition_count, cause, obstacle, is_connected } => {
                SendErrorKind::MetadataTimeout {
                    topic,
                    partition: record.partition,
                    partition_count,
                    waited: self.settings.max_block.saturating_sub(spent.memory),
                    cause,
                    obstacle,
                    is_connected,
                }
            }
        }
    }

    /// Says why records are refused by a producer that has ended or is about to.
    fn end(&self) -> SendErrorKind {
        match self.control.end() {
            Some(DeliveryErrorKind::RuntimeShutdown) => SendErrorKind::RuntimeShutdown,
            Some(DeliveryErrorKind::SenderPanicked(message)) => {
                SendErrorKind::SenderPanicked(message.clone())
            }
            _ => SendErrorKind::Closed,
        }
    }

    fn memory_timeout(&self, needed: usize, spent: EnqueueWaits) -> SendErrorKind {
        SendErrorKind::MemoryTimeout {
            needed,
            limit: self.accumulator.memory().total(),
            metadata_wait: spent.metadata,
            memory_wait: spent.memory,
        }
    }
}

/// What became of the records of a closed producer, from its beginning to its end.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "records may not have been delivered"]
pub struct CloseReport {
    /// Records that were acknowledged.
    pub delivered: u64,
    /// Records that failed after they had been accepted, those that closing failed included.
    pub failed: u64,
    /// The error of each record that was not settled when the timeout ended, and was failed then: it gives the record back
    /// ([`DeliveryError::record`]) and tells whether it may have been written ([`DeliveryError::persisted`]). In their
    /// order within each partition.
    pub undelivered: Vec<DeliveryError>,
}

impl KafkaProducer {
    /// Starts a builder for a producer with [`Bytes`] as keys and values. Other types are chosen on the builder.
    #[must_use]
    pub fn builder() -> KafkaProducerBuilder {
        KafkaProducerBuilder::default()
    }
}

impl<K, V> Clone for KafkaProducer<K, V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K, V> fmt::Debug for KafkaProducer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaProducer")
            .field("client_id", &self.shared.settings.client_id)
            .field("bootstrap", &self.shared.settings.bootstrap)
            .finish_non_exhaustive()
    }
}

impl<K, V> Drop for ProducerShared<K, V> {
    fn drop(&mut self) {
        // The sender delivers what was accepted and then ends.
        self.accumulator.close();
    }
}
