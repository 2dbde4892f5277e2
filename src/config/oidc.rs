//! [`Oidc`]: the typed way to say where access tokens come from.

use std::path::PathBuf;
use std::time::Duration;

use super::ProducerConfig;
use super::oauth::{self, OAuthOptions};
use super::security_keys::JWT_BEARER_RETRIEVER;
use crate::secret::Secret;

/// Where the producer gets access tokens by OpenID Connect, for [`Sasl::oidc`](crate::Sasl::oidc): a token endpoint, how the producer
/// shows there who it is, and what it asks for. It stands for the keys that begin with `sasl.oauthbearer.`.
///
/// The producer fetches the first token when it is built, and the next one before the last one ends (`sasl.login.refresh.*`), in
/// the background. Secrets are not shown by `Debug`, are in no error, and are wiped from memory with the last copy of them.
///
/// ```
/// use kafka_producer::{Oidc, ProducerConfig, Sasl, SecurityProtocol};
///
/// let oidc = Oidc::client_credentials("https://login.example.com/oauth2/token", "orders", "orders-secret").scope("kafka");
/// let typed = ProducerConfig::new()
///     .bootstrap_servers("kafka-1:9093")
///     .security_protocol(SecurityProtocol::SaslSsl)
///     .sasl(Sasl::oidc(oidc));
///
/// let by_name = ProducerConfig::from_properties([
///     ("bootstrap.servers", "kafka-1:9093"),
///     ("security.protocol", "SASL_SSL"),
///     ("sasl.mechanism", "OAUTHBEARER"),
///     ("sasl.jaas.config", "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"),
///     ("sasl.oauthbearer.token.endpoint.url", "https://login.example.com/oauth2/token"),
///     ("sasl.oauthbearer.client.credentials.client.id", "orders"),
///     ("sasl.oauthbearer.client.credentials.client.secret", "orders-secret"),
///     ("sasl.oauthbearer.scope", "kafka"),
/// ]);
///
/// # #[cfg(feature = "tls")]
/// assert_eq!(typed, by_name);
/// # #[cfg(feature = "tls")]
/// typed.validate()?;
/// # Ok::<(), kafka_producer::ConfigError>(())
/// ```
///
/// A client that signs what it says of itself, in place of a secret, and tells brokers which cluster of Confluent Cloud it means:
///
/// ```
/// use kafka_producer::{Oidc, OidcAssertion, OidcSignature, Sasl};
///
/// let assertion = OidcAssertion::signed(OidcSignature::Es256, "/etc/kafka/orders.key", "orders")
///     .subject("orders")
///     .audience("https://login.example.com/");
/// let oidc = Oidc::client_assertion("https://login.example.com/oauth2/token", assertion)
///     .client_id("orders")
///     .extension("logicalCluster", "lkc-1")
///     .extension("identityPoolId", "pool-1");
/// let sasl = Sasl::oidc(oidc);
/// # drop(sasl);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    properties: Properties,
    /// Those of the login module, which have no key of their own.
    options: Vec<(String, Secret)>,
}

/// Keys with their values, as they are to be set.
type Properties = Vec<(&'static str, Secret)>;

impl Oidc {
    /// Asks a token endpoint with a secret that it knows (RFC 6749, section 4.4; KIP-768).
    #[must_use]
    pub fn client_credentials(
        url: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Self {
        Self::at(url.into()).client_id(client_id).with(oauth::CLIENT_SECRET, client_secret)
    }

    /// Asks a token endpoint with an assertion in place of the secret (RFC 7523, section 2.2; KIP-1258).
    ///
    /// Many endpoints want to be told the [`client_id`](Self::client_id), too.
    #[must_use]
    pub fn client_assertion(url: impl Into<String>, assertion: OidcAssertion) -> Self {
        let mut oidc = Self::at(url.into());
        oidc.properties.extend(assertion.properties);
        oidc
    }

    /// Exchanges an assertion, by which another authority vouches for the client, for a token (RFC 7523, section 2.1; KIP-1139).
    #[must_use]
    pub fn jwt_bearer(url: impl Into<String>, assertion: OidcAssertion) -> Self {
        Self::client_assertion(url, assertion).with(oauth::RETRIEVER, JWT_BEARER_RETRIEVER)
    }

    /// Reads tokens from a file that something else keeps up to date, such as a side car of Kubernetes.
    #[must_use]
    pub fn token_file(path: impl Into<PathBuf>) -> Self {
        Self::at(format!("file:{}", path.into().display()))
    }

    /// Sets who the producer is for the token endpoint (`sasl.oauthbearer.client.credentials.client.id`).
    #[must_use]
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        self.with(oauth::CLIENT_ID, client_id)
    }

    /// Sets what tokens are to be good for (`sasl.oauthbearer.scope`, default nothing in particular).
    #[must_use]
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.with(oauth::SCOPE, scope)
    }

    /// Adds something for brokers to know beside the token (KIP-342), such as `logicalCluster` for Confluent Cloud.
    ///
    /// The name may have letters of ASCII only, and may not be `auth`; the value printable characters of ASCII. Anything else is
    /// refused when the producer is built.
    #[must_use]
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((format!("{}{}", oauth::EXTENSION, name.into()), Secret::new(value)));
        self
    }

    /// Encodes client id and secret as RFC 6749 says before they are put into the header (`sasl.oauthbearer.header.urlencode`, default
    /// no, since many endpoints do not know it).
    #[must_use]
    pub fn urlencode_header(self, is_encoded: bool) -> Self {
        self.with(oauth::URLENCODE, is_encoded.to_string())
    }

    /// Trusts the authorities in a PEM file for `https`, and no others. Without it the operating system says whom to trust. What
    /// [`Tls`](crate::Tls) says is about brokers.
    #[must_use]
    pub fn truststore_file(mut self, path: impl Into<PathBuf>) -> Self {
        let path = path.into().display().to_string();
        self.options.push(("ssl.truststore.type".to_owned(), Secret::new("PEM")));
        self.options.push(("ssl.truststore.location".to_owned(), Secret::new(path)));
        self
    }

    /// Trusts the authorities in a PEM text for `https`, and no others.
    #[must_use]
    pub fn truststore_pem(mut self, certificates: impl Into<String>) -> Self {
        self.options.push(("ssl.truststore.type".to_owned(), Secret::new("PEM")));
        self.options.push(("ssl.truststore.certificates".to_owned(), Secret::new(certificates)));
        self
    }

    /// Sets how long connecting to the endpoint may take, TLS included (`sasl.login.connect.timeout.ms`, default 10 s).
    #[must_use]
    pub fn connect_timeout(self, limit: Duration) -> Self {
        self.with("sasl.login.connect.timeout.ms", millis(limit))
    }

    /// Sets how long the endpoint may be silent (`sasl.login.read.timeout.ms`, default 30 s). An attempt takes 60 s at most in all.
    #[must_use]
    pub fn read_timeout(self, limit: Duration) -> Self {
        self.with("sasl.login.read.timeout.ms", millis(limit))
    }

    fn at(url: String) -> Self {
        Self { properties: vec![(oauth::URL, Secret::new(url))], options: Vec::new() }
    }

    fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.properties.push((key, Secret::new(value)));
        self
    }

    pub(super) fn into_parts(self) -> (Properties, OAuthOptions) {
        (self.properties, OAuthOptions::of(self.options))
    }
}

/// A JWT by which a client shows who it is, or another authority vouches for it. Files are read for each token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcAssertion {
    properties: Properties,
}

/// How a JWT is signed (RFC 7518).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OidcSignature {
    /// ECDSA with the curve P-256 and SHA-256.
    Es256,
    /// RSA (PKCS#1, version 1.5) with SHA-256.
    Rs256,
}

impl OidcAssertion {
    /// Reads the assertion from a file that something else keeps up to date (`sasl.oauthbearer.assertion.file`).
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { properties: Vec::new() }.with(oauth::ASSERTION_FILE, path.into().display().to_string())
    }

    /// Makes assertions that are signed by a key in a PEM file, with this issuer (`sasl.oauthbearer.assertion.algorithm`,
    /// `….private.key.file`, `….claim.iss`). Each lasts for five minutes, unless [`lifetime`](Self::lifetime) says otherwise. Needs the
    /// feature `tls`, whose cryptography signs.
    #[must_use]
    pub fn signed(signature: OidcSignature, key_file: impl Into<PathBuf>, issuer: impl Into<String>) -> Self {
        let algorithm = match signature {
            OidcSignature::Es256 => "ES256",
            OidcSignature::Rs256 => "RS256",
        };
        let assertion = Self { properties: Vec::new() }.with(oauth::ALGORITHM, algorithm);
        let assertion = assertion.with(oauth::KEY_FILE, key_file.into().display().to_string());
        assertion.with(oauth::CLAIM_ISS, issuer)
    }

    /// Sets the password of the key, if it is encrypted (`sasl.oauthbearer.assertion.private.key.passphrase`).
    #[must_use]
    pub fn passphrase(self, passphrase: impl Into<String>) -> Self {
        self.with(oauth::PASSPHRASE, passphrase)
    }

    /// Sets the subject of the assertion (`sasl.oauthbearer.assertion.claim.sub`, default none).
    #[must_use]
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.with("sasl.oauthbearer.assertion.claim.sub", subject)
    }

    /// Sets the audience of the assertion (`sasl.oauthbearer.assertion.claim.aud`, default none): mostly the URL of the issuer of tokens.
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.with("sasl.oauthbearer.assertion.claim.aud", audience)
    }

    /// Sets how long an assertion lasts, in whole seconds (`sasl.oauthbearer.assertion.claim.exp.seconds`, default 300, at most a day).
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        self.with("sasl.oauthbearer.assertion.claim.exp.seconds", lifetime.as_secs().to_string())
    }

    /// Sets how long before it is made an assertion counts, for clocks that differ, in whole seconds
    /// (`sasl.oauthbearer.assertion.claim.nbf.seconds`, default 60, at most an hour).
    #[must_use]
    pub fn counts_before(self, time: Duration) -> Self {
        self.with("sasl.oauthbearer.assertion.claim.nbf.seconds", time.as_secs().to_string())
    }

    /// Gives each assertion a random id (`sasl.oauthbearer.assertion.claim.jti.include`, default no).
    #[must_use]
    pub fn with_id(self, has_id: bool) -> Self {
        self.with("sasl.oauthbearer.assertion.claim.jti.include", has_id.to_string())
    }

    /// Takes more claims and headers, such as `kid`, from a file: `{"header":{…},"payload":{…}}`
    /// (`sasl.oauthbearer.assertion.template.file`).
    #[must_use]
    pub fn template_file(self, path: impl Into<PathBuf>) -> Self {
        self.with("sasl.oauthbearer.assertion.template.file", path.into().display().to_string())
    }

    fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.properties.push((key, Secret::new(value)));
        self
    }
}

impl ProducerConfig {
    /// Sets keys to values that hold no variables, and lets go of those that would have tokens come from elsewhere.
    pub(super) fn set_oidc(&mut self, properties: &Properties) {
        for name in oauth::ABOUT_THE_GRANT {
            self.reset(name);
        }
        for (name, value) in properties {
            self.set_literal(name, value.expose());
        }
    }
}

fn millis(limit: Duration) -> String {
    // The key takes no more, and takes nothing for its default.
    limit.as_millis().clamp(1, i32::MAX as u128).to_string()
}

#[cfg(all(test, feature = "sasl"))]
mod tests {
    use super::*;
    use crate::config::{Sasl, SecurityProtocol};

    const URL: &str = "http://localhost/token";

    fn typed(oidc: Oidc) -> ProducerConfig {
        base().sasl(Sasl::oidc(oidc))
    }

    fn base() -> ProducerConfig {
        ProducerConfig::new().bootstrap_servers("a:1").security_protocol(SecurityProtocol::SaslPlaintext)
    }

    fn by_name(options: &str, properties: &[(&str, &str)]) -> ProducerConfig {
        let line = format!("OAuthBearerLoginModule required {options};");
        let config = base().property("sasl.mechanism", "OAUTHBEARER").property("sasl.jaas.config", &line);
        config.properties(properties.iter().copied())
    }

    #[test]
    fn each_way_is_the_same_as_by_the_keys_of_kafka() {
        let signed = OidcAssertion::signed(OidcSignature::Es256, "/key", "me");
        let signed =
            signed.passphrase("p").subject("s").audience("a").with_id(true).template_file("/template");
        let signed = signed.lifetime(Duration::from_secs(60)).counts_before(Duration::from_secs(5));
        let url = ("sasl.oauthbearer.token.endpoint.url", URL);
        let id = ("sasl.oauthbearer.client.credentials.client.id", "me");
        for (oidc, options, properties) in [
            (
                Oidc::client_credentials(URL, "me", "hunter2").scope("s").urlencode_header(true),
                "",
                &[
                    url,
                    id,
                    ("sasl.oauthbearer.client.credentials.client.secret", "hunter2"),
                    ("sasl.oauthbearer.scope", "s"),
                    ("sasl.oauthbearer.header.urlencode", "true"),
                ][..],
            ),
            (
                Oidc::client_assertion(URL, OidcAssertion::file("/jwt")).client_id("me").extension("lc", "1"),
                "extension_lc=\"1\"",
                &[url, id, ("sasl.oauthbearer.assertion.file", "/jwt")],
            ),
            (
                Oidc::jwt_bearer(URL, signed).truststore_file("/ca").read_timeout(Duration::from_millis(7)),
                "ssl.truststore.type=\"PEM\" ssl.truststore.location=\"/ca\"",
                &[
                    url,
                    (oauth::RETRIEVER, JWT_BEARER_RETRIEVER),
                    ("sasl.oauthbearer.assertion.algorithm", "ES256"),
                    ("sasl.oauthbearer.assertion.private.key.file", "/key"),
                    ("sasl.oauthbearer.assertion.private.key.passphrase", "p"),
                    ("sasl.oauthbearer.assertion.claim.iss", "me"),
                    ("sasl.oauthbearer.assertion.claim.sub", "s"),
                    ("sasl.oauthbearer.assertion.claim.aud", "a"),
                    ("sasl.oauthbearer.assertion.claim.jti.include", "true"),
                    ("sasl.oauthbearer.assertion.claim.exp.seconds", "60"),
                    ("sasl.oauthbearer.assertion.claim.nbf.seconds", "5"),
                    ("sasl.oauthbearer.assertion.template.file", "/template"),
                    ("sasl.login.read.timeout.ms", "7"),
                ],
            ),
            (
                Oidc::token_file("/run/token"),
                "",
                &[("sasl.oauthbearer.token.endpoint.url", "file:/run/token")],
            ),
        ] {
            let typed = typed(oidc);
            assert_eq!(typed, by_name(options, properties), "{options}");
            if cfg!(feature = "tls") {
                typed.validate().unwrap();
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_the_keys_of_kafka() {
        let secret = |url: &str| Oidc::client_credentials(url, "me", "hunter2");
        for (oidc, text) in [
            (secret("idp"), "sasl.oauthbearer.token.endpoint.url = idp: must begin with https://"),
            (secret(""), "sasl.oauthbearer.token.endpoint.url: required"),
            (
                Oidc::client_credentials(URL, "me", ""),
                "sasl.oauthbearer.client.credentials.client.secret: required",
            ),
            (
                secret(URL).extension("auth", "hunter2"),
                "sasl.jaas.config = [hidden]: extension \"auth\" must have",
            ),
            (
                secret(URL).truststore_pem(" "),
                "sasl.jaas.config = [hidden]: the option ssl.truststore.certificates: is empty",
            ),
            (
                secret(URL).truststore_file(""),
                "sasl.jaas.config = [hidden]: the option ssl.truststore.location: is empty",
            ),
            (
                Oidc::jwt_bearer(URL, OidcAssertion::file("")),
                "sasl.oauthbearer.assertion.private.key.file: required",
            ),
        ] {
            let shown = format!("{oidc:?} {oidc:#?}");
            let error = typed(oidc).validate().unwrap_err();
            assert!(error.to_string().contains(text), "{text} in {error}");
            assert!(!format!("{shown} {error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn one_way_takes_the_place_of_another_and_values_hold_no_variables() {
        let assertion = [
            ("sasl.oauthbearer.assertion.file", "/jwt"),
            ("sasl.oauthbearer.assertion.claim.iss", "me"),
            (oauth::RETRIEVER, JWT_BEARER_RETRIEVER),
            ("sasl.oauthbearer.client.credentials.client.secret", "${env:SECRET}"),
        ];
        let oidc = Oidc::client_credentials(URL, "me", "${file:/x:y}");

        let config = by_name("", &assertion).sasl(Sasl::oidc(oidc));

        let settings = config.settle().unwrap();
        let origin = settings.token_origin().unwrap();
        let crate::config::TokenOrigin::Endpoint(endpoint) = origin else { panic!("{origin:?}") };
        let crate::config::Grant::ClientCredentials(proof) = endpoint.grant else { panic!("{endpoint:?}") };
        let crate::config::ClientProof::Secret { secret, .. } = proof else { panic!("{proof:?}") };
        assert_eq!(secret.expose(), "${file:/x:y}");
    }
}
