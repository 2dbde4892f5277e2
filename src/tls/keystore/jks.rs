//! Java's own format of stores, as it was the only one before Java 9.

use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use super::reading::{Passwords, StoreError};
use super::{Role, Store};
use crate::tls::der::{Der, DerError, OCTET_STRING, SEQUENCE};

pub(super) fn read(bytes: &[u8], role: Role, passwords: Passwords<'_>) -> Result<Store, StoreError> {
    let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or_else(damaged)?;
    if let Some(password) = passwords.store {
        let hash = Sha1::new().chain_update(&*encoded(password)).chain_update(WHITENER).chain_update(content);
        if hash.finalize().as_slice() != checksum {
            return Err(StoreError::WrongStorePassword);
        }
    }
    let mut reader = Reader(content);
    reader.number()?;
    let version = reader.number()?;
    if !matches!(version, 1 | 2) {
        return Err(damaged());
    }
    let mut store = Store::default();
    for _ in 0..reader.number()? {
        let kind = reader.number()?;
        reader.short_bytes()?;
        // When it was made.
        reader.take(8)?;
        match kind {
            1 => {
                let key = reader.long_bytes()?;
                let count = reader.number()?;
                let chain: Result<Vec<_>, _> = (0..count).map(|_| reader.certificate(version)).collect();
                let chain = chain?;
                if role == Role::Keystore && store.identity.is_none() {
                    let password = passwords.for_key().ok_or(StoreError::NoPassword)?;
                    store.identity = Some((chain, decrypt(key, password)?));
                }
            }
            2 => store.trusted.push(reader.certificate(version)?),
            _ => return Err(damaged()),
        }
    }
    Ok(store)
}

/// Decrypts a key: each block of the key stream is the hash of the password and of the block before, the first of a salt.
fn decrypt(key: &[u8], password: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut key = Der::new(key).enter(SEQUENCE)?;
    let mut algorithm = key.enter(SEQUENCE)?;
    if algorithm.next()?.content != SUN_KEY_PROTECTOR {
        return Err(StoreError::Unreadable(
            "has a key that is encrypted in a way that is not known".to_owned(),
        ));
    }
    let bytes = key.read(OCTET_STRING)?;
    let (salt, bytes) = bytes.split_first_chunk::<CHECKSUM_LEN>().ok_or_else(damaged)?;
    let (bytes, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or_else(damaged)?;
    let password = encoded(password);
    let mut block = Zeroizing::new(*salt);
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    for part in bytes.chunks(CHECKSUM_LEN) {
        *block = Sha1::new().chain_update(&*password).chain_update(*block).finalize().into();
        plain.extend(part.iter().zip(&*block).map(|(byte, mask)| byte ^ mask));
    }
    let expected = Sha1::new().chain_update(&*password).chain_update(&*plain).finalize();
    if expected.as_slice() == checksum { Ok(plain) } else { Err(StoreError::WrongKeyPassword) }
}

/// UTF-16, most significant byte first.
fn encoded(password: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(password.encode_utf16().flat_map(u16::to_be_bytes).collect())
}

/// What is left to read. Lengths are believed only as far as there are bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], DerError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DerError)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, DerError> {
        let (number, rest) = self.0.split_first_chunk().ok_or(DerError)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }

    fn short_bytes(&mut self) -> Result<&'a [u8], DerError> {
        let (length, rest) = self.0.split_first_chunk().ok_or(DerError)?;
        self.0 = rest;
        self.take(u16::from_be_bytes(*length).into())
    }

    fn long_bytes(&mut self) -> Result<&'a [u8], DerError> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| DerError)?)
    }

    fn certificate(&mut self, version: u32) -> Result<Vec<u8>, DerError> {
        if version == 2 {
            // `X.509`
            self.short_bytes()?;
        }
        self.long_bytes().map(<[u8]>::to_vec)
    }
}

fn damaged() -> StoreError {
    StoreError::Unreadable("is damaged".to_owned())
}

const CHECKSUM_LEN: usize = 20;

/// What Java hashes with the password, so that the checksum is not that of the password alone.
const WHITENER: &[u8] = b"Mighty Aphrodite";

/// 1.3.6.1.4.1.42.2.17.1.1
const SUN_KEY_PROTECTOR: &[u8] = b"\x2b\x06\x01\x04\x01\x2a\x02\x11\x01\x01";
