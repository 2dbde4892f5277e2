//! `FairMemory`: the [`Budget`] shared by threads, and the waits of those who must wait.
//!
//! One lock, held for a few instructions, is taken for each buffer, never for each record. What runs foreign code (waking,
//! and dropping wakers) is done after the lock is released.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::buffer_memory::budget::{Budget, Grant, InTopic, Line, PartitionId, Ticket, TopicId};
use crate::planted::planted;
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError, wake_all};

/// Bytes that partitions take and give back.
#[derive(Debug)]
pub(crate) struct FairMemory {
    state: Mutex<State>,
    /// Of the state, to be read without the lock.
    free: AtomicUsize,
    /// Of the state, to be read without the lock: waits that have not got their bytes.
    waits: AtomicUsize,
}

#[derive(Debug)]
struct State {
    budget: Budget,
    waits: BTreeMap<Ticket, WaitState>,
    /// Those of `waits` that have not got their bytes.
    waiting: usize,
    is_closed: bool,
}

#[derive(Debug)]
enum WaitState {
    /// The bytes are booked; the waiter has yet to see them.
    Granted(Grant),
    Waiting(Waker),
}

/// The producer was closed while a record waited for memory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MemoryClosed;

impl FairMemory {
    pub(crate) fn new(budget: Budget) -> Self {
        let free = AtomicUsize::new(budget.free());
        let state = State { budget, waits: BTreeMap::new(), waiting: 0, is_closed: false };
        Self { state: Mutex::new(state), free, waits: AtomicUsize::new(0) }
    }

    pub(crate) fn open_topic(&self) -> TopicId {
        self.lock().budget.open_topic()
    }

    pub(crate) fn close_topic(&self, topic: TopicId) {
        self.lock().budget.close_topic(topic);
    }

    /// [`FairMemory::serve_waits`] must follow: there may be waits that a new partition ends, but their wakers must not run
    /// under the lock that the caller may hold here.
    pub(crate) fn open(&self, place: Option<InTopic>) -> PartitionId {
        self.lock().budget.open(place)
    }

    /// Ends the waits whose turn has come.
    pub(crate) fn serve_waits(&self) {
        self.serve(self.lock());
    }

    pub(crate) fn close_partition(&self, id: PartitionId) {
        self.lock().budget.close(id);
    }

    /// Asks, under the lock, whether a partition takes no records, or none that may go elsewhere.
    pub(crate) fn set_shut(&self, id: PartitionId, is_shut: impl FnOnce() -> bool) {
        let mut state = self.lock();
        state.budget.set_shut(id, is_shut());
        self.serve(state);
    }

    pub(crate) fn set_leaders(&self, topic: TopicId, version: u64, has_leader: impl Fn(usize) -> bool) {
        let mut state = self.lock();
        state.budget.set_leaders(topic, version, has_leader);
        self.serve(state);
    }

    pub(crate) fn is_partition_waited_for(&self, id: PartitionId) -> bool {
        self.waits() > 0 && self.lock().budget.is_partition_waited_for(id)
    }

    pub(crate) fn is_waited_for(&self, topic: TopicId) -> bool {
        self.waits() > 0 && self.lock().budget.is_waited_for(topic)
    }

    /// Returns the number of the partition of a topic that has most room, if it has enough.
    pub(crate) fn roomiest(&self, topic: TopicId, least: usize) -> Option<usize> {
        let mut state = self.lock();
        let id = state.budget.roomiest(topic, least)?;
        state.budget.number_in_topic(id)
    }

    /// Returns how many partitions of a topic hold nothing and take records, counting to `enough`. They need a leader, too, if
    /// `is_any_led`: any partition of the topic has one, with or without a queue.
    pub(crate) fn untouched(&self, topic: TopicId, enough: usize, is_any_led: bool) -> usize {
        self.lock().budget.untouched(topic, enough, is_any_led)
    }

    pub(crate) fn number_in_topic(&self, id: PartitionId) -> Option<usize> {
        self.lock().budget.number_in_topic(id)
    }

    pub(crate) fn try_take(&self, id: PartitionId, least: usize) -> Option<usize> {
        let mut state = self.lock();
        if state.is_closed {
            return None;
        }
        let capacity = state.budget.try_take(id, least);
        self.publish(&state);
        capacity
    }

    pub(crate) fn try_take_exactly(&self, id: PartitionId, capacity: usize, replaced: usize) -> bool {
        let mut state = self.lock();
        let is_taken = !state.is_closed && state.budget.try_take_exactly(id, capacity, replaced);
        self.publish(&state);
        is_taken
    }

    pub(crate) fn take_beyond(&self, id: PartitionId, capacity: usize) {
        let mut state = self.lock();
        state.budget.take_beyond(id, capacity);
        self.publish(&state);
    }

    pub(crate) fn give_back(&self, id: PartitionId, bytes: usize) {
        let mut state = self.lock();
        state.budget.give_back(id, bytes);
        self.serve(state);
    }

    pub(crate) fn transfer(&self, from: PartitionId, to: PartitionId, bytes: usize) {
        let mut state = self.lock();
        state.budget.transfer(from, to, bytes);
        self.serve(state);
    }

    /// Waits for a buffer of at least `least` bytes; the result is whose it is, and its size.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up its place and takes nothing.
    pub(crate) fn take(&self, line: Line, least: usize) -> Take<'_> {
        Take { memory: self, line, least, ticket: None }
    }

    /// Fails all callers that wait now or later.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let wakers: Vec<_> = state
            .waits
            .values()
            .filter_map(|wait| match wait {
                WaitState::Waiting(waker) => Some(waker.clone()),
                WaitState::Granted(_) => None,
            })
            .collect();
        drop(state);
        wake_all(wakers);
    }

    /// Returns the bytes that no partition holds.
    pub(crate) fn free(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }

    /// Returns the bytes that a partition holds.
    pub(crate) fn held_by(&self, id: PartitionId) -> usize {
        self.lock().budget.held_by(id)
    }

    /// Returns the bytes that a partition could take now.
    pub(crate) fn free_for(&self, id: PartitionId) -> usize {
        self.lock().budget.free_for(id)
    }

    /// Returns how many waits are under way.
    pub(crate) fn waits(&self) -> usize {
        self.waits.load(Ordering::Relaxed)
    }

    /// Ends the waits whose turn has come.
    fn serve(&self, mut state: MutexGuard<'_, State>) {
        let mut wakers = Vec::new();
        while let Some(grant) = state.budget.next_grant() {
            let before = state.waits.insert(grant.ticket, WaitState::Granted(grant));
            state.waiting -= 1;
            if let Some(WaitState::Waiting(waker)) = before {
                wakers.push(waker);
            }
        }
        self.publish(&state);
        drop(state);
        wake_all(wakers);
    }

    fn publish(&self, state: &State) {
        self.free.store(state.budget.free(), Ordering::Relaxed);
        self.waits.store(state.waiting, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait for memory.
#[derive(Debug)]
pub(crate) struct Take<'a> {
    memory: &'a FairMemory,
    line: Line,
    least: usize,
    /// Set while it waits.
    ticket: Option<Ticket>,
}

impl Take<'_> {
    fn enqueue(&mut self, cx: &Context<'_>) {
        let mut state = self.memory.lock();
        if state.is_closed {
            return;
        }
        let ticket = state.budget.wait(self.line, self.least);
        state.waits.insert(ticket, WaitState::Waiting(cx.waker().clone()));
        state.waiting += 1;
        self.ticket = Some(ticket);
        // It may be its turn at once.
        self.memory.serve(state);
    }
}

impl Future for Take<'_> {
    type Output = Result<(PartitionId, usize), MemoryClosed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.ticket.is_none() {
            self.enqueue(cx);
        }
        let Some(ticket) = self.ticket else { return Poll::Ready(Err(MemoryClosed)) };
        let mut state = self.memory.lock();
        let is_closed = state.is_closed;
        match state.waits.get_mut(&ticket) {
            Some(WaitState::Granted(grant)) => {
                let Grant { partition, capacity, .. } = *grant;
                state.waits.remove(&ticket);
                drop(state);
                self.ticket = None;
                Poll::Ready(Ok((partition, capacity)))
            }
            Some(WaitState::Waiting(waker)) if !is_closed => {
                let old =
                    (!waker.will_wake(cx.waker())).then(|| std::mem::replace(waker, cx.waker().clone()));
                drop(state);
                drop(old);
                Poll::Pending
            }
            // Dropping it gives up the place.
            _ => Poll::Ready(Err(MemoryClosed)),
        }
    }
}

impl Drop for Take<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.memory.lock();
        let wait = state.waits.remove(&ticket);
        match &wait {
            Some(WaitState::Granted(grant)) if !planted!(GrantDiesWithItsWait) => {
                state.budget.give_back(grant.partition, grant.capacity);
            }
            Some(WaitState::Waiting(_)) => {
                state.budget.cancel(self.line, ticket);
                state.waiting -= 1;
            }
            Some(WaitState::Granted(_)) | None => {}
        }
        self.memory.serve(state);
    }
}
