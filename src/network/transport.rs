//! Bytes in, bytes out: one connection to a broker, polled by the sender's task. No decisions.
//!
//! The sender's task drives its sockets itself instead of a task per broker: an answer then reaches the record's
//! future with one wake-up fewer in each direction.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::network::dialer::ByteStream;
use crate::network::event::Frame;
use crate::network::frame::{FrameError, MAX_HANDSHAKE_LEN, next_frame};
use crate::planted::planted;
use crate::security_failure::SecurityFailure;
use crate::wire::Segments;

/// A connection attempt under way.
pub(crate) type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send>>;

/// Makes byte streams: over TCP, by a dialer of the application, or in memory for tests.
pub(crate) trait Connector: fmt::Debug + Send + Sync {
    /// Starts to connect. `attempt` counts up, so that the addresses of a name can take turns.
    fn connect(&self, host: &str, port: u16, attempt: usize) -> Connecting;

    /// Returns when the certificate ends that new connections show, in seconds since 1970.
    fn certificate_ends(&self) -> Option<i64> {
        None
    }
}

/// What a connection has to report.
#[derive(Debug)]
pub(crate) enum ConnectionEvent {
    Frame(Bytes),
    /// The last byte of this request was handed to the operating system.
    Written {
        correlation_id: i32,
    },
}

/// One established connection.
pub(crate) struct Connection {
    stream: Box<dyn ByteStream>,
    /// Received and not yet a whole frame.
    incoming: BytesMut,
    /// Of a broker that the client has agreed with on versions and who it is.
    max_frame: usize,
    /// Whether it is one of those.
    is_ready: bool,
    outgoing: VecDeque<Outgoing>,
    /// Requests whose last byte the stream has taken. It may keep bytes until it is flushed.
    unflushed: Vec<i32>,
    read_buffer: Box<[u8]>,
}

struct Outgoing {
    correlation_id: i32,
    segments: Segments,
    is_started: bool,
}

/// Slices handed to one vectored write. Linux takes up to 1024; more than this gains nothing.
const MAX_SLICES: usize = 64;
const READ_BUFFER_LEN: usize = 16 * 1024;
/// Reads from one connection before the others have their turn.
const READS_PER_POLL: usize = 8;

impl Connection {
    pub(crate) fn new(stream: Box<dyn ByteStream>, max_frame: usize) -> Self {
        Self {
            stream,
            incoming: BytesMut::new(),
            max_frame,
            is_ready: false,
            outgoing: VecDeque::new(),
            unflushed: Vec::new(),
            read_buffer: vec![0; READ_BUFFER_LEN].into(),
        }
    }

    /// Queues a frame for writing.
    pub(crate) fn transmit(&mut self, frame: Frame) {
        self.outgoing.push_back(Outgoing {
            correlation_id: frame.correlation_id,
            segments: frame.segments,
            is_started: false,
        });
    }

    /// Returns the first request without a byte written.
    pub(crate) fn first_unsent(&self) -> Option<i32> {
        if planted!(UnflushedIsUnsent) && !self.unflushed.is_empty() {
            return self.unflushed.first().copied();
        }
        self.outgoing.iter().find(|frame| !frame.is_started).map(|frame| frame.correlation_id)
    }

    /// Whether answers may be as long as those to requests.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Lets answers be as long as those to requests. Until then they may not be longer than those of a handshake.
    pub(crate) fn set_ready(&mut self) {
        self.is_ready = true;
    }

    /// Writes and reads what the socket takes and gives. `events` returns whether the connection is ready. Returns whether everything
    /// was read that the socket had to give.
    ///
    /// # Errors
    ///
    /// The connection is of no further use.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        events: &mut impl FnMut(ConnectionEvent) -> bool,
    ) -> io::Result<bool> {
        // Answers that have come count even if nothing can be written any more.
        let written = match self.poll_write(cx, events) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        };
        for _ in 0..READS_PER_POLL {
            match self.poll_read(cx, events) {
                Poll::Ready(result) => result?,
                Poll::Pending => return written.map(|()| true),
            }
        }
        written?;
        cx.waker().wake_by_ref();
        Ok(false)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        events: &mut impl FnMut(ConnectionEvent) -> bool,
    ) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let pieces = self.outgoing.iter().flat_map(|frame| frame.segments.pieces());
            let count =
                slices.iter_mut().zip(pieces).map(|(slice, bytes)| *slice = IoSlice::new(bytes)).count();
            let slices = slices.get(..count).unwrap_or_default();
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            // Before the flush: bytes may leave even if it fails.
            self.advance(written);
            ready!(self.poll_flush(cx, events))?;
        }
        self.poll_flush(cx, events)
    }

    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        events: &mut impl FnMut(ConnectionEvent) -> bool,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        for correlation_id in self.unflushed.drain(..) {
            self.is_ready |= events(ConnectionEvent::Written { correlation_id });
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(frame) = self.outgoing.front_mut() {
            frame.is_started |= written > 0;
            written = frame.segments.advance(written);
            if !frame.segments.is_written() {
                return;
            }
            self.unflushed.push(frame.correlation_id);
            self.outgoing.pop_front();
            if written == 0 {
                return;
            }
        }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        events: &mut impl FnMut(ConnectionEvent) -> bool,
    ) -> Poll<io::Result<()>> {
        let mut buffer = ReadBuf::new(&mut self.read_buffer);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the broker")));
        }
        self.incoming.extend_from_slice(buffer.filled());
        loop {
            let max_frame = self.max_frame();
            let frame = next_frame(&mut self.incoming, max_frame)
                .map_err(|error| unreadable(error, self.is_ready))?;
            let Some(frame) = frame else { return Poll::Ready(Ok(())) };
            if frame.len() > READ_BUFFER_LEN {
                // What is left shares the frame's memory and would keep all of it.
                self.incoming = BytesMut::from(&*self.incoming);
            }
            self.is_ready |= events(ConnectionEvent::Frame(frame));
        }
    }

    fn max_frame(&self) -> usize {
        if self.is_ready { self.max_frame } else { self.max_frame.min(MAX_HANDSHAKE_LEN) }
    }
}

fn unreadable(error: FrameError, is_ready: bool) -> io::Error {
    match error {
        FrameError::TooLong { len, .. } if !is_ready => io::Error::other(FrameError::TooLongYet { len }),
        FrameError::Tls => SecurityFailure::lasting(error.to_string()).into(),
        error => io::Error::other(error),
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("frames_to_write", &self.outgoing.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
