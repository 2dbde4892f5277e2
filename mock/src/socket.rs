//! The two halves of a connection, in plain or by TLS.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

#[cfg(feature = "tls")]
use crate::tls::TlsHalf;

pub(crate) enum ReadHalf {
    Plain(OwnedReadHalf),
    #[cfg(feature = "tls")]
    Tls(TlsHalf),
}

pub(crate) enum WriteHalf {
    Plain(OwnedWriteHalf),
    #[cfg(feature = "tls")]
    Tls(TlsHalf),
}

pub(crate) fn split(stream: TcpStream) -> (ReadHalf, WriteHalf) {
    let (read_half, write_half) = stream.into_split();
    (ReadHalf::Plain(read_half), WriteHalf::Plain(write_half))
}

#[cfg(feature = "tls")]
pub(crate) fn split_tls(half: TlsHalf) -> (ReadHalf, WriteHalf) {
    (ReadHalf::Tls(half.clone()), WriteHalf::Tls(half))
}

impl ReadHalf {
    pub(crate) async fn read_buf(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(half) => half.read_buf(buffer).await,
            #[cfg(feature = "tls")]
            Self::Tls(half) => half.read_buf(buffer).await,
        }
    }

    /// Has the connection reset (RST) when it is closed.
    pub(crate) fn set_zero_linger(&self) -> io::Result<()> {
        match self {
            Self::Plain(half) => half.as_ref().set_zero_linger(),
            #[cfg(feature = "tls")]
            Self::Tls(half) => half.with_socket(TcpStream::set_zero_linger),
        }
    }
}

impl WriteHalf {
    pub(crate) async fn write_all(&mut self, bytes: &Bytes) -> io::Result<()> {
        match self {
            Self::Plain(half) => half.write_all(bytes).await,
            #[cfg(feature = "tls")]
            Self::Tls(half) => {
                half.write_all(bytes).await?;
                half.flush().await
            }
        }
    }

    /// Says goodbye, unless the connection is to be reset.
    pub(crate) async fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(half) => {
                // An ordinary drop says goodbye (FIN) even if the connection is to be reset (RST) by the last one to let go.
                if half.as_ref().linger()?.is_some() {
                    half.forget();
                }
            }
            #[cfg(feature = "tls")]
            Self::Tls(mut half) => {
                if half.with_socket(TcpStream::linger)?.is_none() {
                    half.shutdown().await?;
                }
            }
        }
        Ok(())
    }
}
