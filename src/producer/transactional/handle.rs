//! [`TransactionHandle`]: how many tasks send into one transaction.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::Intake;
use crate::delivery::{Delivery, RecordMetadata};
use crate::error::SendError;
use crate::producer::ProducerShared;
use crate::producer::enqueue::Enqueue;
use crate::record::ProducerRecord;

/// Sends records into one transaction, from any task.
///
/// It may outlive the transaction, and is refused then
/// ([`SendErrorKind::TransactionOver`](crate::SendErrorKind::TransactionOver)). It does not keep the producer alive.
pub struct TransactionHandle<K = Bytes, V = Bytes> {
    shared: Arc<ProducerShared<K, V>>,
    intake: Arc<Intake>,
}

impl<K, V> TransactionHandle<K, V> {
    pub(super) fn new(shared: Arc<ProducerShared<K, V>>, intake: Arc<Intake>) -> Self {
        Self { shared, intake }
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
    pub async fn send(&self, record: ProducerRecord<K, V>) -> Result<RecordMetadata, SendError<K, V>> {
        Ok(self.enqueue(record).await?.await?)
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
        Enqueue::new(&self.shared, record, Some(&self.intake))
    }

    /// Hands a record over if that needs no waiting, as [`Transaction::try_enqueue`](super::Transaction::try_enqueue) does.
    ///
    /// # Errors
    ///
    /// As those of [`Transaction::try_enqueue`](super::Transaction::try_enqueue), and [`SendErrorKind::TransactionOver`](crate::SendErrorKind::TransactionOver).
    pub fn try_enqueue(&self, record: ProducerRecord<K, V>) -> Result<Delivery, SendError<K, V>> {
        self.shared.try_enqueue(record, Some(&self.intake))
    }
}

impl<K, V> Clone for TransactionHandle<K, V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), intake: Arc::clone(&self.intake) }
    }
}

impl<K, V> fmt::Debug for TransactionHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionHandle").field("intake", &self.intake).finish_non_exhaustive()
    }
}
