//! The producer as a service of the crate `tower`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::Acceptance;
use crate::delivery::{Delivery, RecordMetadata};
use crate::error::SendError;
use crate::producer::{Enqueueing, KafkaProducer, TransactionHandle};

/// The future of a call of the producer as a `tower::Service` (feature `tower`).
///
/// # Cancel safety
///
/// As that of [`KafkaProducer::send`]: dropping it withdraws a record that waits to be accepted, and no other. After it has resolved it stays
/// pending.
#[must_use = "a dropped `SendFuture` hides whether the record was delivered"]
pub struct SendFuture<K = Bytes, V = Bytes> {
    state: State<K, V>,
}

enum State<K, V> {
    Done,
    Waiting(Enqueueing<'static, K, V>),
    Accepted(Delivery),
    Refused(SendError<K, V>),
}

// Nothing in here is pinned in place.
impl<K, V> Unpin for SendFuture<K, V> {}

impl<K, V> SendFuture<K, V> {
    pub(crate) fn new(acceptance: Acceptance<K, V>) -> Self {
        let state = match acceptance {
            Acceptance::Ended(result) => State::after(result),
            Acceptance::Waiting(future) => State::Waiting(future),
        };
        Self { state }
    }
}

impl<K, V> State<K, V> {
    fn after(result: Result<Delivery, SendError<K, V>>) -> Self {
        match result {
            Ok(delivery) => Self::Accepted(delivery),
            Err(error) => Self::Refused(error),
        }
    }
}

impl<K, V> Future for SendFuture<K, V> {
    type Output = Result<RecordMetadata, SendError<K, V>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Waiting(future) = &mut self.state {
            let result = ready!(future.as_mut().poll(cx));
            self.state = State::after(result);
        }
        if let State::Accepted(delivery) = &mut self.state {
            let result = ready!(Pin::new(delivery).poll(cx));
            self.state = State::Done;
            return Poll::Ready(result.map_err(SendError::from));
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Refused(error) => Poll::Ready(Err(error)),
            _ => Poll::Pending,
        }
    }
}

impl<K, V> fmt::Debug for SendFuture<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Done => "done",
            State::Waiting(_) => "waiting",
            State::Accepted(_) => "accepted",
            State::Refused(_) => "refused",
        };
        f.debug_struct("SendFuture").field("state", &state).finish_non_exhaustive()
    }
}

/// Implements the service for a type that accepts records, and for references to it.
macro_rules! service {
    ($(#[$docs:meta])* $type:ident) => {
        $crate::producer::service!(@impl [] $(#[$docs])* $type<K, V>, self => self);
        $crate::producer::service!(@impl ['t,] $(#[$docs])* &'t $type<K, V>, self => *self);
    };
    (@impl [$($lifetime:tt)*] $(#[$docs:meta])* $type:ty, $this:ident => $producer:expr) => {
        $(#[$docs])*
        impl<$($lifetime)* K: Send + Sync + 'static, V: Send + Sync + 'static>
            tower_service::Service<$crate::ProducerRecord<K, V>> for $type
        {
            type Response = $crate::RecordMetadata;
            type Error = $crate::SendError<K, V>;
            type Future = $crate::SendFuture<K, V>;

            fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
                $crate::producer::give_way(cx).map(Ok)
            }

            fn call(&mut $this, record: $crate::ProducerRecord<K, V>) -> Self::Future {
                $crate::SendFuture::new($crate::producer::Accepts::accept($producer, record))
            }
        }
    };
}
pub(crate) use service;

service! {
    /// Sends a record for each call (feature `tower`), as [`KafkaProducer::send`] does.
    ///
    /// `call` puts the record into its batch, so records are sent in the order of the calls, whenever their futures are polled. Only a record
    /// that must wait, for its topic's metadata or for memory, takes its place when its future is polled;
    /// [`pin_topics`](crate::KafkaProducerBuilder::pin_topics) spares it the wait for metadata. The service is always ready, but for giving way to
    /// other tasks now and then: memory belongs to partitions, and a record's partition is not known before the call. A call that
    /// finds no memory waits at most `max.block.ms`. Layers of the crate `tower` bound that: its concurrency limit the number of calls, its
    /// load shedding what happens beyond.
    ///
    /// ```no_run
    /// # async fn example(producer: kafka_producer::KafkaProducer) -> Result<(), Box<dyn std::error::Error>> {
    /// use kafka_producer::ProducerRecord;
    /// use tower::{Service, ServiceBuilder, ServiceExt};
    ///
    /// let mut orders = ServiceBuilder::new()
    ///     .concurrency_limit(1000)
    ///     .map_request(|what: String| ProducerRecord::to("orders").value(what))
    ///     .service(producer);
    /// let metadata = orders.ready().await?.call("2 apples".to_owned()).await?;
    /// println!("written to {metadata}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`KafkaProducer::ready`] is another call than that of tower's `ServiceExt`: without a layer around the producer write
    /// `ServiceExt::<ProducerRecord>::ready(&mut producer)`, or `oneshot`.
    KafkaProducer
}

service! {
    /// Sends a record within the transaction for each call (feature `tower`), as [`TransactionHandle::send`] does.
    TransactionHandle
}
