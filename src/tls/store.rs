//! Files that keep certificates and keys.

use std::path::Path;

use zeroize::Zeroizing;

use super::keystore;
use crate::config::{ConfigProblem, ConfigReason};
use crate::secret_file;

/// What is in a file.
pub(super) enum Content {
    /// For [`keystore::open`].
    Binary(Zeroizing<Vec<u8>>),
    Pem(Zeroizing<String>),
}

/// Reads a file. What it is follows from its first bytes, as with Java's own key stores.
///
/// # Errors
///
/// It cannot be read, or is nothing that is known.
pub(super) fn read(key: &str, path: &Path) -> Result<Content, ConfigProblem> {
    let problem = |text: String| invalid(key, &path.display().to_string(), text);
    let bytes =
        secret_file::read(path, LARGEST).map_err(|error| problem(format!("cannot be read: {error}")))?;
    if keystore::Format::of(&bytes).is_some() {
        return Ok(Content::Binary(bytes));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.contains("-----BEGIN ") => Ok(Content::Pem(Zeroizing::new(text.to_owned()))),
        _ => Err(problem("is no PEM file, nor PKCS#12 nor JKS".to_owned())),
    }
}

pub(super) fn invalid(key: &str, value: &str, text: String) -> ConfigProblem {
    ConfigProblem::new(key, value, ConfigReason::Invalid(text))
}

/// The authorities that a whole operating system trusts take a quarter of a MiB.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;
