//! The producer as other crates' traits have it: a stream of results, a sink for records, a service.
//!
//! ```text
//!  SendStream ──┐
//!  RecordSink ──┴─► Window ──┐
//!  RecordService future ─────┴─► Accepts ◄── KafkaProducer, TransactionHandle, MockProducer
//! ```
//!
//! [`SendStream`] and [`RecordSink`] keep the records that they have sent in a [`Window`], which has a bound and an order.

use std::task::{Context, Poll};

use tokio::task::coop;

mod accepts;
mod record_sink;
mod send_stream;
#[cfg(feature = "tower")]
mod service;
mod window;

pub(crate) use self::accepts::{Acceptance, Accepts};
pub use self::record_sink::RecordSink;
pub use self::send_stream::SendStream;
#[cfg(feature = "tower")]
pub use self::service::SendFuture;
#[cfg(feature = "tower")]
pub(crate) use self::service::service;
use self::window::Window;

/// Without this a loop of calls, or a source that always has a record, could keep every other task from its thread until memory is full.
pub(crate) fn give_way(cx: &mut Context<'_>) -> Poll<()> {
    if coop::has_budget_remaining() { Poll::Ready(()) } else { coop::poll_proceed(cx).map(drop) }
}
