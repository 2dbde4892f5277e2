//! Fences around the code of others: wakers, interceptors and logs of the application, and whatever else may panic.
//!
//! A function that calls foreign code in the middle of something puts a fence around the call, goes on after it, and looks at what
//! was thrown when everything is done. Logs have fences of their own (`log.rs`).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Calls `act`. Returns what it has thrown if it panics.
pub(crate) fn fenced<T>(act: impl FnOnce() -> T) -> Result<T, Thrown> {
    catch_unwind(AssertUnwindSafe(act)).map_err(Thrown::from)
}

/// What a panic has thrown. It may be of any type, and panic when it is dropped; dropping this never does.
#[derive(Debug)]
pub(crate) struct Thrown(
    /// `None` once it is thrown again.
    Option<Box<dyn Any + Send>>,
);

impl Thrown {
    /// Throws it again.
    pub(crate) fn rethrow(mut self) {
        if let Some(payload) = self.0.take() {
            resume_unwind(payload);
        }
    }

    /// Returns what the panic said.
    pub(crate) fn message(&self) -> String {
        let payload = self.0.as_ref();
        let text = payload.and_then(|payload| payload.downcast_ref::<&str>()).map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.and_then(|payload| payload.downcast_ref::<String>()).cloned());
        text.unwrap_or_else(|| "no message".to_owned())
    }
}

impl From<Box<dyn Any + Send>> for Thrown {
    fn from(payload: Box<dyn Any + Send>) -> Self {
        Self(Some(payload))
    }
}

impl Drop for Thrown {
    fn drop(&mut self) {
        let payload = self.0.take();
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            // It might go on like this for ever.
            std::mem::forget(again);
        }
    }
}

/// A value of the application's, which may panic when it is used or dropped.
#[derive(Debug)]
pub(crate) struct Fenced<T>(
    /// `None` only while it is being dropped.
    Option<T>,
);

impl<T> Fenced<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// Returns the value, without a fence around what the caller does with it.
    pub(crate) fn get(&self) -> &T {
        self.0.as_ref().expect("present until it is dropped")
    }

    /// Gives access to the value, without a fence around what the caller does with it.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("present until it is dropped")
    }

    /// Does something with the value. Returns what it has thrown if it panics.
    pub(crate) fn call<R>(&mut self, act: impl FnOnce(&mut T) -> R) -> Result<R, Thrown> {
        fenced(|| act(self.get_mut()))
    }
}

impl<T> Drop for Fenced<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        drop(fenced(|| drop(value)));
    }
}

#[cfg(test)]
pub(crate) mod broken;

#[cfg(test)]
mod tests {
    use super::broken::Bomb;
    use super::*;

    #[test]
    fn what_was_thrown_does_not_throw_when_it_is_dropped() {
        let thrown = fenced(|| std::panic::panic_any(Bomb)).map(|()| "done").unwrap_err();

        assert_eq!(thrown.message(), "no message");
        drop(thrown);
    }

    #[test]
    fn message_is_what_the_panic_said() {
        let plain = fenced(|| panic!("plain")).map(|()| "done").unwrap_err();
        let made = fenced(|| panic!("number {}", 7)).map(|()| "done").unwrap_err();

        assert_eq!([plain.message(), made.message()], ["plain", "number 7"]);
        assert_eq!(fenced(|| plain.rethrow()).unwrap_err().message(), "plain");
    }
}
