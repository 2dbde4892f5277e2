//! The future of `send`: `enqueue`, and then the [`Delivery`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::delivery::{Delivery, RecordMetadata};
use crate::error::SendError;
use crate::producer::enqueue::Enqueue;
use crate::producer::fields::Fields;
use crate::record::ProducerRecord;

/// A record on its way to its acknowledgement.
///
/// Written by hand, because an `async` function keeps its record twice: as its argument, and in the future that it awaits. An application
/// may have ten thousand of these, and most of what it does then is to fetch their memory.
pub(super) struct SendRecord<'a, K, V, R = ProducerRecord<K, V>>(Stage<'a, K, V, R>);

enum Stage<'a, K, V, R> {
    Enqueue(Enqueue<'a, K, V, R>),
    Delivery(Delivery),
    Done,
}

impl<'a, K, V, R> SendRecord<'a, K, V, R> {
    #[inline]
    pub(super) fn new(enqueue: Enqueue<'a, K, V, R>) -> Self {
        Self(Stage::Enqueue(enqueue))
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static, R: Fields<K, V>> Future for SendRecord<'_, K, V, R> {
    type Output = Result<RecordMetadata, SendError<K, V>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::Enqueue(enqueue) = &mut self.0 {
            match ready!(Pin::new(enqueue).poll(cx)) {
                Ok(delivery) => self.0 = Stage::Delivery(delivery),
                Err(error) => {
                    self.0 = Stage::Done;
                    return Poll::Ready(Err(error));
                }
            }
        }
        let Stage::Delivery(delivery) = &mut self.0 else { return Poll::Pending };
        let result = ready!(Pin::new(delivery).poll(cx));
        self.0 = Stage::Done;
        Poll::Ready(result.map_err(SendError::from))
    }
}

impl<K, V, R> fmt::Debug for SendRecord<'_, K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage: &dyn fmt::Debug = match &self.0 {
            Stage::Enqueue(enqueue) => enqueue,
            Stage::Delivery(delivery) => delivery,
            Stage::Done => &"done",
        };
        f.debug_tuple("SendRecord").field(stage).finish()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn record_is_kept_once() {
        let record = size_of::<ProducerRecord>();

        assert!(size_of::<SendRecord<'_, Bytes, Bytes>>() <= record + 32);
    }
}
