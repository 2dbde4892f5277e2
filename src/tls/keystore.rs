//! Java's stores of certificates and keys, PKCS#12 and JKS, which the feature `keystores` reads.
//!
//! Which of both a file is, its first bytes say: Java's users often have a PKCS#12 file where the type says JKS, since Java reads
//! it all the same.
//!
//! | In | stands |
//! | --- | --- |
//! | `reading` | what is read, and what may go wrong |
//! | `pkcs12` | what a PKCS#12 file is made of (RFC 7292) |
//! | `decrypt` | how its parts are encrypted |
//! | `kdf` | how its password becomes a key |
//! | `jks` | Java's own format |

#[cfg(feature = "keystores")]
mod decrypt;
#[cfg(feature = "keystores")]
mod jks;
#[cfg(feature = "keystores")]
mod kdf;
#[cfg(feature = "keystores")]
mod pkcs12;
#[cfg(feature = "keystores")]
mod reading;

use zeroize::Zeroizing;

use super::store::invalid;
use crate::config::ConfigProblem;
use crate::secret::Secret;

/// What a store holds.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Store {
    /// Certificates without a key, of which Java's tools say that they are trusted, or all without a key if they say it of none.
    pub(super) trusted: Vec<Vec<u8>>,
    /// The first certificate with a key: its chain, as DER, and the key, as PKCS#8 that is not encrypted.
    pub(super) identity: Option<Chained>,
}

/// The certificate, then those of the authorities between it and the root, and the key.
pub(super) type Chained = (Vec<Vec<u8>>, Zeroizing<Vec<u8>>);

/// What a store is for, and so which keys it is configured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Keystore,
    Truststore,
}

/// What a file is, as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Certificate,
    Jceks,
    Jks,
    Pkcs12,
}

impl Role {
    fn location(self) -> &'static str {
        match self {
            Self::Keystore => "ssl.keystore.location",
            Self::Truststore => "ssl.truststore.location",
        }
    }

    #[cfg(feature = "keystores")]
    fn password(self) -> &'static str {
        match self {
            Self::Keystore => "ssl.keystore.password",
            Self::Truststore => "ssl.truststore.password",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Keystore => "ssl.keystore.type",
            Self::Truststore => "ssl.truststore.type",
        }
    }
}

impl Format {
    /// Returns `None` for what is no binary format that is known: most likely PEM.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xfe, 0xed, 0xfe, 0xed, ..] => Some(Self::Jks),
            [0xce, 0xce, 0xce, 0xce, ..] => Some(Self::Jceks),
            // A sequence that begins with a number, or with another sequence.
            [0x30, 0x80, 0x02, ..]
            | [0x30, 0x81, _, 0x02, ..]
            | [0x30, 0x82, _, _, 0x02, ..]
            | [0x30, 0x83, _, _, _, 0x02, ..]
            | [0x30, 0x84, _, _, _, _, 0x02, ..] => Some(Self::Pkcs12),
            [0x30, 0x82, _, _, 0x30, ..] => Some(Self::Certificate),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Certificate => "a certificate in DER",
            Self::Jceks => "a JCEKS store",
            Self::Jks => "a JKS store",
            Self::Pkcs12 => "a PKCS#12 store",
        }
    }

    /// Returns the command that makes a PEM file of it.
    fn to_pem(self, role: Role, file: &str) -> String {
        match (self, role) {
            (Self::Certificate, _) => format!("openssl x509 -inform DER -in {file} -out {file}.pem"),
            (Self::Pkcs12, Role::Keystore) => format!("openssl pkcs12 -in {file} -nodes -out {file}.pem"),
            (Self::Pkcs12, Role::Truststore) => format!("openssl pkcs12 -in {file} -nokeys -out {file}.pem"),
            (Self::Jks, Role::Truststore) => format!("keytool -list -rfc -keystore {file} > {file}.pem"),
            (Self::Jceks, Role::Truststore) => {
                format!("keytool -list -rfc -storetype JCEKS -keystore {file} > {file}.pem")
            }
            (Self::Jks | Self::Jceks, Role::Keystore) => {
                let from = if self == Self::Jks { "JKS" } else { "JCEKS" };
                format!(
                    "keytool -importkeystore -srckeystore {file} -srcstoretype {from} -destkeystore {file}.p12 \
                     -deststoretype PKCS12 && openssl pkcs12 -in {file}.p12 -nodes -out {file}.pem"
                )
            }
        }
    }

    /// Says how to get on without reading it.
    fn advice(self, role: Role, file: &str) -> String {
        let (command, kind) = (self.to_pem(role, file), role.kind());
        format!("convert it by `{command}`, and set {kind}=PEM")
    }
}

/// Reads a store.
///
/// # Errors
///
/// What is wrong with which key: that of the file, or of a password.
pub(super) fn open(
    role: Role,
    file: &str,
    bytes: &[u8],
    store_password: &Secret,
    key_password: &Secret,
) -> Result<Store, ConfigProblem> {
    let refused = |text: String| Err(invalid(role.location(), file, text));
    match Format::of(bytes) {
        None => refused("is neither PKCS#12 nor JKS".to_owned()),
        Some(format @ (Format::Jceks | Format::Certificate)) => {
            refused(format!("is {}, which cannot be read: {}", format.name(), format.advice(role, file)))
        }
        Some(format @ (Format::Jks | Format::Pkcs12)) => {
            read_as(format, role, file, bytes, store_password, key_password)
        }
    }
}

#[cfg(not(feature = "keystores"))]
fn read_as(
    format: Format,
    role: Role,
    file: &str,
    _bytes: &[u8],
    _store_password: &Secret,
    _key_password: &Secret,
) -> Result<Store, ConfigProblem> {
    let (name, advice) = (format.name(), format.advice(role, file));
    let text = format!(
        "is {name}, which needs kafka-producer to be built with its feature \"keystores\"; or {advice}"
    );
    Err(invalid(role.location(), file, text))
}

#[cfg(feature = "keystores")]
fn read_as(
    format: Format,
    role: Role,
    file: &str,
    bytes: &[u8],
    store_password: &Secret,
    key_password: &Secret,
) -> Result<Store, ConfigProblem> {
    use crate::secret::HIDDEN;
    use reading::{Passwords, StoreError, read};

    let given = |password: &Secret| !password.expose().is_empty();
    let passwords = Passwords {
        store: given(store_password).then_some(store_password.expose()),
        key: given(key_password).then_some(key_password.expose()),
    };
    read(bytes, role, passwords).map_err(|error| match error {
        StoreError::Unreadable(why) => {
            let (name, advice) = (format.name(), format.advice(role, file));
            invalid(
                role.location(),
                file,
                format!("is {name} that {why}; if another program can read it, {advice}"),
            )
        }
        StoreError::WrongStorePassword => invalid(
            role.password(),
            HIDDEN,
            format!("is not the password of {file}, or that file is damaged"),
        ),
        StoreError::WrongKeyPassword if given(key_password) => {
            invalid("ssl.key.password", HIDDEN, format!("is not the password of the key in {file}"))
        }
        StoreError::WrongKeyPassword => {
            let text = "has a key with another password than ssl.keystore.password: set ssl.key.password";
            invalid(role.location(), file, text.to_owned())
        }
        StoreError::NoPassword => {
            invalid(role.location(), file, format!("is encrypted, and {} is not set", role.password()))
        }
    })
}

#[cfg(test)]
mod tests;
