//! What puts tasks to sleep and wakes them is built from these; `loom/` builds the same files with loom's in their place.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Stands beside a lock of ours, for as long as it is held, under which nobody else's code may run: a waker, say, may call
/// back into the producer and want the same lock.
///
/// Only tests keep count of these.
#[derive(Debug)]
pub(crate) struct Held(());

impl Held {
    #[inline]
    pub(crate) fn new() -> Self {
        #[cfg(test)]
        count::HELD.set(count::HELD.get() + 1);
        Self(())
    }
}

#[cfg(test)]
impl Drop for Held {
    fn drop(&mut self) {
        count::HELD.set(count::HELD.get() - 1);
    }
}

/// To be called where wakers may be run: in tests it fails if the thread holds one of our locks.
#[inline]
pub(crate) fn expect_none_held() {
    #[cfg(test)]
    assert_eq!(count::HELD.get(), 0, "a waker would run under a lock");
}

#[cfg(test)]
mod count {
    use std::cell::Cell;

    thread_local! {
        pub(super) static HELD: Cell<usize> = const { Cell::new(0) };
    }
}
