//! The keys for SASL, and those about security in general. Most of them cannot be changed yet.

use super::keys::{Key, Support, by_name, supported, supported_by_name};
use super::kind::Kind;
use super::kind::Width::{Int, Long, Short};
use super::property::Property;

const fn sasl(name: &'static str, kind: Kind, default: Option<&'static str>) -> Key {
    Key::new(name, kind, default, Support::NotYet { what: "this part of SASL is", in_force: default })
}

const BROKERS: Support = by_name("changes nothing: it is brokers that check tokens");

/// For classes of Kafka's that stand for something that exists here.
const fn handler(takes: &'static [&'static str], effect: &'static str) -> Support {
    let refusal = "Java classes cannot be loaded, use `Sasl::oauth_bearer` with a `TokenProvider`";
    Support::ByName { takes, effect, refusal }
}

const CLIENT_HANDLERS: [&str; 1] = ["software.amazon.msk.auth.iam.IAMClientCallbackHandler"];

const LOGIN_HANDLERS: [&str; 3] = [
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
    "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler",
    "org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredLoginCallbackHandler",
];

const RETRIEVERS: [&str; 4] = [
    "org.apache.kafka.common.security.oauthbearer.ClientCredentialsJwtRetriever",
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
    "org.apache.kafka.common.security.oauthbearer.FileJwtRetriever",
    JWT_BEARER_RETRIEVER,
];

pub(super) const JWT_BEARER_RETRIEVER: &str =
    "org.apache.kafka.common.security.oauthbearer.JwtBearerJwtRetriever";

const VALIDATORS: [&str; 3] = [
    "org.apache.kafka.common.security.oauthbearer.BrokerJwtValidator",
    "org.apache.kafka.common.security.oauthbearer.ClientJwtValidator",
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
];

const ALGORITHMS: Kind = Kind::Choice { any_case: true, of: &["ES256", "RS256"] };
const ANY_DOUBLE: Kind = Kind::Double { min: f64::NEG_INFINITY, max: f64::INFINITY };
const PROTOCOLS: Kind =
    Kind::Choice { any_case: true, of: &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] };

/// In alphabetical order. The defaults are taken, since without what they are about they change nothing.
#[rustfmt::skip]
pub(crate) static SECURITY_KEYS: &[Key] = &[
    Key::new("sasl.client.callback.handler.class", Kind::Class, None, handler(&CLIENT_HANDLERS, "only says once more what sasl.mechanism says")),
    Key::new("sasl.jaas.config", Kind::Password, None, supported!(sasl => sasl_jaas_config)),
    Key::new("sasl.kerberos.kinit.cmd", Kind::Text, Some("/usr/bin/kinit"), by_name("the program that gets tickets by a keytab (`-k`), and renews those of a cache (`-R`)")),
    Key::new("sasl.kerberos.min.time.before.relogin", Kind::any(Long), Some("60000"), by_name("the least time in ms between two logins, unless tickets end sooner")),
    Key::new("sasl.kerberos.service.name", Kind::Text, None, by_name("who brokers are for Kerberos: the first part of their principals; the same as `serviceName` in `sasl.jaas.config`")),
    Key::new("sasl.kerberos.ticket.renew.jitter", ANY_DOUBLE, Some("0.05"), by_name("the most that is added at random to the next; 0 to 1")),
    Key::new("sasl.kerberos.ticket.renew.window.factor", ANY_DOUBLE, Some("0.8"), by_name("the part of a ticket's lifetime after which the next one is got; 0 to 1")),
    Key::new("sasl.login.callback.handler.class", Kind::Class, None, handler(&LOGIN_HANDLERS, "only says once more where tokens come from")),
    sasl("sasl.login.class", Kind::Class, None),
    Key::new("sasl.login.connect.timeout.ms", Kind::any(Int), None, by_name("how long connecting to the token endpoint may take; 10 s unless it is more than 0")),
    Key::new("sasl.login.read.timeout.ms", Kind::any(Int), None, by_name("how long the token endpoint may be silent; 30 s unless it is more than 0; an attempt takes 60 s at most in all")),
    Key::new("sasl.login.refresh.buffer.seconds", Kind::within(0, 3600, Short), Some("300"), supported_by_name!(sasl_login_refresh_buffer_s)),
    Key::new("sasl.login.refresh.min.period.seconds", Kind::within(0, 900, Short), Some("60"), supported_by_name!(sasl_login_refresh_min_period_s)),
    Key::new("sasl.login.refresh.window.factor", Kind::Double { min: 0.5, max: 1.0 }, Some("0.8"), supported_by_name!(sasl_login_refresh_window_factor)),
    Key::new("sasl.login.refresh.window.jitter", Kind::Double { min: 0.0, max: 0.25 }, Some("0.05"), supported_by_name!(sasl_login_refresh_window_jitter)),
    Key::new("sasl.login.retry.backoff.max.ms", Kind::at_least(0, Long), Some("10000"), supported_by_name!(sasl_login_retry_backoff_max)),
    Key::new("sasl.login.retry.backoff.ms", Kind::at_least(0, Long), Some("100"), supported_by_name!(sasl_login_retry_backoff)),
    Key::new("sasl.mechanism", Kind::Text, Some("GSSAPI"), supported!(sasl => sasl_mechanism)),
    Key::new("sasl.oauthbearer.allow.unverified.audience", Kind::Boolean, Some("false"), BROKERS),
    Key::new("sasl.oauthbearer.allow.unverified.issuer", Kind::Boolean, Some("false"), BROKERS),
    Key::new("sasl.oauthbearer.assertion.algorithm", ALGORITHMS, Some("RS256"), by_name("how assertions are signed")),
    Key::new("sasl.oauthbearer.assertion.claim.aud", Kind::Text, None, by_name("a claim of the assertions that the producer signs")),
    Key::new("sasl.oauthbearer.assertion.claim.exp.seconds", Kind::within(0, 86_400, Int), Some("300"), by_name("how long the assertions count that the producer signs")),
    Key::new("sasl.oauthbearer.assertion.claim.iss", Kind::Text, None, by_name("a claim of the assertions that the producer signs; with it, an assertion takes the place of the client secret")),
    Key::new("sasl.oauthbearer.assertion.claim.jti.include", Kind::Boolean, Some("false"), by_name("whether the assertions that the producer signs have an id")),
    Key::new("sasl.oauthbearer.assertion.claim.nbf.seconds", Kind::within(0, 3600, Int), Some("60"), by_name("how long before they are made assertions count")),
    Key::new("sasl.oauthbearer.assertion.claim.sub", Kind::Text, None, by_name("a claim of the assertions that the producer signs")),
    Key::new("sasl.oauthbearer.assertion.file", Kind::Text, None, by_name("a file with an assertion, read for each token")),
    Key::new("sasl.oauthbearer.assertion.private.key.file", Kind::Text, None, by_name("the key that signs assertions, in PEM, read for each token")),
    Key::new("sasl.oauthbearer.assertion.private.key.passphrase", Kind::Password, None, supported_by_name!(sasl_assertion_passphrase)),
    Key::new("sasl.oauthbearer.assertion.template.file", Kind::Text, None, by_name("a file with more claims and headers of assertions, in JSON, read for each token")),
    Key::new("sasl.oauthbearer.client.credentials.client.id", Kind::Text, None, by_name("who the producer is for the token endpoint")),
    Key::new("sasl.oauthbearer.client.credentials.client.secret", Kind::Password, None, supported_by_name!(sasl_client_secret)),
    Key::new("sasl.oauthbearer.clock.skew.seconds", Kind::any(Int), Some("30"), BROKERS),
    Key::new("sasl.oauthbearer.expected.audience", Kind::List, Some(""), BROKERS),
    Key::new("sasl.oauthbearer.expected.issuer", Kind::Text, None, BROKERS),
    Key::new("sasl.oauthbearer.header.urlencode", Kind::Boolean, Some("false"), by_name("whether client id, secret and scope are encoded as RFC 6749 says")),
    Key::new("sasl.oauthbearer.jwks.endpoint.refresh.ms", Kind::any(Long), Some("3600000"), BROKERS),
    Key::new("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Kind::any(Long), Some("10000"), BROKERS),
    Key::new("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Kind::any(Long), Some("100"), BROKERS),
    Key::new("sasl.oauthbearer.jwks.endpoint.url", Kind::Text, None, BROKERS),
    Key::new("sasl.oauthbearer.jwt.retriever.class", Kind::Class, Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"), handler(&RETRIEVERS, "how tokens are got: JwtBearerJwtRetriever exchanges an assertion for them (RFC 7523)")),
    Key::new("sasl.oauthbearer.jwt.validator.class", Kind::Class, Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"), handler(&VALIDATORS, "changes nothing: brokers check tokens")),
    Key::new("sasl.oauthbearer.scope", Kind::Text, None, by_name("what the token endpoint is asked for")),
    Key::new("sasl.oauthbearer.scope.claim.name", Kind::Text, Some("scope"), BROKERS),
    Key::new("sasl.oauthbearer.sub.claim.name", Kind::Text, Some("sub"), BROKERS),
    Key::new("sasl.oauthbearer.token.endpoint.url", Kind::Text, None, by_name("where tokens come from: https://, http:// or, for a file, file:")),
    Key::new("security.protocol", PROTOCOLS, Some("PLAINTEXT"), supported!(security_protocol)),
    Key::new("security.providers", Kind::Text, None, Support::JavaOnly { instead: "Java classes cannot be loaded, leave it unset", in_force: None }),
];
