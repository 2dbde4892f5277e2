//! Access tokens from a token endpoint or from a file (KIP-768, KIP-1139, KIP-1258).
//!
//! One call of [`TokenProvider::token`] is one request on a connection of its own. When to ask, and when to ask again, is for the
//! login to say.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::config::TokenEndpoint;
use crate::http::Request;
use crate::network::transport::Connector;
use crate::network::web::{self, Limits};
use crate::secret_file;
use crate::security_failure::SecurityFailure;
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
            let TokenEndpoint { url, grant, scope, extensions, connect_timeout, read_timeout, .. } =
                &self.endpoint;
            let asking = Asking::new(grant, scope.as_deref()).await?;
            let headers = asking.headers();
            let request = Request { method: "POST", url, headers: &headers, body: &asking.body };
            let limits = Limits { connect: *connect_timeout, read: *read_timeout };
            let answer = web::exchange(&*self.connector, &request, limits).await;
            let answer = answer.map_err(|error| {
                let text = format!("token endpoint {url}: {error}");
                match SecurityFailure::of(&error) {
                    Some(failure) if failure.is_lasting => TokenError::permanent(text),
                    _ => TokenError::temporary(text),
                }
            })?;
            answers::read(url, &answer, grant.named_by()).map(|token| with_extensions(token, extensions))
        })
    }
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
    let reading = tokio::task::spawn_blocking(move || secret_file::read_text(&opened, MAX_FILE));
    let result = reading.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    // It may not have been put there yet.
    result.map_err(|error| {
        TokenError::temporary(format_args!("{key}: cannot read {}: {error}", path.display()))
    })
}

const MAX_FILE: usize = 1024 * 1024;
