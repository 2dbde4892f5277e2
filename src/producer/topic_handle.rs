//! [`TopicHandle`]: sends to one topic what the caller lends.

use std::fmt;
use std::future::Future;

use bytes::Bytes;

use crate::accumulator::NO_TRANSACTION;
use crate::delivery::{Delivery, RecordMetadata};
use crate::error::{SendError, SendErrorKind};
use crate::producer::caller::HandleId;
use crate::producer::fields::{Fields, Lent};
use crate::producer::{Enqueue, KafkaProducer, SendRecord, Walk};
use crate::topic_partition::Topic;

/// Sends records to one topic, by way of the producer that it was made by: [`KafkaProducer::topic`].
///
/// This is the fastest way to send one record; [`enqueue_all`](Self::enqueue_all) is the fastest one for many. Keys and values are borrowed: the
/// producer serializes them from where they are, and clones them only if the record must wait, if it is refused, or if it goes through
/// interceptors. For headers, a partition or a
/// timestamp of its own, give a [`ProducerRecord`](crate::ProducerRecord) to the [`producer`](Self::producer).
///
/// It is cheap to clone and may be used from any number of tasks at once. It keeps the producer going as a clone of that would, and
/// may be kept as long as you like: the topic may get more partitions, or be made anew.
///
/// ```no_run
/// # async fn example(producer: kafka_producer::KafkaProducer) -> Result<(), Box<dyn std::error::Error>> {
/// let orders = producer.with_types::<String, String>().topic("orders");
///
/// let (customer, order) = ("customer-7".to_owned(), "2 apples".to_owned());
/// let metadata = orders.send(&customer, &order).await?;
/// println!("written to {metadata}");
///
/// let delivery = orders.enqueue(None, &order).await?;
/// delivery.await?;
/// # Ok(())
/// # }
/// ```
pub struct TopicHandle<K = Bytes, V = Bytes> {
    producer: KafkaProducer<K, V>,
    topic: Topic,
    pub(super) id: HandleId,
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Returns a handle that sends to one topic.
    ///
    /// It asks for nothing yet: the first record waits for the topic's metadata, as with [`enqueue`](Self::enqueue). The calls that send
    /// return an error for a name that is too long for Kafka's protocol. Keep the handle, or clone it, rather than make one for each record: a
    /// thread looks the topic up once for each handle.
    #[must_use]
    pub fn topic(&self, topic: impl Into<Topic>) -> TopicHandle<K, V> {
        TopicHandle { producer: self.clone(), topic: topic.into(), id: HandleId::next() }
    }
}

impl<K, V> TopicHandle<K, V> {
    /// Returns the name of the topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Returns the producer that records go through.
    #[must_use]
    pub fn producer(&self) -> &KafkaProducer<K, V> {
        &self.producer
    }
}

impl<K, V> TopicHandle<K, V>
where
    K: Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Sends a record and waits for its acknowledgement, as [`KafkaProducer::send`] does.
    ///
    /// Key and value are references, or `None` for null.
    ///
    /// # Cancel safety
    ///
    /// As that of [`KafkaProducer::send`].
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::send`]. A clone of the record comes back in the error.
    pub fn send<'a>(
        &'a self,
        key: impl Into<Option<&'a K>>,
        value: impl Into<Option<&'a V>>,
    ) -> impl Future<Output = Result<RecordMetadata, SendError<K, V>>> + Send + 'a {
        SendRecord::new(Enqueue::new(&self.producer, self.lent(key.into(), value.into()), None))
    }

    /// Hands a record over, and returns once the producer has accepted it, as [`KafkaProducer::enqueue`] does.
    ///
    /// Key and value are references, or `None` for null.
    ///
    /// # Cancel safety
    ///
    /// As that of [`KafkaProducer::enqueue`].
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::enqueue`]. A clone of the record comes back in the error.
    #[inline]
    pub fn enqueue<'a>(
        &'a self,
        key: impl Into<Option<&'a K>>,
        value: impl Into<Option<&'a V>>,
    ) -> impl Future<Output = Result<Delivery, SendError<K, V>>> + Send + 'a {
        Enqueue::new(&self.producer, self.lent(key.into(), value.into()), None)
    }

    /// Hands a record over if that needs no waiting, as [`KafkaProducer::try_enqueue`] does.
    ///
    /// Key and value are references, or `None` for null.
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::try_enqueue`]. The record was not accepted; there is nothing to give back.
    #[inline]
    pub fn try_enqueue<'a>(
        &'a self,
        key: impl Into<Option<&'a K>>,
        value: impl Into<Option<&'a V>>,
    ) -> Result<Delivery, SendErrorKind> {
        let mut lent = self.lent(key.into(), value.into());
        if let Some(mut walk) = Walk::begin(&self.producer, &mut lent, NO_TRANSACTION) {
            match walk.step() {
                Ok(delivery) => return Ok(delivery),
                Err(stop) => {
                    let kind = self.producer.core.not_at_once(stop, &self.topic, None);
                    self.producer.core.refusals.tell(&kind, &self.producer.core.settings.client_id);
                    return Err(kind);
                }
            }
        }
        self.try_enqueue_own(lent)
    }

    #[inline]
    pub(super) fn lent<'a>(&'a self, key: Option<&'a K>, value: Option<&'a V>) -> Lent<'a, K, V> {
        Lent::new(self.id, &self.topic, key, value)
    }

    /// The same with a record of its own, for interceptors.
    #[cold]
    fn try_enqueue_own(&self, lent: Lent<'_, K, V>) -> Result<Delivery, SendErrorKind> {
        self.producer.try_enqueue(lent.into_record()).map_err(|error| error.kind().clone())
    }
}

impl<K, V> Clone for TopicHandle<K, V> {
    fn clone(&self) -> Self {
        Self { producer: self.producer.clone(), topic: self.topic.clone(), id: self.id }
    }
}

impl<K, V> fmt::Debug for TopicHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicHandle").field("topic", &self.topic).finish_non_exhaustive()
    }
}
