//! What stands on the border between threads is built from these. `loom/` builds the crate with loom's in their place.

pub(crate) use std::sync::PoisonError;
use std::task::Waker;

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock, RwLock, TryLockError};

#[cfg(not(loom))]
pub(crate) use futures::task::AtomicWaker;

#[cfg(loom)]
#[path = "../loom/models/sync.rs"]
mod modelled;
#[cfg(loom)]
pub(crate) use self::modelled::{
    AtomicBool, AtomicU32, AtomicUsize, AtomicWaker, Mutex, MutexGuard, OnceLock, Ordering, RwLock,
    TryLockError,
};

use crate::fence::fenced;
use crate::log;

/// Is held together with a lock under which only code of this crate may run: a waker, for instance, may call back into the
/// producer and want the same lock.
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

/// Call this where wakers may run: in tests it fails if the thread holds one of our locks.
#[inline]
pub(crate) fn expect_none_held() {
    #[cfg(test)]
    assert_eq!(count::HELD.get(), 0, "a waker would run under a lock");
}

/// Wakes them all. If a waker panics, those after it are still woken, and the panic does not reach the caller.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    expect_none_held();
    for waker in wakers {
        if fenced(|| waker.wake()).is_err() {
            log::error!("a waker panicked");
        }
    }
}

#[cfg(test)]
mod count {
    use std::cell::Cell;

    thread_local! {
        pub(super) static HELD: Cell<usize> = const { Cell::new(0) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;
    use crate::fence::broken::BrokenLog;

    /// Counts, or panics with what panics again.
    struct Sleeper {
        woken: AtomicUsize,
        panics: bool,
    }

    struct Thrown;

    impl Drop for Thrown {
        fn drop(&mut self) {
            panic!("thrown by what was thrown");
        }
    }

    impl Wake for Sleeper {
        fn wake(self: Arc<Self>) {
            if self.panics {
                std::panic::panic_any(Thrown);
            }
            self.woken.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn waker_that_panics_leaves_no_other_asleep() {
        let sleepers: [_; 4] = std::array::from_fn(|number| {
            Arc::new(Sleeper { woken: AtomicUsize::new(0), panics: number % 2 == 0 })
        });

        wake_all(sleepers.iter().map(|sleeper| Waker::from(Arc::clone(sleeper))));

        assert_eq!(sleepers.each_ref().map(|sleeper| sleeper.woken.load(Ordering::Relaxed)), [0, 1, 0, 1]);
    }

    #[test]
    fn log_that_panics_about_a_waker_leaves_no_other_asleep() {
        let sleepers = [true, false].map(|panics| Arc::new(Sleeper { woken: AtomicUsize::new(0), panics }));
        let wakers = sleepers.iter().map(|sleeper| Waker::from(Arc::clone(sleeper)));

        BrokenLog::during("a waker panicked", 1, || wake_all(wakers));

        assert_eq!(sleepers[1].woken.load(Ordering::Relaxed), 1);
    }
}
