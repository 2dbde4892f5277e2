//! The `Sender`: the one background task of a producer, which writes batches and reads answers.
//!
//! [`SenderCore`] decides; this file does what it says: it drives the sockets, keeps the one timer, and is the only
//! place where the sender meets the runtime. It is a hand-written future so that a single wake-up serves callers,
//! sockets and the timer alike.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{AbortHandle, Abortable, abortable};
use futures::stream::FuturesUnordered;
use tokio::sync::{oneshot, watch};
use tokio::time::Sleep;

use crate::accumulator::{RecordAccumulator, Work};
use crate::clock;
use crate::error::{DeliveryError, DeliveryErrorKind};
use crate::metadata::Cluster;
use crate::network::transport::{Connection, ConnectionEvent, Connector, Stream};
use crate::network::{ConnectionId, NetworkAction};
use crate::topic_partition::Topic;

mod core;
mod partition;
mod request;
mod retry;
mod sequence;
mod settings;

pub use self::core::Purge;
pub(crate) use self::core::{Action, Parts, SenderCore};
pub(crate) use self::request::Purpose;
pub(crate) use self::settings::{PRODUCER_ID_LIFETIME, SenderSettings};

/// What handles ask of the sender. Each request is followed by a wake-up.
#[derive(Debug, Default)]
pub(crate) struct Control {
    wanted_topics: Mutex<BTreeSet<Topic>>,
    abort: AtomicBool,
    /// Version of the view of the cluster that was published last.
    cluster_version: AtomicU64,
    /// Of each record that was not settled when the sender ended.
    undelivered: Mutex<Vec<DeliveryError>>,
    purges: Mutex<Vec<PurgeOrder>>,
}

/// A purge that is asked for, and where its result goes.
type PurgeOrder = (Purge, oneshot::Sender<Vec<DeliveryError>>);

impl Control {
    /// Asks for the metadata of a topic.
    pub(crate) fn want_topic(&self, topic: Topic) {
        self.wanted_topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic);
    }

    /// Asks to fail whatever is not settled.
    pub(crate) fn abort(&self) {
        self.abort.store(true, Ordering::Release);
    }

    pub(crate) fn cluster_version(&self) -> u64 {
        self.cluster_version.load(Ordering::Acquire)
    }

    /// Returns the error of each record that was not settled when the sender ended.
    pub(crate) fn undelivered(&self) -> Vec<DeliveryError> {
        self.undelivered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for a purge. The receiver fails if the sender has ended.
    pub(crate) fn purge(&self, what: Purge) -> oneshot::Receiver<Vec<DeliveryError>> {
        let (result, receiver) = oneshot::channel();
        self.purges.lock().unwrap_or_else(PoisonError::into_inner).push((what, result));
        receiver
    }

    fn take_purges(&self) -> Vec<PurgeOrder> {
        std::mem::take(&mut self.purges.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take_wanted_topics(&self) -> BTreeSet<Topic> {
        std::mem::take(&mut self.wanted_topics.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The background task. It ends when the producer is closed and everything is settled, or aborted.
pub(crate) struct Sender {
    core: SenderCore,
    accumulator: Arc<RecordAccumulator>,
    control: Arc<Control>,
    clusters: watch::Sender<Arc<Cluster>>,
    connector: Arc<dyn Connector>,
    connections: BTreeMap<ConnectionId, Connection>,
    connecting: FuturesUnordered<Attempt>,
    /// For each of `connecting`, how to give it up.
    abort_handles: BTreeMap<ConnectionId, AbortHandle>,
    max_frame: usize,
    /// Compressions that nobody else comes for.
    works: VecDeque<Work>,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    /// True once those who wait for metadata were told that the producer is closed.
    has_told_of_close: bool,
    is_finished: bool,
}

type Attempt = Abortable<Pin<Box<dyn Future<Output = (ConnectionId, io::Result<Box<dyn Stream>>)> + Send>>>;

/// Rounds of one wake-up before the runtime has its turn.
const MAX_ROUNDS: usize = 64;

/// Never sleep shorter than the runtime's timer can tell apart: a deadline that is due over and over would keep the
/// task spinning.
pub(crate) const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

impl Sender {
    pub(crate) fn new(
        core: SenderCore,
        accumulator: Arc<RecordAccumulator>,
        control: Arc<Control>,
        clusters: watch::Sender<Arc<Cluster>>,
        connector: Arc<dyn Connector>,
        max_frame: usize,
    ) -> Self {
        Self {
            core,
            accumulator,
            control,
            clusters,
            connector,
            connections: BTreeMap::new(),
            connecting: FuturesUnordered::new(),
            abort_handles: BTreeMap::new(),
            max_frame,
            works: VecDeque::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            has_told_of_close: false,
            is_finished: false,
        }
    }

    /// Takes in what happened and does what is due. Returns whether there may be more to do at once.
    fn round(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut is_busy = self.accumulator.wake_flag().poll(cx);
        for topic in self.control.take_wanted_topics() {
            self.core.handle_topic_wanted(&topic, now);
        }
        for (what, result) in self.control.take_purges() {
            // Who has given up waiting for the result wants the purge all the same.
            drop(result.send(self.core.purge(what, now)));
        }
        if self.control.abort.load(Ordering::Acquire) {
            self.finish(&DeliveryErrorKind::Closed, now);
            return false;
        }
        is_busy |= self.poll_connecting(cx, now);
        self.poll_connections(cx, now);
        is_busy |= self.compress_one();
        self.core.poll(now, clock::wall_clock_ms());
        while let Some(action) = self.core.poll_action() {
            is_busy = true;
            self.act(action, now);
        }
        if self.accumulator.is_closed() {
            if self.accumulator.has_ended() {
                self.finish(&DeliveryErrorKind::Closed, now);
                return false;
            }
            if !std::mem::replace(&mut self.has_told_of_close, true) {
                // Delivering the rest may take long. Nobody needs to wait for metadata meanwhile.
                self.clusters.send_modify(|_| {});
            }
        }
        is_busy
    }

    fn poll_connecting(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut is_busy = false;
        while let Poll::Ready(Some(attempt)) = self.connecting.poll_next_unpin(cx) {
            is_busy = true;
            // Nobody waits for an attempt that was given up.
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

    fn poll_connections(&mut self, cx: &mut Context<'_>, now: Instant) {
        let core = &mut self.core;
        self.connections.retain(|id, connection| {
            let result = connection.poll(cx, &mut |event| match event {
                ConnectionEvent::Frame(frame) => core.network().handle_frame(*id, frame, now),
                ConnectionEvent::Written { correlation_id } => {
                    core.network().handle_written(*id, correlation_id, now);
                }
            });
            if let Err(error) = &result {
                let reason = error.to_string().into();
                core.network().handle_closed(*id, reason, connection.first_unsent(), now);
            }
            result.is_ok()
        });
    }

    fn act(&mut self, action: Action, now: Instant) {
        match action {
            Action::Network(NetworkAction::Connect { connection, node, host, port, attempt }) => {
                tracing::debug!(%node, %host, port, "connecting");
                let connecting = self.connector.connect(&host, port, attempt);
                let attempt: Pin<Box<dyn Future<Output = _> + Send>> =
                    Box::pin(async move { (connection, connecting.await) });
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
            Action::Publish(cluster) => {
                let version = cluster.version();
                self.clusters.send_replace(cluster);
                self.control.cluster_version.store(version, Ordering::Release);
            }
            // Not awaited: the finished batch announces itself.
            Action::Seal(job) => self.works.extend(self.accumulator.seal_elsewhere(job).err()),
            Action::TakeBackSeals => self.works.extend(self.accumulator.take_back_work()),
        }
    }

    /// Does one of the compressions that nobody else comes for. One, so that the sockets have their turn between two.
    fn compress_one(&mut self) -> bool {
        self.works.pop_front().map(Work::run_if_quick).is_some()
    }

    fn arm_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(deadline) = self.core.poll_timeout(now) else {
            self.armed = None;
            return false;
        };
        let deadline = deadline.max(now + SHORTEST_SLEEP);
        if self.armed.is_none_or(|armed| deadline < armed || armed <= now) {
            self.armed = Some(deadline);
            self.timer.as_mut().reset(deadline.into());
        }
        let is_over = self.timer.as_mut().poll(cx).is_ready();
        if is_over {
            self.armed = None;
        }
        is_over
    }

    fn finish(&mut self, kind: &DeliveryErrorKind, now: Instant) {
        let failed = self.core.abort(kind, now);
        self.control.undelivered.lock().unwrap_or_else(PoisonError::into_inner).extend(failed);
        self.is_finished = true;
        self.connections.clear();
    }
}

impl Future for Sender {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..MAX_ROUNDS {
            let now = clock::now();
            if this.round(cx, now) {
                continue;
            }
            if this.is_finished {
                return Poll::Ready(());
            }
            if !this.arm_timer(cx, now) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // The runtime is going away: nobody else will ever answer these records.
        if !self.is_finished {
            self.finish(&DeliveryErrorKind::RuntimeShutdown, clock::now());
        }
    }
}

#[cfg(test)]
mod tests;
