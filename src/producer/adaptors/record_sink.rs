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
/// `flush` waits until every record that went into the sink is delivered or has failed. Like `send` of the producer it waits for `linger.ms` too
/// if you set it; [`KafkaProducer::flush`] does not. `close` does the same as `flush`: the producer stays open for its other handles, and the
/// sink still takes records.
///
/// # Errors
///
/// Each record that failed is told once, in the order of the records, by a later call of the sink, with an error that gives it back. That is
/// not the record of the call: the sink takes that one all the same, so do not send it again. The sink goes on after an error. `flush`
/// returns the first one; call it until it returns `Ok`. `SinkExt::send_all(&mut sink, ..)` and `StreamExt::forward(&mut sink)` stop at the
/// first one and can be called again. If you give `forward` the sink itself, the sink is dropped with the first error.
///
/// # Cancel safety
///
/// A dropped `flush` loses nothing. A dropped `send`, `feed`, `send_all` or `forward` loses the record that it holds if the sink had no room
/// for it yet; with `poll_ready` before `start_send` the caller holds it. If you drop the sink, the records that were accepted by then are sent, and those that wait to be accepted are withdrawn: `flush`
/// before that. A record that waits for memory and is not polled any more keeps its place in the line: poll the sink, or drop it.
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
        ready!(window.poll_accepted(cx));
        window.skip_delivered();
        while window.is_full() {
            if window.poll_any(cx).is_pending() {
                window.await_all(cx);
                return Poll::Pending;
            }
            window.skip_delivered();
            if window.has_failed() {
                // `start_send` takes one record and tells this error: never here, where its caller still has the record and would drop it.
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes a record, whatever it returns: an error is that of a record before. Without `poll_ready` before it, the sink takes the record,
    /// too, even beyond its bound.
    fn start_send(mut self: Pin<&mut Self>, record: ProducerRecord<K, V>) -> Result<(), Self::Error> {
        self.window.send(record);
        self.window.take_error().map_or(Ok(()), Err)
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
    /// the oldest one has its result, and batches do not linger meanwhile unless you set `linger.ms`.
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
