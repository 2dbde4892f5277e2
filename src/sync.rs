//! The synchronisation that lock-free proofs replace: `loom/` builds the files that import from here with loom's types.

pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
