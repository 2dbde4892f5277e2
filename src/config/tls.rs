//! What connections by TLS are made of: the values of `ssl.*`, and the typed way to set them.

use std::fmt;
#[cfg(feature = "tls")]
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::{Path, PathBuf};
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use super::ConfigReason;
use super::kind::Kind;
use super::property::Property;
use super::tls_versions::{CipherSuites, ContextProtocol, TlsVersion, TlsVersions};
use crate::secret::{HIDDEN, Secret};

/// How connections to brokers are encrypted, whom the producer trusts, and who it says that it is: all keys that begin with `ssl.`
/// in one. It counts if [`SecurityProtocol`](crate::SecurityProtocol) is `Ssl` or `SaslSsl`.
///
/// Without anything set, the producer trusts the authorities that the operating system trusts, and has no certificate of its
/// own. Files are read when the producer is built.
///
/// ```
/// use kafka_producer::{ProducerConfig, SecurityProtocol, Tls};
///
/// let typed = ProducerConfig::new()
///     .bootstrap_servers("kafka-1:9093")
///     .security_protocol(SecurityProtocol::Ssl)
///     .tls(
///         Tls::new()
///             .truststore_file("/etc/kafka/ca.pem")
///             .keystore_file("/etc/kafka/client.pem")
///             .key_password("secret"),
///     );
///
/// let by_name = ProducerConfig::from_properties([
///     ("bootstrap.servers", "kafka-1:9093"),
///     ("security.protocol", "SSL"),
///     ("ssl.truststore.type", "PEM"),
///     ("ssl.truststore.location", "/etc/kafka/ca.pem"),
///     ("ssl.keystore.type", "PEM"),
///     ("ssl.keystore.location", "/etc/kafka/client.pem"),
///     ("ssl.key.password", "secret"),
/// ]);
///
/// assert_eq!(typed.get("ssl.truststore.location"), by_name.get("ssl.truststore.location"));
/// # #[cfg(feature = "tls")]
/// typed.validate()?;
/// # Ok::<(), kafka_producer::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    settings: TlsSettings,
}

impl Tls {
    /// Trusts the authorities that the operating system trusts, and has no certificate of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the authorities in a PEM file, and no others (`ssl.truststore.location`).
    ///
    /// A certificate that is no authority's is trusted, too, if a broker shows exactly that one.
    #[must_use]
    pub fn truststore_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.truststore_location = Location::new(path);
        self.settings.truststore_type = StoreType::Pem;
        self
    }

    /// Trusts the authorities in a PEM text, and no others (`ssl.truststore.certificates`).
    #[must_use]
    pub fn truststore_pem(mut self, certificates: impl Into<String>) -> Self {
        self.settings.truststore_certificates = PemText::new(certificates);
        self.settings.truststore_type = StoreType::Pem;
        self
    }

    /// Has a certificate, with its chain and its key in one PEM file (`ssl.keystore.location`).
    #[must_use]
    pub fn keystore_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.keystore_location = Location::new(path);
        self.settings.keystore_type = StoreType::Pem;
        self
    }

    /// Has a certificate, with its chain in one PEM text and its key in another (`ssl.keystore.certificate.chain`,
    /// `ssl.keystore.key`). The key is shown by no `Debug` and in no error.
    #[must_use]
    pub fn keystore_pem(mut self, certificate_chain: impl Into<String>, key: impl Into<String>) -> Self {
        self.settings.keystore_certificate_chain = PemText::new(certificate_chain);
        self.settings.keystore_key = PemText::new(key);
        self.settings.keystore_type = StoreType::Pem;
        self
    }

    /// Sets the password of the key, if it is encrypted (`ssl.key.password`).
    #[must_use]
    pub fn key_password(mut self, password: impl Into<String>) -> Self {
        self.settings.key_password = Secret::new(password);
        self
    }

    /// Sets the password of the keystore, if it is a file of a kind that has one (`ssl.keystore.password`). PEM has none.
    #[must_use]
    pub fn keystore_password(mut self, password: impl Into<String>) -> Self {
        self.settings.keystore_password = Secret::new(password);
        self
    }

    /// Sets the password of the truststore, if it is a file of a kind that has one (`ssl.truststore.password`). PEM has none.
    #[must_use]
    pub fn truststore_password(mut self, password: impl Into<String>) -> Self {
        self.settings.truststore_password = Secret::new(password);
        self
    }

    /// Sets which versions of TLS brokers are offered (`ssl.enabled.protocols`, default TLS 1.2 and 1.3).
    #[must_use]
    pub fn enabled_protocols(mut self, versions: impl IntoIterator<Item = TlsVersion>) -> Self {
        self.settings.enabled_protocols = TlsVersions(versions.into_iter().collect());
        self
    }

    /// Sets which cipher suites brokers are offered, by Java's names and in this order (`ssl.cipher.suites`, default all that
    /// there are). The building of a producer refuses names that it does not know, and tells those that it does.
    #[must_use]
    pub fn cipher_suites<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.settings.cipher_suites = CipherSuites(names.into_iter().map(Into::into).collect());
        self
    }

    /// Does not check that a broker's certificate is for the name that the producer connects to
    /// (`ssl.endpoint.identification.algorithm` empty).
    ///
    /// Dangerous: everyone who has a certificate of a trusted authority, for whatever name, can pass for a broker, read the
    /// records, and take passwords. That a trusted authority has signed the certificate is checked nevertheless. Each producer
    /// that is built with it warns in the log. It is better to give brokers certificates for their names.
    #[must_use]
    pub fn danger_accept_any_name(mut self) -> Self {
        self.settings.endpoint_identification = EndpointIdentification::Off;
        self
    }

    /// Takes a configuration of rustls as it is, in place of all else: for certificates that a hardware module keeps, for lists
    /// of revoked certificates, or for checks of your own.
    ///
    /// Keys that begin with `ssl.` do not count then. The crate exports the rustls that it uses as
    /// `kafka_producer::rustls`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn client_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.settings.client_config = ReadyConfig(Some(config));
        self
    }

    /// Sets how often the producer looks whether its files of certificates have changed (default: every 60 seconds; zero: never).
    /// This is not a property of Kafka.
    ///
    /// What has changed is read when it has stayed the same for a twelfth of that time, 5 seconds by default: it may be written in
    /// pieces. New connections then use the new certificates. Those that are open live on, so no record fails. If what has changed
    /// cannot be read, the producer logs a warning and goes on with what it has. [`Metrics::certificate_ends`] tells until when
    /// the certificate in use is valid.
    ///
    /// [`Metrics::certificate_ends`]: crate::Metrics::certificate_ends
    #[must_use]
    pub fn reload_interval(mut self, interval: Duration) -> Self {
        self.settings.reload_interval = ReloadInterval(interval);
        self
    }

    pub(crate) fn into_settings(self) -> TlsSettings {
        self.settings
    }
}

/// The values of `ssl.*`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TlsSettings {
    pub(crate) cipher_suites: CipherSuites,
    /// Counts in place of all else.
    #[cfg(feature = "tls")]
    pub(crate) client_config: ReadyConfig,
    pub(crate) enabled_protocols: TlsVersions,
    pub(crate) endpoint_identification: EndpointIdentification,
    pub(crate) key_password: Secret,
    pub(crate) keystore_certificate_chain: PemText,
    pub(crate) keystore_key: PemText,
    pub(crate) keystore_location: Location,
    pub(crate) keystore_password: Secret,
    pub(crate) keystore_type: StoreType,
    /// Changes nothing.
    pub(crate) protocol: ContextProtocol,
    pub(crate) reload_interval: ReloadInterval,
    pub(crate) truststore_certificates: PemText,
    pub(crate) truststore_location: Location,
    pub(crate) truststore_password: Secret,
    pub(crate) truststore_type: StoreType,
}

/// How often files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReloadInterval(pub(crate) Duration);

impl Default for ReloadInterval {
    /// As KIP-1288 proposes.
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

/// A configuration of rustls that the application has made. It is only handed on, so no panic leaves it half changed here.
#[cfg(feature = "tls")]
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadyConfig(Option<Arc<rustls::ClientConfig>>);

#[cfg(feature = "tls")]
impl RefUnwindSafe for ReadyConfig {}

#[cfg(feature = "tls")]
impl UnwindSafe for ReadyConfig {}

#[cfg(feature = "tls")]
impl ReadyConfig {
    pub(crate) fn get(&self) -> Option<&Arc<rustls::ClientConfig>> {
        self.0.as_ref()
    }
}

/// Two are equal if they are one: rustls cannot compare them.
#[cfg(feature = "tls")]
impl PartialEq for ReadyConfig {
    fn eq(&self, other: &Self) -> bool {
        self.get().map(Arc::as_ptr) == other.get().map(Arc::as_ptr)
    }
}

#[cfg(feature = "tls")]
impl Eq for ReadyConfig {}

/// Whether a broker's certificate must be for the name that the producer connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum EndpointIdentification {
    #[default]
    Https,
    Off,
}

impl EndpointIdentification {
    #[cfg(feature = "tls")]
    pub(crate) fn checks_names(self) -> bool {
        self == Self::Https
    }
}

impl Property for EndpointIdentification {
    fn parse(text: &str, _kind: &Kind) -> Result<Self, ConfigReason> {
        match text {
            "" => Ok(Self::Off),
            _ if text.eq_ignore_ascii_case("https") => Ok(Self::Https),
            _ => {
                let text =
                    "must be https, or empty if brokers' names are not to be checked, which is dangerous";
                Err(ConfigReason::Invalid(text.to_owned()))
            }
        }
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        Ok(())
    }

    fn print(&self) -> String {
        match self {
            Self::Https => "https".to_owned(),
            Self::Off => String::new(),
        }
    }
}

/// Where a file is; empty if there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Location(Option<PathBuf>);

impl Location {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(Some(path.into()))
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.0.as_deref()
    }
}

/// Certificates, or a key, as text. It tells the empty text from none at all: one that is empty by mistake must not mean that the
/// authorities of the operating system are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PemText(Option<Secret>);

impl PemText {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Some(Secret::new(text)))
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the text, which is empty if there is none.
    #[cfg(feature = "tls")]
    pub(crate) fn expose(&self) -> &str {
        self.0.as_ref().map_or("", Secret::expose)
    }
}

impl Property for PemText {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        let text = Self::new(text);
        text.check(kind).map(|()| text)
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        refuse_empty(self.0.as_ref().is_some_and(|text| text.expose().trim().is_empty()))
    }

    fn print(&self) -> String {
        if self.is_set() { HIDDEN.to_owned() } else { String::new() }
    }
}

fn refuse_empty(is_empty: bool) -> Result<(), ConfigReason> {
    match is_empty {
        true => {
            Err(ConfigReason::Invalid("is empty; leave it unset if it is not meant to be set".to_owned()))
        }
        false => Ok(()),
    }
}

/// What kind of file keeps certificates and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum StoreType {
    #[default]
    Jks,
    Pem,
    Pkcs12,
}

impl Property for Location {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        let location = Self::new(text);
        location.check(kind).map(|()| location)
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        refuse_empty(self.path().is_some_and(|path| path.as_os_str().is_empty()))
    }

    fn print(&self) -> String {
        self.path().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

impl fmt::Display for StoreType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jks => "JKS",
            Self::Pem => "PEM",
            Self::Pkcs12 => "PKCS12",
        })
    }
}

impl Property for StoreType {
    fn parse(text: &str, _kind: &Kind) -> Result<Self, ConfigReason> {
        [Self::Jks, Self::Pem, Self::Pkcs12]
            .into_iter()
            .find(|known| known.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| ConfigReason::Invalid("must be PEM, PKCS12 or JKS".to_owned()))
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        Ok(())
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Property for Secret {
    fn parse(text: &str, _kind: &Kind) -> Result<Self, ConfigReason> {
        Ok(Self::new(text))
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        Ok(())
    }

    fn print(&self) -> String {
        if self.expose().is_empty() { String::new() } else { HIDDEN.to_owned() }
    }
}
