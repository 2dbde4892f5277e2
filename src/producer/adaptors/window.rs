//! [`Window`]: the records that a stream or a sink has sent, until it has told their results.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Acceptance, Accepts, give_way};
use crate::delivery::{Delivery, RecordMetadata};
use crate::error::SendError;
use crate::producer::Enqueueing;
use crate::record::ProducerRecord;

/// Keeps the results of records in the order of the records, at most so many at a time.
pub(super) struct Window<K, V> {
    producer: Box<dyn Accepts<K, V>>,
    most: usize,
    /// What was sent last and is not accepted yet, oldest first. More than one only if a caller does not ask for room. Only the first has
    /// been polled, so that none overtakes another.
    waiting: VecDeque<Waiting<K, V>>,
    /// What was sent before, oldest first.
    sent: VecDeque<Sent<K, V>>,
    /// So many of the oldest of `sent` are awaited.
    awaited: usize,
}

enum Waiting<K, V> {
    New(Box<ProducerRecord<K, V>>),
    Begun(Enqueueing<'static, K, V>),
}

enum Sent<K, V> {
    Accepted(Delivery),
    Refused(SendError<K, V>),
}

type SentResult<K, V> = Result<RecordMetadata, SendError<K, V>>;

impl<K, V> Window<K, V> {
    pub(super) fn new(producer: impl Accepts<K, V> + 'static, most: usize) -> Self {
        let (waiting, sent) = (VecDeque::new(), VecDeque::new());
        Self { producer: Box::new(producer), most: most.max(1), waiting, sent, awaited: 0 }
    }

    /// Returns how many results are still to be told.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.sent.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    /// Waits until the records before are accepted or refused. Then there is room for another, unless the window is full.
    pub(super) fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A serializer that panics takes its record along, and not those behind it.
        while let Some(waiting) = self.waiting.pop_front() {
            let acceptance = match waiting {
                Waiting::New(record) => self.producer.accept(*record),
                Waiting::Begun(future) => Acceptance::Waiting(future),
            };
            let result = match acceptance {
                Acceptance::Ended(result) => result,
                Acceptance::Waiting(mut future) => match future.as_mut().poll(cx) {
                    Poll::Ready(result) => result,
                    Poll::Pending => {
                        self.waiting.push_front(Waiting::Begun(future));
                        return Poll::Pending;
                    }
                },
            };
            self.note(result);
        }
        give_way(cx)
    }

    /// Sends a record after those before.
    pub(super) fn send(&mut self, record: ProducerRecord<K, V>) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(Waiting::New(Box::new(record)));
            return;
        }
        match self.producer.accept(record) {
            Acceptance::Ended(result) => self.note(result),
            Acceptance::Waiting(future) => self.waiting.push_back(Waiting::Begun(future)),
        }
    }

    /// Waits for the oldest result. `None` if there is none to come.
    pub(super) fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<Option<SentResult<K, V>>> {
        let Some(oldest) = self.sent.front_mut() else {
            return if self.waiting.is_empty() { Poll::Ready(None) } else { Poll::Pending };
        };
        let Sent::Accepted(delivery) = oldest else { return Poll::Ready(self.take_oldest()) };
        match Pin::new(delivery).poll(cx) {
            Poll::Ready(result) => {
                self.sent.pop_front();
                self.awaited = self.awaited.saturating_sub(1);
                Poll::Ready(Some(result.map_err(SendError::from)))
            }
            Poll::Pending => {
                self.awaited = self.awaited.max(1);
                Poll::Pending
            }
        }
    }

    /// Forgets the oldest results as far as they are good and known.
    pub(super) fn skip_delivered(&mut self) {
        while let Some(Sent::Accepted(delivery)) = self.sent.front()
            && let Some(Ok(_)) = delivery.try_result()
        {
            self.sent.pop_front();
            self.awaited = self.awaited.saturating_sub(1);
        }
    }

    /// Waits until a result can be taken.
    pub(super) fn poll_any(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.sent.front_mut() {
            Some(Sent::Accepted(delivery)) => delivery.poll_resolved(cx),
            Some(Sent::Refused(_)) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }

    /// Returns whether the oldest result is known and an error.
    pub(super) fn has_failed(&self) -> bool {
        match self.sent.front() {
            Some(Sent::Accepted(delivery)) => delivery.try_result().is_some_and(|result| result.is_err()),
            Some(Sent::Refused(_)) => true,
            None => false,
        }
    }

    /// Takes the oldest result if it is an error and known.
    pub(super) fn take_error(&mut self) -> Option<SendError<K, V>> {
        if self.has_failed() { self.take_oldest()?.err() } else { None }
    }

    /// Awaits every record, so that batches do not linger for more: the caller sends none before the next result.
    pub(super) fn await_all(&mut self, cx: &mut Context<'_>) {
        for sent in self.sent.range_mut(self.awaited..) {
            if let Sent::Accepted(delivery) = sent {
                // A result that is there is told in its turn.
                let _ = delivery.poll_resolved(cx).is_ready();
            }
        }
        self.awaited = self.sent.len();
    }

    fn take_oldest(&mut self) -> Option<SentResult<K, V>> {
        self.awaited = self.awaited.saturating_sub(1);
        Some(match self.sent.pop_front()? {
            Sent::Accepted(delivery) => delivery.try_result()?.map_err(SendError::from),
            Sent::Refused(error) => Err(error),
        })
    }

    fn note(&mut self, result: Result<Delivery, SendError<K, V>>) {
        self.sent.push_back(match result {
            Ok(delivery) => Sent::Accepted(delivery),
            Err(error) => Sent::Refused(error),
        });
    }
}

impl<K, V> fmt::Debug for Window<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("outstanding", &self.len())
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use bytes::Bytes;

    use super::*;
    use crate::delivery::BatchCell;
    use crate::topic_partition::TopicPartition;

    /// Puts every record into one batch that does not end.
    struct OneBatch(Arc<BatchCell>);

    impl Accepts<Bytes, Bytes> for OneBatch {
        fn accept(&self, record: ProducerRecord) -> Acceptance<Bytes, Bytes> {
            let index = record.partition.unwrap_or_default().unsigned_abs();
            self.0.set_record_count(index + 1);
            Acceptance::Ended(Ok(Delivery::new(Arc::clone(&self.0), index)))
        }
    }

    #[test]
    fn every_record_is_awaited_once_the_caller_says_that_no_other_comes() {
        let cell = BatchCell::new(TopicPartition::new("orders", 0), None);
        let mut window = Window::new(OneBatch(Arc::clone(&cell)), 100);
        let mut cx = Context::from_waker(Waker::noop());

        for round in 0..3 {
            for number in 0..5 {
                window.send(ProducerRecord::to("orders").partition(round * 5 + number));
                assert!(window.poll_result(&mut cx).is_pending());
                assert_eq!(cell.is_all_awaited(), round == 0 && number == 0);
            }
            window.await_all(&mut cx);
            assert!(cell.is_all_awaited());
        }
    }
}
