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
/// Interceptors form a chain. Each gets the record as the one before it left it; the record behind the last one is sent,
/// whatever an interceptor changed in it. An interceptor that fails or panics is passed over: the next gets the last record
/// that was returned without failure, and a warning is logged. The warning holds the text of the error, so that text must
/// not tell what is in the record.
///
/// Both methods are called by several threads at once and must not block: `on_send` runs on the task that calls `send`,
/// `on_acknowledgement` in most cases on the producer's own task, where waiting would hold up all deliveries.
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
    /// Is called with each record before anything else happens to it; `Some` puts another record in its place.
    ///
    /// The replacement may differ in everything, topic and partition included.
    ///
    /// # Errors
    ///
    /// Any error leaves the record as it was; the record is sent all the same.
    fn on_send(&self, record: &ProducerRecord<K, V>) -> Result<Option<ProducerRecord<K, V>>, BoxError> {
        let _ = record;
        Ok(None)
    }

    /// Is called once for each record with what became of it, before its sender learns of it.
    ///
    /// That includes records which were refused before they were given to a partition, and those whose `send` or `enqueue`
    /// was dropped while it waited: their error is [`SendErrorKind::Cancelled`](crate::SendErrorKind::Cancelled).
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
