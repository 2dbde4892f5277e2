//! The TCP shell of one broker: listens, cuts frames, hands them to [`Broker`], sends what it answers.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::clock;
use crate::faults::{Arrival, FaultPlan, Pace, Sending, Then};
use crate::reaction::{Progress, Reaction};
use crate::request::Request;
use crate::sasl::Session;
use crate::socket::{self, ReadHalf, WriteHalf};
use crate::state::ClusterState;
#[cfg(feature = "tls")]
use crate::tls::{self, Opened, Tls};

/// What all brokers of a cluster share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<ClusterState>,
    /// When the cluster started.
    began: Instant,
    /// Woken whenever a request that waits might have an answer.
    pub(crate) changed: Notify,
    pub(crate) max_frame_bytes: usize,
    #[cfg(feature = "tls")]
    pub(crate) tls: Tls,
}

impl Shared {
    pub(crate) fn new(state: ClusterState, max_frame_bytes: usize) -> Self {
        Self {
            state: Mutex::new(state),
            began: clock::now(),
            changed: Notify::new(),
            max_frame_bytes,
            #[cfg(feature = "tls")]
            tls: Tls::default(),
        }
    }

    /// Locks the state, which learns what time it is. A panic under the lock cannot leave it half changed in a way that matters to a test.
    pub(crate) fn state(&self) -> MutexGuard<'_, ClusterState> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = clock::now().saturating_duration_since(self.began);
        state
    }
}

/// What the sockets of a broker do at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Connections are accepted, but nothing is read or written.
    Frozen,
    /// The same until then, and serving afterwards.
    FrozenUntil(Instant),
    Serving,
    Stopped,
}

impl Mode {
    fn is_serving(self) -> bool {
        match self {
            Self::Serving => true,
            Self::FrozenUntil(thaw) => thaw <= clock::now(),
            Self::Frozen | Self::Stopped => false,
        }
    }

    /// Freezes for a time, unless something stronger holds. Returns whether that changes anything.
    fn freeze_until(&mut self, thaw: Instant) -> bool {
        match self {
            Self::Frozen | Self::Stopped => return false,
            Self::FrozenUntil(earlier) if *earlier >= thaw => return false,
            Self::FrozenUntil(_) | Self::Serving => *self = Self::FrozenUntil(thaw),
        }
        true
    }
}

/// Accepts and serves connections until the mode is [`Mode::Stopped`]; listener and connections are closed when
/// this returns.
pub(crate) async fn run(shared: Arc<Shared>, broker: i32, listener: TcpListener, mode: watch::Sender<Mode>) {
    let mut stopping = mode.subscribe();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    tracing::debug!(broker, %peer, "connection accepted");
                    let number = shared.state().connections.opened(broker);
                    let connection = Connection {
                        _open: OpenConnection { shared: Arc::clone(&shared), broker },
                        shared: Arc::clone(&shared),
                        broker,
                        number,
                        since: clock::now(),
                        mode: mode.clone(),
                    };
                    connections.spawn(connection.run(stream));
                }
                Err(error) => {
                    // Out of file descriptors, or a connection that was gone again: neither ends the broker.
                    tracing::warn!(broker, %error, "connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
            _ = connections.join_next(), if !connections.is_empty() => {}
            () = wait_for(&mut stopping, |mode| mode == Mode::Stopped) => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Waits for a mode; a broker whose handle is gone counts as stopped.
async fn wait_for(mode: &mut watch::Receiver<Mode>, wanted: impl Fn(Mode) -> bool) {
    if mode.wait_for(|mode| wanted(*mode)).await.is_err() && !wanted(Mode::Stopped) {
        std::future::pending::<()>().await;
    }
}

/// Waits until the broker reads and writes.
async fn wait_until_serving(mode: &mut watch::Receiver<Mode>) {
    loop {
        let now = *mode.borrow_and_update();
        if now.is_serving() {
            return;
        }
        let thaw = if let Mode::FrozenUntil(thaw) = now { Some(thaw) } else { None };
        let thawed = async {
            match thaw {
                Some(thaw) => tokio::time::sleep_until(thaw).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wait_for(mode, |mode| mode != now) => {}
            () = thawed => {}
        }
    }
}

/// Counts a connection as open while it lives.
struct OpenConnection {
    shared: Arc<Shared>,
    broker: i32,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.shared.state().connections.closed(self.broker);
    }
}

struct Connection {
    shared: Arc<Shared>,
    broker: i32,
    /// Which of the broker's connections this is, from 1.
    number: u64,
    /// When the connection was accepted.
    since: Instant,
    mode: watch::Sender<Mode>,
    _open: OpenConnection,
}

/// An answer on its way, to be sent not before its time.
struct Answer {
    bytes: Bytes,
    due: Instant,
    pace: Option<Pace>,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(broker = self.broker, %error, "TCP_NODELAY could not be set");
        }
        let Some((read_half, write_half)) = self.open(stream).await else { return };
        let (answers, queue) = mpsc::channel(MAX_QUEUED_ANSWERS);
        let mut writing = pin!(write_answers(write_half, queue, self.mode.subscribe()));
        let reading = self.serve(read_half, answers);
        tokio::select! {
            biased;
            result = &mut writing => log_end(self.broker, result),
            result = reading => {
                log_end(self.broker, result);
                log_end(self.broker, writing.await);
            }
        }
    }

    /// Returns the halves of a connection whose client may speak now, in plain.
    #[cfg(not(feature = "tls"))]
    async fn open(&self, stream: TcpStream) -> Option<(ReadHalf, WriteHalf)> {
        Some(socket::split(stream))
    }

    /// Returns the halves of a connection whose client may speak now: at once, or after a handshake that succeeds.
    #[cfg(feature = "tls")]
    async fn open(&self, stream: TcpStream) -> Option<(ReadHalf, WriteHalf)> {
        let mut mode = self.mode.subscribe();
        let mut opening = pin!(tls::shake_hands(&self.shared.tls, self.broker, stream));
        loop {
            wait_until_serving(&mut mode).await;
            tokio::select! {
                opened = &mut opening => match opened {
                    Ok(Opened::Plain(stream)) => return Some(socket::split(stream)),
                    Ok(Opened::Tls(half)) => return Some(socket::split_tls(half)),
                    Ok(Opened::Ended) => return None,
                    Ok(Opened::Refused(reason, stream)) => {
                        self.refuse(reason);
                        tls::listen_to_the_end(stream).await;
                        return None;
                    }
                    Err(error) => {
                        log_end(self.broker, Err(error));
                        return None;
                    }
                },
                () = wait_for(&mut mode, |mode| !mode.is_serving()) => {}
            }
        }
    }

    /// Reads requests and reacts, until the connection is to be closed. Dropping `answers` at the end lets the
    /// writer finish.
    async fn serve(&self, mut socket: ReadHalf, answers: mpsc::Sender<Answer>) -> io::Result<()> {
        let mut mode = self.mode.subscribe();
        let mut buffer = BytesMut::new();
        let mut requests = 0;
        let mut session = Session::default();
        loop {
            let Some(frame) = self.next_frame(&mut socket, &mut buffer, &mut mode).await? else {
                return Ok(());
            };
            requests += 1;
            let arrival = Arrival { connection: self.number, request: requests };
            let Some(Sending { bytes, delay, pace, then }) =
                self.react(frame, arrival, &mut session, &mut mode).await
            else {
                return Ok(());
            };
            if !bytes.is_empty() {
                let answer = Answer { bytes, due: clock::now() + delay, pace };
                if answers.send(answer).await.is_err() {
                    return Ok(());
                }
            }
            match then {
                Then::Close => return Ok(()),
                Then::GoOn => {}
                Then::Hang => return discard(socket).await,
                Then::Reset => return socket.set_zero_linger(),
            }
        }
    }

    /// Returns the next frame, or `None` at the end of the stream or when the client breaks the framing.
    async fn next_frame(
        &self,
        socket: &mut ReadHalf,
        buffer: &mut BytesMut,
        mode: &mut watch::Receiver<Mode>,
    ) -> io::Result<Option<Bytes>> {
        loop {
            wait_until_serving(mode).await;
            match cut_frame(buffer, self.shared.max_frame_bytes) {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(reason) => {
                    self.refuse(reason);
                    return Ok(None);
                }
            }
            buffer.reserve(READ_BYTES);
            tokio::select! {
                read = socket.read_buf(buffer) => if read? == 0 {
                    return Ok(None);
                },
                () = wait_for(mode, |mode| !mode.is_serving()) => {}
            }
        }
    }

    /// Carries out a request; `None` if the connection is to be closed.
    async fn react(
        &self,
        frame: Bytes,
        arrival: Arrival,
        session: &mut Session,
        mode: &mut watch::Receiver<Mode>,
    ) -> Option<Sending> {
        session.set_time(clock::now().saturating_duration_since(self.since));
        if session.awaits_words() {
            let bytes = self.with_broker(|broker| broker.sasl_words(&frame, session))?;
            return Some(Sending { bytes, delay: Duration::ZERO, pace: None, then: Then::GoOn });
        }
        let request = match Request::decode(frame) {
            Ok(request) => request,
            Err(reason) => {
                self.refuse(reason);
                return None;
            }
        };
        tracing::trace!(broker = self.broker, api = ?request.api, version = request.version, "request");
        let plan = self.with_broker(|broker| broker.receive(&request, arrival, session))?;
        if !plan.moves_before.is_empty() {
            self.shared.changed.notify_waiters();
        }
        if let Some(time) = plan.freeze {
            let thaw = clock::now() + time;
            self.mode.send_if_modified(|mode| mode.freeze_until(thaw));
            wait_until_serving(mode).await;
        }
        let reaction = self.answer(&request, &plan, session).await;
        if request.api.changes_the_cluster() || !plan.moves_after.is_empty() {
            self.shared.changed.notify_waiters();
        }
        Some(plan.sending(reaction))
    }

    /// Asks the broker for its reaction until it no longer waits.
    async fn answer(&self, request: &Request, plan: &FaultPlan, session: &mut Session) -> Reaction {
        let mut progress = None;
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            let (reaction, is_news) = self.with_broker(|broker| {
                let progress = progress.get_or_insert_with(|| Progress::since(broker.state.now));
                let reaction = broker.answer(request, plan, session, progress);
                (reaction, broker.state.groups.take_news())
            });
            if is_news {
                self.shared.changed.notify_waiters();
            }
            let Reaction::Wait { until } = reaction else { return reaction };
            tokio::select! {
                () = changed => {}
                () = self.sleep_until(until) => {}
            }
        }
    }

    async fn sleep_until(&self, time: Option<Duration>) {
        match time.and_then(|time| self.shared.began.checked_add(time)) {
            Some(time) => tokio::time::sleep_until(time).await,
            None => std::future::pending().await,
        }
    }

    fn with_broker<T>(&self, act: impl FnOnce(&mut Broker<'_>) -> T) -> T {
        let mut state = self.shared.state();
        act(&mut Broker { state: &mut state, id: self.broker })
    }

    fn refuse(&self, reason: String) {
        tracing::warn!(broker = self.broker, reason, "request refused, connection closed");
        self.shared.state().refuse(format!("broker {}: {reason}", self.broker));
    }
}

/// Takes a whole frame out of the buffer, without its length.
fn cut_frame(buffer: &mut BytesMut, max_frame_bytes: usize) -> Result<Option<Bytes>, String> {
    let Some(length) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*length);
    let size = usize::try_from(length).ok().filter(|size| *size <= max_frame_bytes);
    let Some(size) = size else {
        return Err(format!("frame of {length} bytes is not between 0 and {max_frame_bytes}"));
    };
    let total = size + LENGTH_BYTES;
    if buffer.len() < total {
        // Not more at once than is likely to come: the length may be a lie.
        buffer.reserve((total - buffer.len()).min(READ_AHEAD_BYTES));
        return Ok(None);
    }
    buffer.advance(LENGTH_BYTES);
    Ok(Some(buffer.split_to(size).freeze()))
}

async fn write_answers(
    mut socket: WriteHalf,
    mut queue: mpsc::Receiver<Answer>,
    mut mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    while let Some(mut answer) = queue.recv().await {
        tokio::time::sleep_until(answer.due).await;
        let Pace { bytes, pause } = answer.pace.unwrap_or(AT_ONCE);
        while !answer.bytes.is_empty() {
            wait_until_serving(&mut mode).await;
            socket.write_all(&answer.bytes.split_to(bytes.min(answer.bytes.len()))).await?;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }
    socket.finish().await
}

/// Reads until the client hangs up, so that its end of the connection is noticed.
async fn discard(mut socket: ReadHalf) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(READ_AHEAD_BYTES);
    while socket.read_buf(&mut buffer).await? > 0 {
        buffer.clear();
    }
    Ok(())
}

fn log_end(broker: i32, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(broker, %error, "connection broke");
    }
}

const AT_ONCE: Pace = Pace { bytes: usize::MAX, pause: Duration::ZERO };

/// Until some file descriptors may be free again.
const ACCEPT_RETRY: Duration = Duration::from_millis(10);

const LENGTH_BYTES: usize = 4;

/// Room for many small requests in one read; without, a buffer grows by 64 bytes at a time.
const READ_BYTES: usize = 64 * 1024;

const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// A client that never reads its answers is not read either beyond this many.
const MAX_QUEUED_ANSWERS: usize = 1024;
