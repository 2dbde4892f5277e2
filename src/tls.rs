//! TLS on top of any byte stream: whom the client trusts, what it shows, and what is told to the user if it comes to nothing.
//!
//! ```text
//! TlsSettings ─▶ TlsClient ── connect(stream, host) ─▶ TlsStream, or io::Error with a SecurityFailure
//! ```
//!
//! The handshake takes place inside of [`TlsClient::connect`]: a limit for connecting is one for TLS, too. Neither Kafka nor HTTP
//! is spoken here.
//!
//! | In | stands |
//! | --- | --- |
//! | `provider` | whose cryptography it is |
//! | `trust`, `identity` | whom the client trusts, and what it shows |
//! | `store`, `pem` | how certificates and keys are read from files and text |
//! | `keystore`, `der` | how they are read from Java's stores |
//! | `verifier`, `refusal` | whether a server's certificate is accepted, and if not, why |
//! | `failure` | what other errors of TLS mean, in words for the user |
//! | `peer` | what these words call the other end |
//! | `certificate` | what a certificate says of itself |
//! | `rotation`, `rotating` | when files are looked at again, and what follows from a change |
//! | `certificate_provider` | who gives certificates in place of files |
//! | `signing` | how a JWT is signed by a key for TLS |
//! | `stream` | what becomes of bytes between the caller and the socket |

mod certificate;
mod certificate_provider;
#[cfg(feature = "keystores")]
mod der;
mod failure;
mod identity;
#[cfg(all(feature = "__internals", feature = "keystores"))]
pub(crate) mod inside;
mod keystore;
mod peer;
mod pem;
mod provider;
mod refusal;
mod rotating;
mod rotation;
mod signing;
mod store;
mod stream;
mod trust;
mod verifier;

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use self::failure::{Explainer, Shown};
use self::identity::Identity;
use self::trust::Trust;
use self::verifier::Verifier;
use crate::config::{ConfigProblem, TlsSettings, TlsVersion};
use crate::log;
use crate::security_failure::SecurityFailure;

pub use self::certificate_provider::{CertificateError, CertificateFuture, CertificateProvider};
pub(crate) use self::peer::Peer;
pub(crate) use self::rotating::RotatingTls;
#[cfg(test)]
pub(crate) use self::signing::is_genuine;
pub(crate) use self::signing::{JwtAlgorithm, sign};
pub(crate) use self::stream::TlsStream;

/// Makes encrypted streams out of plain ones.
#[derive(Debug, Clone)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    explainer: Arc<Explainer>,
    certificate_ends: Option<i64>,
}

impl TlsClient {
    /// Reads files and certificates as `settings` say.
    ///
    /// # Errors
    ///
    /// What is wrong with which key.
    pub(crate) fn new(settings: &TlsSettings, peer: Peer) -> Result<Self, ConfigProblem> {
        Self::with(settings, peer, provider::choose)
    }

    fn with(
        settings: &TlsSettings,
        peer: Peer,
        provider: impl FnOnce() -> Result<Arc<CryptoProvider>, ConfigProblem>,
    ) -> Result<Self, ConfigProblem> {
        let mut explainer = Explainer {
            peer,
            identity: None,
            protocols: settings.enabled_protocols.to_string(),
            cipher_suites: settings.cipher_suites.to_string(),
        };
        if let Some(config) = settings.client_config.get() {
            return Ok(Self {
                config: Arc::clone(config),
                explainer: Arc::new(explainer),
                certificate_ends: None,
            });
        }
        let checks_names = settings.endpoint_identification.checks_names();
        if !checks_names {
            log::warn!(
                "ssl.endpoint.identification.algorithm is empty: everyone who has any certificate of a trusted authority can pass for a \
                 broker"
            );
        }
        let provider = with_suites(provider()?, settings)?;
        let verifier = Verifier::new(peer, Trust::new(settings)?, &provider, checks_names);
        let identity = Identity::new(settings, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(settings))
            .map_err(|_| no_suite_for_version(settings))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let certificate_ends = identity.as_ref().and_then(|identity| Some(identity.dates?.1));
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certified, subject, dates, key }) => {
                explainer.identity = Some(Shown { subject, dates, key });
                let resolver: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(certified));
                builder.with_client_cert_resolver(resolver)
            }
        };
        Ok(Self { config: Arc::new(config), explainer: Arc::new(explainer), certificate_ends })
    }

    /// Returns when the certificate ends that the client shows, in seconds since 1970.
    pub(crate) fn certificate_ends(&self) -> Option<i64> {
        self.certificate_ends
    }

    /// Returns whose certificate the client shows.
    fn subject(&self) -> Option<&str> {
        self.explainer.identity.as_ref().map(|shown| shown.subject.as_str())
    }

    /// Returns an encrypted stream to `host`, which is a name or an IP address, over a stream that leads there.
    ///
    /// # Errors
    ///
    /// If the stream cannot be trusted, or no common ground is found, the error contains a [`SecurityFailure`].
    pub(crate) async fn connect<S>(&self, stream: S, host: &str) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            SecurityFailure::lasting(format!("{host:?} is no name that a certificate could be for"))
        })?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(TlsStream::new(stream, Arc::clone(&self.explainer))),
            Err(error) => Err(self.explainer.of_handshake(error)),
        }
    }
}

fn versions(settings: &TlsSettings) -> Vec<&'static rustls::SupportedProtocolVersion> {
    let of_rustls = |version: &TlsVersion| match version {
        TlsVersion::V1_2 => &rustls::version::TLS12,
        TlsVersion::V1_3 => &rustls::version::TLS13,
    };
    settings.enabled_protocols.0.iter().map(of_rustls).collect()
}

/// Leaves only the suites of the user's choice, in the user's order.
fn with_suites(
    provider: Arc<CryptoProvider>,
    settings: &TlsSettings,
) -> Result<Arc<CryptoProvider>, ConfigProblem> {
    if settings.cipher_suites.is_empty() {
        return Ok(provider);
    }
    let find = |code| provider.cipher_suites.iter().find(|suite| u16::from(suite.suite()) == code).copied();
    let cipher_suites: Vec<_> = settings.cipher_suites.codes().filter_map(find).collect();
    if cipher_suites.is_empty() {
        return Err(no_suite_for_version(settings));
    }
    Ok(Arc::new(CryptoProvider { cipher_suites, ..(*provider).clone() }))
}

fn no_suite_for_version(settings: &TlsSettings) -> ConfigProblem {
    let text = format!("none of them is one of ssl.enabled.protocols={}", settings.enabled_protocols);
    store::invalid("ssl.cipher.suites", &settings.cipher_suites.to_string(), text)
}

#[cfg(test)]
mod tests;
