//! What may be broken in an application: a log that panics, and what is thrown that throws again.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// What a panic throws that panics again when it is dropped, with the same.
#[derive(Debug)]
pub(crate) struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::panic_any(Self);
    }
}

/// A log that panics once, with a [`Bomb`].
pub(crate) struct BrokenLog {
    message: &'static str,
    /// Such messages until then.
    left: AtomicUsize,
}

impl BrokenLog {
    /// Calls `f`, in which this thread's log panics when this message comes for the `nth` time, from 1.
    pub(crate) fn during<T>(message: &'static str, nth: usize, f: impl FnOnce() -> T) -> T {
        let _guard = Self::set(message, nth);
        f()
    }

    /// The same until the guard is dropped.
    pub(crate) fn set(message: &'static str, nth: usize) -> DefaultGuard {
        tracing::subscriber::set_default(Self { message, left: AtomicUsize::new(nth) })
    }
}

impl Subscriber for BrokenLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        if text.0 == self.message && self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::panic::panic_any(Bomb);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message of an event.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
