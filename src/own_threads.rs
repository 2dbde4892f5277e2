//! Threads of the crate's own, for work that blocks and may hang for as long as the system lets it.
//!
//! The runtime's blocking pool is not for such work: other tasks may hold all of its threads, and a runtime that ends waits for
//! what they do. These threads end when there is nothing left to do, and the process does not wait for them.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

mod one_at_a_time;

#[cfg(feature = "tls")]
pub(crate) use self::one_at_a_time::NotDone;
pub(crate) use self::one_at_a_time::OneAtATime;

/// Threads for work of one kind. Each ends when no work waits any more.
pub(crate) struct OwnThreads {
    name: &'static str,
    most: usize,
    spawn: fn(OwnThread) -> io::Result<()>,
    state: Mutex<State>,
}

struct State {
    waiting: VecDeque<Arc<Job>>,
    /// Threads that run or are about to. Less than `most` only if nothing waits.
    running: usize,
}

/// Something to do, until a thread takes it or who wants it gives it up.
pub(crate) struct Job(Mutex<Option<Work>>);

type Work = Box<dyn FnOnce() + Send>;

/// Takes a job back when it is dropped.
pub(crate) struct Claim(pub(crate) Arc<Job>);

/// A thread that takes one job after the other.
pub(crate) struct OwnThread {
    threads: &'static OwnThreads,
    is_done: bool,
}

impl OwnThreads {
    /// At most so many threads, all with this name.
    pub(crate) const fn new(name: &'static str, most: usize) -> Self {
        Self::with(name, most, OwnThread::spawn)
    }

    pub(crate) const fn with(
        name: &'static str,
        most: usize,
        spawn: fn(OwnThread) -> io::Result<()>,
    ) -> Self {
        let state = State { waiting: VecDeque::new(), running: 0 };
        Self { name, most, spawn, state: Mutex::new(state) }
    }

    /// Has a job begun by a new thread, or by the next one that is done with another.
    ///
    /// # Errors
    ///
    /// The system gives out no thread.
    pub(crate) fn add(&'static self, job: Arc<Job>) -> io::Result<()> {
        let mut state = self.lock();
        // Those that were given up would pile up while all threads hang.
        state.waiting.retain(|job| job.waits());
        state.waiting.push_back(job);
        if state.running == self.most {
            return Ok(());
        }
        state.running += 1;
        drop(state);
        (self.spawn)(OwnThread { threads: self, is_done: false })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl OwnThreads {
    pub(crate) fn running_and_waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.running, state.waiting.len())
    }

    pub(crate) fn has_waiting(&self) -> bool {
        self.lock().waiting.iter().any(|job| job.waits())
    }
}

impl fmt::Debug for OwnThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnThreads")
            .field("name", &self.name)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

impl Job {
    pub(crate) fn new(work: impl FnOnce() + Send + 'static) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(Box::new(work)))))
    }

    /// Whether no thread has begun it, and it was not given up.
    pub(crate) fn waits(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Does it, unless another thread has.
    pub(crate) fn run(&self) {
        if let Some(work) = self.take() {
            work();
        }
    }

    fn take(&self) -> Option<Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

impl OwnThread {
    /// Starts the thread.
    pub(crate) fn spawn(self) -> io::Result<()> {
        thread::Builder::new().name(self.threads.name.to_owned()).spawn(move || self.run()).map(drop)
    }

    fn run(mut self) {
        while let Some(job) = self.next() {
            job.run();
        }
    }

    fn next(&mut self) -> Option<Arc<Job>> {
        let mut state = self.threads.lock();
        let next = state.waiting.pop_front();
        if next.is_none() {
            // Under the same lock as finding nothing: a job that is added from here on starts another thread.
            state.running -= 1;
            self.is_done = true;
        }
        next
    }
}

/// A thread that is not done was never started, or has panicked.
impl Drop for OwnThread {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut state = self.threads.lock();
        state.running -= 1;
        let left = if state.running == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        drop(state);
        // No other thread would begin them. Who waits for them gets an error and tries again.
        for job in left {
            drop(job.take());
        }
    }
}
