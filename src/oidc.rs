//! Access tokens from a token endpoint or from a file (KIP-768, KIP-1139, KIP-1258).
//!
//! One call of [`TokenProvider::token`] is one request on a connection of its own. When to ask, and when to ask again, is for the
//! login to say.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::TokenEndpoint;
use crate::http::{Answer, AnswerReader, HttpError, Request};
use crate::network::transport::Connector;
use crate::token::{AccessToken, SharedProvider, TokenError, TokenFuture, TokenProvider};

mod answers;
mod asking;
mod assertion;

use self::asking::Asking;

/// Returns what gets tokens from an endpoint.
pub(crate) fn from_endpoint(endpoint: &TokenEndpoint, connector: Arc<dyn Connector>) -> SharedProvider {
    SharedProvider(Arc::new(FromEndpoint { endpoint: endpoint.clone(), connector }))
}

/// Returns what gets tokens from a file.
pub(crate) fn from_file(path: &Path, extensions: &[(String, String)]) -> SharedProvider {
    SharedProvider(Arc::new(FromFile { path: path.to_owned(), extensions: extensions.to_owned() }))
}

/// Asks a token endpoint.
struct FromEndpoint {
    endpoint: TokenEndpoint,
    connector: Arc<dyn Connector>,
}

impl TokenProvider for FromEndpoint {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async {
            let TokenEndpoint { url, grant, scope, extensions, .. } = &self.endpoint;
            let asking = Asking::new(grant, scope.as_deref()).await?;
            let headers = asking.headers();
            let request = Request { method: "POST", url, headers: &headers, body: &asking.body };
            let request = request.encode().map_err(TokenError::permanent)?;
            let answer = self.exchange(&request).await;
            let answer = answer
                .map_err(|error| TokenError::temporary(format_args!("token endpoint {url}: {error}")))?;
            answers::read(url, &answer).map(|token| with_extensions(token, extensions))
        })
    }
}

impl FromEndpoint {
    /// Sends a request, and returns the answer.
    async fn exchange(&self, request: &str) -> io::Result<Answer> {
        let TokenEndpoint { url, connect_timeout, read_timeout, .. } = &self.endpoint;
        let connecting = self.connector.connect(url.host(), url.port(), 0);
        let mut stream = within(*connect_timeout, "connecting", connecting).await?;
        let writing = async {
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await
        };
        within(*read_timeout, "sending the request", writing).await?;
        let mut reader = AnswerReader::new();
        let mut piece = Zeroizing::new(Vec::with_capacity(16 * 1024));
        loop {
            piece.clear();
            let reading = stream.read_buf(&mut *piece);
            let count = within(*read_timeout, "waiting for the answer", reading).await?;
            let is_complete = reader.feed(&piece).map_err(other)?;
            if is_complete || count == 0 {
                return reader.finish().map_err(other);
            }
        }
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

fn other(error: HttpError) -> io::Error {
    io::Error::other(error)
}

/// Reads a file that something else keeps up to date.
struct FromFile {
    path: PathBuf,
    extensions: Vec<(String, String)>,
}

impl TokenProvider for FromFile {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async {
            let text = read_file("sasl.oauthbearer.token.endpoint.url", &self.path).await?;
            Ok(with_extensions(AccessToken::new(text.trim()), &self.extensions))
        })
    }
}

fn with_extensions(token: AccessToken, extensions: &[(String, String)]) -> AccessToken {
    extensions.iter().fold(token, |token, (name, value)| token.extension(name, value))
}

/// Reads a file that a key names.
async fn read_file(key: &str, path: &Path) -> Result<Zeroizing<String>, TokenError> {
    let opened = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        use std::io::Read as _;
        let mut text = Zeroizing::new(String::with_capacity(ROOM));
        std::fs::File::open(opened)?.take(MAX_FILE).read_to_string(&mut text)?;
        Ok::<_, io::Error>(text)
    });
    let result = reading.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    // It may not have been put there yet.
    result.map_err(|error| {
        TokenError::temporary(format_args!("{key}: cannot read {}: {error}", path.display()))
    })
}

/// Few tokens and keys are longer, and what grows leaves copies behind.
const ROOM: usize = 16 * 1024;
const MAX_FILE: u64 = 1024 * 1024;
