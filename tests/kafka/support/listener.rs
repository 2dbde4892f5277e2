//! The ways into a broker beside the plain one that the harness itself uses.

use super::version::Version;

/// A port at which brokers demand something of their clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Clients say who they are, and nothing is encrypted.
    SaslPlaintext,
    /// The same, with SCRAM-SHA-256 as the only mechanism.
    SaslPlaintextScram256,
    /// As the first, with sessions of [`SHORT_SESSION_MS`].
    SaslPlaintextShort,
    /// As the first, with GSSAPI as the only mechanism.
    #[cfg(feature = "gssapi")]
    SaslPlaintextGssapi,
    /// The same with sessions of [`SHORT_SESSION_MS`].
    #[cfg(feature = "gssapi")]
    SaslPlaintextGssapiShort,
    /// TLS, and clients say who they are.
    SaslSsl,
    /// The same with GSSAPI as the only mechanism.
    #[cfg(feature = "gssapi")]
    SaslSslGssapi,
    /// The same with sessions of [`SHORT_SESSION_MS`].
    #[cfg(feature = "gssapi")]
    SaslSslGssapiShort,
    /// The same where clients have to show a certificate, too; since Kafka 2.8.
    SaslSslMutual,
    /// As `SaslSsl`, with sessions of [`SHORT_SESSION_MS`].
    SaslSslShort,
    /// TLS.
    Ssl,
    /// TLS by a broker whose certificate has ended.
    SslExpired,
    /// TLS where clients have to show a certificate.
    SslMutual,
    /// TLS by a broker whose certificate has not begun.
    SslNotYetValid,
    /// TLS by a broker whose certificate is for another host.
    SslWrongName,
}

/// How long a session lasts at the listeners whose name says that it is short.
pub(crate) const SHORT_SESSION_MS: u32 = 2_000;

impl Listener {
    /// Those that brokers of a version have.
    pub(crate) fn all(version: Version) -> Vec<Self> {
        let mut all = vec![
            Self::SaslPlaintext,
            Self::SaslPlaintextScram256,
            Self::SaslSsl,
            Self::Ssl,
            Self::SslExpired,
            Self::SslMutual,
            Self::SslNotYetValid,
            Self::SslWrongName,
        ];
        if version != Version::V1_0_2 {
            all.extend([Self::SaslPlaintextShort, Self::SaslSslMutual, Self::SaslSslShort]);
        }
        all
    }

    /// Those that take tickets of Kerberos.
    #[cfg(feature = "gssapi")]
    pub(crate) fn with_kerberos(version: Version) -> Vec<Self> {
        let mut all = vec![Self::SaslPlaintextGssapi, Self::SaslSslGssapi];
        if version != Version::V1_0_2 {
            all.extend([Self::SaslPlaintextGssapiShort, Self::SaslSslGssapiShort]);
        }
        all
    }

    /// Whether clients come in that have the right credentials, with each of the mechanisms and for good.
    pub(crate) fn has_everything_right(self) -> bool {
        self.certificate() == "server" && !self.has_short_sessions() && self != Self::SaslPlaintextScram256
    }

    /// The name in the broker's properties.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslPlaintextScram256 => "SASL_PLAINTEXT_SCRAM",
            Self::SaslPlaintextShort => "SASL_PLAINTEXT_SHORT",
            #[cfg(feature = "gssapi")]
            Self::SaslPlaintextGssapi => "SASL_PLAINTEXT_GSSAPI",
            #[cfg(feature = "gssapi")]
            Self::SaslPlaintextGssapiShort => "SASL_PLAINTEXT_GSSAPI_SHORT",
            Self::SaslSsl => "SASL_SSL",
            #[cfg(feature = "gssapi")]
            Self::SaslSslGssapi => "SASL_SSL_GSSAPI",
            #[cfg(feature = "gssapi")]
            Self::SaslSslGssapiShort => "SASL_SSL_GSSAPI_SHORT",
            Self::SaslSslMutual => "SASL_SSL_MUTUAL",
            Self::SaslSslShort => "SASL_SSL_SHORT",
            Self::Ssl => "SSL",
            Self::SslExpired => "SSL_EXPIRED",
            Self::SslMutual => "SSL_MUTUAL",
            Self::SslNotYetValid => "SSL_NOT_YET_VALID",
            Self::SslWrongName => "SSL_WRONG_NAME",
        }
    }

    /// What clients set `security.protocol` to.
    pub(crate) fn protocol(self) -> &'static str {
        let protocols = ["SASL_PLAINTEXT", "SASL_SSL", "SSL"];
        let found = protocols.into_iter().find(|protocol| self.name().starts_with(protocol));
        found.expect("names begin with protocols")
    }

    /// What a broker's properties for this listener alone begin with.
    pub(crate) fn prefix(self) -> String {
        format!("listener.name.{}.", self.name().to_lowercase())
    }

    pub(crate) fn has_sasl(self) -> bool {
        self.protocol().starts_with("SASL_")
    }

    /// The mechanisms by which brokers of a version let clients in.
    pub(crate) const fn mechanisms(self, version: Version) -> &'static [&'static str] {
        match (self, version) {
            #[cfg(feature = "gssapi")]
            (
                Self::SaslPlaintextGssapi
                | Self::SaslPlaintextGssapiShort
                | Self::SaslSslGssapi
                | Self::SaslSslGssapiShort,
                _,
            ) => &["GSSAPI"],
            (Self::SaslPlaintextScram256, _) => &["SCRAM-SHA-256"],
            (_, Version::V1_0_2) => &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
            _ => &["OAUTHBEARER", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        }
    }

    pub(crate) const fn has_short_sessions(self) -> bool {
        match self {
            Self::SaslPlaintextShort | Self::SaslSslShort => true,
            #[cfg(feature = "gssapi")]
            Self::SaslPlaintextGssapiShort | Self::SaslSslGssapiShort => true,
            _ => false,
        }
    }

    pub(crate) fn is_encrypted(self) -> bool {
        self.protocol().ends_with("SSL")
    }

    pub(crate) const fn wants_certificate(self) -> bool {
        matches!(self, Self::SaslSslMutual | Self::SslMutual)
    }

    /// The broker's certificate, as the files of `mock/certs` are called.
    pub(crate) const fn certificate(self) -> &'static str {
        match self {
            Self::SslExpired => "server-expired",
            Self::SslNotYetValid => "server-not-yet-valid",
            Self::SslWrongName => "server-wrong-name",
            _ => "server",
        }
    }
}
