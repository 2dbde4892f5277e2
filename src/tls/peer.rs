//! Whom texts are about: what users call it, and the settings by which they mend what is wrong with it.

use std::fmt;

/// Who is at the other end of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// What gives out credentials of AWS.
    #[cfg_attr(not(feature = "sasl"), expect(dead_code, reason = "only a mechanism of SASL asks AWS"))]
    Aws,
    Broker,
    /// Where access tokens come from.
    TokenEndpoint,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "endpoint of AWS",
            Self::Broker => "broker",
            Self::TokenEndpoint => "token endpoint",
        })
    }
}

impl Peer {
    /// Returns where a user sets a key of `ssl.*`.
    pub(super) fn setting(self, key: &str) -> String {
        match self {
            Self::Aws => "AWS_CA_BUNDLE".to_owned(),
            Self::Broker => key.to_owned(),
            // `ssl.*` beside it is about brokers only.
            Self::TokenEndpoint => format!("the option {key} of sasl.jaas.config"),
        }
    }

    /// Returns where a user sets a certificate of the producer's, if there is any place for it.
    pub(super) fn client_certificate(self) -> Option<String> {
        let location = self.setting("ssl.keystore.location");
        match self {
            // It asks for none of its own accord.
            Self::Aws => None,
            Self::Broker => {
                Some(format!("{location}, or ssl.keystore.certificate.chain and ssl.keystore.key"))
            }
            Self::TokenEndpoint => {
                Some(format!("{location}, or there ssl.keystore.certificate.chain and ssl.keystore.key"))
            }
        }
    }

    /// Returns what to do where TLS meets something else.
    pub(super) fn plaintext_hint(self) -> &'static str {
        match self {
            Self::Aws => "AWS_ENDPOINT_URL_STS or AWS_CONTAINER_CREDENTIALS_FULL_URI is wrong",
            Self::Broker => "security.protocol or the port is wrong",
            Self::TokenEndpoint => {
                "sasl.oauthbearer.token.endpoint.url must begin with http: or its port is wrong"
            }
        }
    }

    /// Returns where the name stands that the client connects to.
    pub(super) fn name_origin(self) -> &'static str {
        match self {
            Self::Aws => "which is the name that AWS_ENDPOINT_URL_STS, AWS_REGION or awsStsRegion leads to",
            Self::Broker => {
                "which is the broker's name in bootstrap.servers or in its advertised.listeners \
                 (ssl.endpoint.identification.algorithm=https)"
            }
            Self::TokenEndpoint => "which is its name in sasl.oauthbearer.token.endpoint.url",
        }
    }

    /// Returns how to give it another certificate.
    pub(super) fn new_certificate(self) -> &'static str {
        match self {
            Self::Aws => "something else answers in its place, or the clock is wrong",
            Self::Broker => "give the broker another certificate (its ssl.keystore.location)",
            Self::TokenEndpoint => "the token endpoint needs another certificate",
        }
    }
}
