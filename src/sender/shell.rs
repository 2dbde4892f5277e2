//! `Shell`: does what [`SenderCore`] decides. It drives the sockets and keeps the one timer.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::future::{AbortHandle, Abortable, abortable};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::task::coop;
use tokio::time::Sleep;

use crate::accumulator::{ProducerBatch, RecordAccumulator, Work, salvage};
use crate::clock;
use crate::error::DeliveryErrorKind;
use crate::fence::Thrown;
use crate::log;
use crate::metadata::Cluster;
use crate::network::transport::{Connection, ConnectionEvent, Connector, Stream};
use crate::network::{ConnectionId, NetworkAction};
use crate::sender::control::{Control, Order, Report, guarded};
use crate::sender::core::{Action, SenderCore};

/// The acting half of the sender.
pub(super) struct Shell {
    core: SenderCore,
    accumulator: Arc<RecordAccumulator>,
    clusters: watch::Sender<Arc<Cluster>>,
    connector: Arc<dyn Connector>,
    connections: BTreeMap<ConnectionId, Connection>,
    connecting: FuturesUnordered<Attempt>,
    /// For each of `connecting`, how to give it up.
    abort_handles: BTreeMap<ConnectionId, AbortHandle>,
    max_frame: usize,
    /// Compressions that no other thread comes for.
    works: VecDeque<Work>,
    timer: Pin<Box<Sleep>>,
    armed: Option<Armed>,
    sight: Sight,
    /// True once those who wait for metadata were told that the producer is closed.
    has_told_of_close: bool,
    is_finished: bool,
}

/// What the timer was set to, and when.
#[derive(Debug, Clone, Copy)]
struct Armed {
    deadline: Instant,
    at: Instant,
}

/// Up to when we have seen what came.
///
/// A runtime that was blocked, or a process that was frozen, may poll us long after a deadline although the answer came in
/// time: it lies in a socket, and the runtime has yet to notice. The runtime looks at the sockets before it lets a timer fire.
/// So nothing is given up but by a timer that has fired: behind it everything that had come by its time can be read.
#[derive(Debug)]
struct Sight {
    /// What had come by then was taken in.
    read_until: Instant,
    /// What had come by then can be read.
    readable_until: Instant,
    /// Rounds in a row in which there was more to read.
    unread_rounds: u32,
}

type Attempt = Abortable<Pin<Box<dyn Future<Output = (ConnectionId, io::Result<Box<dyn Stream>>)> + Send>>>;

/// Rounds of one wake-up before the runtime has its turn.
const MAX_ROUNDS: usize = 64;

/// Never sleep shorter than the runtime's timer can tell apart: a deadline that is due over and over would keep the
/// task spinning.
pub(crate) const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// A timer that is later than this may have fired behind a look at the sockets that was long before.
const PUNCTUAL: Duration = Duration::from_millis(10);

/// A peer that sends without end does not keep others from being given up.
const MAX_UNREAD_ROUNDS: u32 = 1000;

/// Tries to fail the records of a sender that has panicked.
const MAX_TRIES: usize = 100;

impl Shell {
    pub(super) fn new(
        core: SenderCore,
        accumulator: Arc<RecordAccumulator>,
        clusters: watch::Sender<Arc<Cluster>>,
        connector: Arc<dyn Connector>,
        max_frame: usize,
    ) -> Self {
        let now = clock::now();
        Self {
            core,
            accumulator,
            clusters,
            connector,
            connections: BTreeMap::new(),
            connecting: FuturesUnordered::new(),
            abort_handles: BTreeMap::new(),
            max_frame,
            works: VecDeque::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            sight: Sight { read_until: now, readable_until: now, unread_rounds: 0 },
            has_told_of_close: false,
            is_finished: false,
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Does what there is to do, on behalf of the task.
    pub(super) fn poll(&mut self, control: &Control, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..MAX_ROUNDS {
            let now = clock::now();
            if self.armed.is_some_and(|armed| armed.deadline <= now) {
                self.poll_timer(cx, now);
            }
            if self.round(control, cx, now) {
                continue;
            }
            if self.is_finished {
                return Poll::Ready(());
            }
            self.arm_timer(now);
            if !self.poll_timer(cx, now) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Carries orders out, on whichever thread.
    pub(super) fn handle_orders(&mut self, control: &Control) {
        for order in control.take_orders() {
            let now = clock::now();
            match order {
                Order::Abort if !self.is_finished => {
                    self.take_in(now);
                    self.finish(control, &DeliveryErrorKind::Closed, now);
                }
                Order::EndIfIdle if !self.is_finished => {
                    if self.accumulator.has_ended() {
                        self.finish(control, &DeliveryErrorKind::Closed, now);
                    }
                }
                // A caller who has given up waiting for the result wants the purge all the same.
                Order::Purge(what, result) if !self.is_finished => {
                    self.take_in(now);
                    let mut report = Report::new(control);
                    self.core.purge(what, now, &mut report.errors);
                    let errors = report.take();
                    // Wakes the caller.
                    guarded(|| drop(result.send(errors)));
                }
                Order::Abort | Order::EndIfIdle | Order::Purge(..) => order.refuse(),
            }
        }
    }

    /// Fails whatever is not settled, and ends.
    pub(super) fn finish(&mut self, control: &Control, kind: &DeliveryErrorKind, now: Instant) {
        control.note_end(kind);
        let mut report = Report::new(control);
        self.core.abort(kind, now, &mut report.errors);
        drop(report);
        self.is_finished = true;
        self.connections.clear();
    }

    /// Ends after a panic. `lost` was dropped by it.
    ///
    /// What has panicked once may do so again, in which case every try has fewer batches left.
    pub(super) fn end_in_panic(&mut self, control: &Control, message: String, lost: Vec<ProducerBatch>) {
        let kind = DeliveryErrorKind::SenderPanicked(message);
        control.note_end(&kind);
        let now = clock::now();
        let (mut lost, mut report) = (lost, Report::new(control));
        for _ in 0..MAX_TRIES {
            let taken = std::mem::take(&mut lost);
            let (done, lost_again) =
                salvage::catch_unwind(|| self.core.abort_with(taken, &kind, now, &mut report.errors));
            if done.is_ok() {
                break;
            }
            lost = lost_again;
        }
        drop(report);
        self.core.fail_what_is_left(&kind);
        self.is_finished = true;
    }

    /// Takes in what happened and does what is due. Returns whether there may be more to do at once.
    fn round(&mut self, control: &Control, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut is_busy = self.accumulator.wake_flag().poll(cx);
        for interest in control.take_topic_interests() {
            self.core.handle_topic_interest(&interest, now);
        }
        self.handle_orders(control);
        if self.is_finished {
            return false;
        }
        is_busy |= self.poll_connecting(cx, now);
        let has_read_all = self.poll_connections(cx, now);
        self.sight.note_reading(has_read_all);
        is_busy |= self.compress_one();
        self.core.poll_as_of(now, clock::wall_clock_ms(), self.sight.read_until);
        while let Some(action) = self.core.poll_action() {
            is_busy = true;
            self.act(control, action, now);
        }
        if self.accumulator.is_closed() {
            if self.accumulator.has_ended() {
                self.finish(control, &DeliveryErrorKind::Closed, now);
                return false;
            }
            if !std::mem::replace(&mut self.has_told_of_close, true) {
                // Delivering the rest may take long. No caller needs to wait for metadata meanwhile.
                Control::tell_again(&self.clusters);
            }
        }
        is_busy
    }

    /// Takes in what lies in the sockets before records are given up by order. The task is woken afterwards, or ends.
    ///
    /// Attempts to connect are left to the task: they need its runtime around them, and have no answers to take in.
    fn take_in(&mut self, now: Instant) {
        // The caller's task may have used up its budget, without which sockets say that there is nothing.
        let reading = coop::unconstrained(std::future::poll_fn(|cx| {
            let has_read_all = (0..MAX_ROUNDS).any(|_| self.poll_connections(cx, now));
            if has_read_all { Poll::Ready(()) } else { Poll::Pending }
        }));
        let _ = pin!(reading).poll(&mut Context::from_waker(Waker::noop()));
        self.core.handle_network_events(now);
    }

    fn poll_connecting(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut is_busy = false;
        while let Poll::Ready(Some(attempt)) = self.connecting.poll_next_unpin(cx) {
            is_busy = true;
            // The core does not wait for an attempt that was given up.
            let Ok((id, result)) = attempt else { continue };
            self.abort_handles.remove(&id);
            match result {
                Ok(stream) => {
                    self.connections.insert(id, Connection::new(stream, self.max_frame));
                    self.core.network().handle_connected(id, now);
                }
                Err(error) => self.core.network().handle_connect_failed(id, error.to_string().into(), now),
            }
        }
        is_busy
    }

    /// Reads and writes. Returns whether everything was read that can be.
    fn poll_connections(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let core = &mut self.core;
        let mut has_read_all = true;
        self.connections.retain(|id, connection| {
            let result = connection.poll(cx, &mut |event| match event {
                ConnectionEvent::Frame(frame) => core.network().handle_frame(*id, frame, now),
                ConnectionEvent::Written { correlation_id } => {
                    core.network().handle_written(*id, correlation_id, now);
                }
            });
            match &result {
                Ok(is_drained) => has_read_all &= *is_drained,
                Err(error) => {
                    let reason = error.to_string().into();
                    core.network().handle_closed(*id, reason, connection.first_unsent(), now);
                }
            }
            result.is_ok()
        });
        // Without it, sockets say that there is nothing.
        has_read_all && coop::has_budget_remaining()
    }

    fn act(&mut self, control: &Control, action: Action, now: Instant) {
        match action {
            Action::Network(NetworkAction::Connect { connection, node, host, port, attempt }) => {
                log::debug!(%node, %host, port, "connecting");
                let connecting =
                    AssertUnwindSafe(self.connector.connect(&host, port, attempt)).catch_unwind();
                let attempt: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
                    // Tokio panics when the system refuses it a thread to look a name up. That may pass.
                    (
                        connection,
                        connecting
                            .await
                            .unwrap_or_else(|panic| Err(io::Error::other(Thrown::from(panic).message()))),
                    )
                });
                let (attempt, abort_handle) = abortable(attempt);
                self.abort_handles.insert(connection, abort_handle);
                self.connecting.push(attempt);
            }
            Action::Network(NetworkAction::Close { connection }) => {
                if let Some(attempt) = self.abort_handles.remove(&connection) {
                    attempt.abort();
                }
                self.connections.remove(&connection);
            }
            Action::Network(NetworkAction::Transmit { connection, frame }) => {
                match self.connections.get_mut(&connection) {
                    Some(connection) => connection.transmit(frame),
                    None => self.core.network().handle_closed(
                        connection,
                        "not connected".into(),
                        Some(frame.correlation_id),
                        now,
                    ),
                }
            }
            Action::Publish(cluster) => control.publish(&self.clusters, cluster),
            // Not awaited: the finished batch announces itself.
            Action::Seal(job) => self.works.extend(self.accumulator.seal_elsewhere(job).err()),
            Action::TakeBackSeals => self.works.extend(self.accumulator.take_back_work()),
        }
    }

    /// Does one of the compressions that no other thread comes for. One, so that the sockets have their turn between
    /// two.
    fn compress_one(&mut self) -> bool {
        self.works.pop_front().map(Work::run_if_quick).is_some()
    }

    /// Sets the timer to when there is something to do. One that is due and has not fired stays: it is about to.
    fn arm_timer(&mut self, now: Instant) {
        let Some(deadline) = self.core.poll_timeout(now) else {
            self.armed = None;
            return;
        };
        let deadline = deadline.max(now + SHORTEST_SLEEP);
        if self.armed.is_none_or(|armed| deadline < armed.deadline) {
            self.armed = Some(Armed { deadline, at: now });
            self.timer.as_mut().reset(deadline.into());
        }
    }

    /// Returns whether the timer has fired.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(armed) = self.armed else { return false };
        if self.timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.armed = None;
        self.sight.note_timer(armed, now);
        true
    }
}

impl Sight {
    fn note_timer(&mut self, armed: Armed, now: Instant) {
        let is_punctual = now.saturating_duration_since(armed.deadline) <= PUNCTUAL;
        // The runtime's look at the sockets was behind the time at which the timer was set. Not long before it fires, usually;
        // but a thread that was frozen between the two is late.
        let seen = if is_punctual { armed.deadline } else { armed.at };
        self.readable_until = self.readable_until.max(seen);
    }

    fn note_reading(&mut self, has_read_all: bool) {
        self.unread_rounds = if has_read_all { 0 } else { self.unread_rounds + 1 };
        if has_read_all || self.unread_rounds >= MAX_UNREAD_ROUNDS {
            self.read_until = self.readable_until;
        }
    }
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell").field("connections", &self.connections.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(now: Instant) -> Sight {
        Sight { read_until: now, readable_until: now, unread_rounds: 0 }
    }

    #[test]
    fn timer_that_fires_in_time_tells_that_the_sockets_were_looked_at() {
        let start = clock::now();
        let deadline = start + Duration::from_secs(30);
        let mut sight = sight(start);

        sight.note_timer(Armed { deadline, at: start }, deadline + SHORTEST_SLEEP);
        assert_eq!(sight.read_until, start, "they must be read, too");
        sight.note_reading(false);
        assert_eq!(sight.read_until, start);
        sight.note_reading(true);

        assert_eq!(sight.read_until, deadline);
    }

    #[test]
    fn late_timer_tells_nothing_of_what_has_come_since_it_was_set() {
        let start = clock::now();
        let (deadline, late) = (start + Duration::from_secs(30), start + Duration::from_secs(60));
        let mut sight = sight(start);

        sight.note_timer(Armed { deadline, at: start }, late);
        sight.note_reading(true);
        assert_eq!(sight.read_until, start);
        // Set again, and late again: the runtime has much to do.
        let again = late + SHORTEST_SLEEP;
        sight.note_timer(Armed { deadline: again, at: late }, again + Duration::from_secs(1));
        sight.note_reading(true);

        assert_eq!(sight.read_until, late);
    }

    #[test]
    fn peer_that_sends_without_end_does_not_keep_others_from_being_given_up() {
        let start = clock::now();
        let deadline = start + Duration::from_secs(30);
        let mut sight = sight(start);
        sight.note_timer(Armed { deadline, at: start }, deadline);

        (0..MAX_UNREAD_ROUNDS).for_each(|_| sight.note_reading(false));

        assert_eq!(sight.read_until, deadline);
    }
}
