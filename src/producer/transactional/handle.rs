//! [`TransactionHandle`]: how many tasks send into one transaction.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::Intake;
use crate::delivery::{Delivery, RecordMetadata};
use crate::error::SendError;
use crate::pipeline::{Serializable, Serializer};
use crate::producer::KafkaProducer;
use crate::producer::SendRecord;
use crate::producer::enqueue::Enqueue;
use crate::record::ProducerRecord;

/// Sends records into one transaction, from any task.
///
/// It may outlive the transaction, and is refused then
/// ([`SendErrorKind::TransactionOver`](crate::SendErrorKind::TransactionOver)). It does not keep the producer alive.
pub struct TransactionHandle<K = Bytes, V = Bytes> {
    producer: KafkaProducer<K, V>,
    intake: Arc<Intake>,
}

impl<K, V> TransactionHandle<K, V> {
    pub(super) fn new(producer: KafkaProducer<K, V>, intake: Arc<Intake>) -> Self {
        Self { producer, intake }
    }

    pub(in crate::producer) fn parts(&self) -> (&KafkaProducer<K, V>, &Arc<Intake>) {
        (&self.producer, &self.intake)
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> TransactionHandle<K, V> {
    /// Sends a record and waits for its acknowledgement, as [`Transaction::send`](super::Transaction::send) does.
    ///
    /// # Cancel safety
    ///
    /// As that of [`KafkaProducer::send`](crate::KafkaProducer::send).
    ///
    /// # Errors
    ///
    /// As those of [`Transaction::send`](super::Transaction::send), and [`SendErrorKind::TransactionOver`](crate::SendErrorKind::TransactionOver).
    pub fn send(
        &self,
        record: ProducerRecord<K, V>,
    ) -> impl Future<Output = Result<RecordMetadata, SendError<K, V>>> + Send + '_ {
        SendRecord::new(Enqueue::new(&self.producer, record, Some(&self.intake)))
    }

    /// Hands a record over, as [`Transaction::enqueue`](super::Transaction::enqueue) does.
    ///
    /// # Cancel safety
    ///
    /// As that of [`KafkaProducer::enqueue`](crate::KafkaProducer::enqueue).
    ///
    /// # Errors
    ///
    /// As those of [`Transaction::enqueue`](super::Transaction::enqueue), and [`SendErrorKind::TransactionOver`](crate::SendErrorKind::TransactionOver).
    pub fn enqueue(
        &self,
        record: ProducerRecord<K, V>,
    ) -> impl Future<Output = Result<Delivery, SendError<K, V>>> + Send + '_ {
        Enqueue::new(&self.producer, record, Some(&self.intake))
    }

    /// Hands a record over if that needs no waiting, as [`Transaction::try_enqueue`](super::Transaction::try_enqueue) does.
    ///
    /// # Errors
    ///
    /// As those of [`Transaction::try_enqueue`](super::Transaction::try_enqueue), and [`SendErrorKind::TransactionOver`](crate::SendErrorKind::TransactionOver).
    pub fn try_enqueue(&self, record: ProducerRecord<K, V>) -> Result<Delivery, SendError<K, V>> {
        self.producer.try_enqueue_in(record, Some(&self.intake))
    }

    /// Waits until every record accepted before the call is delivered or has failed, as [`KafkaProducer::flush`] does.
    ///
    /// # Cancel safety
    ///
    /// As that of [`KafkaProducer::flush`].
    pub async fn flush(&self) {
        self.producer.flush().await;
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> TransactionHandle<K, V> {
    /// Returns a handle of the same transaction for records with keys and values of other types, as
    /// [`KafkaProducer::with_serializers`] does.
    #[must_use]
    pub fn with_serializers<K2, V2>(
        &self,
        key: impl Serializer<K2>,
        value: impl Serializer<V2>,
    ) -> TransactionHandle<K2, V2>
    where
        K2: Send + Sync + 'static,
        V2: Send + Sync + 'static,
    {
        TransactionHandle::new(self.producer.with_serializers(key, value), Arc::clone(&self.intake))
    }

    /// Returns a handle of the same transaction for types that have serializers of their own, as [`KafkaProducer::with_types`] does.
    #[must_use]
    pub fn with_types<K2, V2>(&self) -> TransactionHandle<K2, V2>
    where
        K2: Serializable + Send + Sync + 'static,
        V2: Serializable + Send + Sync + 'static,
    {
        TransactionHandle::new(self.producer.with_types(), Arc::clone(&self.intake))
    }
}

impl<K, V> Clone for TransactionHandle<K, V> {
    fn clone(&self) -> Self {
        Self { producer: self.producer.clone(), intake: Arc::clone(&self.intake) }
    }
}

impl<K, V> fmt::Debug for TransactionHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionHandle").field("intake", &self.intake).finish_non_exhaustive()
    }
}
