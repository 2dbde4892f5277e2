//! Whom the client trusts.

use std::fs;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::pem;
use crate::config::{ConfigProblem, ConfigReason, TlsSettings};

/// The authorities that are trusted.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) roots: RootCertStore,
}

impl Trust {
    /// # Errors
    ///
    /// What is wrong with which key.
    pub(super) fn new(settings: &TlsSettings) -> Result<Self, ConfigProblem> {
        if !settings.truststore_certificates.expose().is_empty() {
            return Self::of_text(
                settings.truststore_certificates.expose(),
                "ssl.truststore.certificates",
                "",
            );
        }
        if settings.truststore_location.is_set() {
            let path = &settings.truststore_location.0;
            let (key, shown) = ("ssl.truststore.location", path.display().to_string());
            let bytes = fs::read(path).map(Zeroizing::new);
            let bytes = bytes.map_err(|error| invalid(key, &shown, format!("cannot be read: {error}")))?;
            let text =
                std::str::from_utf8(&bytes).map_err(|_| invalid(key, &shown, "is no PEM file".to_owned()))?;
            return Self::of_text(text, key, &shown);
        }
        Self::of_system()
    }

    fn of_text(text: &str, key: &'static str, shown: &str) -> Result<Self, ConfigProblem> {
        let problem = |text: String| invalid(key, shown, text);
        let mut roots = RootCertStore::empty();
        for section in pem::sections(text).map_err(problem)? {
            if !section.label.ends_with("CERTIFICATE") {
                continue;
            }
            roots
                .add(CertificateDer::from(section.der.as_slice()))
                .map_err(|error| problem(format!("has a certificate that cannot be read: {error}")))?;
        }
        if roots.is_empty() {
            return Err(problem("has no certificate".to_owned()));
        }
        Ok(Self { roots })
    }

    fn of_system() -> Result<Self, ConfigProblem> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Systems keep certificates that are older than today's rules.
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            let text = format!("the operating system names no authority to trust, set this key{why}");
            return Err(ConfigProblem::new("ssl.truststore.location", "", ConfigReason::Invalid(text)));
        }
        Ok(Self { roots })
    }
}

pub(super) fn invalid(key: &str, value: &str, text: String) -> ConfigProblem {
    ConfigProblem::new(key, value, ConfigReason::Invalid(text))
}
