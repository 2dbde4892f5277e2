//! `Intake`: which records of a transaction were not accepted, so that its commit does not pass over them.

use tokio::sync::Notify;

use crate::accumulator::NO_TRANSACTION;
use crate::error::{SendErrorKind, TransactionErrorKind};
use crate::fence::fenced;
use crate::record::ProducerRecord;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::topic_partition::Topic;

/// What the guard of a transaction and its handles share. A record that is accepted at once touches none of it but the number.
#[derive(Debug)]
pub(in crate::producer) struct Intake {
    /// Of the transaction.
    number: u64,
    calls: Mutex<Calls>,
    /// Tells calls that wait that the transaction is over.
    end: Notify,
}

#[derive(Debug, Default)]
struct Calls {
    /// Calls that wait for metadata or memory.
    waiting: u64,
    refused: Option<Refused>,
    /// The transaction is about to be committed or aborted.
    is_closed: bool,
}

#[derive(Debug)]
struct Refused {
    /// The first one.
    topic: Topic,
    partition: Option<i32>,
    reason: String,
    records: u64,
}

/// Returns the number by which queues know the transaction of a record.
#[inline]
pub(in crate::producer) fn number_of(intake: Option<&Intake>) -> u64 {
    intake.map_or(NO_TRANSACTION, |intake| intake.number)
}

impl Intake {
    pub(super) fn new(number: u64) -> Self {
        Self { number, calls: Mutex::new(Calls::default()), end: Notify::new() }
    }

    /// A call waits from now on. Returns whether the transaction is still open.
    pub(in crate::producer) fn begin_wait(&self) -> bool {
        let mut calls = self.calls();
        calls.waiting += 1;
        !calls.is_closed
    }

    /// A call waits no longer. If that is because its record was not accepted, that is noted before.
    pub(in crate::producer) fn end_wait(&self) {
        self.calls().waiting -= 1;
    }

    /// A record of the transaction was not accepted.
    #[cold]
    pub(in crate::producer) fn note_refused<K, V>(
        &self,
        record: &ProducerRecord<K, V>,
        kind: &SendErrorKind,
    ) {
        if matches!(kind, SendErrorKind::TransactionOver) {
            return;
        }
        let refused = &mut self.calls().refused;
        let refused = refused.get_or_insert_with(|| Refused {
            topic: record.topic.clone(),
            partition: record.partition,
            reason: kind.to_string(),
            records: 0,
        });
        refused.records += 1;
    }

    /// The same for a call that does not wait. Its caller may try again.
    #[cold]
    pub(in crate::producer) fn note_not_at_once<K, V>(
        &self,
        record: &ProducerRecord<K, V>,
        kind: &SendErrorKind,
    ) {
        if !matches!(kind, SendErrorKind::Full { .. } | SendErrorKind::TopicUnknown { .. }) {
            self.note_refused(record, kind);
        }
    }

    /// Waits until the transaction is over.
    pub(in crate::producer) async fn over(&self) {
        let mut end = std::pin::pin!(self.end.notified());
        // What is told from here on is not missed.
        end.as_mut().enable();
        if !self.calls().is_closed {
            end.await;
        }
    }

    /// The transaction is about to end, and the queues take no more records of it. Returns why it cannot be committed, if so.
    pub(super) fn close(&self) -> Option<TransactionErrorKind> {
        let mut calls = self.calls();
        calls.is_closed = true;
        let (waiting, refused) = (calls.waiting, calls.refused.take());
        drop(calls);
        if waiting > 0 {
            // A waker that panics is its task's affair.
            let _ = fenced(|| self.end.notify_waiters());
        }
        match refused {
            Some(Refused { topic, partition, reason, records }) => {
                Some(TransactionErrorKind::RecordsRefused {
                    topic,
                    partition,
                    records: records + waiting,
                    reason,
                })
            }
            None => (waiting > 0).then_some(TransactionErrorKind::RecordsWaited { records: waiting }),
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
