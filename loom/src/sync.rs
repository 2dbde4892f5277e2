//! What the crate's `sync` is in the crate, from loom.

pub(crate) use std::sync::PoisonError;

pub(crate) use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
pub(crate) use loom::sync::{Mutex, MutexGuard};

/// Loom has none. This one orders as std's does: what `set` has stored is seen by a `get` that sees it.
#[derive(Debug, Default)]
pub(crate) struct OnceLock<T> {
    is_set: loom::sync::atomic::AtomicBool,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self { is_set: loom::sync::atomic::AtomicBool::new(false), value: std::sync::OnceLock::new() }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.is_set.store(true, Ordering::Release);
        Ok(())
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.is_set.load(Ordering::Acquire).then(|| self.value.get()).flatten()
    }
}

pub(crate) fn wake_all(wakers: impl IntoIterator<Item = std::task::Waker>) {
    wakers.into_iter().for_each(std::task::Waker::wake);
}

/// The crate's tests look at that.
pub(crate) fn expect_none_held() {}
