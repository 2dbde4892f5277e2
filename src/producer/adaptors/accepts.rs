//! [`Accepts`]: takes records whose callers cannot lend their producer.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::coop;

use crate::delivery::Delivery;
use crate::error::SendError;
use crate::producer::enqueue::TimeLimit;
use crate::producer::transactional::number_of;
use crate::producer::walk::{Stop, Walk};
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
    /// It waits for its topic or for memory.
    Waiting(Enqueueing<'static, K, V>),
}

impl<K, V> Acceptance<K, V> {
    /// Takes the record's place among those that wait, before there is a task that could be woken. Interceptors and transactions hear
    /// from now on if it is dropped.
    pub(crate) fn begin(self) -> Self {
        match self {
            Self::Waiting(mut future) => {
                match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(result) => Self::Ended(result),
                    Poll::Pending => Self::Waiting(future),
                }
            }
            Self::Ended(_) => self,
        }
    }
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
    let (producer, intake) = (producer.clone(), intake.cloned());
    Acceptance::Waiting(Box::pin(async move {
        let limit = TimeLimit::MaxBlock;
        producer.enqueue_waiting(record, kept, intake.as_deref(), Some(stop), limit).await
    }))
}
