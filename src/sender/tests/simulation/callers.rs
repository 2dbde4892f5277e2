//! Callers: they use the producer.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::check::id_of;
use super::client::Command;
use super::run::{Event, Flag, Simulation};
use crate::accumulator::{Append, AtBatchEnd, EnqueueWaits, TryAppend};
use crate::delivery::{Delivery, Outcome};
use crate::error::{DeliveryError, DeliveryErrorKind, Persisted};
use crate::protocol::record_batch::RecordRef;
use crate::record::Headers;
use crate::sender::Purge;
use crate::topic_partition::Topic;

/// A caller who hands over a record and may have to wait for memory.
pub(super) struct Caller {
    id: usize,
    place: i32,
    is_bad: bool,
    future: Pin<Box<dyn Future<Output = Option<Delivery>>>>,
    woken: Arc<Flag>,
}

/// A record that the producer has accepted.
pub(super) struct Accepted {
    pub(super) id: usize,
    pub(super) place: i32,
    /// How often its partition had been resumed.
    pub(super) session: usize,
    /// Brokers refuse it.
    pub(super) is_bad: bool,
    /// `None` if no caller wants to know.
    pub(super) delivery: Option<Delivery>,
    /// Raised when the caller that waits for the result is woken.
    pub(super) woken: Arc<Flag>,
}

impl Simulation {
    pub(super) fn poll_callers(&mut self) {
        let mut at = 0;
        while at < self.callers.len() {
            let caller = &mut self.callers[at];
            if !caller.woken.take() {
                at += 1;
                continue;
            }
            let waker = Waker::from(Arc::clone(&caller.woken));
            match caller.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => at += 1,
                Poll::Ready(delivery) => {
                    let Caller { id, place, is_bad, .. } = self.callers.remove(at);
                    if let Some(delivery) = delivery {
                        self.accept(id, place, is_bad, delivery);
                    }
                    // Others may have been let in front of those that were looked at already.
                    at = 0;
                }
            }
        }
    }

    pub(super) fn accept(&mut self, id: usize, place: i32, is_bad: bool, mut delivery: Delivery) {
        let woken = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&woken));
        if Pin::new(&mut delivery).poll(&mut Context::from_waker(&waker)).is_ready() {
            waker.wake();
        }
        let session = self.sessions.get(&place).copied().unwrap_or_default();
        self.accepted.push(Accepted { id, place, session, is_bad, delivery: Some(delivery), woken });
    }

    /// A caller comes with a record.
    pub(super) fn send(&mut self, place: i32, len: usize) {
        self.send_as(place, len, Duration::ZERO, false);
    }

    /// A caller comes with a record that is so old, or that brokers will refuse.
    pub(super) fn send_as(&mut self, place: i32, len: usize, age: Duration, is_bad: bool) {
        let timestamp = self.wall_clock() - age.as_millis() as i64;
        let id = self.next_record;
        self.next_record += 1;
        let (topic, partition) = self.place(place);
        let value = format!("{id}:{}{}", if is_bad { "!" } else { "" }, "x".repeat(len));
        if self.transactional.is_some() {
            return self.order_record(place, value, timestamp, is_bad);
        }
        let mut topic = self.accumulator.topic(&Topic::from(topic), partition as usize + 1);
        topic.touch(self.now.as_secs());
        let accumulator = Arc::clone(&self.accumulator);
        let (clock, base) = (Arc::clone(&self.clock), self.base);
        let future = Box::pin(async move {
            let headers = Headers::new();
            let mut spare = None;
            loop {
                let value = Some(value.as_bytes());
                let record = RecordRef { timestamp, key: None, value, headers: &headers };
                let append = Append {
                    transaction: crate::accumulator::NO_TRANSACTION,
                    observer: None,
                    record,
                    payload_len: record.payload_len(),
                    waits: EnqueueWaits::default(),
                    now: base + Duration::from_micros(clock.load(Ordering::Relaxed)),
                };
                let Some(queue) = accumulator.ensure_queue(&topic, partition as usize, || true) else {
                    // The topic had idled out.
                    topic = accumulator.topic(topic.topic(), partition as usize + 1);
                    continue;
                };
                match accumulator.try_append(queue, &append, AtBatchEnd::BeginNext, &mut spare) {
                    TryAppend::Done(done) => return Some(done.delivery()),
                    TryAppend::NoMemory { least } => {
                        spare = Some(accumulator.wait_for_memory(queue, least).await.ok()?);
                    }
                    // The topic had idled out.
                    TryAppend::Retired => topic = accumulator.topic(topic.topic(), partition as usize + 1),
                    TryAppend::BatchEnded
                    | TryAppend::Closed
                    | TryAppend::Stopped
                    | TryAppend::TransactionOver => return None,
                }
            }
        });
        self.callers.push(Caller { id, place, is_bad, future, woken: Flag::raised() });
    }

    /// What clocks on walls show, in milliseconds since 1970.
    pub(super) fn wall_clock(&self) -> i64 {
        BEGIN + self.now.as_millis() as i64
    }

    /// Partitions that have stopped take records again.
    pub(super) fn resume_partitions(&mut self) {
        for place in 0..=self.setup.partitions {
            let (topic, partition) = self.place(place);
            if self.accumulator.queue(topic, partition).is_some_and(|queue| queue.resume()) {
                *self.sessions.entry(place).or_default() += 1;
            }
        }
    }

    pub(super) fn purge(&mut self, all: bool) {
        if self.is_over {
            return;
        }
        let before = self.unsettled();
        let now = self.instant();
        let mut purged = Vec::new();
        self.core.purge(if all { Purge::All } else { Purge::Queued }, now, &mut purged);
        self.wake();
        self.check_returned(&DeliveryErrorKind::Purged, &before, &purged);
        if all && !self.unsettled().is_empty() {
            self.violate(format!("records {:?} outlive a purge", self.unsettled()));
        }
    }

    /// Withdraws one of so many records without a result. Each that was withdrawn says so, and no other.
    pub(super) fn withdraw(&mut self, every: usize) {
        for id in self.unsettled().into_iter().step_by(every) {
            let delivery = self
                .accepted
                .iter()
                .find(|record| record.id == id)
                .and_then(|record| record.delivery.as_ref());
            let Some(delivery) = delivery.filter(|_| !self.is_over) else { continue };
            let (cell, index) = delivery.place().unwrap();
            let (cell, index, now) = (Arc::clone(cell), index, self.instant());
            let is_withdrawn = self.core.withdraw(&[(Arc::clone(&cell), index)], now) == [true];
            let (cell, _) = cell.place_now(index);
            let says_so = match cell.outcome() {
                Some(Outcome::Failed(failure)) if failure.kind == DeliveryErrorKind::Withdrawn => {
                    Some(failure.persisted)
                }
                _ => None,
            };
            if says_so != is_withdrawn.then_some(Persisted::No) {
                self.violate(format!(
                    "record {id}: withdrawn {is_withdrawn}, but its result says {says_so:?}"
                ));
            }
        }
        self.wake();
    }

    pub(super) fn close(&mut self, patience: Duration) {
        self.is_closing = true;
        if self.transactional.is_some() {
            let patience = patience.as_millis() as u64;
            return self.order(Command::Close { patience });
        }
        self.accumulator.close();
        self.after(patience, Event::Abort);
    }

    /// Gives up whatever is not settled.
    pub(super) fn abort(&mut self) {
        if self.is_over {
            return;
        }
        let before = self.unsettled();
        let now = self.instant();
        let mut undelivered = Vec::new();
        self.core.abort(&DeliveryErrorKind::Closed, now, &mut undelivered);
        self.drop_core();
        self.connections_end();
        self.check_returned(&DeliveryErrorKind::Closed, &before, &undelivered);
        if !self.unsettled().is_empty() {
            self.violate(format!("records {:?} outlive the producer", self.unsettled()));
        }
    }

    /// Records without a result, as far as callers know.
    fn unsettled(&self) -> BTreeSet<usize> {
        let is_unsettled = |record: &&Accepted| {
            record.delivery.as_ref().is_some_and(|delivery| delivery.try_result().is_none())
        };
        self.accepted.iter().filter(is_unsettled).map(|record| record.id).collect()
    }

    /// What comes back is what has failed, in order within each partition, and once.
    fn check_returned(
        &mut self,
        kind: &DeliveryErrorKind,
        before: &BTreeSet<usize>,
        returned: &[DeliveryError],
    ) {
        let by = format!("{kind:?}");
        let ids: Vec<_> =
            returned.iter().filter_map(|error| id_of(error.record()?.value.as_deref()?)).collect();
        let after = self.unsettled();
        let settled: BTreeSet<_> = before.difference(&after).copied().collect();
        let found: BTreeSet<_> = ids.iter().copied().collect();
        if ids.len() != returned.len() || found.len() != ids.len() {
            return self.violate(format!("{by} returns something twice, or what was not accepted: {ids:?}"));
        }
        let is_watched = |record: &&Accepted| record.delivery.is_some();
        let watched: BTreeSet<_> = self.accepted.iter().filter(is_watched).map(|record| record.id).collect();
        // Others may have expired at the same moment.
        let is_of_kind = |record: &&Accepted| {
            let result = record.delivery.as_ref().and_then(|delivery| delivery.try_result());
            matches!(result, Some(Err(error)) if error.kind() == *kind)
        };
        let mut failed = self.accepted.iter().filter(is_of_kind).map(|record| record.id);
        if let Some(id) = failed.find(|id| settled.contains(id) && !found.contains(id)) {
            return self.violate(format!("{by} fails record {id} and does not return it: {ids:?}"));
        }
        if let Some(id) = found.iter().find(|id| watched.contains(id) && !settled.contains(id)) {
            return self.violate(format!("{by} returns record {id}, which it has not failed: {ids:?}"));
        }
        for place in 0..=self.setup.partitions {
            let ranks: Vec<_> = ids
                .iter()
                .filter_map(|id| self.accepted.iter().position(|record| record.id == *id))
                .filter(|rank| self.accepted[*rank].place == place)
                .collect();
            if !ranks.is_sorted() {
                return self.violate(format!("{by} returns partition {place} out of order: {ids:?}"));
            }
        }
    }
}

/// Whether brokers refuse a record.
pub(super) fn is_bad(value: &[u8]) -> bool {
    value.windows(2).any(|window| window == b":!")
}

/// When the runs begin, in milliseconds since 1970.
const BEGIN: i64 = 1_700_000_000_000;
