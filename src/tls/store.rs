//! Files that keep certificates and keys.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::keystore;
use crate::config::{ConfigProblem, ConfigReason};

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
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(|error| problem(format!("cannot be read: {error}")))?;
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| problem(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > LARGEST {
        return Err(problem(format!("is larger than {LARGEST} bytes")));
    }
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
pub(super) const LARGEST: u64 = 16 * 1024 * 1024;
