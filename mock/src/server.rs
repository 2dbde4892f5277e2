//! The TCP shell of one broker: listens, cuts frames, hands them to [`Broker`], sends what it answers.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::broker::{Broker, Reaction};
use crate::clock;
use crate::request::Request;
use crate::state::ClusterState;

/// What all brokers of a cluster share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<ClusterState>,
    /// Woken whenever a waiting Fetch might have an answer.
    pub(crate) changed: Notify,
    pub(crate) max_frame_bytes: usize,
}

impl Shared {
    pub(crate) fn new(state: ClusterState, max_frame_bytes: usize) -> Self {
        Self { state: Mutex::new(state), changed: Notify::new(), max_frame_bytes }
    }

    /// Locks the state. A panic under the lock cannot leave it half changed in a way that matters to a test.
    pub(crate) fn state(&self) -> MutexGuard<'_, ClusterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the sockets of a broker do at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Connections are accepted, but nothing is read or written.
    Frozen,
    Serving,
    Stopped,
}

/// Accepts and serves connections until the mode is [`Mode::Stopped`]; listener and connections are closed when
/// this returns.
pub(crate) async fn run(
    shared: Arc<Shared>,
    broker: i32,
    listener: TcpListener,
    mut mode: watch::Receiver<Mode>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    tracing::debug!(broker, %peer, "connection accepted");
                    shared.state().connections.opened(broker);
                    let connection = Connection {
                        _open: OpenConnection { shared: Arc::clone(&shared), broker },
                        shared: Arc::clone(&shared),
                        broker,
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
            () = wait_for(&mut mode, |mode| mode == Mode::Stopped) => break,
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
    mode: watch::Receiver<Mode>,
    _open: OpenConnection,
}

/// An answer on its way, to be sent not before its time.
struct Answer {
    frame: Bytes,
    due: Instant,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(broker = self.broker, %error, "TCP_NODELAY could not be set");
        }
        let (read_half, write_half) = stream.into_split();
        let (answers, queue) = mpsc::channel(MAX_QUEUED_ANSWERS);
        let mut writing = pin!(write_answers(write_half, queue, self.mode.clone()));
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

    /// Reads requests and reacts, until the connection is to be closed. Dropping `answers` at the end lets the
    /// writer finish.
    async fn serve(&self, mut socket: OwnedReadHalf, answers: mpsc::Sender<Answer>) -> io::Result<()> {
        let mut mode = self.mode.clone();
        let mut buffer = BytesMut::new();
        loop {
            let Some(frame) = self.next_frame(&mut socket, &mut buffer, &mut mode).await? else {
                return Ok(());
            };
            match self.react(frame).await {
                Reaction::Reply { frame, delay } => {
                    let answer = Answer { frame, due: clock::now() + delay };
                    if answers.send(answer).await.is_err() {
                        return Ok(());
                    }
                }
                Reaction::Silence => {}
                Reaction::Hang => return discard(socket).await,
                Reaction::Close | Reaction::Wait { .. } => return Ok(()),
            }
        }
    }

    /// Returns the next frame, or `None` at the end of the stream or when the client breaks the framing.
    async fn next_frame(
        &self,
        socket: &mut OwnedReadHalf,
        buffer: &mut BytesMut,
        mode: &mut watch::Receiver<Mode>,
    ) -> io::Result<Option<Bytes>> {
        loop {
            wait_for(mode, |mode| mode == Mode::Serving).await;
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
                () = wait_for(mode, |mode| mode != Mode::Serving) => {}
            }
        }
    }

    async fn react(&self, frame: Bytes) -> Reaction {
        let request = match Request::decode(frame) {
            Ok(request) => request,
            Err(reason) => {
                self.refuse(reason);
                return Reaction::Close;
            }
        };
        tracing::trace!(broker = self.broker, api = ?request.api, version = request.version, "request");
        let Some(plan) = self.with_broker(|broker| broker.receive(&request)) else { return Reaction::Close };
        let mut deadline = None;
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            let is_late = deadline.is_some_and(|deadline| clock::now() >= deadline);
            let reaction = self.with_broker(|broker| broker.answer(&request, &plan, is_late));
            let Reaction::Wait { at_most } = reaction else {
                if request.api.changes_the_cluster() {
                    self.shared.changed.notify_waiters();
                }
                return reaction;
            };
            let deadline = *deadline.get_or_insert_with(|| clock::now() + at_most);
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
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
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Answer>,
    mut mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    while let Some(answer) = queue.recv().await {
        tokio::time::sleep_until(answer.due).await;
        wait_for(&mut mode, |mode| mode == Mode::Serving).await;
        socket.write_all(&answer.frame).await?;
    }
    Ok(())
}

/// Reads until the client hangs up, so that its end of the connection is noticed.
async fn discard(mut socket: OwnedReadHalf) -> io::Result<()> {
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

/// Until some file descriptors may be free again.
const ACCEPT_RETRY: Duration = Duration::from_millis(10);

const LENGTH_BYTES: usize = 4;

/// Room for many small requests in one read; without, a buffer grows by 64 bytes at a time.
const READ_BYTES: usize = 64 * 1024;

const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// A client that never reads its answers is not read either beyond this many.
const MAX_QUEUED_ANSWERS: usize = 1024;
