//! [`RecordSink`]: records in, errors out.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Sink;

use super::{Accepts, Window};
use crate::error::SendError;
use crate::producer::{KafkaProducer, TransactionHandle};
use crate::record::ProducerRecord;

/// A [`Sink`] of the crate `futures` that sends records.
///
/// [`KafkaProducer::sink`] makes it. Records are sent in their order. Their metadata is not told; [`KafkaProducer::send_stream`] tells it.
///
/// `flush` waits until every record that went into the sink is delivered or has failed. `close` does the same, and leaves the producer open for
/// its other handles; after it the sink still takes records.
///
/// # Errors
///
/// Each record that failed is told once, by a later call of the sink, in the order of the records, with an error that gives the
/// record back. The sink goes on after an error, and the call may be made again. `StreamExt::forward` and `SinkExt::send_all` stop at the first
/// one: what the sink has taken by then is sent all the same, and `flush` tells what became of it.
///
/// # Cancel safety
///
/// A dropped `send` or `flush` withdraws nothing that the sink has taken. If you drop the sink, the records that were accepted by then are
/// sent, and one that waits to be accepted is withdrawn: `flush` before that.
#[must_use = "sinks do nothing unless they are polled"]
pub struct RecordSink<K = Bytes, V = Bytes> {
    window: Window<K, V>,
}

impl<K, V> RecordSink<K, V> {
    pub(crate) fn new(producer: impl Accepts<K, V> + 'static, max_outstanding: usize) -> Self {
        Self { window: Window::new(producer, max_outstanding) }
    }

    /// Returns how many records the sink has taken whose results it has not seen.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.window.len()
    }
}

impl<K, V> Sink<ProducerRecord<K, V>> for RecordSink<K, V> {
    type Error = SendError<K, V>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let window = &mut self.window;
        while let Some(result) = window.try_result() {
            result?;
        }
        let accepted = window.poll_accepted(cx);
        while window.is_full() {
            match window.poll_result(cx) {
                Poll::Ready(Some(result)) => drop(result?),
                Poll::Ready(None) => break,
                Poll::Pending => {
                    window.await_all(cx);
                    return Poll::Pending;
                }
            }
        }
        accepted.map(Ok)
    }

    /// Takes a record. Without `poll_ready` before it, the sink takes the record, too, even beyond its bound.
    fn start_send(mut self: Pin<&mut Self>, record: ProducerRecord<K, V>) -> Result<(), Self::Error> {
        self.window.send(record);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let window = &mut self.window;
        let _ = window.poll_accepted(cx).is_ready();
        window.await_all(cx);
        while let Some(result) = ready!(window.poll_result(cx)) {
            result?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_flush(cx)
    }
}

impl<K, V> fmt::Debug for RecordSink<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSink").field("window", &self.window).finish()
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Returns a sink that sends records in their order, with at most `max_outstanding` of them unanswered.
    ///
    /// `max_outstanding` bounds what the sink holds beside `buffer.memory`; 0 counts as 1. When it is reached, the sink takes no record before
    /// the oldest one has its result, and batches do not linger.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(producer: kafka_producer::KafkaProducer) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures::{SinkExt, StreamExt, stream};
    /// use kafka_producer::ProducerRecord;
    ///
    /// let mut sink = producer.sink(10_000);
    /// let mut records = stream::iter(["2 apples", "3 pears"]).map(|order| Ok(ProducerRecord::to("orders").value(order)));
    /// sink.send_all(&mut records).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sink(&self, max_outstanding: usize) -> RecordSink<K, V> {
        RecordSink::new(self.clone(), max_outstanding)
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> TransactionHandle<K, V> {
    /// Returns a sink that sends records within the transaction, as [`KafkaProducer::sink`] does.
    ///
    /// Flush it before you commit: a record that waits to be accepted when the sink is dropped fails the commit.
    pub fn sink(&self, max_outstanding: usize) -> RecordSink<K, V> {
        RecordSink::new(self.clone(), max_outstanding)
    }
}
