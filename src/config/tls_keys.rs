//! The keys for TLS.

use super::keys::{Key, Support, supported};
use super::kind::Kind;
use super::property::Property;

const fn tls(name: &'static str, kind: Kind, default: Option<&'static str>) -> Key {
    Key::new(name, kind, default, Support::NotYet { what: "this part of TLS is", in_force: default })
}

/// In alphabetical order.
#[rustfmt::skip]
pub(crate) static TLS_KEYS: &[Key] = &[
    tls("ssl.cipher.suites", Kind::List, Some("")),
    tls("ssl.enabled.protocols", Kind::List, Some("TLSv1.2,TLSv1.3")),
    tls("ssl.endpoint.identification.algorithm", Kind::Text, Some("https")),
    tls("ssl.engine.factory.class", Kind::Class, None),
    Key::new("ssl.key.password", Kind::Password, None, supported!(tls => tls.key_password)),
    tls("ssl.keymanager.algorithm", Kind::Text, Some("SunX509")),
    Key::new("ssl.keystore.certificate.chain", Kind::Password, None, supported!(tls => tls.keystore_certificate_chain)),
    Key::new("ssl.keystore.key", Kind::Password, None, supported!(tls => tls.keystore_key)),
    Key::new("ssl.keystore.location", Kind::Text, None, supported!(tls => tls.keystore_location)),
    tls("ssl.keystore.password", Kind::Password, None),
    Key::new("ssl.keystore.type", Kind::Text, Some("JKS"), supported!(tls => tls.keystore_type)),
    tls("ssl.protocol", Kind::Text, Some("TLSv1.3")),
    tls("ssl.provider", Kind::Text, None),
    tls("ssl.secure.random.implementation", Kind::Text, None),
    tls("ssl.trustmanager.algorithm", Kind::Text, Some("PKIX")),
    Key::new("ssl.truststore.certificates", Kind::Password, None, supported!(tls => tls.truststore_certificates)),
    Key::new("ssl.truststore.location", Kind::Text, None, supported!(tls => tls.truststore_location)),
    tls("ssl.truststore.password", Kind::Password, None),
    Key::new("ssl.truststore.type", Kind::Text, Some("JKS"), supported!(tls => tls.truststore_type)),
];
