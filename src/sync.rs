//! What puts tasks to sleep and wakes them is built from these; `loom/` builds the same files with loom's in their place.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
