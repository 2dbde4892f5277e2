//! [`Accepts`]: takes records whose callers cannot lend their producer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::coop;

use crate::delivery::Delivery;
use crate::error::{SendError, SendErrorKind};
use crate::producer::enqueue::TimeLimit;
use crate::producer::transactional::number_of;
use crate::producer::walk::{Kept, Stop, Walk};
use crate::producer::{Enqueueing, Intake, KafkaProducer, TransactionHandle};
use crate::record::ProducerRecord;

/// Takes records, and keeps by itself what a record that must wait needs.
pub(crate) trait Accepts<K, V>: Send + Sync {
    /// Accepts or refuses a record at once, unless it must wait.
    fn accept(&self, record: ProducerRecord<K, V>) -> Acceptance<K, V>;
}

/// What became of a record.
pub(crate) enum Acceptance<K, V> {
    Ended(Result<Delivery, SendError<K, V>>),
    /// It must wait for its topic or for memory. It takes its place among those that wait when this is polled: what was granted to a future
    /// that is not polled would be kept from others.
    Waiting(Enqueueing<'static, K, V>),
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Accepts<K, V> for KafkaProducer<K, V> {
    fn accept(&self, record: ProducerRecord<K, V>) -> Acceptance<K, V> {
        accept(self, record, None)
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Accepts<K, V> for TransactionHandle<K, V> {
    fn accept(&self, record: ProducerRecord<K, V>) -> Acceptance<K, V> {
        let (producer, intake) = self.parts();
        accept(producer, record, Some(intake))
    }
}

fn accept<K: Send + Sync + 'static, V: Send + Sync + 'static>(
    producer: &KafkaProducer<K, V>,
    record: ProducerRecord<K, V>,
    intake: Option<&Arc<Intake>>,
) -> Acceptance<K, V> {
    let mut record = record;
    let mut walk = Walk::new(producer, &mut record, number_of(intake.map(Arc::as_ref)));
    let stop = match walk.step() {
        Ok(delivery) => {
            if walk.is_countable()
                && let Poll::Ready(budget) = coop::poll_proceed(&mut Context::from_waker(Waker::noop()))
            {
                budget.made_progress();
            }
            return Acceptance::Ended(Ok(delivery));
        }
        Err(Stop::Refused(kind)) => {
            if let Some(intake) = intake {
                intake.note_refused(walk.record(), &kind);
            }
            return Acceptance::Ended(Err(walk.refuse(*kind)));
        }
        Err(stop) => stop,
    };
    let kept = walk.into_kept();
    let mut unpolled = Unpolled::new(producer.clone(), intake.cloned(), record, kept);
    Acceptance::Waiting(Box::pin(async move {
        let (record, kept) = unpolled.record.take().expect("this is polled for the first time once");
        let (producer, intake) = (unpolled.producer.clone(), unpolled.intake.clone());
        let waiting =
            producer.enqueue_waiting(record, kept, intake.as_deref(), Some(stop), TimeLimit::MaxBlock);
        let mut waiting = pin!(waiting);
        // It waits from its first look on. A transaction that ends meanwhile shall not miss it.
        let first = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
        unpolled.end();
        match first {
            Poll::Ready(result) => result,
            Poll::Pending => waiting.await,
        }
    }))
}

/// A record that must wait and does not yet. Interceptors and the transaction hear of its end even if the caller never polls.
struct Unpolled<K: Send + Sync + 'static, V: Send + Sync + 'static> {
    producer: KafkaProducer<K, V>,
    intake: Option<Arc<Intake>>,
    /// `None` once it waits.
    record: Option<(ProducerRecord<K, V>, Kept)>,
    /// The transaction does not count it as one that waits any more.
    has_ended: bool,
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Unpolled<K, V> {
    fn new(
        producer: KafkaProducer<K, V>,
        intake: Option<Arc<Intake>>,
        record: ProducerRecord<K, V>,
        kept: Kept,
    ) -> Self {
        if let Some(intake) = &intake {
            // If the transaction is over, the wait itself says so.
            let _is_open = intake.begin_wait();
        }
        Self { producer, intake, record: Some((record, kept)), has_ended: false }
    }

    /// The record waits by itself, or has been given up.
    fn end(&mut self) {
        if !std::mem::replace(&mut self.has_ended, true)
            && let Some(intake) = &self.intake
        {
            intake.end_wait();
        }
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Drop for Unpolled<K, V> {
    fn drop(&mut self) {
        if let Some((mut record, kept)) = self.record.take() {
            let (intake, kind) = (self.intake.as_deref(), SendErrorKind::Cancelled);
            if let Some(intake) = intake {
                intake.note_refused(&record, &kind);
            }
            drop(Walk::resume(&self.producer, &mut record, kept, number_of(intake)).refuse(kind));
        }
        self.end();
    }
}
