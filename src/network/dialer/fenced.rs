//! The fence around dialers and their streams: whatever they do, it costs one connection and nothing else.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{ByteStream, DialTarget, Dialer};
use crate::fence::{Fenced, Thrown, fenced};
use crate::network::lookup::Unresolved;
use crate::network::resolver::TcpConnector;
use crate::network::transport::{Connecting, Connector};

/// Connects by a dialer of the application.
pub(crate) struct FencedDialer {
    dialer: Arc<Fenced<Box<dyn Dialer>>>,
    tcp: TcpConnector,
}

impl FencedDialer {
    /// `tcp` is what the dialer may connect by.
    pub(crate) fn new(dialer: Box<dyn Dialer>, tcp: TcpConnector) -> Self {
        Self { dialer: Arc::new(Fenced::new(dialer)), tcp }
    }
}

impl Connector for FencedDialer {
    fn connect(&self, host: &str, port: u16, attempt: usize) -> Connecting {
        let target = DialTarget { host: Arc::from(host), port, attempt, tcp: self.tcp.clone() };
        let dialer = Arc::clone(&self.dialer);
        let dialing: Foreign = Box::pin(async move { dialer.get().dial(target).await });
        Box::pin(FencedDialing(Fenced::new(dialing)))
    }
}

impl fmt::Debug for FencedDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FencedDialer").finish_non_exhaustive()
    }
}

type Foreign = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send>>;

struct FencedDialing(Fenced<Foreign>);

impl Future for FencedDialing {
    type Output = io::Result<Box<dyn ByteStream>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let stream = ready!(flat(self.0.call(|dialing| dialing.as_mut().poll(cx))))?;
        Poll::Ready(Ok(Box::new(FencedStream(Fenced::new(stream)))))
    }
}

/// A stream that may panic, and that may say that it has written what it was not given.
struct FencedStream(Fenced<Box<dyn ByteStream>>);

impl FencedStream {
    fn call<T>(
        &mut self,
        act: impl FnOnce(Pin<&mut Box<dyn ByteStream>>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        flat(self.0.call(|stream| act(Pin::new(stream))))
    }
}

impl AsyncRead for FencedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buffer.filled().len(), buffer.capacity());
        ready!(self.call(|stream| stream.poll_read(cx, buffer)))?;
        // A stream can put another buffer into the place of ours.
        if buffer.filled().len() < before || buffer.capacity() != room {
            return Poll::Ready(Err(io::Error::other("the dialer's stream has taken bytes back")));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FencedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.call(|stream| stream.poll_write(cx, bytes)))?;
        Poll::Ready(at_most(bytes.len(), written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.call(|stream| stream.poll_write_vectored(cx, slices)))?;
        Poll::Ready(at_most(slices.iter().map(|slice| slice.len()).sum(), written))
    }

    fn is_write_vectored(&self) -> bool {
        fenced(|| self.0.get().is_write_vectored()).unwrap_or(false)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call(|stream| stream.poll_shutdown(cx))
    }
}

/// A request of which more bytes count as written than the stream was given would never reach the broker.
fn at_most(given: usize, written: usize) -> io::Result<usize> {
    if written > given {
        let text = format!("the dialer's stream has written {written} bytes of {given}");
        return Err(io::Error::other(text));
    }
    Ok(written)
}

/// Makes a panic an error, and an error one that does not panic when it is printed or dropped.
fn flat<T>(result: Result<Poll<io::Result<T>>, Thrown>) -> Poll<io::Result<T>> {
    match result {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(Ok(value))) => Poll::Ready(Ok(value)),
        Ok(Poll::Ready(Err(error))) => Poll::Ready(Err(tame(error))),
        Err(thrown) => Poll::Ready(Err(panicked(&thrown))),
    }
}

fn tame(error: io::Error) -> io::Error {
    if error.get_ref().is_none() || Unresolved::is_in(&error) {
        return error;
    }
    let error = Fenced::new(error);
    let kind = error.get().kind();
    match fenced(|| error.get().to_string()) {
        Ok(text) => io::Error::new(kind, text),
        Err(thrown) => panicked(&thrown),
    }
}

fn panicked(thrown: &Thrown) -> io::Error {
    io::Error::other(format!("the dialer has panicked: {}", thrown.message()))
}

#[cfg(test)]
mod tests;
