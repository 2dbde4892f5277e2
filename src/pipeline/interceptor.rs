//! [`ProducerInterceptor`]: the user's hook before a record is sent and after its end.

mod acknowledgement;
mod chain;

use std::sync::Arc;

use bytes::Bytes;

use super::BoxError;
use crate::record::ProducerRecord;

pub(crate) use self::acknowledgement::AckOutcome;
pub use self::acknowledgement::Acknowledgement;
pub(crate) use self::chain::InterceptorChain;

/// Sees every record before it is serialized, and every outcome.
///
/// Interceptors form a chain. Each gets the record as the one before it returned it. The producer sends the record that the
/// last one returns, whatever the interceptors have changed. If an interceptor fails or panics, the producer passes it over: the
/// next one gets the last record that was returned without failure, and the producer logs a warning. The warning holds the text
/// of the error, so that text must not tell what is in the record.
///
/// Several threads may call both methods at once. They must not block: `on_send` runs on the task that calls `send`, and
/// `on_acknowledgement` runs mostly on the producer's own task, where it would hold up all deliveries.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use kafka_producer::{Acknowledgement, BoxError, ProducerInterceptor, ProducerRecord};
///
/// #[derive(Default)]
/// struct Audit {
///     failures: AtomicU64,
/// }
///
/// impl<K: Clone, V: Clone> ProducerInterceptor<K, V> for Audit {
///     fn on_send(&self, record: &ProducerRecord<K, V>) -> Result<Option<ProducerRecord<K, V>>, BoxError> {
///         Ok(Some(record.clone().header("origin", "billing")))
///     }
///
///     fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
///         if acknowledgement.error().is_some() {
///             self.failures.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
///
/// To read such counters later, keep an `Arc` of the interceptor and give the producer another: `Arc<I>` is an interceptor
/// if `I` is.
pub trait ProducerInterceptor<K = Bytes, V = Bytes>: Send + Sync + 'static {
    /// The producer calls this with each record before it does anything else with it. If it returns `Some`, the producer goes on
    /// with that record instead.
    ///
    /// The replacement may differ in everything, topic and partition included.
    ///
    /// # Errors
    ///
    /// If it returns an error, the record stays as it was and is sent all the same.
    fn on_send(&self, record: &ProducerRecord<K, V>) -> Result<Option<ProducerRecord<K, V>>, BoxError> {
        let _ = record;
        Ok(None)
    }

    /// The producer calls this once for each record with what has become of it, before the caller who sent the record learns
    /// of it.
    ///
    /// It does so for refused records, too, also for those that were refused before they had a partition. If a call of `send`
    /// or `enqueue` is dropped while it waits, the error is [`SendErrorKind::Cancelled`](crate::SendErrorKind::Cancelled).
    fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
        let _ = acknowledgement;
    }
}

impl<K, V, I: ProducerInterceptor<K, V> + ?Sized> ProducerInterceptor<K, V> for Arc<I> {
    fn on_send(&self, record: &ProducerRecord<K, V>) -> Result<Option<ProducerRecord<K, V>>, BoxError> {
        (**self).on_send(record)
    }

    fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
        (**self).on_acknowledgement(acknowledgement);
    }
}
