//! [`KafkaProducer`]: the handle, and the walk of a record from `send` to its batch.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::accumulator::EnqueueWaits;
use crate::clock;
use crate::delivery::{Delivery, RecordMetadata};
use crate::error::{DeliveryError, SendError, SendErrorKind};
use crate::metadata::PartitionInfo;
use crate::record::ProducerRecord;
use crate::sender::Purge;
use crate::topic_partition::{Topic, TopicPartition};

mod adaptors;
mod authentication;
mod blocking;
mod bootstrap_names;
mod build_error;
mod builder;
mod burst;
mod caller;
mod close_report;
mod core;
mod deadline;
mod enqueue;
mod face;
mod fields;
mod health;
#[cfg(feature = "telemetry")]
mod instance_id;
mod memory_wait;
mod not_ready;
mod observing;
mod own_runtime;
mod placing;
mod refusal_log;
mod send_records;
mod sending;
#[cfg(test)]
pub(crate) mod simulated;
mod time_limits;
mod topic_handle;
mod topic_wait;
mod topics;
mod transactional;
mod walk;
pub(crate) mod workers;

#[cfg(any(test, feature = "test-util"))]
pub(crate) use self::adaptors::Acceptance;
#[cfg(any(test, feature = "test-util", feature = "tower"))]
pub(crate) use self::adaptors::Accepts;
#[cfg(feature = "tower")]
pub use self::adaptors::SendFuture;
pub use self::adaptors::{RecordSink, SendStream};
#[cfg(feature = "tower")]
pub(crate) use self::adaptors::{give_way, service};
pub use self::blocking::{BlockingRefused, block_on};
pub use self::build_error::BuildError;
pub use self::builder::KafkaProducerBuilder;
pub use self::burst::AsRecord;
pub use self::close_report::CloseReport;
pub(crate) use self::core::ProducerCore;
use self::enqueue::{Enqueue, TimeBlocked, TimeLimit, far};
use self::face::Face;
pub use self::health::Health;
#[cfg(feature = "telemetry")]
pub use self::instance_id::{ClientInstanceId, ClientInstanceIdError};
pub use self::not_ready::NotReady;
pub use self::send_records::{Enqueueing, Flushing, SendRecords, Sending};
use self::sending::SendRecord;
pub use self::topic_handle::TopicHandle;
pub use self::transactional::{
    ConsumerGroupMetadata, OffsetAndMetadata, PoolError, PooledProducer, Transaction, TransactionHandle,
    TransactionalProducer, TransactionalProducerPool,
};
use self::transactional::{Intake, number_of};
use self::walk::Walk;

/// Sends records to Kafka.
///
/// Cheap to clone, and usable from any number of tasks at once: all clones share one memory, one background task and
/// one connection per broker. Make one for the life of the application.
///
/// `K` and `V` are the types of keys and values. They are [`Bytes`] unless you give the builder serializers for others.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kafka_producer::{KafkaProducer, ProducerRecord};
///
/// let producer = KafkaProducer::builder().bootstrap_servers("localhost:9092").build()?;
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
/// Build a producer within a tokio runtime that has I/O and timers, or have it make one of its own by
/// [`build_blocking`](KafkaProducerBuilder::build_blocking). Its background task runs there, and sends records as
/// long as a thread drives that runtime. You may use the producer from anywhere: from other runtimes, with or without
/// timers, and from threads without a runtime, with any executor, `Handle::block_on`, or the calls that [block](crate#from-threads). `max.block.ms` and the timeout of
/// [`close`](Self::close) hold everywhere: a [thread](crate#threads) ends these waits. There is one exception: if the program
/// is built with `panic = "abort"` and the caller is in a current-thread runtime, that runtime needs timers, because tokio
/// panics when the producer asks whether it has any. When the producer's runtime is shut down, everything that was accepted
/// fails with [`DeliveryErrorKind::RuntimeShutdown`](crate::DeliveryErrorKind::RuntimeShutdown).
///
/// # Dropping
///
/// Dropping the last handle neither blocks nor loses records: as long as the runtime lives, the background task goes on until
/// everything that was accepted is delivered or has failed. Before an application ends, it should call
/// [`close`](Self::close), which waits for that.
pub struct KafkaProducer<K = Bytes, V = Bytes> {
    core: Arc<ProducerCore>,
    face: Arc<Face<K, V>>,
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Sends a record and waits for its acknowledgement.
    ///
    /// The same as `producer.enqueue(record).await?.await`.
    ///
    /// # Cancel safety
    ///
    /// If you drop the future before the record is accepted, the record is not sent. If you drop it later, the producer
    /// sends the record all the same. So when a `timeout` around this call ends, the record may still be written.
    ///
    /// # Errors
    ///
    /// [`SendError`] says why, gives the record back, and tells whether it may stand in the log.
    pub fn send(
        &self,
        record: ProducerRecord<K, V>,
    ) -> impl Future<Output = Result<RecordMetadata, SendError<K, V>>> + Send + '_ {
        SendRecord::new(Enqueue::new(self, record, None))
    }

    /// Hands a record over, and returns once the producer has accepted it.
    ///
    /// It waits for the topic's metadata and for memory, together at most `max.block.ms`. When it returns, the record has
    /// its partition and its place after those enqueued before. The [`Delivery`] resolves when the broker has acknowledged
    /// the record, or the record has failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it has returned withdraws the record: it is not sent and holds no memory. If interceptors
    /// have seen the record, the producer tells them that it was cancelled.
    ///
    /// # Errors
    ///
    /// The record was not accepted and comes back in the error.
    #[inline]
    pub fn enqueue(
        &self,
        record: ProducerRecord<K, V>,
    ) -> impl Future<Output = Result<Delivery, SendError<K, V>>> + Send + '_ {
        Enqueue::new(self, record, None)
    }

    /// Hands a record over if that needs no waiting.
    ///
    /// # Errors
    ///
    /// The record was not accepted and comes back in the error: [`SendErrorKind::Full`] when memory is short,
    /// [`SendErrorKind::TopicUnknown`] when the producer does not have the topic's metadata yet (it then asks for it),
    /// [`SendErrorKind::Closed`], [`SendErrorKind::TooLarge`] and those about the record itself.
    #[inline]
    pub fn try_enqueue(&self, record: ProducerRecord<K, V>) -> Result<Delivery, SendError<K, V>> {
        self.try_enqueue_in(record, None)
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
        ProducerRecord::<K, V>::to(topic.clone())
            .check()
            .map_err(|error| SendErrorKind::InvalidRecord(error.to_string()))?;
        let deadline = TimeBlocked::default().deadline(self.core.settings.max_block);
        match self.core.wait_for_topic(&topic, None, deadline).await {
            Ok(cluster) => Ok(cluster.partitions(&topic).to_vec()),
            Err(error) => {
                Err(self.core.topic_error(&topic, None, error, EnqueueWaits::default(), TimeLimit::MaxBlock))
            }
        }
    }

    /// Waits until every record accepted before the call is delivered or has failed. None of these records lingers. A record
    /// that is accepted later does, unless it finds room in a batch that waits to be sent.
    ///
    /// It returns nothing: the [`Delivery`] of each record tells whether the record was delivered. It ends within
    /// `delivery.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only ends the wait. Once the future has been polled, the records do not linger, whether you drop it
    /// or not.
    pub async fn flush(&self) {
        for cell in self.core.accumulator.begin_flush() {
            cell.completed().await;
        }
    }

    /// Closes the producer, for all its clones: refuses new records, waits up to `timeout` until everything accepted is
    /// delivered or has failed, and then fails what is left with [`DeliveryErrorKind::Closed`].
    ///
    /// The report gives the records back that this call has failed, and the error of each says whether the record may have
    /// been written. A second call waits for the end, too, and returns the same report. If several calls are under way, the
    /// longest timeout counts for all of them, so that no call ends another one early. To end at once all the same,
    /// [`purge`](Self::purge) everything.
    ///
    /// The timeout holds even if no thread drives the runtime in which the producer was built, and outside of any runtime:
    /// this call then fails what is left by itself.
    ///
    /// [`DeliveryErrorKind::Closed`]: crate::DeliveryErrorKind::Closed
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the producer closed to new records while it goes on delivering what it has accepted.
    pub async fn close(&self, timeout: Duration) -> CloseReport {
        let control = &self.core.control;
        let mut closing = control.begin_close(far(clock::now(), timeout));
        self.core.accumulator.close();
        control.end_if_idle();
        let mut clusters = self.core.clusters.clone();
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
        let undelivered = control.undelivered();
        let brokers = match undelivered.is_empty() {
            true => Vec::new(),
            false => self.core.board.reports(None, clock::now()),
        };
        self.core.refusals.tell_rest(&self.core.settings.client_id);
        CloseReport {
            delivered: self.core.counters.records_delivered.value(),
            failed: self.core.counters.record_errors.value(),
            undelivered,
            brokers,
            unseen_commit: None,
        }
    }

    /// Gives up at once records that were accepted and are neither delivered nor failed: they fail with
    /// [`DeliveryErrorKind::Purged`].
    ///
    /// [`Purge::Queued`] fails the records that wait in the producer, and leaves alone those that are under way to a broker. A
    /// record that waits for another attempt may have been written by an earlier one: [`DeliveryError::persisted`] tells.
    /// [`Purge::All`] also fails the records that are under way. It returns the error of each failed record, which gives the
    /// record back even if no caller holds its [`Delivery`].
    ///
    /// It does not touch calls of [`enqueue`](Self::enqueue) that still wait, and you can use the producer as before. In a
    /// producer that has ended there is nothing to give up. It waits only for the producer's background task, if that is
    /// running at the moment.
    ///
    /// [`DeliveryErrorKind::Purged`]: crate::DeliveryErrorKind::Purged
    ///
    /// # Cancel safety
    ///
    /// Once the future has been polled, the producer gives the records up, whether you drop the future or not.
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
        let purged = self.core.control.purge(what);
        self.core.accumulator.wake_sender();
        purged.await.unwrap_or_default()
    }

    /// Lets a partition that [`fail_stop`](KafkaProducerBuilder::fail_stop) has stopped take records again. Returns whether
    /// the partition was stopped.
    ///
    /// Call this after you have decided what to do with the records that came back: records that you send from now on stand
    /// in the log after the gap that the failed ones leave. To leave no gap, first look up in the log the records whose error
    /// says [`Persisted::Maybe`](crate::Persisted::Maybe), and send again, in their order, all failed records that are not
    /// there, before any other record. Batches that were under way after the failed one do not join the partition again: their
    /// records fail, or are delivered if the broker has them, as soon as the producer knows which.
    pub fn resume(&self, partition: &TopicPartition) -> bool {
        let TopicPartition { topic, partition } = partition;
        self.core.accumulator.queue(topic, *partition).is_some_and(|queue| queue.resume())
    }

    /// Returns the value that the producer uses for one of Kafka's property names, as Kafka writes it. Returns `None` for a
    /// name that this crate does not support.
    #[must_use]
    pub fn config_value(&self, key: &str) -> Option<String> {
        self.core.settings.get(key)
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Hands a record over if that needs no waiting.
    fn try_enqueue_in(
        &self,
        record: ProducerRecord<K, V>,
        intake: Option<&Intake>,
    ) -> Result<Delivery, SendError<K, V>> {
        let mut record = record;
        let mut walk = Walk::new(self, &mut record, number_of(intake));
        let kind = match walk.step() {
            Ok(delivery) => return Ok(delivery),
            Err(stop) => self.core.not_at_once(stop, &walk.record().topic, walk.record().partition),
        };
        if let Some(intake) = intake {
            intake.note_not_at_once(walk.record(), &kind);
        }
        Err(walk.refuse(kind))
    }
}

impl KafkaProducer {
    /// Starts a builder for a producer with [`Bytes`] as keys and values. The builder can change these types.
    #[must_use]
    pub fn builder() -> KafkaProducerBuilder {
        KafkaProducerBuilder::default()
    }
}

impl<K, V> Clone for KafkaProducer<K, V> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), face: Arc::clone(&self.face) }
    }
}

impl<K, V> fmt::Debug for KafkaProducer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaProducer")
            .field("client_id", &self.core.settings.client_id)
            .field("bootstrap", &self.core.settings.bootstrap)
            .finish_non_exhaustive()
    }
}
