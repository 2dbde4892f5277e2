//! `Lookups`: the addresses of host names. A lookup blocks its thread.
//!
//! The runtime's blocking pool has threads for that. Other tasks may hold all of them for as long as they like, maybe while
//! they wait for our results. So if no thread of the pool has begun a lookup after a moment, it is also offered to threads of
//! our own, and the thread that comes first takes it.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::fence::fenced;
use crate::own_threads::{Claim, Job, OwnThreads};

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

/// A place among the lookups that the pool has not begun.
struct InPool(Arc<AtomicUsize>);

/// How long the pool has for beginning a lookup: as long as the sender waits for the compression of a batch to begin.
const PATIENCE: Duration = Duration::from_millis(5);
/// The most lookups that a pool which stands still is asked for. Lookups that callers gave up stay in its queue, though empty.
const MOST_IN_POOL: usize = 16;

/// The threads of the whole process. A lookup may hang for as long as the system lets it.
static OWN_THREADS: OwnThreads = OwnThreads::new("kafka-producer-lookup", 8);

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
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (sender, mut receiver) = oneshot::channel();
        let lookup = Job::new(move || drop(sender.send(work())));
        // An attempt that is given up takes its lookup with it.
        let _claim = Claim(Arc::clone(&lookup));
        if self.offer_to_pool(&lookup) {
            tokio::select! {
                biased;
                result = &mut receiver => return result.unwrap_or_else(|_| Err(not_done())),
                () = sleep(PATIENCE) => {}
            }
        }
        if lookup.waits() {
            self.own_threads.add(lookup).map_err(no_thread)?;
        }
        receiver.await.unwrap_or_else(|_| Err(not_done()))
    }

    /// Returns false if the pool was not asked.
    fn offer_to_pool(&self, lookup: &Arc<Job>) -> bool {
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

fn no_thread(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("no thread to look the name up: {error}"))
}

fn not_done() -> io::Error {
    io::Error::other("the thread that looked the name up did not come to an end")
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

#[cfg(test)]
mod tests;
