//! Brokers that speak TLS: what a test says about it, and what is made of that.

mod certificates;
mod fault;
mod handshake;
mod processor;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

pub use self::certificates::MockCertificate;
pub use self::fault::TlsFault;
pub(crate) use self::handshake::{Opened, TlsHalf, listen_to_the_end, shake_hands};
use crate::error::MockError;

/// How brokers speak TLS; see [`MockClusterBuilder::tls`](crate::MockClusterBuilder::tls).
///
/// By default they show the certificate [`MockCertificate::SERVER`], which is for `localhost`, `127.0.0.1` and `::1`, offer
/// TLS 1.2 and 1.3, and ask clients for no certificate. A client trusts them if it trusts [`MockTls::ca_pem`].
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kafka_mock::MockError> {
/// use kafka_mock::{MockCertificate, MockCluster, MockTls};
///
/// let cluster = MockCluster::builder().tls(MockTls::new().require_client_certificates()).start().await?;
///
/// // What a client needs: the addresses, a CA to trust, and a certificate with its key.
/// let servers = cluster.bootstrap_servers();
/// let ssl_truststore_certificates = MockTls::ca_pem();
/// let ssl_keystore_certificate_chain = MockCertificate::CLIENT.chain_pem();
/// let ssl_keystore_key = MockCertificate::CLIENT.key_pem();
///
/// // From now on brokers show a certificate that ended years ago.
/// cluster.set_tls(MockTls::new().certificate(MockCertificate::SERVER_EXPIRED))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "brokers speak TLS only if the builder is told to"]
pub struct MockTls {
    certificate: MockCertificate,
    versions: Vec<TlsVersion>,
    client_certificates: ClientCertificates,
    client_ca: String,
}

/// A version of TLS that brokers offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl TlsVersion {
    fn of_rustls(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::V1_2 => &rustls::version::TLS12,
            Self::V1_3 => &rustls::version::TLS13,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientCertificates {
    Ignored,
    Requested,
    Required,
}

impl MockTls {
    /// Returns what the type's documentation says.
    pub fn new() -> Self {
        Self {
            certificate: MockCertificate::SERVER,
            versions: vec![TlsVersion::V1_2, TlsVersion::V1_3],
            client_certificates: ClientCertificates::Ignored,
            client_ca: Self::ca_pem().to_owned(),
        }
    }

    /// Returns the certificate of the CA that clients must trust, as PEM.
    pub fn ca_pem() -> &'static str {
        certificates::CA_PEM
    }

    /// Returns the certificate of another CA, which has signed [`MockCertificate::SERVER_OTHER_CA`] and
    /// [`MockCertificate::CLIENT_OTHER_CA`], as PEM.
    pub fn other_ca_pem() -> &'static str {
        certificates::OTHER_CA_PEM
    }

    /// Sets the certificate that brokers show, and its key (default: [`MockCertificate::SERVER`]).
    pub fn certificate(mut self, certificate: MockCertificate) -> Self {
        self.certificate = certificate;
        self
    }

    /// Sets the versions of TLS that brokers offer (default: 1.2 and 1.3; `ssl.enabled.protocols`).
    pub fn versions(mut self, versions: impl IntoIterator<Item = TlsVersion>) -> Self {
        self.versions = versions.into_iter().collect();
        self
    }

    /// Lets in only clients that show a certificate (`ssl.client.auth=required`).
    pub fn require_client_certificates(mut self) -> Self {
        self.client_certificates = ClientCertificates::Required;
        self
    }

    /// Asks clients for a certificate, and lets in those that have none, too (`ssl.client.auth=requested`).
    pub fn request_client_certificates(mut self) -> Self {
        self.client_certificates = ClientCertificates::Requested;
        self
    }

    /// Sets the CAs, as PEM, one of which must have signed the certificates of clients (default: [`MockTls::ca_pem`]).
    pub fn client_ca_pem(mut self, pem: impl Into<String>) -> Self {
        self.client_ca = pem.into();
        self
    }

    fn server_config(&self) -> Result<ServerConfig, MockError> {
        let refuse = |reason: String| MockError::InvalidTls { reason };
        if let Some(reason) = processor::obstacle() {
            return Err(refuse(reason));
        }
        let provider = Arc::new(rustls_graviola::default_provider());
        let versions: Vec<_> = self.versions.iter().map(|version| version.of_rustls()).collect();
        let chain = certificates_of(self.certificate.chain_pem())?;
        let key = PrivateKeyDer::from_pem_slice(self.certificate.key_pem().as_bytes())
            .map_err(|error| refuse(format!("the key is no PEM that can be read: {error}")))?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| refuse(error.to_string()))?
            .with_client_cert_verifier(self.verifier()?)
            .with_single_cert(chain, key)
            .map_err(|error| refuse(error.to_string()))?;
        Ok(config)
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, MockError> {
        let refuse = |reason: String| MockError::InvalidTls { reason };
        if self.client_certificates == ClientCertificates::Ignored {
            return Ok(WebPkiClientVerifier::no_client_auth());
        }
        let mut roots = RootCertStore::empty();
        for certificate in certificates_of(&self.client_ca)? {
            roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
        }
        let provider = Arc::new(rustls_graviola::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = match self.client_certificates {
            ClientCertificates::Requested => verifier.allow_unauthenticated(),
            ClientCertificates::Required | ClientCertificates::Ignored => verifier,
        };
        verifier.build().map_err(|error| refuse(error.to_string()))
    }
}

impl Default for MockTls {
    fn default() -> Self {
        Self::new()
    }
}

fn certificates_of(pem: &str) -> Result<Vec<CertificateDer<'static>>, MockError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| MockError::InvalidTls { reason: format!("a certificate cannot be read: {error}") })
}

/// What brokers have seen of a client that speaks TLS; see [`MockCluster::tls_connections`](crate::MockCluster::tls_connections).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConnection {
    /// Id of the broker.
    pub broker: i32,
    /// The version of TLS that both agreed on.
    pub version: Option<TlsVersion>,
    /// The cipher suite that both agreed on, as rustls calls it, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher_suite: Option<String>,
    /// The name that the client asked for (SNI); `None` for an address.
    pub server_name: Option<String>,
    /// The certificate that the client showed, as DER; see [`MockCertificate::der`].
    pub client_certificate: Option<Vec<u8>>,
}

/// TLS of all brokers of a cluster; off until a configuration is set.
#[derive(Default)]
pub(crate) struct Tls(Mutex<State>);

#[derive(Default)]
struct State {
    config: Option<Arc<ServerConfig>>,
    faults: Vec<TlsFault>,
    /// The newest ones, at most [`KEPT_CONNECTIONS`].
    connections: VecDeque<TlsConnection>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("is_on", &self.config().is_some()).finish_non_exhaustive()
    }
}

impl Tls {
    pub(crate) fn set(&self, tls: &MockTls) -> Result<(), MockError> {
        let config = tls.server_config()?;
        self.state().config = Some(Arc::new(config));
        Ok(())
    }

    pub(crate) fn inject(&self, fault: TlsFault) {
        self.state().faults.push(fault);
    }

    pub(crate) fn clear_faults(&self) {
        self.state().faults.clear();
    }

    pub(crate) fn pending_faults(&self) -> Vec<TlsFault> {
        self.state().faults.clone()
    }

    pub(crate) fn connections(&self) -> Vec<TlsConnection> {
        self.state().connections.iter().cloned().collect()
    }

    fn config(&self) -> Option<Arc<ServerConfig>> {
        self.state().config.clone()
    }

    /// Returns what goes wrong with the next handshake of this broker.
    fn take_fault(&self, broker: i32) -> Option<fault::Action> {
        let mut state = self.state();
        let index = state.faults.iter().position(|fault| fault.hits(broker))?;
        let fault = state.faults.get_mut(index)?;
        let action = fault.action();
        if fault.is_used_up_by_one() {
            let _ = state.faults.remove(index);
        }
        Some(action)
    }

    fn note(&self, connection: TlsConnection) {
        let mut state = self.state();
        if state.connections.len() >= KEPT_CONNECTIONS {
            state.connections.pop_front();
        }
        state.connections.push_back(connection);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const KEPT_CONNECTIONS: usize = 1000;
