//! Access tokens (OAuth 2), and who gets them for the producer.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::secret::Secret;

/// Gets access tokens, for [`Sasl::oauth_bearer`](crate::Sasl::oauth_bearer).
///
/// The producer asks for the first token when it is built, and for the next one when about four fifths of the lifetime of the last
/// one are over (`sasl.login.refresh.*`), in the background. It asks again after `sasl.login.retry.backoff.ms` if that fails. It
/// never asks twice at a time, and gives up a call that takes longer than a minute.
///
/// Every closure that returns a future of a token is a provider:
///
/// ```
/// use std::time::Duration;
///
/// use kafka_producer::{AccessToken, Sasl, TokenError};
///
/// # async fn ask_the_vault() -> Result<String, std::io::Error> { Ok(String::new()) }
/// let sasl = Sasl::oauth_bearer(|| async {
///     let token = ask_the_vault().await.map_err(TokenError::temporary)?;
///     Ok(AccessToken::new(token).expires_in(Duration::from_secs(3600)))
/// });
/// # drop(sasl);
/// ```
///
/// A type of its own looks like this:
///
/// ```
/// use std::path::PathBuf;
///
/// use kafka_producer::{AccessToken, TokenError, TokenFuture, TokenProvider};
///
/// /// Reads tokens that something else puts into a file.
/// struct FromFile(PathBuf);
///
/// impl TokenProvider for FromFile {
///     fn token(&self) -> TokenFuture<'_> {
///         Box::pin(async {
///             let text = std::fs::read_to_string(&self.0).map_err(TokenError::temporary)?;
///             Ok(AccessToken::new(text.trim()))
///         })
///     }
/// }
/// ```
pub trait TokenProvider: Send + Sync + 'static {
    /// Gets a token.
    ///
    /// The future is polled on the runtime in which the producer was built. It is dropped when the producer ends.
    fn token(&self) -> TokenFuture<'_>;
}

/// What [`TokenProvider::token`] returns.
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, TokenError>> + Send + 'a>>;

impl<P, F> TokenProvider for P
where
    P: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
{
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(self())
    }
}

/// A token that brokers accept for a time in place of a password.
///
/// `Debug` does not show it, and it is wiped from memory with the last copy of it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    value: Secret,
    end: Option<TokenEnd>,
    extensions: BTreeMap<String, String>,
}

/// When a token ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenEnd {
    After(Duration),
    At(SystemTime),
}

impl AccessToken {
    /// Returns a token with this text.
    ///
    /// If the text is a JWT (RFC 7519) and says when it ends, the producer takes that for the end of the token, unless
    /// [`expires_at`](Self::expires_at) or [`expires_in`](Self::expires_in) says otherwise. If neither does, the producer keeps the
    /// token until a broker refuses it.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: Secret::new(value), end: None, extensions: BTreeMap::new() }
    }

    /// Sets when brokers stop to accept the token.
    #[must_use]
    pub fn expires_at(mut self, end: SystemTime) -> Self {
        self.end = Some(TokenEnd::At(end));
        self
    }

    /// Sets for how long brokers accept the token, counted from when the producer gets it (`expires_in` in the answers of token
    /// endpoints).
    #[must_use]
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.end = Some(TokenEnd::After(lifetime));
        self
    }

    /// Adds something for the broker to know beside the token (KIP-342), such as `logicalCluster` for Confluent Cloud.
    ///
    /// The name may have letters of ASCII only, and may not be `auth`. The value may have printable characters of ASCII, and blanks.
    /// The producer counts a token with any other extension as one that it did not get.
    #[must_use]
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extensions.insert(name.into(), value.into());
        self
    }

    /// Returns the text, which must not be put into any other text that is shown.
    pub(crate) fn value(&self) -> &str {
        self.value.expose()
    }

    pub(crate) fn end(&self) -> Option<TokenEnd> {
        self.end
    }

    pub(crate) fn extensions(&self) -> &BTreeMap<String, String> {
        &self.extensions
    }
}

/// Shows everything but the text of the token.
impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("value", &self.value)
            .field("end", &self.end)
            .field("extensions", &self.extensions)
            .finish()
    }
}

/// Checks an extension (RFC 7628, section 3.1, as Kafka reads it).
pub(crate) fn check_extension(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) || name == "auth" {
        return Err(format!("extension {name:?} must have a name of ASCII letters other than auth"));
    }
    let is_allowed = |byte: u8| matches!(byte, 0x20..=0x7e | b'\t' | b'\r' | b'\n');
    if value.is_empty() || !value.bytes().all(is_allowed) {
        return Err(format!("extension {name} must have a value of printable ASCII characters"));
    }
    Ok(())
}

/// Why there is no token. What it says is shown in errors and in the log, so it must hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct TokenError {
    text: Arc<str>,
    is_permanent: bool,
}

impl TokenError {
    /// Something that may pass by itself, such as a token endpoint that cannot be reached. Callers who wait for the producer to
    /// connect go on waiting.
    #[must_use]
    pub fn temporary(text: impl fmt::Display) -> Self {
        Self { text: text.to_string().into(), is_permanent: false }
    }

    /// Something that only a change of the configuration mends, such as a wrong secret. It fails callers who wait for the producer
    /// to connect. The producer goes on asking for a token.
    #[must_use]
    pub fn permanent(text: impl fmt::Display) -> Self {
        Self { text: text.to_string().into(), is_permanent: true }
    }

    /// Returns whether it is of the second kind.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.is_permanent
    }
}

/// A provider as a value of the configuration: equal to itself only.
#[derive(Clone)]
pub(crate) struct SharedProvider(pub(crate) Arc<dyn TokenProvider>);

impl PartialEq for SharedProvider {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SharedProvider {}

/// A provider that has panicked is asked again: the login fences each call.
impl UnwindSafe for SharedProvider {}

impl RefUnwindSafe for SharedProvider {}

impl fmt::Debug for SharedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenProvider")
    }
}
