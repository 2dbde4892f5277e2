//! What connections by TLS are made of: the values of `ssl.*`, and the typed way to set them.

use std::fmt;
use std::path::PathBuf;

use super::ConfigReason;
use super::kind::Kind;
use super::property::Property;
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
/// #   .security_protocol(SecurityProtocol::Plaintext)
///     .tls(
///         Tls::new()
///             .truststore_file("/etc/kafka/ca.pem")
///             .keystore_file("/etc/kafka/client.pem")
///             .key_password("secret"),
///     );
///
/// let by_name = ProducerConfig::from_properties([
///     ("bootstrap.servers", "kafka-1:9093"),
/// #   ("security.protocol", "PLAINTEXT"),
///     ("ssl.truststore.type", "PEM"),
///     ("ssl.truststore.location", "/etc/kafka/ca.pem"),
///     ("ssl.keystore.type", "PEM"),
///     ("ssl.keystore.location", "/etc/kafka/client.pem"),
///     ("ssl.key.password", "secret"),
/// ]);
///
/// assert_eq!(typed.get("ssl.truststore.location"), by_name.get("ssl.truststore.location"));
/// # typed.validate()?;
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
    #[must_use]
    pub fn truststore_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.truststore_location = Location(path.into());
        self.settings.truststore_type = StoreType::Pem;
        self
    }

    /// Trusts the authorities in a PEM text, and no others (`ssl.truststore.certificates`).
    #[must_use]
    pub fn truststore_pem(mut self, certificates: impl Into<String>) -> Self {
        self.settings.truststore_certificates = Secret::new(certificates);
        self.settings.truststore_type = StoreType::Pem;
        self
    }

    /// Has a certificate, with its chain and its key in one PEM file (`ssl.keystore.location`).
    #[must_use]
    pub fn keystore_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.keystore_location = Location(path.into());
        self.settings.keystore_type = StoreType::Pem;
        self
    }

    /// Has a certificate, with its chain in one PEM text and its key in another (`ssl.keystore.certificate.chain`,
    /// `ssl.keystore.key`). The key is shown by no `Debug` and in no error.
    #[must_use]
    pub fn keystore_pem(mut self, certificate_chain: impl Into<String>, key: impl Into<String>) -> Self {
        self.settings.keystore_certificate_chain = Secret::new(certificate_chain);
        self.settings.keystore_key = Secret::new(key);
        self.settings.keystore_type = StoreType::Pem;
        self
    }

    /// Sets the password of the key, if it is encrypted (`ssl.key.password`).
    #[must_use]
    pub fn key_password(mut self, password: impl Into<String>) -> Self {
        self.settings.key_password = Secret::new(password);
        self
    }

    pub(crate) fn into_settings(self) -> TlsSettings {
        self.settings
    }
}

/// The values of `ssl.*`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TlsSettings {
    pub(crate) key_password: Secret,
    pub(crate) keystore_certificate_chain: Secret,
    pub(crate) keystore_key: Secret,
    pub(crate) keystore_location: Location,
    pub(crate) keystore_type: StoreType,
    pub(crate) truststore_certificates: Secret,
    pub(crate) truststore_location: Location,
    pub(crate) truststore_type: StoreType,
}

/// Where a file is; empty if there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Location(pub(crate) PathBuf);

#[cfg(feature = "tls")]
impl Location {
    pub(crate) fn is_set(&self) -> bool {
        !self.0.as_os_str().is_empty()
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
    fn parse(text: &str, _kind: &Kind) -> Result<Self, ConfigReason> {
        Ok(Self(text.into()))
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        Ok(())
    }

    fn print(&self) -> String {
        self.0.display().to_string()
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
