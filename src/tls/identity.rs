//! What the client shows to servers that want to know who it is.

use std::sync::Arc;

use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::keystore::{self, Role};
use super::pem::{self, Section};
use super::store::{self, Content, invalid};
use crate::config::{ConfigProblem, TlsSettings};

/// A certificate with its chain and its key.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) certified: Arc<CertifiedKey>,
    /// For the user: whose it is, and the key that says so.
    pub(super) subject: String,
    /// When it begins and ends, in seconds since 1970.
    pub(super) dates: Option<(i64, i64)>,
    pub(super) key: &'static str,
}

impl Identity {
    /// Returns the identity if the user has set one.
    ///
    /// # Errors
    ///
    /// What is wrong with which key.
    pub(super) fn new(
        settings: &TlsSettings,
        provider: &CryptoProvider,
    ) -> Result<Option<Self>, ConfigProblem> {
        let TlsSettings { keystore_certificate_chain: chain, keystore_key: key, keystore_location, .. } =
            settings;
        let password = settings.key_password.expose();
        if chain.is_set() || key.is_set() {
            let chain_key = "ssl.keystore.certificate.chain";
            let chain = certificates(sections(chain.expose(), chain_key, "")?, chain_key, "")?;
            let key = private_key(
                sections(key.expose(), "ssl.keystore.key", "")?,
                "ssl.keystore.key",
                "",
                password,
            )?;
            return Self::certify(chain, key, provider, chain_key, "").map(Some);
        }
        let Some(path) = keystore_location.path() else { return Ok(None) };
        let (location, shown) = ("ssl.keystore.location", path.display().to_string());
        let text = match store::read(location, path)? {
            Content::Pem(text) => text,
            Content::Binary(bytes) => {
                let TlsSettings { keystore_password, key_password, .. } = settings;
                let store = keystore::open(Role::Keystore, &shown, &bytes, keystore_password, key_password)?;
                let Some((chain, key)) = store.identity else {
                    return Err(invalid(location, &shown, "has no certificate with a key".to_owned()));
                };
                let chain = chain.into_iter().map(CertificateDer::from).collect();
                let key = PrivatePkcs8KeyDer::from(key.to_vec()).into();
                return Self::certify(chain, key, provider, location, &shown).map(Some);
            }
        };
        let (keys, chain) = sections(&text, location, &shown)?
            .into_iter()
            .partition(|section| section.label.ends_with("PRIVATE KEY"));
        let chain = certificates(chain, location, &shown)?;
        let key = private_key(keys, location, &shown, password)?;
        Self::certify(chain, key, provider, location, &shown).map(Some)
    }

    fn certify(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
        name: &'static str,
        shown: &str,
    ) -> Result<Self, ConfigProblem> {
        let certificate = chain.first().and_then(|first| Certificate::read(first));
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
            let text = match error {
                rustls::Error::InconsistentKeys(_) => {
                    "the key is not that of the first certificate".to_owned()
                }
                error => format!("its key cannot be used: {error}"),
            };
            invalid(name, shown, text)
        })?;
        let dates = certificate.as_ref().map(|certificate| (certificate.not_before, certificate.not_after));
        let subject = certificate.map(|certificate| certificate.subject).unwrap_or_default();
        Ok(Self { certified: Arc::new(certified), subject, dates, key: name })
    }
}

fn sections(text: &str, key: &str, shown: &str) -> Result<Vec<Section>, ConfigProblem> {
    pem::sections(text).map_err(|problem| invalid(key, shown, problem))
}

fn certificates(
    sections: Vec<Section>,
    key: &str,
    shown: &str,
) -> Result<Vec<CertificateDer<'static>>, ConfigProblem> {
    let certificates: Vec<_> = sections
        .into_iter()
        .filter(|section| section.label.ends_with("CERTIFICATE"))
        .map(|section| CertificateDer::from(section.der.to_vec()))
        .collect();
    if certificates.is_empty() {
        return Err(invalid(key, shown, "has no certificate".to_owned()));
    }
    Ok(certificates)
}

pub(super) fn private_key(
    sections: Vec<Section>,
    key: &str,
    shown: &str,
    password: &str,
) -> Result<PrivateKeyDer<'static>, ConfigProblem> {
    let found = sections.into_iter().find(|section| section.label.ends_with("PRIVATE KEY"));
    let Some(section) = found else {
        return Err(invalid(key, shown, "has no private key".to_owned()));
    };
    if section.has_headers {
        let text = "its key is encrypted in an old format of OpenSSL's; convert it by \
                    `openssl pkcs8 -topk8 -v2 aes-256-cbc -in old.key -out new.key`";
        return Err(invalid(key, shown, text.to_owned()));
    }
    match section.label.as_str() {
        "PRIVATE KEY" => Ok(PrivatePkcs8KeyDer::from(section.der.to_vec()).into()),
        "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(section.der.to_vec()).into()),
        "EC PRIVATE KEY" => Ok(PrivateSec1KeyDer::from(section.der.to_vec()).into()),
        "ENCRYPTED PRIVATE KEY" => decrypt(&section.der, password)
            .map_err(|text| invalid(if password.is_empty() { "ssl.key.password" } else { key }, shown, text)),
        other => Err(invalid(
            key,
            shown,
            format!("has a key of a kind that is not known: {}", other.escape_debug()),
        )),
    }
}

fn decrypt(der: &[u8], password: &str) -> Result<PrivateKeyDer<'static>, String> {
    if password.is_empty() {
        return Err("is needed, because the key is encrypted".to_owned());
    }
    // Those of PKCS#5 version 1 and of PKCS#12 have no meaning here.
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(der).ok();
    let Some(encrypted) = encrypted.filter(|key| key.encryption_algorithm.pbes2().is_some()) else {
        let text = "its key is encrypted in an old way, or damaged; convert it by \
                    `openssl pkcs8 -in old.key | openssl pkcs8 -topk8 -v2 aes-256-cbc -out new.key`";
        return Err(text.to_owned());
    };
    let key = encrypted
        .decrypt(password)
        .map_err(|_| "its key cannot be decrypted by ssl.key.password".to_owned())?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}
