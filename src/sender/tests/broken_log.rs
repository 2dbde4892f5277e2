//! A log that panics, as an application's may: the only code of others that runs in the middle of our work, since wakers and
//! interceptors are fenced in.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A log that panics once.
pub(super) struct BrokenLog {
    message: &'static str,
    /// Such messages until then.
    left: AtomicUsize,
}

impl BrokenLog {
    /// Calls `f`, in which this thread's log panics when this message comes for the `nth` time, from 1.
    pub(super) fn during<T>(message: &'static str, nth: usize, f: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(Self { message, left: AtomicUsize::new(nth) }, f)
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
            panic!("the log is broken");
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
