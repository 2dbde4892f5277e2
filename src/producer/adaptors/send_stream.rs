//! [`SendStream`]: records in, results out.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use futures::stream::FusedStream;

use super::{Accepts, Window};
use crate::delivery::RecordMetadata;
use crate::error::SendError;
use crate::producer::{KafkaProducer, TransactionHandle};
use crate::record::ProducerRecord;

/// Sends the records of a stream, and is the stream of their results, in the order of the records.
///
/// [`KafkaProducer::send_stream`] makes it. It does nothing unless it is polled. After a result that is an error it goes on.
///
/// # Cancel safety
///
/// A dropped `next()` loses nothing. If you drop the stream, the records that were accepted by then are sent; one that waits to be accepted
/// is withdrawn, and the others stay in the stream that they come from. While the stream is not polled, a record that waits for memory
/// keeps its place in the line, and what it was granted: take the results steadily, or in a task of their own.
#[must_use = "streams do nothing unless they are polled"]
pub struct SendStream<S, K = Bytes, V = Bytes> {
    /// `None` once it has ended.
    records: Option<Pin<Box<S>>>,
    window: Window<K, V>,
}

impl<S, K, V> SendStream<S, K, V> {
    pub(crate) fn new(producer: impl Accepts<K, V> + 'static, records: S, max_outstanding: usize) -> Self {
        Self { records: Some(Box::pin(records)), window: Window::new(producer, max_outstanding) }
    }
}

impl<S: Stream<Item = ProducerRecord<K, V>>, K, V> SendStream<S, K, V> {
    /// Sends what there is and is room for. Returns whether no record will follow before the next result.
    fn fill(&mut self, cx: &mut Context<'_>) -> bool {
        while self.window.poll_accepted(cx).is_ready() && !self.window.is_full() {
            let Some(records) = &mut self.records else { return true };
            match records.as_mut().poll_next(cx) {
                Poll::Ready(Some(record)) => self.window.send(record),
                Poll::Ready(None) => self.records = None,
                Poll::Pending => return false,
            }
        }
        self.window.is_full()
    }
}

impl<S: Stream<Item = ProducerRecord<K, V>>, K, V> Stream for SendStream<S, K, V> {
    type Item = Result<RecordMetadata, SendError<K, V>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let is_last = self.fill(cx);
        match self.window.poll_result(cx) {
            Poll::Ready(None) if self.records.is_some() => Poll::Pending,
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => {
                if is_last {
                    self.window.await_all(cx);
                }
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let outstanding = self.window.len();
        let (least, most) = self.records.as_ref().map_or((0, Some(0)), |records| records.size_hint());
        (least.saturating_add(outstanding), most.and_then(|most| most.checked_add(outstanding)))
    }
}

impl<S: Stream<Item = ProducerRecord<K, V>>, K, V> FusedStream for SendStream<S, K, V> {
    fn is_terminated(&self) -> bool {
        self.records.is_none() && self.window.len() == 0
    }
}

impl<S, K, V> fmt::Debug for SendStream<S, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendStream")
            .field("window", &self.window)
            .field("has_records", &self.records.is_some())
            .finish()
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Sends the records of a stream in their order, with at most `max_outstanding` of them unanswered, and returns the stream of their
    /// results, in the same order.
    ///
    /// Each record of `records` becomes one result: where it stands in the log, or an error that gives it back. Records are taken from
    /// `records` only while the returned stream is polled and there is room. `max_outstanding` bounds what this stream holds beside
    /// `buffer.memory`; 0 counts as 1. It should be several batches' worth for each partition: when the bound is reached, the stream waits for
    /// the oldest record. Batches do not linger meanwhile, nor once `records` has ended, unless you set `linger.ms`, as when each record is
    /// awaited.
    ///
    /// Each record has one result, so results can be zipped with what the records were made of. `delivery.timeout.ms` and `max.block.ms`
    /// bound the time. Records of a topic that is not known yet hold up those behind them, for `max.block.ms` each.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(producer: kafka_producer::KafkaProducer) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures::{StreamExt, stream};
    /// use kafka_producer::ProducerRecord;
    ///
    /// let numbers = stream::iter(0..1_000_000);
    /// let records = numbers.map(|number| ProducerRecord::to("numbers").value(number.to_string()));
    /// let mut results = producer.send_stream(records, 10_000);
    /// while let Some(result) = results.next().await {
    ///     println!("written to {}", result?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_stream<S>(&self, records: S, max_outstanding: usize) -> SendStream<S, K, V>
    where
        S: Stream<Item = ProducerRecord<K, V>>,
    {
        SendStream::new(self.clone(), records, max_outstanding)
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> TransactionHandle<K, V> {
    /// Sends the records of a stream within the transaction, as [`KafkaProducer::send_stream`] does.
    ///
    /// Take all results before you commit: a record that waits to be accepted when the stream is dropped fails the commit.
    pub fn send_stream<S>(&self, records: S, max_outstanding: usize) -> SendStream<S, K, V>
    where
        S: Stream<Item = ProducerRecord<K, V>>,
    {
        SendStream::new(self.clone(), records, max_outstanding)
    }
}
