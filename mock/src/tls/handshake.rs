//! The handshake of one connection, as it should be or with a fault.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rustls::{ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::fault::Action;
use super::{Tls, TlsConnection, TlsVersion};

/// What has come of a connection's beginning.
pub(crate) enum Opened {
    /// The broker speaks no TLS.
    Plain(TcpStream),
    Tls(TlsHalf),
    /// There is nothing more to do with the connection.
    Ended,
    /// The client did something wrong, or did not like what the broker did. An alert is under way.
    Refused(String, TcpStream),
}

/// Speaks the broker's part of a handshake if the broker speaks TLS at the moment.
pub(crate) async fn shake_hands(tls: &Tls, broker: i32, stream: TcpStream) -> io::Result<Opened> {
    let Some(config) = tls.config() else { return Ok(Opened::Plain(stream)) };
    match tls.take_fault(broker) {
        None => accept(tls, broker, config, stream).await,
        Some(Action::Delay(time)) => {
            tokio::time::sleep(time).await;
            accept(tls, broker, config, stream).await
        }
        Some(Action::Alert) => match accept(tls, broker, config, stream).await? {
            Opened::Tls(half) => {
                half.alert().await?;
                Ok(Opened::Ended)
            }
            other => Ok(other),
        },
        Some(Action::Cut(bytes)) => {
            let mut stream = send_part(config, stream, bytes).await?;
            stream.shutdown().await?;
            listen_to_the_end(stream).await;
            Ok(Opened::Ended)
        }
        Some(Action::Stall(bytes)) => {
            let mut stream = send_part(config, stream, bytes).await?;
            discard(&mut stream).await?;
            Ok(Opened::Ended)
        }
        Some(Action::Replace(bytes)) => {
            let mut stream = send_part(config, stream, 0).await?;
            stream.write_all(&bytes).await?;
            discard(&mut stream).await?;
            Ok(Opened::Ended)
        }
    }
}

async fn accept(tls: &Tls, broker: i32, config: Arc<ServerConfig>, stream: TcpStream) -> io::Result<Opened> {
    match TlsAcceptor::from(config).accept(stream).into_fallible().await {
        Ok(stream) => {
            tls.note(seen(broker, stream.get_ref().1));
            Ok(Opened::Tls(TlsHalf(Arc::new(Mutex::new(stream)))))
        }
        Err((error, mut stream)) => {
            let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            let Some(reason) = reason else { return Err(error) };
            let reason = format!("TLS handshake failed: {reason}");
            let _ = stream.shutdown().await;
            Ok(Opened::Refused(reason, stream))
        }
    }
}

fn seen(broker: i32, connection: &ServerConnection) -> TlsConnection {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => Some(TlsVersion::V1_2),
        Some(ProtocolVersion::TLSv1_3) => Some(TlsVersion::V1_3),
        _ => None,
    };
    let suite = connection.negotiated_cipher_suite();
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    TlsConnection {
        broker,
        version,
        cipher_suite: suite.map(|suite| format!("{:?}", suite.suite())),
        server_name: connection.server_name().map(str::to_owned),
        client_certificate: certificate.map(|certificate| certificate.to_vec()),
    }
}

/// Hears the client's hello, and answers with so many bytes of what the broker says to it.
async fn send_part(config: Arc<ServerConfig>, mut stream: TcpStream, bytes: usize) -> io::Result<TcpStream> {
    let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut heard = BytesMut::with_capacity(READ_BYTES);
    while !connection.wants_write() {
        if stream.read_buf(&mut heard).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !heard.is_empty() && connection.read_tls(&mut (&mut heard).reader())? > 0 {
            let _ = connection.process_new_packets();
        }
    }
    let words = words(&mut connection)?;
    stream.write_all(words.get(..bytes).unwrap_or(&words)).await?;
    Ok(stream)
}

/// Returns what the broker wants to say.
fn words(connection: &mut ServerConnection) -> io::Result<Vec<u8>> {
    let mut words = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut words)?;
    }
    Ok(words)
}

/// Reads until the client hangs up, but not for long.
///
/// Without this the client might lose the last words of the broker: the operating system resets a connection that is closed
/// with bytes of the client unread.
pub(crate) async fn listen_to_the_end(mut stream: TcpStream) {
    let _ = tokio::time::timeout(LAST_WORDS, discard(&mut stream)).await;
}

async fn discard(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    while stream.read_buf(&mut buffer).await? > 0 {
        buffer.clear();
    }
    Ok(())
}

/// A stream that the reading and the writing part of a connection share.
#[derive(Clone)]
pub(crate) struct TlsHalf(Arc<Mutex<TlsStream<TcpStream>>>);

impl TlsHalf {
    pub(crate) fn with_socket<T>(&self, act: impl FnOnce(&TcpStream) -> T) -> T {
        act(self.stream().get_ref().0)
    }

    /// Ends the connection by an alert, for which it pretends that the client has sent nonsense.
    async fn alert(self) -> io::Result<()> {
        let Some(stream) = Arc::into_inner(self.0) else { return Ok(()) };
        let (mut stream, mut connection) =
            stream.into_inner().unwrap_or_else(PoisonError::into_inner).into_inner();
        connection.read_tls(&mut &NONSENSE_RECORD[..])?;
        let _ = connection.process_new_packets();
        stream.write_all(&words(&mut connection)?).await?;
        stream.shutdown().await?;
        listen_to_the_end(stream).await;
        Ok(())
    }

    fn stream(&self) -> MutexGuard<'_, TlsStream<TcpStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for TlsHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream()).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TlsHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream()).poll_shutdown(cx)
    }
}

/// A record of application data that no key fits.
const NONSENSE_RECORD: [u8; 37] = {
    let mut record = [7; 37];
    record[0] = 23;
    record[1] = 3;
    record[2] = 3;
    record[3] = 0;
    record[4] = 32;
    record
};

const READ_BYTES: usize = 4096;

/// How long a client may take to hear why it was refused.
const LAST_WORDS: Duration = Duration::from_secs(5);
