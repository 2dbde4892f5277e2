//! What is read of a store, and what may go wrong.

use super::{Format, Role, Store, jks, pkcs12};

/// The passwords of a store; `None` if there is none.
#[derive(Clone, Copy)]
pub(super) struct Passwords<'a> {
    /// Of the whole.
    pub(super) store: Option<&'a str>,
    /// Of the key. Without one it is that of the whole, as with Java.
    pub(super) key: Option<&'a str>,
}

impl<'a> Passwords<'a> {
    pub(super) fn for_key(self) -> Option<&'a str> {
        self.key.or(self.store)
    }
}

/// Why a store cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StoreError {
    /// It is damaged, or of a kind that is not known.
    Unreadable(String),
    /// The key has a password, and it is not this one.
    WrongKeyPassword,
    /// The store has a password, and it is not this one. Or it is damaged: both look alike.
    WrongStorePassword,
    /// The store has a password, and none was given.
    NoPassword,
}

/// Reads a store: of one that is for trusting, no keys. Without a password of the store, nothing tells whether it was changed by others, as with Java.
///
/// # Errors
///
/// The store cannot be read.
pub(super) fn read(bytes: &[u8], role: Role, passwords: Passwords<'_>) -> Result<Store, StoreError> {
    if bytes.len() > MAX_LEN {
        return Err(StoreError::Unreadable(format!("is longer than {MAX_LEN} bytes")));
    }
    match Format::of(bytes) {
        Some(Format::Jks) => jks::read(bytes, role, passwords),
        Some(Format::Pkcs12) => pkcs12::read(bytes, role, passwords),
        _ => Err(StoreError::Unreadable("is of another format".to_owned())),
    }
}

/// Far more than the authorities of the whole world take.
const MAX_LEN: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests;
