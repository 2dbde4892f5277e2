//! [`TokenEndpoint`]: whom to ask for tokens, and how to say who asks.

use std::path::PathBuf;
use std::time::Duration;

use super::{EXTENSION, OAuthOptions, TokenOrigin};
use crate::config::keys::Key;
use crate::config::kind::Kind;
use crate::config::security_keys::JWT_BEARER_RETRIEVER;
use crate::config::tls::TlsSettings;
use crate::config::tls_keys::TLS_KEYS;
use crate::config::{ConfigProblem, ConfigReason, ProducerSettings};
use crate::http::Url;
use crate::json::Json;
use crate::secret::{HIDDEN, Secret};

/// Where tokens are given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenEndpoint {
    pub(crate) url: Url,
    pub(crate) grant: Grant,
    pub(crate) scope: Option<String>,
    pub(crate) extensions: Vec<(String, String)>,
    /// For connecting, TLS included.
    pub(crate) connect_timeout: Duration,
    /// For each silence of the endpoint.
    pub(crate) read_timeout: Duration,
    /// Whom the producer trusts, and what it shows, for `https`.
    pub(crate) tls: TlsSettings,
}

/// Why the endpoint should give a token out (RFC 6749, RFC 7523).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grant {
    /// The client is known (KIP-768).
    ClientCredentials(ClientProof),
    /// Another authority vouches for the client (KIP-1139).
    JwtBearer(Assertion),
}

/// How a client shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClientProof {
    /// KIP-1258.
    Assertion { client_id: Option<String>, assertion: Assertion },
    Secret {
        client_id: String,
        secret: Secret,
        /// The key, or the option, that says so.
        named_by: &'static str,
        is_encoded: bool,
    },
}

impl Grant {
    /// Returns the key, or the option, that says what an endpoint refuses which does not know the client.
    pub(crate) fn named_by(&self) -> &'static str {
        match self {
            Self::ClientCredentials(ClientProof::Secret { named_by, .. }) => named_by,
            Self::ClientCredentials(ClientProof::Assertion { assertion, .. })
            | Self::JwtBearer(assertion) => assertion.named_by(),
        }
    }
}

impl Assertion {
    fn named_by(&self) -> &'static str {
        match self {
            Self::File(_) => ASSERTION_FILE,
            Self::Signed(_) => KEY_FILE,
        }
    }
}

/// A JWT that says who the client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Assertion {
    File(PathBuf),
    Signed(Box<SignedAssertion>),
}

/// What the producer signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedAssertion {
    /// As it is written in the header.
    pub(crate) algorithm: String,
    pub(crate) key_file: PathBuf,
    pub(crate) passphrase: Secret,
    pub(crate) template_file: Option<PathBuf>,
    /// Those of the configuration.
    pub(crate) claims: Vec<(String, Json)>,
    pub(crate) expires_after_s: i64,
    pub(crate) counts_before_s: i64,
    pub(crate) has_id: bool,
}

/// Returns where tokens come from if there is a URL.
pub(super) fn origin(
    settings: &ProducerSettings,
    options: &OAuthOptions,
    url: &str,
) -> Result<TokenOrigin, ConfigProblem> {
    let in_line = |reason| ConfigProblem::new("sasl.jaas.config", HIDDEN, reason);
    let extensions = options.extensions(EXTENSION).map_err(in_line)?;
    if let Some(path) = file(url) {
        return Ok(TokenOrigin::File(path, extensions));
    }
    // A name with its password, or a query, may be in it.
    let shown = Url::without_secrets(url);
    let parsed = Url::parse(url).map_err(|text| invalid(URL, &shown, text))?;
    if parsed.is_encrypted() && !cfg!(feature = "tls") {
        return Err(ConfigProblem::new(URL, &shown, ConfigReason::needs_feature("tls")));
    }
    let is_set = |key| settings.text(key).is_some();
    let grant = if settings.text(RETRIEVER) == Some(JWT_BEARER_RETRIEVER) {
        Grant::JwtBearer(assertion(settings)?)
    } else if is_set(ASSERTION_FILE) || is_set(CLAIM_ISS) {
        let client_id = text_or_option(settings, CLIENT_ID, options, "clientId").map(str::to_owned);
        Grant::ClientCredentials(ClientProof::Assertion { client_id, assertion: assertion(settings)? })
    } else {
        Grant::ClientCredentials(secret(settings, options)?)
    };
    let scope = text_or_option(settings, SCOPE, options, "scope");
    Ok(TokenOrigin::Endpoint(Box::new(TokenEndpoint {
        url: parsed,
        grant,
        scope: scope.map(|scope| scope.trim().to_owned()),
        extensions,
        connect_timeout: time(settings, "sasl.login.connect.timeout.ms").unwrap_or(CONNECT_TIMEOUT),
        read_timeout: time(settings, "sasl.login.read.timeout.ms").unwrap_or(READ_TIMEOUT),
        tls: tls(options).map_err(in_line)?,
    })))
}

fn secret(settings: &ProducerSettings, options: &OAuthOptions) -> Result<ClientProof, ConfigProblem> {
    let required = |key| ConfigProblem::new(key, "", ConfigReason::Missing);
    let client_id =
        text_or_option(settings, CLIENT_ID, options, "clientId").ok_or_else(|| required(CLIENT_ID))?;
    let by_key = Some(settings.sasl_client_secret.expose()).filter(|secret| !secret.trim().is_empty());
    let by_key = by_key.map(|secret| (secret, CLIENT_SECRET));
    let by_option = || Some((options.get("clientSecret")?, "clientSecret in sasl.jaas.config"));
    let (secret, named_by) = by_key.or_else(by_option).ok_or_else(|| required(CLIENT_SECRET))?;
    // As Java does. A line break at the end of a secret is mostly from a file.
    Ok(ClientProof::Secret {
        client_id: client_id.trim().to_owned(),
        secret: Secret::new(secret.trim()),
        named_by,
        is_encoded: is_true(settings, URLENCODE),
    })
}

fn assertion(settings: &ProducerSettings) -> Result<Assertion, ConfigProblem> {
    if let Some(path) = settings.text(ASSERTION_FILE) {
        return Ok(Assertion::File(path.into()));
    }
    let key_file = settings.text(KEY_FILE);
    let key_file = key_file.ok_or_else(|| ConfigProblem::new(KEY_FILE, "", ConfigReason::Missing))?;
    if !cfg!(feature = "tls") {
        // The cryptography is that of TLS.
        return Err(ConfigProblem::new(KEY_FILE, key_file, ConfigReason::needs_feature("tls")));
    }
    let claim = |name: &str| {
        let value = settings.text(&format!("sasl.oauthbearer.assertion.claim.{name}"))?;
        Some((name.to_owned(), Json::String(value.to_owned())))
    };
    let seconds = |key, default| settings.text(key).and_then(|text| text.parse().ok()).unwrap_or(default);
    Ok(Assertion::Signed(Box::new(SignedAssertion {
        algorithm: settings.text(ALGORITHM).unwrap_or("RS256").to_ascii_uppercase(),
        key_file: key_file.into(),
        passphrase: settings.sasl_assertion_passphrase.clone(),
        template_file: settings.text("sasl.oauthbearer.assertion.template.file").map(PathBuf::from),
        claims: ["aud", "iss", "sub"].into_iter().filter_map(claim).collect(),
        expires_after_s: seconds("sasl.oauthbearer.assertion.claim.exp.seconds", 300),
        counts_before_s: seconds("sasl.oauthbearer.assertion.claim.nbf.seconds", 60),
        has_id: is_true(settings, "sasl.oauthbearer.assertion.claim.jti.include"),
    })))
}

/// Returns whom to trust, and what to show. As in Java, options of the login module say so, and not `ssl.*`, which is about brokers.
fn tls(options: &OAuthOptions) -> Result<TlsSettings, ConfigReason> {
    let mut settings = ProducerSettings::default();
    for (name, value) in options.with_prefix("") {
        let Some(key) = tls_key(name) else { continue };
        key.parse(&mut settings, value).map_err(|reason| {
            // What is wrong with an item of a list quotes it.
            let reason = if key.kind == Kind::List { key.without_value(reason) } else { reason };
            match reason {
                ConfigReason::Invalid(text) => ConfigReason::Invalid(format!("the option {name}: {text}")),
                reason => reason,
            }
        })?;
    }
    Ok(settings.tls)
}

/// Returns the key that an option of the login module stands for. As in Java, the name of an endpoint is checked always.
pub(super) fn tls_key(name: &str) -> Option<&'static Key> {
    let mut supported = TLS_KEYS.iter().filter(|key| key.is_supported());
    supported.find(|key| key.name == name && name != "ssl.endpoint.identification.algorithm")
}

/// Returns the value of a key, or else of an option that Java has deprecated for it.
fn text_or_option<'a>(
    settings: &'a ProducerSettings,
    key: &str,
    options: &'a OAuthOptions,
    option: &str,
) -> Option<&'a str> {
    settings.text(key).or_else(|| options.get(option))
}

/// Returns the path of a URL of a file.
fn file(url: &str) -> Option<PathBuf> {
    let scheme = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("file:"))?;
    let path = url.get(scheme.len()..)?;
    // `file:/path`, `file:///path` and `file://localhost/path` mean the same.
    let path = path.strip_prefix("//localhost").or_else(|| path.strip_prefix("//")).unwrap_or(path);
    Some(path.into())
}

fn time(settings: &ProducerSettings, key: &str) -> Option<Duration> {
    settings.text(key)?.parse().ok().filter(|millis| *millis > 0).map(Duration::from_millis)
}

fn is_true(settings: &ProducerSettings, key: &str) -> bool {
    settings.text(key).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

fn invalid(key: &str, value: &str, text: &str) -> ConfigProblem {
    ConfigProblem::new(key, value, ConfigReason::Invalid(text.to_owned()))
}

pub(in crate::config) const URL: &str = "sasl.oauthbearer.token.endpoint.url";
pub(in crate::config) const RETRIEVER: &str = "sasl.oauthbearer.jwt.retriever.class";
pub(in crate::config) const ALGORITHM: &str = "sasl.oauthbearer.assertion.algorithm";
pub(in crate::config) const ASSERTION_FILE: &str = "sasl.oauthbearer.assertion.file";
pub(in crate::config) const CLAIM_ISS: &str = "sasl.oauthbearer.assertion.claim.iss";
pub(in crate::config) const KEY_FILE: &str = "sasl.oauthbearer.assertion.private.key.file";
pub(in crate::config) const PASSPHRASE: &str = "sasl.oauthbearer.assertion.private.key.passphrase";
pub(in crate::config) const CLIENT_ID: &str = "sasl.oauthbearer.client.credentials.client.id";
pub(in crate::config) const CLIENT_SECRET: &str = "sasl.oauthbearer.client.credentials.client.secret";
pub(in crate::config) const SCOPE: &str = "sasl.oauthbearer.scope";
pub(in crate::config) const URLENCODE: &str = "sasl.oauthbearer.header.urlencode";

/// Keys that say together how tokens are got. If one way takes the place of another, none of these may be left of that.
pub(in crate::config) const ABOUT_THE_GRANT: [&str; 16] = [
    ALGORITHM,
    "sasl.oauthbearer.assertion.claim.aud",
    "sasl.oauthbearer.assertion.claim.exp.seconds",
    CLAIM_ISS,
    "sasl.oauthbearer.assertion.claim.jti.include",
    "sasl.oauthbearer.assertion.claim.nbf.seconds",
    "sasl.oauthbearer.assertion.claim.sub",
    ASSERTION_FILE,
    KEY_FILE,
    PASSPHRASE,
    "sasl.oauthbearer.assertion.template.file",
    CLIENT_ID,
    CLIENT_SECRET,
    URLENCODE,
    RETRIEVER,
    SCOPE,
];

/// Java has no limits.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
