//! Access tokens from a token endpoint or from a file (KIP-768, KIP-1139, KIP-1258).
//!
//! One call of [`TokenProvider::token`] is one request on a connection of its own. When to ask, and when to ask again, is for the
//! login to say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::config::TokenEndpoint;
use crate::http::Request;
use crate::network::transport::Connector;
use crate::network::web::{self, Limits};
use crate::secret_file::SecretFiles;
use crate::security_failure::SecurityFailure;
use crate::token::{AccessToken, SharedProvider, TokenError, TokenFuture, TokenProvider};

mod answers;
mod asking;
mod assertion;

use self::asking::Asking;

/// Returns what gets tokens from an endpoint.
pub(crate) fn from_endpoint(endpoint: &TokenEndpoint, connector: Arc<dyn Connector>) -> SharedProvider {
    SharedProvider(Arc::new(FromEndpoint {
        endpoint: endpoint.clone(),
        connector,
        files: SecretFiles::new(),
    }))
}

/// Returns what gets tokens from a file.
pub(crate) fn from_file(path: &Path, extensions: &[(String, String)]) -> SharedProvider {
    SharedProvider(Arc::new(FromFile {
        path: path.to_owned(),
        extensions: extensions.to_owned(),
        files: SecretFiles::new(),
    }))
}

/// Asks a token endpoint.
struct FromEndpoint {
    endpoint: TokenEndpoint,
    connector: Arc<dyn Connector>,
    /// Those of assertions.
    files: SecretFiles,
}

impl TokenProvider for FromEndpoint {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async {
            let TokenEndpoint { url, grant, scope, extensions, connect_timeout, read_timeout, .. } =
                &self.endpoint;
            let asking = Asking::new(grant, scope.as_deref(), &self.files).await?;
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
    files: SecretFiles,
}

impl TokenProvider for FromFile {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async {
            let text = read_file(&self.files, "sasl.oauthbearer.token.endpoint.url", &self.path).await?;
            Ok(with_extensions(AccessToken::new(text.trim()), &self.extensions))
        })
    }
}

fn with_extensions(token: AccessToken, extensions: &[(String, String)]) -> AccessToken {
    extensions.iter().fold(token, |token, (name, value)| token.extension(name, value))
}

/// Reads a file that a key names.
async fn read_file(files: &SecretFiles, key: &str, path: &Path) -> Result<Zeroizing<String>, TokenError> {
    // It may not have been put there yet.
    files.read_text(path, MAX_FILE).await.map_err(|error| {
        TokenError::temporary(format_args!("{key}: cannot read {}: {error}", path.display()))
    })
}

const MAX_FILE: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::runtime::Builder;

    use super::*;
    use crate::config::Assertion;

    /// As in an application whose tasks wait on that thread for records that wait for the token.
    #[test]
    fn tokens_and_assertions_come_while_other_tasks_hold_the_blocking_threads() {
        let path = std::env::temp_dir().join(format!("kafka-producer-{}-token", std::process::id()));
        std::fs::write(&path, "a token\n").unwrap();
        let runtime = Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
        let (let_go, is_let_go) = mpsc::channel::<()>();
        drop(runtime.spawn_blocking(move || is_let_go.recv()));

        runtime.block_on(async {
            assert_eq!(from_file(&path, &[]).0.token().await.unwrap().value(), "a token");
            let assertion = assertion::make(&Assertion::File(path.clone()), &SecretFiles::new()).await;
            assert_eq!(assertion.unwrap().as_str(), "a token");
        });

        drop(let_go);
        std::fs::remove_file(&path).unwrap();
    }
}
