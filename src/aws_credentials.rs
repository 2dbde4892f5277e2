//! Credentials of AWS, and who gets them for the producer.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use crate::secret::Secret;
use crate::token::TokenError;

/// Gets credentials of AWS, for [`Sasl::aws_msk_iam_with`](crate::Sasl::aws_msk_iam_with).
///
/// It is asked as a [`TokenProvider`](crate::TokenProvider) is: when the producer is built, before credentials end, and again after
/// a failure. Every closure that returns a future of credentials is a provider.
///
/// ```
/// use kafka_producer::{AwsCredentials, Sasl};
///
/// let sasl = Sasl::aws_msk_iam_with(|| async {
///     Ok(AwsCredentials::new("AKIDEXAMPLE", "secret").session_token("session"))
/// });
/// # drop(sasl);
/// ```
pub trait AwsCredentialsProvider: Send + Sync + 'static {
    /// Gets credentials. The future is polled on the runtime in which the producer was built.
    fn credentials(&self) -> AwsCredentialsFuture<'_>;
}

/// What [`AwsCredentialsProvider::credentials`] returns.
pub type AwsCredentialsFuture<'a> =
    Pin<Box<dyn Future<Output = Result<AwsCredentials, TokenError>> + Send + 'a>>;

impl<P, F> AwsCredentialsProvider for P
where
    P: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<AwsCredentials, TokenError>> + Send + 'static,
{
    fn credentials(&self) -> AwsCredentialsFuture<'_> {
        Box::pin(self())
    }
}

/// An access key of AWS. `Debug` shows its id only, and secrets are wiped from memory with the last copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsCredentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Secret,
    pub(crate) session_token: Option<Secret>,
    pub(crate) ends: Option<SystemTime>,
    pub(crate) region: Option<Arc<str>>,
}

impl AwsCredentials {
    /// Returns credentials that do not end.
    #[must_use]
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: Secret::new(secret_access_key),
            session_token: None,
            ends: None,
            region: None,
        }
    }

    /// Adds the token that belongs to temporary credentials.
    #[must_use]
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(Secret::new(token));
        self
    }

    /// Sets the region for brokers whose names do not tell it.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(Arc::from(region.into()));
        self
    }

    /// Sets when they end.
    #[must_use]
    pub fn expires_at(mut self, end: SystemTime) -> Self {
        self.ends = Some(end);
        self
    }
}

/// Where credentials come from.
#[derive(Clone)]
pub(crate) enum AwsOrigin {
    /// The places where AWS's own tools look, with the name of a profile.
    Chain {
        profile: Option<String>,
    },
    Provider(Arc<dyn AwsCredentialsProvider>),
}

/// A provider is equal to itself only.
impl PartialEq for AwsOrigin {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Chain { profile }, Self::Chain { profile: other }) => profile == other,
            (Self::Provider(provider), Self::Provider(other)) => Arc::ptr_eq(provider, other),
            _ => false,
        }
    }
}

impl Eq for AwsOrigin {}

/// A provider that has panicked is asked again: the login fences each call.
impl UnwindSafe for AwsOrigin {}

impl RefUnwindSafe for AwsOrigin {}

impl fmt::Debug for AwsOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain { profile } => f.debug_struct("Chain").field("profile", profile).finish(),
            Self::Provider(_) => f.write_str("AwsCredentialsProvider"),
        }
    }
}
