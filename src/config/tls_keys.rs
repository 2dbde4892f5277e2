//! The keys for TLS.

use super::keys::{Key, Support, by_name, supported};
use super::kind::Kind;
use super::property::Property;

const CLASSES: &str = "changes nothing: it chooses among classes of Java's";
const FACTORY: &str = "Java classes cannot be loaded, use the builder's `tls` with a configuration of rustls";
const PROVIDER: &str =
    "Java's providers do not exist here: the cryptography is chosen by features of the crate";
const RANDOM: &str = "changes nothing: random numbers come from the operating system";

/// In alphabetical order.
#[rustfmt::skip]
pub(crate) static TLS_KEYS: &[Key] = &[
    Key::new("ssl.cipher.suites", Kind::List, Some(""), supported!(tls => tls.cipher_suites)),
    Key::new("ssl.enabled.protocols", Kind::List, Some("TLSv1.2,TLSv1.3"), supported!(tls => tls.enabled_protocols)),
    Key::new("ssl.endpoint.identification.algorithm", Kind::Text, Some("https"), supported!(tls => tls.endpoint_identification)),
    Key::new("ssl.engine.factory.class", Kind::Class, None, Support::JavaOnly { instead: FACTORY, in_force: None }),
    Key::new("ssl.key.password", Kind::Password, None, supported!(tls => tls.key_password)),
    Key::new("ssl.keymanager.algorithm", Kind::Text, Some("SunX509"), by_name(CLASSES)),
    Key::new("ssl.keystore.certificate.chain", Kind::Password, None, supported!(tls => tls.keystore_certificate_chain)),
    Key::new("ssl.keystore.key", Kind::Password, None, supported!(tls => tls.keystore_key)),
    Key::new("ssl.keystore.location", Kind::Text, None, supported!(tls => tls.keystore_location)),
    Key::new("ssl.keystore.password", Kind::Password, None, supported!(tls => tls.keystore_password)),
    Key::new("ssl.keystore.type", Kind::Text, Some("JKS"), supported!(tls => tls.keystore_type)),
    Key::new("ssl.protocol", Kind::Text, Some("TLSv1.3"), supported!(tls => tls.protocol)),
    Key::new("ssl.provider", Kind::Text, None, Support::JavaOnly { instead: PROVIDER, in_force: None }),
    Key::new("ssl.secure.random.implementation", Kind::Text, None, by_name(RANDOM)),
    Key::new("ssl.trustmanager.algorithm", Kind::Text, Some("PKIX"), by_name(CLASSES)),
    Key::new("ssl.truststore.certificates", Kind::Password, None, supported!(tls => tls.truststore_certificates)),
    Key::new("ssl.truststore.location", Kind::Text, None, supported!(tls => tls.truststore_location)),
    Key::new("ssl.truststore.password", Kind::Password, None, supported!(tls => tls.truststore_password)),
    Key::new("ssl.truststore.type", Kind::Text, Some("JKS"), supported!(tls => tls.truststore_type)),
];
