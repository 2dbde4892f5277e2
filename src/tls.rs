//! TLS on top of any byte stream: whom the client trusts, what it shows, and what is told to the user if it comes to nothing.
//!
//! ```text
//! TlsSettings ─▶ TlsClient ── connect(stream, host) ─▶ TlsStream, or io::Error with a SecurityFailure
//! ```
//!
//! The handshake takes place inside of [`TlsClient::connect`]. So whoever sets a limit for connecting has set one for TLS, too.
//! Neither Kafka nor HTTP is known here.
//!
//! | In | stands |
//! | --- | --- |
//! | `provider` | whose cryptography it is |
//! | `trust` | whom the client trusts |
//! | `pem` | how certificates and keys are read from text |
//! | `verifier` | whether a server's certificate is accepted |
//! | `failure` | what an error of TLS means, in words for the user |
//! | `stream` | what becomes of bytes between the caller and the socket |

mod failure;
mod pem;
mod provider;
mod stream;
mod trust;
mod verifier;

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::config::{ConfigProblem, TlsSettings};
use crate::security_failure::SecurityFailure;

pub(crate) use self::stream::TlsStream;

/// Makes encrypted streams out of plain ones.
#[derive(Debug, Clone)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Reads files and certificates as `settings` say.
    ///
    /// # Errors
    ///
    /// What is wrong with which key.
    pub(crate) fn new(settings: &TlsSettings) -> Result<Self, ConfigProblem> {
        let provider = provider::choose()?;
        let trust = trust::Trust::new(settings)?;
        let verifier = verifier::Verifier::new(trust, &provider);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| provider::problem(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config) })
    }

    /// Returns an encrypted stream to `host`, which is a name or an IP address, over a stream that leads there.
    ///
    /// # Errors
    ///
    /// If a stream cannot be trusted, or no common ground is found, the error contains a [`SecurityFailure`].
    pub(crate) async fn connect<S>(&self, stream: S, host: &str) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            SecurityFailure::lasting(format!("{host:?} is no name that a certificate could have"))
        })?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(TlsStream::new(stream)),
            Err(error) => Err(failure::of_handshake(error)),
        }
    }
}

#[cfg(test)]
mod tests;
