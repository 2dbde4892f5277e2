//! `TlsStream`: what becomes of bytes between the caller and the socket.
//!
//! Encrypted bytes lie in a buffer until the socket takes them. What a write returns must be true nevertheless: the caller concludes
//! from it which requests a server may have seen. So a write takes bytes only when the buffer is empty, and gives none of them to
//! the socket. Only a flush does that. By then the caller knows that the bytes may leave, also if the socket fails halfway.
//! And a flush that is done says that the socket has all of them. rustls takes bytes and drops them once it has encrypted as
//! much as a key of TLS 1.2 is good for: then the flush fails.

use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::failure::Explainer;

/// An encrypted stream over another stream.
#[derive(Debug)]
pub(crate) struct TlsStream<S> {
    inner: tokio_rustls::client::TlsStream<S>,
    explainer: Arc<Explainer>,
    /// Whether the server has sent anything since the handshake.
    has_begun: bool,
    /// Bytes taken from the caller and not flushed yet.
    taken: usize,
    /// Encrypted bytes that the socket has got since all was flushed last.
    given: usize,
    /// Why reading has failed, until all that came before that is read.
    failure: Option<io::Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    pub(super) fn new(mut inner: tokio_rustls::client::TlsStream<S>, explainer: Arc<Explainer>) -> Self {
        inner.get_mut().1.set_buffer_limit(Some(BUFFER_LIMIT));
        Self { inner, explainer, has_begun: false, taken: 0, given: 0, failure: None }
    }

    #[cfg(test)]
    pub(super) fn handshake_kind(&self) -> Option<rustls::HandshakeKind> {
        self.inner.get_ref().1.handshake_kind()
    }

    /// Gives what is encrypted to the socket.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (socket, session) = self.inner.get_mut();
        let mut socket = Socket { socket, cx };
        while session.wants_write() {
            match session.write_tls(&mut socket) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(given) => self.given += given,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // Encryption only ever makes bytes more.
        if self.given < self.taken {
            let text = "the key of this TLS connection is used up, the producer needs another connection";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, text)));
        }
        (self.given, self.taken) = (0, 0);
        Poll::Ready(Ok(()))
    }

    /// Reads what was decrypted before reading failed.
    fn read_rest(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let read = self.inner.get_mut().1.reader().read(buffer.initialize_unfilled()).unwrap_or(0);
        buffer.advance(read);
        read > 0
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.failure.is_none() {
            let before = buffer.filled().len();
            let read = ready!(Pin::new(&mut this.inner).poll_read(cx, buffer));
            this.has_begun |= buffer.filled().len() > before;
            match read {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(error) => this.failure = Some(error),
            }
        }
        // Answers that came in front of an alert count.
        if this.read_rest(buffer) {
            this.has_begun = true;
            return Poll::Ready(Ok(()));
        }
        // Reading stays failed.
        let error = this.failure.replace(io::ErrorKind::ConnectionAborted.into());
        let error = error.unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into());
        Poll::Ready(Err(this.explainer.of_stream(error, this.has_begun)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        let (_, session) = self.inner.get_mut();
        let taken = session.writer().write_vectored(slices)?;
        self.taken += taken;
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(self.inner.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// So many bytes are encrypted at once: enough for the socket to be busy while the next ones are.
pub(super) const BUFFER_LIMIT: usize = 128 * 1024;

/// The socket as rustls wants it: one that says "would block" where it has to wait.
struct Socket<'a, 'c, S> {
    socket: &'a mut S,
    cx: &'a mut Context<'c>,
}

impl<S: AsyncWrite + Unpin> Write for Socket<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match Pin::new(&mut *self.socket).poll_write_vectored(self.cx, slices) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
