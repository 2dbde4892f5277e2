//! [`SendRecords`]: what application code asks of a producer, so that its tests can put another in its place.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::delivery::{Delivery, RecordMetadata};
use crate::error::SendError;
use crate::producer::{KafkaProducer, Transaction, TransactionHandle};
use crate::record::ProducerRecord;

/// Sends records: what code asks for that is to be tested without brokers, as `&dyn SendRecords`, as `Arc<dyn SendRecords>`, or
/// as a type parameter.
///
/// [`KafkaProducer`] sends to Kafka, [`Transaction`] and [`TransactionHandle`] into a transaction. `MockProducer` (feature `test-util`)
/// keeps the records. The methods are those of [`KafkaProducer`], with the same errors and the same cancel safety. A call through this trait
/// allocates once; the methods of the types themselves do not. They have the same names and come first, but not through an `Arc`: clone a
/// [`KafkaProducer`] rather than put it into one.
///
/// ```
/// use std::sync::Arc;
///
/// use kafka_producer::{ProducerRecord, SendRecords};
///
/// struct Shop {
///     producer: Arc<dyn SendRecords>,
/// }
///
/// impl Shop {
///     async fn sell(&self, what: String) -> Result<(), Box<dyn std::error::Error>> {
///         self.producer.send(ProducerRecord::to("orders").value(what)).await?;
///         Ok(())
///     }
/// }
/// ```
pub trait SendRecords<K = Bytes, V = Bytes>: Send + Sync {
    /// Sends a record and waits for its acknowledgement, as [`KafkaProducer::send`] does.
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::send`].
    fn send<'a>(&'a self, record: ProducerRecord<K, V>) -> Sending<'a, K, V>;

    /// Hands a record over, as [`KafkaProducer::enqueue`] does.
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::enqueue`].
    fn enqueue<'a>(&'a self, record: ProducerRecord<K, V>) -> Enqueueing<'a, K, V>;

    /// Hands a record over if that needs no waiting, as [`KafkaProducer::try_enqueue`] does.
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::try_enqueue`].
    fn try_enqueue(&self, record: ProducerRecord<K, V>) -> Result<Delivery, SendError<K, V>>;

    /// Waits until every record accepted before the call is delivered or has failed, as [`KafkaProducer::flush`] does.
    fn flush<'a>(&'a self) -> Flushing<'a>;
}

/// What [`SendRecords::send`] returns.
pub type Sending<'a, K = Bytes, V = Bytes> =
    Pin<Box<dyn Future<Output = Result<RecordMetadata, SendError<K, V>>> + Send + 'a>>;

/// What [`SendRecords::enqueue`] returns.
pub type Enqueueing<'a, K = Bytes, V = Bytes> =
    Pin<Box<dyn Future<Output = Result<Delivery, SendError<K, V>>> + Send + 'a>>;

/// What [`SendRecords::flush`] returns.
pub type Flushing<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Passes all calls on to the type's own methods, which come before those of the trait.
macro_rules! send_records {
    ([$($generic:tt)*] for $type:ty) => {
        impl<$($generic,)* K: Send + Sync + 'static, V: Send + Sync + 'static> SendRecords<K, V> for $type {
            fn send<'a>(&'a self, record: ProducerRecord<K, V>) -> Sending<'a, K, V> {
                Box::pin(self.send(record))
            }

            fn enqueue<'a>(&'a self, record: ProducerRecord<K, V>) -> Enqueueing<'a, K, V> {
                Box::pin(self.enqueue(record))
            }

            fn try_enqueue(&self, record: ProducerRecord<K, V>) -> Result<Delivery, SendError<K, V>> {
                self.try_enqueue(record)
            }

            fn flush<'a>(&'a self) -> Flushing<'a> {
                Box::pin(self.flush())
            }
        }
    };
}

/// Passes all calls on to what it points to.
macro_rules! send_records_through {
    ([$($generic:tt)*] $type:ty) => {
        impl<$($generic,)* T: SendRecords<K, V> + ?Sized, K, V> SendRecords<K, V> for $type {
            fn send<'a>(&'a self, record: ProducerRecord<K, V>) -> Sending<'a, K, V> {
                (**self).send(record)
            }

            fn enqueue<'a>(&'a self, record: ProducerRecord<K, V>) -> Enqueueing<'a, K, V> {
                (**self).enqueue(record)
            }

            fn try_enqueue(&self, record: ProducerRecord<K, V>) -> Result<Delivery, SendError<K, V>> {
                (**self).try_enqueue(record)
            }

            fn flush<'a>(&'a self) -> Flushing<'a> {
                (**self).flush()
            }
        }
    };
}

send_records!([] for KafkaProducer<K, V>);
send_records!(['t] for Transaction<'t, K, V>);
send_records!([] for TransactionHandle<K, V>);
send_records_through!([] Arc<T>);
send_records_through!(['t] &'t T);
