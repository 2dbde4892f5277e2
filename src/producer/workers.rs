//! `BlockingWorkers`: threads of the runtime that compress batches.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;

use crate::accumulator::{Work, Workers};
use crate::fence::fenced;
use crate::log;
use crate::planted::planted;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Threads of the runtime's blocking pool, no more at a time than there are cores.
///
/// More would compress no faster, and each keeps the memory of a codec.
#[derive(Debug, Clone)]
pub(crate) struct BlockingWorkers(Arc<Shared>);

/// Lets a thread do something, soon or late. It may panic if the system refuses a thread.
type Spawn = dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync;

struct Shared {
    spawn: Box<Spawn>,
    /// Threads at a time, at least one.
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    /// What is being done just now.
    under_way: usize,
    /// Threads that run or are about to. Less than `most` only if nothing waits.
    running: usize,
    /// Work was taken back because no thread came for it. None is taken on until one comes: the runtime may have lent all
    /// its blocking threads to others, who keep them for as long as they like.
    is_stuck: bool,
}

/// One thread at work, or one that will come. If it ends while there is work, it was never started or has panicked.
struct Worker {
    shared: Arc<Shared>,
    is_busy: bool,
    is_done: bool,
}

impl BlockingWorkers {
    pub(super) fn new(runtime: Handle) -> Self {
        Self::on(runtime, thread::available_parallelism().map_or(1, NonZero::get))
    }

    fn on(runtime: Handle, most: usize) -> Self {
        Self::with(move |work| drop(runtime.spawn_blocking(work)), most)
    }

    /// `most` is how many threads at a time, at least one.
    pub(crate) fn with(
        spawn: impl Fn(Box<dyn FnOnce() + Send>) + Send + Sync + 'static,
        most: usize,
    ) -> Self {
        Self(Arc::new(Shared { spawn: Box::new(spawn), most, state: Mutex::default() }))
    }

    /// Gives work back if the system refuses the thread that it would need.
    fn add(&self, mut state: MutexGuard<'_, State>, work: Work) -> Result<(), Work> {
        state.waiting.push_back(work);
        if state.running == self.0.most {
            return Ok(());
        }
        state.running += 1;
        drop(state);
        let worker = Worker { shared: Arc::clone(&self.0), is_busy: false, is_done: false };
        let place = Arc::new(Mutex::new(Some(worker)));
        let thread = {
            let place = Arc::clone(&place);
            move || take_from(&place).map_or((), Worker::run)
        };
        // A runtime that is shut down drops the worker. A runtime that gets no thread from the system panics, and keeps the
        // worker for a thread that may come much later.
        match fenced(|| (self.0.spawn)(Box::new(thread))) {
            Ok(()) => Ok(()),
            Err(_) => {
                log::warn!("the system refuses a thread to compress on");
                take_from(&place).and_then(Worker::give_up).map_or(Ok(()), Err)
            }
        }
    }
}

fn take_from(place: &Mutex<Option<Worker>>) -> Option<Worker> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Workers for BlockingWorkers {
    fn take(&self, work: Work) -> Result<(), Work> {
        let state = self.0.lock();
        if state.is_stuck {
            return Err(work);
        }
        self.add(state, work)
    }

    fn try_take(&self, work: Work) -> Result<(), Work> {
        let state = self.0.lock();
        if state.is_stuck || state.under_way + state.waiting.len() >= self.0.most {
            return Err(work);
        }
        self.add(state, work)
    }

    fn take_back(&self) -> Vec<Work> {
        let mut state = self.0.lock();
        // A thread that is at work goes on until nothing waits.
        if state.under_way > 0 || state.waiting.is_empty() {
            return Vec::new();
        }
        state.is_stuck = true;
        std::mem::take(&mut state.waiting).into()
    }
}

#[cfg(loom)]
impl BlockingWorkers {
    /// Returns whether a thread runs, or is about to.
    pub(crate) fn is_anything_running(&self) -> bool {
        self.0.lock().running > 0
    }
}

impl Worker {
    fn run(mut self) {
        while let Some(work) = self.next() {
            work.run();
        }
    }

    /// Ends a worker that has got no thread. Returns the work that was added last unless another will come to it.
    fn give_up(self) -> Option<Work> {
        let mut state = self.shared.lock();
        let last = if state.running == 1 { state.waiting.pop_back() } else { None };
        drop(state);
        last
    }

    fn next(&mut self) -> Option<Work> {
        let mut state = self.shared.lock();
        state.is_stuck = false;
        state.under_way -= usize::from(self.is_busy);
        let next = state.waiting.pop_front();
        self.is_busy = next.is_some();
        if !self.is_busy && planted!(WorkerLeavesTooLate) {
            drop(state);
            state = self.shared.lock();
        }
        if self.is_busy {
            state.under_way += 1;
        } else {
            // In the same breath as finding nothing: who adds work from here on starts another thread.
            state.running -= 1;
            self.is_done = true;
        }
        next
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut state = self.shared.lock();
        state.under_way -= usize::from(self.is_busy);
        state.running -= 1;
        // No other thread would do it. Undone work puts its batch back as it is.
        let left = if state.running == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        state.is_stuck &= state.running > 0;
        drop(state);
        drop(left);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingWorkers").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
