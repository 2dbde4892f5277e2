//! Whom the client trusts.

use std::collections::BTreeSet;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::keystore::{self, Role};
use super::pem;
use super::store::{self, Content, invalid};
use crate::config::{ConfigProblem, TlsSettings};
use crate::secret::Secret;

/// The certificates that are trusted, and where that is written.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) roots: RootCertStore,
    /// Certificates of the user's that are trusted as they are, as in Java: also where they are not those of an authority.
    exact: BTreeSet<Vec<u8>>,
    /// The key that says whom to trust. `None` if the operating system does.
    pub(super) key: Option<&'static str>,
}

impl Trust {
    /// # Errors
    ///
    /// What is wrong with which key.
    pub(super) fn new(settings: &TlsSettings) -> Result<Self, ConfigProblem> {
        if settings.truststore_certificates.is_set() {
            return Self::of_text(
                settings.truststore_certificates.expose(),
                "ssl.truststore.certificates",
                "",
            );
        }
        if let Some(path) = settings.truststore_location.path() {
            let (key, shown) = ("ssl.truststore.location", path.display().to_string());
            return match store::read(key, path)? {
                Content::Pem(text) => Self::of_text(&text, key, &shown),
                Content::Binary(bytes) => {
                    let password = &settings.truststore_password;
                    let store =
                        keystore::open(Role::Truststore, &shown, &bytes, password, &Secret::default())?;
                    Self::of_certificates(store.trusted, key, &shown)
                }
            };
        }
        Self::of_system()
    }

    /// Whether a certificate stands among those that the user trusts.
    pub(super) fn has_exactly(&self, certificate: &[u8]) -> bool {
        self.exact.contains(certificate)
    }

    fn of_text(text: &str, key: &'static str, shown: &str) -> Result<Self, ConfigProblem> {
        let sections = pem::sections(text).map_err(|text| invalid(key, shown, text))?;
        let certificates = sections.into_iter().filter(|section| section.label.ends_with("CERTIFICATE"));
        Self::of_certificates(certificates.map(|section| section.der.to_vec()), key, shown)
    }

    fn of_certificates(
        certificates: impl IntoIterator<Item = Vec<u8>>,
        key: &'static str,
        shown: &str,
    ) -> Result<Self, ConfigProblem> {
        let problem = |text: String| invalid(key, shown, text);
        let mut trust = Self { roots: RootCertStore::empty(), exact: BTreeSet::new(), key: Some(key) };
        for certificate in certificates {
            trust
                .roots
                .add(CertificateDer::from(certificate.as_slice()))
                .map_err(|error| problem(format!("has a certificate that cannot be read: {error}")))?;
            trust.exact.insert(certificate);
        }
        if trust.roots.is_empty() {
            return Err(problem("has no certificate".to_owned()));
        }
        Ok(trust)
    }

    fn of_system() -> Result<Self, ConfigProblem> {
        let found = rustls_native_certs::load_native_certs();
        let mut trust = Self { roots: RootCertStore::empty(), exact: BTreeSet::new(), key: None };
        // Systems keep certificates that are older than today's rules.
        let (added, _) = trust.roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            let text = format!("the operating system names no authority to trust, so this key must{why}");
            return Err(invalid("ssl.truststore.location", "", text));
        }
        Ok(trust)
    }
}
