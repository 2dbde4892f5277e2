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

use crate::accumulator::{ProducerBatch, RecordAccumulator, SealJob, Work, salvage};
use crate::clock;
use crate::error::DeliveryErrorKind;
use crate::fence::Thrown;
use crate::log;
use crate::metadata::Cluster;
use crate::network::dialer::ByteStream;
use crate::network::lookup::Unresolved;
use crate::network::transport::Connector;
use crate::network::{ConnectionId, Frame};
use crate::security_failure::SecurityFailure;
use crate::sender::control::{Control, Order, Report, Withdrawal, guarded};
use crate::sender::core::SenderCore;
use crate::sender::drive::{Address, HandedOver, MAX_ROUNDS, Moment, Outside, Rest, drive, next_deadline};
use crate::sender::seat::Occupant;
use crate::sender::sight::{Armed, Sight};
use crate::sender::sockets::Sockets;

/// The acting half of the sender.
pub(super) struct Shell {
    core: SenderCore,
    accumulator: Arc<RecordAccumulator>,
    clusters: watch::Sender<Arc<Cluster>>,
    connector: Arc<dyn Connector>,
    sockets: Sockets,
    connecting: FuturesUnordered<Attempt>,
    /// For each of `connecting`, how to give it up.
    abort_handles: BTreeMap<ConnectionId, AbortHandle>,
    /// Compressions that no other thread comes for.
    works: VecDeque<Work>,
    timer: Pin<Box<Sleep>>,
    armed: Option<Armed>,
    sight: Sight,
    /// True once the shell has told callers that wait for metadata that the producer is closed.
    has_told_of_close: bool,
    is_finished: bool,
}

/// The shell while its task polls it: the only time at which it has a runtime around it.
struct OnTask<'a, 'c> {
    shell: &'a mut Shell,
    control: &'a Control,
    cx: &'a mut Context<'c>,
}

type Attempt =
    Abortable<Pin<Box<dyn Future<Output = (ConnectionId, io::Result<Box<dyn ByteStream>>)> + Send>>>;

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
            sockets: Sockets::new(max_frame),
            connecting: FuturesUnordered::new(),
            abort_handles: BTreeMap::new(),
            works: VecDeque::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            sight: Sight::new(now),
            has_told_of_close: false,
            is_finished: false,
        }
    }

    /// Does what there is to do, on behalf of the task.
    pub(super) fn poll(&mut self, control: &Control, cx: &mut Context<'_>) -> Poll<()> {
        match drive(&mut OnTask { shell: self, control, cx }) {
            Rest::Asleep => Poll::Pending,
            Rest::Ended => Poll::Ready(()),
            Rest::Restless => {
                cx.waker().wake_by_ref();
                Poll::Pending
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
        self.sockets.close_all();
    }

    /// Takes in what lies in the sockets before records are given up by order. The task is woken afterwards, or ends.
    ///
    /// Attempts to connect are left to the task: they need its runtime around them, and have no answers to take in.
    fn take_in(&mut self, now: Instant) {
        // The caller's task may have used up its budget. Sockets would then say that there is nothing to read.
        let reading = coop::unconstrained(std::future::poll_fn(|cx| {
            let has_read_all = (0..MAX_ROUNDS).any(|_| self.poll_sockets(cx, now));
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
                    self.sockets.open(id, stream);
                    self.core.network().handle_connected(id, now);
                }
                Err(error) => match SecurityFailure::of(&error) {
                    Some(failure) => self.core.network().handle_insecure(id, failure, None, now),
                    None if Unresolved::is_in(&error) => {
                        self.core.network().handle_unresolved(id, error.into(), now);
                    }
                    None => self.core.network().handle_connect_failed(id, error.into(), now),
                },
            }
        }
        is_busy
    }

    /// Reads and writes. Returns whether everything was read that can be.
    fn poll_sockets(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        self.sockets.poll(self.core.network(), cx, now, |_| {})
    }

    /// Does one of the compressions that no other thread comes for. One, so that the sockets have their turn between
    /// two.
    fn compress_one(&mut self) -> bool {
        self.works.pop_front().map(Work::run_if_quick).is_some()
    }

    /// Sets the timer to when there is something to do, if that is earlier. One that is due and has not fired stays: it is about to fire.
    fn arm_timer(&mut self, now: Instant) {
        let Some(deadline) = next_deadline(&self.core, now) else {
            self.armed = None;
            return;
        };
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

impl Shell {
    /// Withdraws records, as many as there are of one batch together.
    fn withdraw(&mut self, withdrawals: Vec<Withdrawal>) {
        if withdrawals.is_empty() {
            return;
        }
        let places: Vec<_> = withdrawals.iter().map(|one| (Arc::clone(&one.cell), one.index)).collect();
        let now = clock::now();
        let withdrawn = match self.is_finished {
            true => Vec::new(),
            false => {
                self.take_in(now);
                self.core.withdraw(&places, now)
            }
        };
        let withdrawn = withdrawn.into_iter().map(Some).chain(std::iter::repeat(None));
        for (Withdrawal { result, .. }, is_withdrawn) in withdrawals.into_iter().zip(withdrawn) {
            guarded(|| {
                let _: Result<(), bool> =
                    is_withdrawn.map_or(Ok(()), |is_withdrawn| result.send(is_withdrawn));
            });
        }
        // It has looked at what is left of the batches.
        self.accumulator.wake_sender();
    }
}

impl Occupant for Shell {
    type Order = Order;
    type Shared = Control;

    /// Carries orders out, on the thread of the task or of a handle.
    fn handle_orders(&mut self, control: &Control) {
        let mut withdrawals = Vec::new();
        for order in control.take_orders() {
            let now = clock::now();
            match order {
                Order::Abort if !self.is_finished => {
                    self.take_in(now);
                    self.finish(control, &DeliveryErrorKind::Closed, now);
                }
                Order::EndIfIdle if !self.is_finished => {
                    if self.core.is_done(now) {
                        self.finish(control, &DeliveryErrorKind::Closed, now);
                    }
                }
                Order::NoteLogin(news) if !self.is_finished => self.core.handle_login(&news, now),
                Order::NoteBootstrap(news) if !self.is_finished => self.core.handle_bootstrap(news, now),
                Order::Transact(call) if !self.is_finished => self.core.handle_transaction_call(call, now),
                // The purge is carried out also if its caller has given up waiting for the result.
                Order::Purge(what, result) if !self.is_finished => {
                    self.take_in(now);
                    let mut report = Report::new(control);
                    self.core.purge(what, now, &mut report.errors);
                    let errors = report.take();
                    // Wakes the caller.
                    guarded(|| drop(result.send(errors)));
                }
                Order::Withdraw(withdrawal) => withdrawals.push(withdrawal),
                Order::Abort
                | Order::EndIfIdle
                | Order::NoteBootstrap(_)
                | Order::NoteLogin(_)
                | Order::Purge(..)
                | Order::Transact(_) => order.refuse(),
            }
        }
        self.withdraw(withdrawals);
    }

    /// Ends after a panic. `lost` was dropped by it.
    ///
    /// What has panicked once may do so again, in which case every try has fewer batches left.
    fn end_in_panic(&mut self, control: &Control, message: String, lost: Vec<ProducerBatch>) {
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

    fn refuse(order: Order) {
        order.refuse();
    }

    fn is_finished(&self) -> bool {
        self.is_finished
    }
}

impl Outside for OnTask<'_, '_> {
    fn core(&mut self) -> &mut SenderCore {
        &mut self.shell.core
    }

    fn begin_round(&mut self) -> Moment {
        let now = clock::now();
        if self.shell.armed.is_some_and(|armed| armed.deadline <= now) {
            self.shell.poll_timer(self.cx, now);
        }
        Moment { now, wall_clock: clock::wall_clock_ms() }
    }

    fn take_wake_up(&mut self) -> bool {
        self.shell.accumulator.wake_flag().poll(self.cx)
    }

    fn hand_over(&mut self, now: Instant) -> Option<HandedOver> {
        let shell = &mut *self.shell;
        for interest in self.control.take_topic_interests() {
            shell.core.handle_topic_interest(&interest, now);
        }
        shell.handle_orders(self.control);
        if shell.is_finished {
            return None;
        }
        let mut is_busy = shell.poll_connecting(self.cx, now);
        let has_read_all = shell.poll_sockets(self.cx, now);
        shell.sight.note_reading(has_read_all);
        is_busy |= shell.compress_one();
        Some(HandedOver { read_until: shell.sight.read_until(), is_busy })
    }

    fn open(&mut self, connection: ConnectionId, address: Address) {
        let Address { node, host, port, attempt } = address;
        log::debug!(%node, %host, port, "connecting");
        let connecting = AssertUnwindSafe(self.shell.connector.connect(&host, port, attempt)).catch_unwind();
        let attempt: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
            // Tokio panics when the system refuses it a thread to look a name up. That may pass.
            let failed = |panic| Err(io::Error::other(Thrown::from(panic).message()));
            (connection, connecting.await.unwrap_or_else(failed))
        });
        let (attempt, abort_handle) = abortable(attempt);
        self.shell.abort_handles.insert(connection, abort_handle);
        self.shell.connecting.push(attempt);
    }

    fn close(&mut self, connection: ConnectionId) {
        if let Some(attempt) = self.shell.abort_handles.remove(&connection) {
            attempt.abort();
        }
        self.shell.sockets.close(connection);
    }

    fn transmit(&mut self, connection: ConnectionId, frame: Frame) -> Result<(), Frame> {
        self.shell.sockets.transmit(connection, frame)
    }

    fn publish(&mut self, cluster: Arc<Cluster>) {
        self.control.publish(&self.shell.clusters, cluster);
    }

    fn seal(&mut self, job: SealJob) {
        // Not awaited: the finished batch announces itself.
        self.shell.works.extend(self.shell.accumulator.seal_elsewhere(job).err());
    }

    fn take_back_seals(&mut self) {
        self.shell.works.extend(self.shell.accumulator.take_back_work());
    }

    fn has_ended(&mut self, now: Instant) -> bool {
        let shell = &mut *self.shell;
        if !shell.accumulator.is_closed() {
            return false;
        }
        // The producer may have been told to end its transaction, and closed, since this round took its orders. Those that were given
        // before the close are in the list by now. The caller wakes the sender after each, so what follows from them is done.
        shell.handle_orders(self.control);
        if shell.is_finished {
            return true;
        }
        if shell.core.is_done(now) {
            shell.finish(self.control, &DeliveryErrorKind::Closed, now);
            return true;
        }
        if !std::mem::replace(&mut shell.has_told_of_close, true) {
            // Delivering the rest may take long. No caller needs to wait for metadata meanwhile.
            Control::tell_again(&shell.clusters);
        }
        false
    }

    fn set_timer(&mut self, now: Instant) -> bool {
        self.shell.arm_timer(now);
        self.shell.poll_timer(self.cx, now)
    }
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell").field("sockets", &self.sockets).finish_non_exhaustive()
    }
}
