//! [`Current`]: the credentials in force, as exchanges find them and the login task puts them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::planted::planted;

/// The credentials in force. All clones are one.
pub(crate) struct Current<T>(Arc<Shared<T>>);

struct Shared<T> {
    held: Mutex<Held<T>>,
    /// An exchange has found that a broker does not accept what is in force.
    doubted: Notify,
}

struct Held<T> {
    value: Option<Arc<T>>,
    /// It has ended, by the clock of this machine.
    is_over: bool,
}

impl<T> Current<T> {
    pub(crate) fn new() -> Self {
        let held = Held { value: None, is_over: false };
        Self(Arc::new(Shared { held: Mutex::new(held), doubted: Notify::new() }))
    }

    /// Returns what is in force, if there is anything.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        self.held().value.clone()
    }

    /// A broker does not accept `refused`: others are fetched before it ends. Returns whether it has ended anyway.
    pub(crate) fn doubt(&self, refused: &Arc<T>) -> bool {
        let held = self.held();
        match &held.value {
            Some(value) if Arc::ptr_eq(value, refused) => {
                if !planted!(RefusedTokenKept) {
                    self.0.doubted.notify_one();
                }
                held.is_over
            }
            Some(_) => false,
            None => held.is_over,
        }
    }

    /// Puts new credentials in force. If they are over by the clock of this machine, brokers are still asked what they think.
    pub(super) fn put(&self, value: T, is_over: bool) {
        *self.held() = Held { value: Some(Arc::new(value)), is_over };
    }

    /// Takes out of force what has ended.
    pub(super) fn end(&self) {
        *self.held() = Held { value: None, is_over: true };
    }

    /// Waits until an exchange doubts what is in force.
    pub(crate) async fn doubted(&self) {
        self.0.doubted.notified().await;
    }

    fn held(&self) -> MutexGuard<'_, Held<T>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl<T> Current<T> {
    pub(crate) fn put_for_test(&self, value: T) {
        self.put(value, false);
    }
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Current<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").field("is_there", &self.get().is_some()).finish_non_exhaustive()
    }
}
