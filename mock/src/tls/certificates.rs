//! Certificates and keys for tests; `certs/make.sh` makes the files.

use std::borrow::Cow;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A certificate with its chain and key, of a broker or a client.
///
/// Those that are built in are valid until 2120 and have keys on the curve P-256, unless they say otherwise.
/// [`MockTls::ca_pem`](crate::MockTls::ca_pem) is the CA of all but those of the other CA. They are for tests only: their keys are
/// public.
#[derive(Clone, PartialEq, Eq)]
pub struct MockCertificate {
    chain: Cow<'static, str>,
    key: Cow<'static, str>,
}

macro_rules! certificates {
    ($($(#[$doc:meta])* $name:ident = $chain:literal, $key:literal;)*) => {
        impl MockCertificate {
            $($(#[$doc])*
            pub const $name: Self = Self {
                chain: Cow::Borrowed(include_str!(concat!("../../certs/", $chain, ".pem"))),
                key: Cow::Borrowed(include_str!(concat!("../../certs/", $key, ".key"))),
            };)*

            #[cfg(test)]
            const ALL: &'static [(&'static str, Self)] = &[$((stringify!($name), Self::$name)),*];
        }
    };
}

certificates! {
    /// Of a broker: for `localhost`, `127.0.0.1` and `::1`.
    SERVER = "server", "server";
    /// Of a broker: the same with another key, valid until 2110.
    SERVER_SECOND = "server-second", "server-second";
    /// Of a broker: the same with an RSA key of 2048 bits.
    SERVER_RSA = "server-rsa", "server-rsa";
    /// Of a broker: signed by an intermediate CA, whose certificate comes along.
    SERVER_CHAIN = "server-chain", "server-chain";
    /// Of a broker: the same, but the certificate of the intermediate CA is left out, so that clients cannot trust it.
    SERVER_WITHOUT_INTERMEDIATE = "server-without-intermediate", "server-chain";
    /// Of a broker: ended on 2020-01-01.
    SERVER_EXPIRED = "server-expired", "server-expired";
    /// Of a broker: begins on 2119-01-01.
    SERVER_NOT_YET_VALID = "server-not-yet-valid", "server-not-yet-valid";
    /// Of a broker: for `kafka.example.com` only.
    SERVER_WRONG_NAME = "server-wrong-name", "server-wrong-name";
    /// Of a broker: signed by [`MockTls::other_ca_pem`](crate::MockTls::other_ca_pem).
    SERVER_OTHER_CA = "server-other-ca", "server-other-ca";
    /// Of a client: its subject is `CN=client`, and its key is PKCS#8.
    CLIENT = "client", "client";
    /// Of a client: the same with another key, valid until 2110.
    CLIENT_SECOND = "client-second", "client-second";
    /// Of a client: the certificate of `CLIENT` with its key in SEC1 (`EC PRIVATE KEY`).
    CLIENT_SEC1_KEY = "client", "client-sec1";
    /// Of a client: the certificate of `CLIENT` with its key in PKCS#8, encrypted by PBES2 with AES-256-CBC. The password is
    /// [`MockCertificate::PASSWORD`].
    CLIENT_ENCRYPTED_KEY = "client", "client-encrypted";
    /// Of a client: the same, with the password made into a key by scrypt.
    CLIENT_SCRYPT_KEY = "client", "client-scrypt";
    /// Of a client: the same, encrypted in the old way of PKCS#12 with triple DES.
    CLIENT_3DES_KEY = "client", "client-3des";
    /// Of a client: the same, encrypted in the old way of OpenSSL (`Proc-Type: 4,ENCRYPTED`), which few can read.
    CLIENT_OLD_ENCRYPTED_KEY = "client", "client-old-encrypted";
    /// Of a client: with an RSA key of 2048 bits, in PKCS#8.
    CLIENT_RSA = "client-rsa", "client-rsa";
    /// Of a client: the certificate of `CLIENT_RSA` with its key in PKCS#1 (`RSA PRIVATE KEY`).
    CLIENT_RSA_PKCS1_KEY = "client-rsa", "client-rsa-pkcs1";
    /// Of a client: signed by an intermediate CA, whose certificate comes along.
    CLIENT_CHAIN = "client-chain", "client-chain";
    /// Of a client: ended on 2020-01-01.
    CLIENT_EXPIRED = "client-expired", "client-expired";
    /// Of a client: signed by [`MockTls::other_ca_pem`](crate::MockTls::other_ca_pem).
    CLIENT_OTHER_CA = "client-other-ca", "client-other-ca";
}

impl MockCertificate {
    /// The password of those keys and stores that have one.
    pub const PASSWORD: &'static str = "kafka-mock";

    /// Takes a certificate, the certificates of CAs between it and the root if any, and a key without a password, as PEM.
    pub fn from_pem(chain: impl Into<String>, key: impl Into<String>) -> Self {
        Self { chain: Cow::Owned(chain.into()), key: Cow::Owned(key.into()) }
    }

    /// Returns the certificate, followed by those of CAs between it and the root, as PEM.
    pub fn chain_pem(&self) -> &str {
        &self.chain
    }

    /// Returns the key as PEM.
    pub fn key_pem(&self) -> &str {
        &self.key
    }

    /// Returns the certificate without its chain, as DER; nothing if it cannot be read.
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.chain.as_bytes()).map(|der| der.to_vec()).unwrap_or_default()
    }
}

impl std::fmt::Debug for MockCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MockCertificate").field("chain", &self.chain).finish_non_exhaustive()
    }
}

pub(super) const CA_PEM: &str = include_str!("../../certs/ca.pem");
pub(super) const OTHER_CA_PEM: &str = include_str!("../../certs/other-ca.pem");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_certificate_can_be_read() {
        for (name, certificate) in MockCertificate::ALL {
            assert!(certificate.der().len() > 200, "{name}");
            assert!(certificate.key_pem().contains("PRIVATE KEY-----"), "{name}");
        }
    }
}
