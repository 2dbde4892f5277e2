//! What a PKCS#12 file is made of (RFC 7292): boxes in boxes, with certificates and keys at the bottom.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha1::digest::Digest;
use sha1::digest::block_api::{BlockSizeUser, EagerHash};
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::decrypt::{self, DecryptError, check_iterations};
use super::kdf::{Purpose, derive};
use super::reading::{Passwords, StoreError};
use super::{Chained, Role, Store};
use crate::tls::der::{
    self, CONTEXT_0, CONTEXT_0_PRIMITIVE, Der, DerError, OBJECT_ID, OCTET_STRING, SEQUENCE, SET,
};

/// An `AlgorithmIdentifier`.
#[derive(Clone, Copy)]
pub(super) struct Algorithm<'a> {
    pub(super) id: &'a [u8],
    /// One element, or none.
    pub(super) parameters: &'a [u8],
    pub(super) whole: &'a [u8],
}

#[derive(Default)]
struct Contents {
    certificates: Vec<Certificate>,
    keys: Vec<Key>,
}

struct Certificate {
    der: Vec<u8>,
    key_id: Option<Vec<u8>>,
    is_trusted: bool,
}

struct Key {
    der: Zeroizing<Vec<u8>>,
    key_id: Option<Vec<u8>>,
}

pub(super) fn read(bytes: &[u8], role: Role, passwords: Passwords<'_>) -> Result<Store, StoreError> {
    let mut file = Der::new(bytes).enter(SEQUENCE)?;
    if file.number()? != 3 {
        return Err(damaged());
    }
    let mut content = file.enter(SEQUENCE)?;
    if content.read(OBJECT_ID)? != DATA {
        return Err(StoreError::Unreadable("is signed in a way that is not known".to_owned()));
    }
    let safes = content.enter(CONTEXT_0)?.read(OCTET_STRING)?;
    if let (Some(password), false) = (passwords.store, file.is_empty()) {
        check_mac(file, safes, password)?;
    }
    let mut contents = Contents::default();
    let mut safes = Der::new(safes).enter(SEQUENCE)?;
    while !safes.is_empty() {
        contents.read_safe(safes.enter(SEQUENCE)?, role, passwords)?;
    }
    Ok(contents.into_store())
}

/// Finds out whether the password is right, and the content is what it was.
fn check_mac(mut file: Der<'_>, content: &[u8], password: &str) -> Result<(), StoreError> {
    let mut mac = file.enter(SEQUENCE)?;
    let mut digest = mac.enter(SEQUENCE)?;
    let algorithm = Algorithm::read(&mut digest)?;
    let expected = digest.read(OCTET_STRING)?;
    let salt = mac.read(OCTET_STRING)?;
    let iterations = if mac.is_empty() { 1 } else { mac.number()? };
    check_iterations(iterations).map_err(StoreError::Unreadable)?;
    let is_right = match algorithm.id {
        SHA1 => mac_is::<Sha1>(expected, content, password, salt, iterations),
        SHA256 => mac_is::<Sha256>(expected, content, password, salt, iterations),
        SHA384 => mac_is::<Sha384>(expected, content, password, salt, iterations),
        SHA512 => mac_is::<Sha512>(expected, content, password, salt, iterations),
        _ => return Err(StoreError::Unreadable("has a checksum of a kind that is not known".to_owned())),
    };
    if is_right { Ok(()) } else { Err(StoreError::WrongStorePassword) }
}

fn mac_is<D>(expected: &[u8], content: &[u8], password: &str, salt: &[u8], iterations: u32) -> bool
where
    D: Digest + BlockSizeUser + EagerHash,
    Hmac<D>: KeyInit + Mac,
{
    let length = <D as Digest>::output_size();
    let key = derive::<D>(password, salt, iterations, Purpose::Mac, length);
    let Ok(mac) = <Hmac<D> as KeyInit>::new_from_slice(&key) else { return false };
    mac.chain_update(content).verify_slice(expected).is_ok()
}

impl<'a> Algorithm<'a> {
    pub(super) fn read(der: &mut Der<'a>) -> Result<Self, DerError> {
        let whole = der.next()?;
        let mut inner = Der::new(whole.whole).enter(SEQUENCE)?;
        let id = inner.read(OBJECT_ID)?;
        let parameters = if inner.is_empty() { &[][..] } else { inner.next()?.whole };
        Ok(Self { id, parameters, whole: whole.whole })
    }
}

impl Contents {
    /// Reads one of the parts of which a file has some: those of Java have one for keys and one, encrypted, for certificates.
    fn read_safe(
        &mut self,
        mut safe: Der<'_>,
        role: Role,
        passwords: Passwords<'_>,
    ) -> Result<(), StoreError> {
        match safe.read(OBJECT_ID)? {
            DATA => {
                let bags = safe.enter(CONTEXT_0)?.read(OCTET_STRING)?;
                self.read_bags(bags, role, passwords, MAX_DEPTH)
            }
            ENCRYPTED_DATA => {
                let mut encrypted = safe.enter(CONTEXT_0)?.enter(SEQUENCE)?;
                encrypted.number()?;
                let mut content = encrypted.enter(SEQUENCE)?;
                content.read(OBJECT_ID)?;
                let algorithm = Algorithm::read(&mut content)?;
                let bytes = content.read(CONTEXT_0_PRIMITIVE)?;
                let password = passwords.store.ok_or(StoreError::NoPassword)?;
                let bags = decrypt::decrypt(algorithm, password, bytes).map_err(|error| match error {
                    DecryptError::WrongPassword => StoreError::WrongStorePassword,
                    DecryptError::Unknown(why) => StoreError::Unreadable(why),
                })?;
                self.read_bags(&bags, role, passwords, MAX_DEPTH)
            }
            _ => Err(StoreError::Unreadable("has a part that is encrypted for a certificate".to_owned())),
        }
    }

    fn read_bags(
        &mut self,
        bags: &[u8],
        role: Role,
        passwords: Passwords<'_>,
        depth: usize,
    ) -> Result<(), StoreError> {
        let mut bags = Der::new(bags).enter(SEQUENCE)?;
        while !bags.is_empty() {
            let mut bag = bags.enter(SEQUENCE)?;
            let kind = bag.read(OBJECT_ID)?;
            let value = bag.read(CONTEXT_0)?;
            let Attributes { key_id, is_trusted } = Attributes::read(bag)?;
            match kind {
                KEY_BAG | SHROUDED_KEY_BAG if role == Role::Truststore => {}
                KEY_BAG => self.keys.push(Key { der: value.to_vec().into(), key_id }),
                SHROUDED_KEY_BAG => self.keys.push(Key { der: unshroud(value, passwords)?, key_id }),
                CERTIFICATE_BAG => {
                    let mut certificate = Der::new(value).enter(SEQUENCE)?;
                    if certificate.read(OBJECT_ID)? == X509 {
                        let der = certificate.enter(CONTEXT_0)?.read(OCTET_STRING)?.to_vec();
                        self.certificates.push(Certificate { der, key_id, is_trusted });
                    }
                }
                SAFE_CONTENTS_BAG => {
                    let depth = depth.checked_sub(1).ok_or_else(damaged)?;
                    self.read_bags(value, role, passwords, depth)?;
                }
                // Lists of revoked certificates, and secrets.
                _ => {}
            }
        }
        Ok(())
    }

    fn into_store(mut self) -> Store {
        let identity =
            (!self.keys.is_empty()).then(|| self.keys.swap_remove(0)).map(|key| self.identity(key));
        let says_of_some = self.certificates.iter().any(|certificate| certificate.is_trusted);
        let trusted = self.certificates.into_iter().filter(|certificate| {
            if says_of_some { certificate.is_trusted } else { certificate.key_id.is_none() }
        });
        Store { trusted: trusted.map(|certificate| certificate.der).collect(), identity }
    }

    /// Finds the certificate of a key, and those of the authorities above it.
    fn identity(&self, key: Key) -> Chained {
        let of_key = |certificate: &&Certificate| key.key_id.is_some() && certificate.key_id == key.key_id;
        let mut next = self.certificates.iter().find(of_key).or_else(|| self.certificates.first());
        let mut chain: Vec<Vec<u8>> = Vec::new();
        while let Some(certificate) = next.filter(|certificate| !chain.contains(&certificate.der)) {
            chain.push(certificate.der.clone());
            if chain.len() == MAX_CHAIN {
                break;
            }
            let issuer = names(&certificate.der).map(|names| names.issuer);
            next = self
                .certificates
                .iter()
                .find(|other| issuer.is_ok() && names(&other.der).map(|names| names.subject) == issuer);
        }
        (chain, key.der)
    }
}

fn unshroud(bag: &[u8], passwords: Passwords<'_>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut encrypted = Der::new(bag).enter(SEQUENCE)?;
    let algorithm = Algorithm::read(&mut encrypted)?;
    let bytes = encrypted.read(OCTET_STRING)?;
    let password = passwords.for_key().ok_or(StoreError::NoPassword)?;
    decrypt::decrypt(algorithm, password, bytes).map_err(|error| match error {
        DecryptError::WrongPassword => StoreError::WrongKeyPassword,
        DecryptError::Unknown(why) => StoreError::Unreadable(why),
    })
}

struct Attributes {
    key_id: Option<Vec<u8>>,
    is_trusted: bool,
}

impl Attributes {
    fn read(mut bag: Der<'_>) -> Result<Self, DerError> {
        let mut read = Self { key_id: None, is_trusted: false };
        let mut attributes = if bag.is_empty() { bag } else { bag.enter(SET)? };
        while !attributes.is_empty() {
            let mut attribute = attributes.enter(SEQUENCE)?;
            match attribute.read(OBJECT_ID)? {
                LOCAL_KEY_ID => read.key_id = Some(attribute.enter(SET)?.read(OCTET_STRING)?.to_vec()),
                TRUSTED_KEY_USAGE => read.is_trusted = true,
                _ => {}
            }
        }
        Ok(read)
    }
}

struct Names<'a> {
    issuer: &'a [u8],
    subject: &'a [u8],
}

/// Returns who has signed an X.509 certificate, and whose it is.
fn names(certificate: &[u8]) -> Result<Names<'_>, DerError> {
    let mut certificate = Der::new(certificate).enter(SEQUENCE)?.enter(SEQUENCE)?;
    certificate.read_if(CONTEXT_0)?;
    certificate.read(der::INTEGER)?;
    certificate.read(SEQUENCE)?;
    let issuer = certificate.read(SEQUENCE)?;
    certificate.read(SEQUENCE)?;
    Ok(Names { issuer, subject: certificate.read(SEQUENCE)? })
}

impl From<DerError> for StoreError {
    fn from(_: DerError) -> Self {
        damaged()
    }
}

fn damaged() -> StoreError {
    StoreError::Unreadable("is damaged".to_owned())
}

/// Java takes as many of a broker (`jdk.tls.maxCertificateChainLength`).
const MAX_CHAIN: usize = 10;

/// Boxes in boxes in boxes: more than anyone makes.
const MAX_DEPTH: usize = 4;

/// 1.2.840.113549.1.7.1 and 6
const DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const ENCRYPTED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06";
/// 1.2.840.113549.1.12.10.1.1 and so on
const KEY_BAG: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x01";
const SHROUDED_KEY_BAG: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x02";
const CERTIFICATE_BAG: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x03";
const SAFE_CONTENTS_BAG: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x06";
/// 1.2.840.113549.1.9.22.1
const X509: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x16\x01";
/// 1.2.840.113549.1.9.21
const LOCAL_KEY_ID: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x15";
/// 2.16.840.1.113894.746875.1.1, by which Java marks certificates that are trusted.
const TRUSTED_KEY_USAGE: &[u8] = b"\x60\x86\x48\x01\x86\xf9\x66\xad\xca\x7b\x01\x01";
/// 1.3.14.3.2.26
const SHA1: &[u8] = b"\x2b\x0e\x03\x02\x1a";
/// 2.16.840.1.101.3.4.2.1 to 3
const SHA256: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const SHA384: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x02";
const SHA512: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x03";
