//! A connection as it is seen from outside: bytes on their way.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_mock::sans_io::{Client, Waiting};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::sasl::Admission;
use super::tls;

/// One connection, from the socket of the producer to the broker.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) node: i32,
    /// Made to the address in front of all brokers.
    is_bootstrap: bool,
    socket: Arc<Mutex<Socket>>,
    /// On their way to the broker, and back.
    pub(super) up: Way,
    pub(super) down: Way,
    /// Received by the broker and not yet read.
    pub(super) inbox: BytesMut,
    /// Kind and version of the request that was read last.
    pub(super) api: (i16, i16),
    /// A request is being carried out; those behind it are not read.
    pub(super) is_busy: bool,
    /// That request waits for something.
    pub(super) waiting: Option<Box<Waiting>>,
    /// The broker reads nothing before this.
    pub(super) muted_until: Duration,
    /// As the producer knows from an answer.
    pub(super) told_until: Duration,
    /// Answers that tell the producer to wait: behind how many bytes, and how long.
    pub(super) orders: VecDeque<(usize, Duration)>,
    /// What the broker knows of who the producer is, and what the producer knows of that.
    pub(super) client: Client,
    pub(super) admission: Admission,
    /// Answers with which sessions begin: behind how many bytes, and how long they last.
    pub(super) welcomes: VecDeque<(usize, Option<Duration>)>,
    /// Bytes for the producer that have been sent, and received.
    pub(super) sent: usize,
    pub(super) heard: usize,
    /// The broker reads no more.
    pub(super) is_deaf: bool,
    /// The producer hears no more. The broker may still get what was sent.
    pub(super) is_left: bool,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Way {
    pub(super) chunks: VecDeque<Bytes>,
    /// No chunk arrives before the one in front of it.
    pub(super) clock: Duration,
    /// The side that sends has closed: the end comes behind the chunks.
    pub(super) is_ended: bool,
}

/// The producer's end.
#[derive(Debug)]
struct Socket {
    /// Taken by the stream, and not by the network. Empty unless connections are encrypted.
    kept: BytesMut,
    is_encrypted: bool,
    written: BytesMut,
    /// Bytes that it takes before some have arrived.
    room: usize,
    received: BytesMut,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Closed,
    Insecure { is_lasting: bool },
    Reset,
}

impl Line {
    pub(super) fn new(node: i32, is_bootstrap: bool, window: usize, is_encrypted: bool) -> Self {
        let socket = Socket {
            kept: BytesMut::new(),
            is_encrypted,
            written: BytesMut::new(),
            room: window,
            received: BytesMut::new(),
            end: None,
        };
        Self {
            node,
            is_bootstrap,
            socket: Arc::new(Mutex::new(socket)),
            up: Way::default(),
            down: Way::default(),
            inbox: BytesMut::new(),
            api: (0, 0),
            is_busy: false,
            waiting: None,
            muted_until: Duration::ZERO,
            told_until: Duration::ZERO,
            orders: VecDeque::new(),
            client: Client::default(),
            admission: Admission::default(),
            welcomes: VecDeque::new(),
            sent: 0,
            heard: 0,
            is_deaf: false,
            is_left: false,
        }
    }

    /// Whether it works, and is one to the own address of a node.
    pub(super) fn is_at(&self, node: i32) -> bool {
        self.node == node && !self.is_bootstrap && !self.is_left && !self.is_deaf
    }

    /// What the transport gets.
    pub(super) fn stream(&self) -> Box<SimulatedStream> {
        Box::new(SimulatedStream(Arc::clone(&self.socket)))
    }

    /// Takes what the producer has written.
    pub(super) fn take_written(&self) -> Bytes {
        self.socket().written.split().freeze()
    }

    /// Bytes have arrived at the broker.
    pub(super) fn arrived(&mut self, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
        self.socket().room += bytes.len();
    }

    /// Bytes have arrived at the producer.
    pub(super) fn receive(&self, bytes: &[u8]) {
        let mut socket = self.socket();
        if socket.end.is_none() {
            socket.received.extend_from_slice(bytes);
        }
    }

    pub(super) fn end(&mut self, end: End) {
        self.is_left = true;
        self.socket().end.get_or_insert(end);
    }

    /// The broker gets nothing more of what the producer has sent.
    pub(super) fn forget(&mut self) {
        self.up.chunks.clear();
        self.inbox.clear();
        self.is_deaf = true;
        self.waiting = None;
    }

    /// Takes the next request off the bytes that the broker has, without its length.
    pub(super) fn next_frame(&mut self) -> Option<Bytes> {
        let length = u32::from_be_bytes(*self.inbox.first_chunk()?) as usize;
        assert!(length < 10_000_000, "the producer has sent a frame of {length} bytes");
        if self.inbox.len() < length + 4 {
            return None;
        }
        self.inbox.advance(4);
        Some(self.inbox.split_to(length).freeze())
    }

    fn socket(&self) -> MutexGuard<'_, Socket> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Socket {
    /// Gives to the network what the stream has taken.
    fn poll_drain(&mut self) -> Poll<io::Result<()>> {
        if self.kept.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if matches!(self.end, Some(End::Insecure { .. } | End::Reset)) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let given = self.kept.split_to(self.kept.len().min(self.room));
        self.room -= given.len();
        self.written.extend_from_slice(&given);
        if self.kept.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Way {
    /// Keeps the first bytes only.
    pub(super) fn keep(&mut self, mut len: usize) {
        for chunk in &mut self.chunks {
            chunk.truncate(len);
            len -= chunk.len();
        }
    }
}

/// The socket as the transport sees it.
#[derive(Debug)]
pub(super) struct SimulatedStream(Arc<Mutex<Socket>>);

impl AsyncRead for SimulatedStream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !socket.received.is_empty() {
            let len = socket.received.len().min(out.remaining());
            out.put_slice(&socket.received.split_to(len));
            return Poll::Ready(Ok(()));
        }
        match socket.end {
            None => Poll::Pending,
            Some(End::Closed) => Poll::Ready(Ok(())),
            Some(End::Insecure { is_lasting }) => Poll::Ready(Err(tls::failure(is_lasting).into())),
            Some(End::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl AsyncWrite for SimulatedStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if socket.is_encrypted {
            ready!(socket.poll_drain())?;
            socket.kept.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        if socket.end == Some(End::Reset) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let len = bytes.len().min(socket.room);
        if len == 0 {
            return Poll::Pending;
        }
        socket.room -= len;
        socket.written.extend_from_slice(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let is_encrypted = self.0.lock().unwrap_or_else(PoisonError::into_inner).is_encrypted;
        match is_encrypted {
            // Several frames at a time.
            true => self
                .poll_write(cx, &slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<_>>()),
            false => {
                let first = slices.iter().find(|slice| !slice.is_empty());
                self.poll_write(cx, first.map_or(&[], |slice| &**slice))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_drain()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
