//! `Lookups`: the addresses of host names. A lookup blocks its thread.
//!
//! The runtime's blocking pool has threads for that. Other tasks may hold all of them for as long as they like, maybe while
//! they wait for our results. So if no thread of the pool has begun a lookup after a moment, it is also offered to threads of
//! our own, and the thread that comes first takes it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::fence::fenced;

/// A name for which there is no address. It travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unresolved(String);

impl Unresolved {
    pub(crate) fn error(kind: io::ErrorKind, text: impl Into<String>) -> io::Error {
        io::Error::new(kind, Self(text.into()))
    }

    pub(crate) fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

/// Lookups of one producer.
#[derive(Debug, Clone)]
pub(crate) struct Lookups {
    /// How many the blocking pool was asked to do and has not begun.
    in_pool: Arc<AtomicUsize>,
    own_threads: &'static OwnThreads,
}

/// Threads of our own: each ends when no lookup waits any more.
struct OwnThreads {
    most: usize,
    spawn: fn(OwnThread) -> io::Result<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Lookup>>,
    /// Threads that run or are about to. Less than `most` only if nothing waits.
    running: usize,
}

/// One lookup, until a thread takes it or its caller gives it up.
struct Lookup(Mutex<Option<Work>>);

type Work = Box<dyn FnOnce() + Send>;

/// Takes a lookup back when its caller goes.
struct Caller(Arc<Lookup>);

/// A place among the lookups that the pool has not begun.
struct InPool(Arc<AtomicUsize>);

struct OwnThread {
    threads: &'static OwnThreads,
    is_done: bool,
}

/// How long the pool has for beginning a lookup: as long as the sender waits for the compression of a batch to begin.
const PATIENCE: Duration = Duration::from_millis(5);
/// The most lookups that a pool which stands still is asked for. Lookups that callers gave up stay in its queue, though empty.
const MOST_IN_POOL: usize = 16;

/// The threads of the whole process. A lookup may hang for as long as the system lets it.
static OWN_THREADS: OwnThreads = OwnThreads {
    most: 8,
    spawn: spawn_own,
    state: Mutex::new(State { waiting: VecDeque::new(), running: 0 }),
};

impl Lookups {
    pub(crate) fn new() -> Self {
        Self::with(&OWN_THREADS)
    }

    fn with(own_threads: &'static OwnThreads) -> Self {
        Self { in_pool: Arc::default(), own_threads }
    }

    /// Returns the addresses of a host. An address in place of a name needs no lookup.
    pub(super) async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let host = host.to_owned();
        let found = self.run(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await;
        found.map_err(|error| Unresolved::error(error.kind(), error.to_string()))
    }

    /// Has a thread do something that blocks, at most once.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (sender, mut receiver) = oneshot::channel();
        let work: Work = Box::new(move || drop(sender.send(work())));
        let lookup = Arc::new(Lookup(Mutex::new(Some(work))));
        let _caller = Caller(Arc::clone(&lookup));
        if self.offer_to_pool(&lookup) {
            tokio::select! {
                biased;
                result = &mut receiver => return result.unwrap_or_else(|_| Err(not_done())),
                () = sleep(PATIENCE) => {}
            }
        }
        if lookup.waits() {
            self.own_threads.add(lookup)?;
        }
        receiver.await.unwrap_or_else(|_| Err(not_done()))
    }

    /// Returns false if the pool was not asked.
    fn offer_to_pool(&self, lookup: &Arc<Lookup>) -> bool {
        let place = InPool::new(&self.in_pool);
        if self.in_pool.load(Ordering::Relaxed) > MOST_IN_POOL {
            return false;
        }
        let lookup = Arc::clone(lookup);
        let in_pool = move || {
            drop(place);
            lookup.run();
        };
        // Tokio panics if the system gives it no thread for a pool without any.
        fenced(|| drop(spawn_blocking(in_pool))).is_ok()
    }
}

fn not_done() -> io::Error {
    io::Error::other("the thread that looked the name up did not come to an end")
}

impl Lookup {
    fn take(&self) -> Option<Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn waits(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn run(&self) {
        if let Some(work) = self.take() {
            work();
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

impl InPool {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for InPool {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl OwnThreads {
    /// Has a lookup begun by a new thread, or by the next one that is done with another.
    fn add(&'static self, lookup: Arc<Lookup>) -> io::Result<()> {
        let mut state = self.lock();
        // Those that were given up would pile up while all threads hang.
        state.waiting.retain(|lookup| lookup.waits());
        state.waiting.push_back(lookup);
        if state.running == self.most {
            return Ok(());
        }
        state.running += 1;
        drop(state);
        (self.spawn)(OwnThread { threads: self, is_done: false })
            .map_err(|error| io::Error::new(error.kind(), format!("no thread to look the name up: {error}")))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn_own(thread: OwnThread) -> io::Result<()> {
    thread::Builder::new().name("kafka-producer-lookup".to_owned()).spawn(move || thread.run()).map(drop)
}

impl OwnThread {
    fn run(mut self) {
        while let Some(lookup) = self.next() {
            lookup.run();
        }
    }

    fn next(&mut self) -> Option<Arc<Lookup>> {
        let mut state = self.threads.lock();
        let next = state.waiting.pop_front();
        if next.is_none() {
            // Under the same lock as finding nothing: a lookup that is added from here on starts another thread.
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
        // No other thread would begin them. Their callers get an error and try again.
        for lookup in left {
            drop(lookup.take());
        }
    }
}

impl fmt::Debug for OwnThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnThreads").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
