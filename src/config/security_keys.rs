//! The keys for SASL, and those about security in general. Most of them cannot be changed yet.

use super::keys::{Key, Support, supported, supported_by_name};
use super::kind::Kind;
use super::kind::Width::{Int, Long, Short};
use super::property::Property;

const fn sasl(name: &'static str, kind: Kind, default: Option<&'static str>) -> Key {
    Key::new(name, kind, default, Support::NotYet { what: "this part of SASL is", in_force: default })
}

const ALGORITHMS: Kind = Kind::Choice { any_case: true, of: &["ES256", "RS256"] };
const ANY_DOUBLE: Kind = Kind::Double { min: f64::NEG_INFINITY, max: f64::INFINITY };
const PROTOCOLS: Kind =
    Kind::Choice { any_case: true, of: &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] };

/// In alphabetical order. The defaults are taken, since without what they are about they change nothing.
#[rustfmt::skip]
pub(crate) static SECURITY_KEYS: &[Key] = &[
    sasl("sasl.client.callback.handler.class", Kind::Class, None),
    Key::new("sasl.jaas.config", Kind::Password, None, supported!(sasl => sasl_jaas_config)),
    sasl("sasl.kerberos.kinit.cmd", Kind::Text, Some("/usr/bin/kinit")),
    sasl("sasl.kerberos.min.time.before.relogin", Kind::any(Long), Some("60000")),
    sasl("sasl.kerberos.service.name", Kind::Text, None),
    sasl("sasl.kerberos.ticket.renew.jitter", ANY_DOUBLE, Some("0.05")),
    sasl("sasl.kerberos.ticket.renew.window.factor", ANY_DOUBLE, Some("0.8")),
    sasl("sasl.login.callback.handler.class", Kind::Class, None),
    sasl("sasl.login.class", Kind::Class, None),
    sasl("sasl.login.connect.timeout.ms", Kind::any(Int), None),
    sasl("sasl.login.read.timeout.ms", Kind::any(Int), None),
    Key::new("sasl.login.refresh.buffer.seconds", Kind::within(0, 3600, Short), Some("300"), supported_by_name!(sasl_login_refresh_buffer_s)),
    Key::new("sasl.login.refresh.min.period.seconds", Kind::within(0, 900, Short), Some("60"), supported_by_name!(sasl_login_refresh_min_period_s)),
    Key::new("sasl.login.refresh.window.factor", Kind::Double { min: 0.5, max: 1.0 }, Some("0.8"), supported_by_name!(sasl_login_refresh_window_factor)),
    Key::new("sasl.login.refresh.window.jitter", Kind::Double { min: 0.0, max: 0.25 }, Some("0.05"), supported_by_name!(sasl_login_refresh_window_jitter)),
    Key::new("sasl.login.retry.backoff.max.ms", Kind::at_least(0, Long), Some("10000"), supported_by_name!(sasl_login_retry_backoff_max)),
    Key::new("sasl.login.retry.backoff.ms", Kind::at_least(0, Long), Some("100"), supported_by_name!(sasl_login_retry_backoff)),
    Key::new("sasl.mechanism", Kind::Text, Some("GSSAPI"), supported!(sasl => sasl_mechanism)),
    sasl("sasl.oauthbearer.allow.unverified.audience", Kind::Boolean, Some("false")),
    sasl("sasl.oauthbearer.allow.unverified.issuer", Kind::Boolean, Some("false")),
    sasl("sasl.oauthbearer.assertion.algorithm", ALGORITHMS, Some("RS256")),
    sasl("sasl.oauthbearer.assertion.claim.aud", Kind::Text, None),
    sasl("sasl.oauthbearer.assertion.claim.exp.seconds", Kind::within(0, 86_400, Int), Some("300")),
    sasl("sasl.oauthbearer.assertion.claim.iss", Kind::Text, None),
    sasl("sasl.oauthbearer.assertion.claim.jti.include", Kind::Boolean, Some("false")),
    sasl("sasl.oauthbearer.assertion.claim.nbf.seconds", Kind::within(0, 3600, Int), Some("60")),
    sasl("sasl.oauthbearer.assertion.claim.sub", Kind::Text, None),
    sasl("sasl.oauthbearer.assertion.file", Kind::Text, None),
    sasl("sasl.oauthbearer.assertion.private.key.file", Kind::Text, None),
    sasl("sasl.oauthbearer.assertion.private.key.passphrase", Kind::Password, None),
    sasl("sasl.oauthbearer.assertion.template.file", Kind::Text, None),
    sasl("sasl.oauthbearer.client.credentials.client.id", Kind::Text, None),
    sasl("sasl.oauthbearer.client.credentials.client.secret", Kind::Password, None),
    sasl("sasl.oauthbearer.clock.skew.seconds", Kind::any(Int), Some("30")),
    sasl("sasl.oauthbearer.expected.audience", Kind::List, Some("")),
    sasl("sasl.oauthbearer.expected.issuer", Kind::Text, None),
    sasl("sasl.oauthbearer.header.urlencode", Kind::Boolean, Some("false")),
    sasl("sasl.oauthbearer.jwks.endpoint.refresh.ms", Kind::any(Long), Some("3600000")),
    sasl("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Kind::any(Long), Some("10000")),
    sasl("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Kind::any(Long), Some("100")),
    sasl("sasl.oauthbearer.jwks.endpoint.url", Kind::Text, None),
    sasl("sasl.oauthbearer.jwt.retriever.class", Kind::Class, Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever")),
    sasl("sasl.oauthbearer.jwt.validator.class", Kind::Class, Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator")),
    sasl("sasl.oauthbearer.scope", Kind::Text, None),
    sasl("sasl.oauthbearer.scope.claim.name", Kind::Text, Some("scope")),
    sasl("sasl.oauthbearer.sub.claim.name", Kind::Text, Some("sub")),
    sasl("sasl.oauthbearer.token.endpoint.url", Kind::Text, None),
    Key::new("security.protocol", PROTOCOLS, Some("PLAINTEXT"), supported!(security_protocol)),
    Key::new("security.providers", Kind::Text, None, Support::JavaOnly { instead: "Java classes cannot be loaded, leave it unset", in_force: None }),
];
