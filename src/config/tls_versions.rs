//! What connections by TLS may agree on: versions (`ssl.enabled.protocols`) and cipher suites (`ssl.cipher.suites`).

use std::fmt;

use super::ConfigReason;
use super::kind::Kind;
use super::property::Property;

/// A version of TLS (`ssl.enabled.protocols`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446): safer, and a connection takes one round trip less.
    V1_3,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_2 => "TLSv1.2",
            Self::V1_3 => "TLSv1.3",
        })
    }
}

/// Which versions brokers are offered. Not empty once it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsVersions(pub(crate) Vec<TlsVersion>);

impl Default for TlsVersions {
    fn default() -> Self {
        Self(vec![TlsVersion::V1_2, TlsVersion::V1_3])
    }
}

impl fmt::Display for TlsVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }
}

impl Property for TlsVersions {
    /// Older versions beside these are left out, as Java does it since 2021 (`jdk.tls.disabledAlgorithms`).
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        let names = entries(text);
        if names.is_empty() {
            return Ok(Self::default());
        }
        let mut versions = Self(Vec::new());
        for name in names {
            match [TlsVersion::V1_2, TlsVersion::V1_3].into_iter().find(|known| known.to_string() == name) {
                Some(version) if versions.0.contains(&version) => {}
                Some(version) => versions.0.push(version),
                None if OLD_VERSIONS.contains(&name) => {}
                None => {
                    return Err(ConfigReason::Invalid(format!("{name:?} is none of TLSv1.2 and TLSv1.3")));
                }
            }
        }
        versions.check(kind).map(|()| versions)
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        if self.0.is_empty() {
            return Err(ConfigReason::Invalid(
                "must have TLSv1.2 or TLSv1.3: older versions are not safe".to_owned(),
            ));
        }
        Ok(())
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

/// The value of `ssl.protocol`. It chooses among classes of Java's; the versions are chosen by `ssl.enabled.protocols`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContextProtocol(String);

impl Default for ContextProtocol {
    fn default() -> Self {
        Self("TLSv1.3".to_owned())
    }
}

impl Property for ContextProtocol {
    fn parse(text: &str, _kind: &Kind) -> Result<Self, ConfigReason> {
        let known = ["TLS", "TLSv1.2", "TLSv1.3"];
        if known.contains(&text) || OLD_VERSIONS.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        Err(ConfigReason::Invalid(format!("must be {}, {} or {}", known[0], known[1], known[2])))
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        Ok(())
    }

    fn print(&self) -> String {
        self.0.clone()
    }
}

/// Which cipher suites brokers are offered, by Java's names. Empty: all that there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CipherSuites(pub(crate) Vec<String>);

impl CipherSuites {
    #[cfg(feature = "tls")]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the numbers by which TLS calls them.
    #[cfg(feature = "tls")]
    pub(crate) fn codes(&self) -> impl Iterator<Item = u16> {
        self.0.iter().filter_map(|name| code(name))
    }
}

impl fmt::Display for CipherSuites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl Property for CipherSuites {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        let suites = Self(entries(text).into_iter().map(str::to_owned).collect());
        suites.check(kind).map(|()| suites)
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        match self.0.iter().find(|name| code(name).is_none()) {
            None => Ok(()),
            Some(unknown) => {
                let known: Vec<_> = SUITES.iter().map(|(name, _)| *name).collect();
                Err(ConfigReason::Invalid(format!("{unknown:?} is none of {}", known.join(", "))))
            }
        }
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

fn code(name: &str) -> Option<u16> {
    SUITES.iter().find(|(known, _)| *known == name).map(|(_, code)| *code)
}

fn entries(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect()
}

const OLD_VERSIONS: [&str; 6] = ["SSL", "SSLv2", "SSLv2Hello", "SSLv3", "TLSv1", "TLSv1.1"];

/// The suites that cryptography for rustls has: Java's names are those of IANA's registry.
const SUITES: [(&str, u16); 9] = [
    ("TLS_AES_128_GCM_SHA256", 0x1301),
    ("TLS_AES_256_GCM_SHA384", 0x1302),
    ("TLS_CHACHA20_POLY1305_SHA256", 0x1303),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xc02b),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xc02c),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca9),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xc02f),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xc030),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca8),
];
