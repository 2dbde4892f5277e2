//! What the sender has yet to look at, and how it is woken to do so.

use std::sync::Arc;

use crate::accumulator::partition_queue::PartitionQueue;
use crate::planted::planted;
use crate::sync::{AtomicBool, AtomicWaker, Mutex, MutexGuard, Ordering, PoisonError, expect_none_held};

/// The way from callers to the sender.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    list: Mutex<List>,
    wake: WakeFlag,
    /// The sender will look soon by itself. It withdraws this before it looks. A thread that puts a queue on the list after that
    /// look sees it withdrawn: the lock of the list orders the two.
    is_coming: AtomicBool,
}

#[derive(Debug, Default)]
struct List {
    /// Queues that changed since the sender looked.
    queues: Vec<Arc<PartitionQueue>>,
    /// The sender has ended. A queue on the list would stay there for ever, and keep alive the list that it refers to.
    is_closed: bool,
}

impl Changes {
    /// Tells the sender that a queue has changed. It looks at once, or soon if it has said that it is coming.
    pub(crate) fn announce(&self, queue: Arc<PartitionQueue>) {
        let was_coming = planted!(ComingAskedTooEarly) && self.is_coming.load(Ordering::Relaxed);
        self.push(queue);
        if !was_coming && !self.is_coming.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Has the sender look at a queue at once.
    pub(crate) fn announce_at_once(&self, queue: Arc<PartitionQueue>) {
        self.push(queue);
        self.wake();
    }

    /// Forgets what has changed, and takes no note of later changes.
    pub(crate) fn close(&self) {
        let mut list = self.lock();
        list.is_closed = true;
        let queues = std::mem::take(&mut list.queues);
        drop(list);
        drop(queues);
    }

    /// Says whether the sender will look soon without being woken.
    pub(crate) fn set_coming(&self, is_coming: bool) {
        self.is_coming.store(is_coming, Ordering::Relaxed);
    }

    /// Moves the queues that changed into `into`.
    pub(crate) fn take(&self, into: &mut Vec<Arc<PartitionQueue>>) {
        into.append(&mut self.lock().queues);
    }

    pub(crate) fn wake(&self) {
        self.wake.wake();
    }

    pub(crate) fn wake_flag(&self) -> &WakeFlag {
        &self.wake
    }

    fn push(&self, queue: Arc<PartitionQueue>) {
        let mut list = self.lock();
        if !list.is_closed {
            list.queues.push(queue);
        }
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes one sleeper; waking it again before it has looked costs one atomic swap.
#[derive(Debug, Default)]
pub(crate) struct WakeFlag {
    is_set: AtomicBool,
    waker: AtomicWaker,
}

impl WakeFlag {
    pub(crate) fn wake(&self) {
        expect_none_held();
        if !self.is_set.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Registers the sleeper. Returns true if it was woken since the last call.
    pub(crate) fn poll(&self, cx: &std::task::Context<'_>) -> bool {
        if planted!(FlagTakenTooEarly) {
            let was_set = self.take();
            self.waker.register(cx.waker());
            return was_set;
        }
        self.waker.register(cx.waker());
        self.take()
    }

    fn take(&self) -> bool {
        self.is_set.swap(false, Ordering::AcqRel)
    }
}
