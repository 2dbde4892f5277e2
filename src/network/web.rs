//! One request of HTTP on a connection of its own.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::http::{Answer, AnswerReader, HttpError, Request};
use crate::network::transport::Connector;
use crate::security_failure::SecurityFailure;

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For connecting, TLS included.
    pub(crate) connect: Duration,
    /// For each silence of the server.
    pub(crate) read: Duration,
}

/// Sends a request, and returns the answer.
pub(crate) async fn exchange(
    connector: &dyn Connector,
    request: &Request<'_>,
    limits: Limits,
) -> io::Result<Answer> {
    let bytes = request.encode().map_err(io::Error::other)?;
    let connecting = connector.connect(request.url.host(), request.url.port(), 0);
    let mut stream = within(limits.connect, "connecting", connecting).await?;
    let writing = async {
        stream.write_all(bytes.as_bytes()).await?;
        stream.flush().await
    };
    within(limits.read, "sending the request", writing).await?;
    let mut reader = AnswerReader::new();
    let mut piece = Zeroizing::new(Vec::with_capacity(16 * 1024));
    loop {
        piece.clear();
        let reading = stream.read_buf(&mut *piece);
        let count = within(limits.read, "waiting for the answer", reading).await?;
        let is_complete = reader.feed(&piece).map_err(explain)?;
        if is_complete || count == 0 {
            return reader.finish().map_err(io::Error::other);
        }
    }
}

fn explain(error: HttpError) -> io::Error {
    match error {
        HttpError::Tls => SecurityFailure::lasting(error.to_string()).into(),
        error => io::Error::other(error),
    }
}

/// Does something within a time.
async fn within<T>(limit: Duration, what: &str, doing: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| {
        let text = format!("{what} took longer than {} ms", limit.as_millis());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    };
    timeout(limit, doing).await.unwrap_or_else(late)
}
