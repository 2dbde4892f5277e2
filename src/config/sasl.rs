//! How brokers are spoken to (`security.protocol`), and who the producer says that it is (`sasl.mechanism`, `sasl.jaas.config`).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::ConfigReason;
use super::jaas;
use super::kerberos::{KerberosLogin, TicketOrigin};
use super::kind::Kind;
use super::oauth::OAuthOptions;
use super::oidc::Oidc;
use super::property::Property;
use crate::aws_credentials::{AwsCredentialsProvider, AwsOrigin, AwsRole};
use crate::secret::{HIDDEN, Secret};
use crate::token::{SharedProvider, TokenProvider};

/// How brokers are spoken to (`security.protocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SecurityProtocol {
    /// Brokers do not ask who the producer is.
    #[default]
    Plaintext,
    /// The producer says who it is by [`Sasl`]. Nothing is encrypted. Needs the feature `sasl`, which is on by default.
    SaslPlaintext,
    /// Everything is encrypted, as [`Tls`](crate::Tls) says, and the producer says who it is by [`Sasl`]. Needs the feature `tls`.
    SaslSsl,
    /// Everything is encrypted, as [`Tls`](crate::Tls) says. Brokers may ask for a certificate. Needs the feature `tls`.
    Ssl,
}

impl SecurityProtocol {
    pub(crate) fn uses_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    pub(crate) fn uses_tls(self) -> bool {
        matches!(self, Self::SaslSsl | Self::Ssl)
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "PLAINTEXT",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
            Self::Ssl => "SSL",
        })
    }
}

impl Property for SecurityProtocol {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        let protocol = match kind.choice(text)? {
            "SASL_PLAINTEXT" => Self::SaslPlaintext,
            "SASL_SSL" => Self::SaslSsl,
            "SSL" => Self::Ssl,
            _ => Self::Plaintext,
        };
        protocol.check(kind).map(|()| protocol)
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        if self.uses_tls() && !cfg!(feature = "tls") {
            return Err(ConfigReason::needs_feature("tls"));
        }
        if self.uses_sasl() && !cfg!(feature = "sasl") {
            return Err(ConfigReason::needs_feature("sasl"));
        }
        Ok(())
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

/// Who the producer says that it is, and how it proves that: `sasl.mechanism` and `sasl.jaas.config` in one.
///
/// The password is not shown by `Debug`, is in no error, and is wiped from memory with the last copy of it.
///
/// ```
/// use kafka_producer::{ProducerConfig, Sasl, SecurityProtocol};
///
/// let typed = ProducerConfig::new()
///     .bootstrap_servers("kafka-1:9092")
///     .security_protocol(SecurityProtocol::SaslPlaintext)
///     .sasl(Sasl::scram_sha_512("alice", "alice-secret"));
///
/// let by_name = ProducerConfig::from_properties([
///     ("bootstrap.servers", "kafka-1:9092"),
///     ("security.protocol", "SASL_PLAINTEXT"),
///     ("sasl.mechanism", "SCRAM-SHA-512"),
///     (
///         "sasl.jaas.config",
///         r#"org.apache.kafka.common.security.scram.ScramLoginModule required username="alice" password="alice-secret";"#,
///     ),
/// ]);
///
/// assert_eq!(typed, by_name);
/// # typed.validate()?;
/// # Ok::<(), kafka_producer::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sasl {
    mechanism: Mechanism,
    login: Login,
    /// What else has to be set, for OpenID Connect.
    properties: Vec<(&'static str, Secret)>,
}

impl Sasl {
    /// A name and a password, sent as they are (RFC 4616): everyone who can read the connection has the password.
    #[must_use]
    pub fn plain(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::new(Mechanism::Plain, username, password)
    }

    /// A name and the proof that the producer knows the password, and that the broker does (RFC 7677).
    #[must_use]
    pub fn scram_sha_256(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::new(Mechanism::ScramSha256, username, password)
    }

    /// The same with SHA-512.
    #[must_use]
    pub fn scram_sha_512(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::new(Mechanism::ScramSha512, username, password)
    }

    /// An access token (RFC 7628), which the provider gets and the producer renews in time.
    ///
    /// See [`TokenProvider`]. Nothing is encrypted by this: everyone who can read the connection has the token until it ends.
    #[must_use]
    pub fn oauth_bearer(provider: impl TokenProvider) -> Self {
        let login = Login::Provider(SharedProvider(Arc::new(provider)));
        Self::with(Mechanism::OAuthBearer, login)
    }

    /// Access tokens that the producer gets by OpenID Connect (RFC 7628): it asks a token endpoint, or reads a file, and does so again in
    /// time. See [`Oidc`].
    #[must_use]
    pub fn oidc(oidc: Oidc) -> Self {
        let (properties, options) = oidc.into_parts();
        Self { properties, ..Self::with(Mechanism::OAuthBearer, Login::OAuth(options)) }
    }

    /// Says that the username is the id of a delegation token, and the password its HMAC in base64 (KIP-48; `tokenauth="true"` in
    /// `sasl.jaas.config`, default no). Has a meaning for SCRAM only.
    #[must_use]
    pub fn delegation_token(mut self, is_token: bool) -> Self {
        if let Login::Password(credentials) = &mut self.login {
            credentials.is_token = is_token && self.mechanism != Mechanism::Plain;
        }
        self
    }

    /// The credentials of AWS that its own tools would use, for Amazon MSK (AWS_MSK_IAM): from the environment, by the web identity of a
    /// pod of EKS, from the shared files, or from the endpoint of the container or of the machine. The region is in the names of the
    /// brokers, in the profile, or in `AWS_REGION`.
    #[must_use]
    pub fn aws_msk_iam() -> Self {
        Self::with(Mechanism::AwsMskIam, Login::Aws(AwsOrigin::Chain { profile: None }))
    }

    /// The same with a profile of AWS's shared files (`awsProfileName` in `sasl.jaas.config`), and nothing else.
    #[must_use]
    pub fn aws_msk_iam_profile(profile: impl Into<String>) -> Self {
        Self::with(Mechanism::AwsMskIam, Login::Aws(AwsOrigin::Chain { profile: Some(profile.into()) }))
    }

    /// The same with a role that the producer assumes (`awsRoleArn` in `sasl.jaas.config`).
    #[must_use]
    pub fn aws_msk_iam_as(role: AwsRole) -> Self {
        Self::with(Mechanism::AwsMskIam, Login::Aws(AwsOrigin::Role(Box::new(role))))
    }

    /// The same with credentials from elsewhere.
    #[must_use]
    pub fn aws_msk_iam_with(provider: impl AwsCredentialsProvider) -> Self {
        Self::with(Mechanism::AwsMskIam, Login::Aws(AwsOrigin::Provider(Arc::new(provider))))
    }

    /// A ticket of Kerberos that the producer gets by the key of a principal in a file (RFC 4752; `useKeyTab`, `keyTab` and `principal`
    /// in `sasl.jaas.config`), and renews in time. Needs the feature `gssapi`.
    ///
    /// [`service_name`](Self::service_name) must be set, too. The ticket goes into the ticket cache of the process (`KRB5CCNAME`).
    #[must_use]
    pub fn gssapi_keytab(principal: impl Into<String>, keytab: impl Into<PathBuf>) -> Self {
        Self::gssapi(TicketOrigin::Keytab { principal: principal.into(), keytab: Some(keytab.into()) })
    }

    /// A ticket of Kerberos that is in the ticket cache of the process (`KRB5CCNAME`), such as one that `kinit` has got
    /// (`useTicketCache` in `sasl.jaas.config`). Needs the feature `gssapi`.
    ///
    /// [`service_name`](Self::service_name) must be set, too.
    #[must_use]
    pub fn gssapi_ticket_cache() -> Self {
        Self::gssapi(TicketOrigin::Cache { cache: None, principal: None })
    }

    /// Says who brokers are for Kerberos: the first part of their principals, such as `kafka` of `kafka/broker-1@EXAMPLE.COM`
    /// (`sasl.kerberos.service.name`, no default). Has a meaning for GSSAPI only.
    #[must_use]
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        if let Login::Kerberos(login) = &mut self.login {
            login.service_name = Some(name.into());
        }
        self
    }

    fn gssapi(origin: TicketOrigin) -> Self {
        let login = Login::Kerberos(KerberosLogin { origin, service_name: None });
        Self::with(Mechanism::Gssapi, login)
    }

    fn new(mechanism: Mechanism, username: impl Into<String>, password: impl Into<String>) -> Self {
        let (username, password) = (username.into(), Secret::new(password));
        let credentials = Credentials { username, password, is_token: false };
        Self::with(mechanism, Login::Password(credentials))
    }

    fn with(mechanism: Mechanism, login: Login) -> Self {
        Self { mechanism, login, properties: Vec::new() }
    }

    /// Returns the values of `sasl.mechanism` and `sasl.jaas.config`, and other keys with theirs.
    pub(crate) fn into_parts(self) -> (String, JaasConfig, Vec<(&'static str, Secret)>) {
        (self.mechanism.name().to_owned(), JaasConfig(Some(self.login)), self.properties)
    }
}

/// A mechanism that exists here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    AwsMskIam,
    Gssapi,
    OAuthBearer,
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    const ALL: [Self; 6] =
        [Self::AwsMskIam, Self::Gssapi, Self::OAuthBearer, Self::Plain, Self::ScramSha256, Self::ScramSha512];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AwsMskIam => "AWS_MSK_IAM",
            Self::Gssapi => "GSSAPI",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    /// Returns the mechanism of this name, written as Kafka does.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

/// Completes the sentence "sasl.mechanism = X: ".
pub(super) const NO_OTHER_MECHANISM: &str =
    "is not known, must be AWS_MSK_IAM, GSSAPI, OAUTHBEARER, PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";

/// The same for GSSAPI, which is also what counts if no mechanism is set.
pub(super) const NO_GSSAPI: &str = "needs kafka-producer to be built with its feature \"gssapi\"; the other mechanisms are \
    AWS_MSK_IAM, OAUTHBEARER, PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512";

/// What `sasl.jaas.config` or the typed setter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Login {
    /// For AWS_MSK_IAM.
    Aws(AwsOrigin),
    /// For GSSAPI.
    Kerberos(KerberosLogin),
    /// For OAUTHBEARER: other properties say what is to be made of the options.
    OAuth(OAuthOptions),
    Password(Credentials),
    Provider(SharedProvider),
}

impl Login {
    /// Says what is wrong with it for a mechanism.
    pub(super) fn mismatch(&self, mechanism: Mechanism) -> Option<String> {
        let wanted = match (mechanism, self) {
            (Mechanism::AwsMskIam, Self::Aws(_)) => return None,
            (Mechanism::Gssapi, Self::Kerberos(_)) => return None,
            (Mechanism::OAuthBearer, Self::OAuth(_) | Self::Provider(_)) => return None,
            (Mechanism::Plain | Mechanism::ScramSha256 | Mechanism::ScramSha512, Self::Password(_)) => {
                return None;
            }
            (Mechanism::AwsMskIam, _) => AWS_MODULE,
            (Mechanism::Gssapi, _) => KERBEROS_MODULE,
            (Mechanism::OAuthBearer, _) => OAUTH_MODULE,
            (Mechanism::Plain, _) => PLAIN_MODULE,
            (Mechanism::ScramSha256 | Mechanism::ScramSha512, _) => SCRAM_MODULE,
        };
        Some(format!("must name {wanted} with sasl.mechanism = {}", mechanism.name()))
    }
}

pub(super) const AWS_MODULE: &str = "software.amazon.msk.auth.iam.IAMLoginModule";
pub(super) const KERBEROS_MODULE: &str = "com.sun.security.auth.module.Krb5LoginModule";
pub(super) const OAUTH_MODULE: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
pub(super) const PLAIN_MODULE: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
pub(super) const SCRAM_MODULE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

/// A name and its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: Secret,
    /// Whether these are the id of a delegation token and its HMAC (KIP-48). Only SCRAM tells them apart from a user.
    pub(crate) is_token: bool,
}

/// The value of `sasl.jaas.config`; `None` until it is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct JaasConfig(pub(crate) Option<Login>);

impl Property for JaasConfig {
    fn parse(text: &str, _kind: &Kind) -> Result<Self, ConfigReason> {
        jaas::parse(text).map(|login| Self(Some(login)))
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        Ok(())
    }

    fn print(&self) -> String {
        self.0.as_ref().map_or_else(String::new, |_| HIDDEN.to_owned())
    }
}
