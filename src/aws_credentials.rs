//! Credentials of AWS, and who gets them for the producer.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use crate::secret::Secret;
use crate::token::TokenError;

#[cfg(feature = "sasl")]
pub(crate) mod signature;

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

/// A role of AWS that the producer assumes, for [`Sasl::aws_msk_iam_as`](crate::Sasl::aws_msk_iam_as): it asks AWS's STS for credentials
/// of the role, and again before they end. Needs the feature `tls`.
///
/// ```
/// use kafka_producer::{AwsRole, Sasl};
///
/// let role = AwsRole::new("arn:aws:iam::123456789012:role/orders").external_id("orders-7").region("eu-west-1");
/// let sasl = Sasl::aws_msk_iam_as(role);
/// # drop(sasl);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsRole {
    pub(crate) arn: String,
    pub(crate) session_name: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) credentials: Option<AwsCredentials>,
}

impl AwsRole {
    /// Returns the role of this name (`awsRoleArn` in `sasl.jaas.config`).
    #[must_use]
    pub fn new(arn: impl Into<String>) -> Self {
        Self { arn: arn.into(), session_name: None, external_id: None, region: None, credentials: None }
    }

    /// Sets how the session is called in AWS's own logs (`awsRoleSessionName`, default `aws-msk-iam-auth` as in Java).
    #[must_use]
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }

    /// Sets what the owner of the role in another account has demanded to be told (`awsRoleExternalId`, default nothing).
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Sets in which region STS is asked (`awsStsRegion`, default that of `AWS_REGION`, else the global endpoint).
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets who assumes the role (`awsRoleAccessKeyId`, `awsRoleSecretAccessKey`, `awsRoleSessionToken`). By default it is whom AWS's own
    /// tools would take, as for [`Sasl::aws_msk_iam`](crate::Sasl::aws_msk_iam).
    #[must_use]
    pub fn credentials(mut self, credentials: AwsCredentials) -> Self {
        self.credentials = Some(credentials);
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
    Role(Box<AwsRole>),
}

/// A provider is equal to itself only.
impl PartialEq for AwsOrigin {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Chain { profile }, Self::Chain { profile: other }) => profile == other,
            (Self::Provider(provider), Self::Provider(other)) => Arc::ptr_eq(provider, other),
            (Self::Role(role), Self::Role(other)) => role == other,
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
            Self::Role(role) => role.fmt(f),
        }
    }
}
