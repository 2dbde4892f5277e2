//! The `Sender`: the one background task of a producer, which writes batches and reads answers.
//!
//! [`SenderCore`] decides; [`Shell`] does what it says, and is the only place where the sender meets the runtime. The task
//! is a hand-written future so that a single wake-up serves callers, sockets and the timer alike.
//!
//! ```text
//!  handles ── orders ──► Control ◄── takes the seat for each poll ── Sender (the task)
//!                          └ Seat: Shell { SenderCore, sockets, timer }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::watch;

use crate::accumulator::RecordAccumulator;
use crate::clock;
use crate::error::DeliveryErrorKind;
use crate::metadata::Cluster;
use crate::network::transport::Connector;

mod brokers;
mod control;
mod core;
mod drive;
mod effects;
mod line;
mod nodes;
mod numbering;
mod partition;
mod purge;
mod request;
mod schedule;
pub(crate) mod seat;
mod settings;
mod settlement;
mod shell;
mod sight;
mod snapshot;
mod sockets;
mod spans;
mod stall;
#[cfg(feature = "telemetry")]
mod telemetry;
mod throttling;
mod timer;
mod topic_interests;
mod topology;
mod transactions;

pub(crate) use self::brokers::Board;
pub(crate) use self::control::Control;
pub(crate) use self::core::{Parts, SenderCore};
#[cfg(any(test, feature = "__internals"))]
pub(crate) use self::drive::{Address, HandedOver, Moment, Outside, Rest, drive, next_deadline};
pub(crate) use self::partition::{PRODUCER_ID_LIFETIME, most_outstanding};
pub use self::purge::Purge;
pub(crate) use self::request::Purpose;
pub(crate) use self::seat::is_seated;
pub(crate) use self::settings::{SenderSettings, TransactionalSettings};
use self::shell::Shell;
pub(crate) use self::snapshot::snapshot;
#[cfg(test)]
pub(crate) use self::sockets::Sockets;
#[cfg(feature = "telemetry")]
pub(crate) use self::telemetry::{Instance, Known, TelemetrySettings};
pub(crate) use self::topology::BootstrapNews;
pub(crate) use self::transactions::{CallReply, GroupOffsets, OffsetToCommit, Wish};

/// The background task. It ends when the producer is closed and everything is settled, or aborted.
#[derive(Debug)]
pub(crate) struct Sender {
    control: Arc<Control>,
}

impl Sender {
    pub(crate) fn new(
        core: SenderCore,
        accumulator: Arc<RecordAccumulator>,
        control: Arc<Control>,
        clusters: watch::Sender<Arc<Cluster>>,
        connector: Arc<dyn Connector>,
        max_frame: usize,
    ) -> Self {
        control.seat(Shell::new(core, accumulator, clusters, connector, max_frame));
        Self { control }
    }
}

impl Future for Sender {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let control = &self.control;
        control.drive(|shell| shell.poll(control, cx)).unwrap_or(Poll::Ready(()))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // The runtime is going away: no other code will ever answer these records.
        let control = &self.control;
        let finish = |shell: &mut Shell| {
            shell.finish(control, &DeliveryErrorKind::RuntimeShutdown, clock::now());
        };
        let _: Option<()> = control.drive(finish);
    }
}

#[cfg(test)]
mod tests;
