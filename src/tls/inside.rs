//! What fuzzers reach of this room.

use super::certificate::Certificate;
use super::keystore::{self, Role};
use super::pem;
use crate::calendar::utc;
use crate::secret::Secret;

/// Counts what is in a text of PEM.
///
/// # Errors
///
/// What is wrong with it.
pub fn read_pem(text: &str) -> Result<usize, String> {
    pem::sections(text).map(|sections| sections.len())
}

/// Tells what a certificate says of itself.
#[must_use]
pub fn describe_certificate(der: &[u8]) -> Option<String> {
    let Certificate { subject, issuer, not_before, not_after, names } = Certificate::read(der)?;
    Some(format!("{subject} {issuer} {} {} {}", utc(not_before), utc(not_after), names.join(" ")))
}

/// Counts the certificates in a store of Java's.
///
/// # Errors
///
/// What is wrong with it.
pub fn open_keystore(bytes: &[u8], password: &str) -> Result<usize, String> {
    let password = Secret::new(password);
    let store = keystore::open(Role::Keystore, "store", bytes, &password, &password);
    let store = store.map_err(|problem| problem.to_string())?;
    Ok(store.trusted.len() + store.identity.map_or(0, |(chain, _)| chain.len()))
}
