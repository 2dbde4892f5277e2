//! Whether a server's certificate is accepted.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::certificate::Certificate;
use super::peer::Peer;
use super::refusal::{Refusal, Served};
use super::trust::Trust;
use crate::security_failure::SecurityFailure;

/// Accepts certificates that an authority has signed whom the client trusts, for the name that the client connects to.
#[derive(Debug)]
pub(super) struct Verifier {
    peer: Peer,
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
    checks_names: bool,
}

impl Verifier {
    pub(super) fn new(peer: Peer, trust: Trust, provider: &CryptoProvider, checks_names: bool) -> Self {
        Self { peer, trust, algorithms: provider.signature_verification_algorithms, checks_names }
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        if self.trust.has_exactly(end_entity) {
            let dates = Certificate::read(end_entity).ok_or(Error::from(CertificateError::BadEncoding))?;
            if !dates.is_valid_at(seconds(now)) {
                return Err(Refusal::Date);
            }
        } else {
            let (roots, algorithms) = (&self.trust.roots, self.algorithms.all);
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        if self.checks_names {
            verify_server_name(&certificate, name)?;
        }
        Ok(())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, server_name, now).map_err(|refusal| {
            let (peer, name, now) = (self.peer, &server_name.to_str(), seconds(now));
            let served = Served { peer, end_entity, intermediates, name, now };
            // The server is told "certificate unknown", as Java tells it.
            let reason = SecurityFailure::lasting(refusal.explain(&served, self.trust.key));
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(reason))))
        })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
