//! What users write into `producer.properties` for a listener, and a producer of it.

use std::fmt::Write;
use std::future::ready;

use kafka_mock::MockCertificate;
use kafka_producer::AccessToken;
use kafka_producer::KafkaProducer;
use kafka_producer::ProducerConfig;
use kafka_producer::Sasl;

use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::Version;
use crate::support::issuer::AUDIENCE;
use crate::support::issuer::CLIENT_ID;
use crate::support::issuer::CLIENT_SECRET;
use crate::support::issuer::ISSUER;
use crate::support::issuer::Issuer;
use crate::support::security::CERTIFICATES;
use crate::support::security::PASSWORD;
use crate::support::security::USER;

/// How a client says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    OAuthBearer,
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    pub(super) const BY_PASSWORD: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OAuthBearer => "OAUTHBEARER",
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    /// The line for `sasl.jaas.config`, on several lines of a file; tokens are made by the producer and not signed.
    fn login(self) -> String {
        let password = |module: &str| {
            format!("{module} required \\\n  username=\"{USER}\" \\\n  password=\"{PASSWORD}\";")
        };
        match self {
            Self::OAuthBearer => format!(
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \\\n  \
                 unsecuredLoginStringClaim_sub=\"{USER}\";"
            ),
            Self::Plain => password("org.apache.kafka.common.security.plain.PlainLoginModule"),
            Self::ScramSha256 | Self::ScramSha512 => {
                password("org.apache.kafka.common.security.scram.ScramLoginModule")
            }
        }
    }
}

/// Those that clients of a listener may use; `None` where they say nothing.
pub(super) fn mechanisms_of(listener: Listener, version: Version) -> Vec<Option<Mechanism>> {
    if !listener.has_sasl() {
        return vec![None];
    }
    let all = [Mechanism::OAuthBearer, Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512];
    let is_taken = |mechanism: &Mechanism| listener.mechanisms(version).contains(&mechanism.name());
    all.into_iter().filter(is_taken).map(Some).collect()
}

/// The lines of a file for a listener of the cluster, with the right credentials.
pub(super) fn properties(cluster: &KafkaCluster, listener: Listener, mechanism: Option<Mechanism>) -> String {
    let mut text = format!(
        "bootstrap.servers={}\nsecurity.protocol={}\n",
        cluster.bootstrap_servers_of(listener),
        listener.protocol()
    );
    let mut add = |line: String| writeln!(text, "{line}").expect("a String takes all");
    if listener.is_encrypted() {
        add(format!("ssl.truststore.type=PEM\nssl.truststore.location={CERTIFICATES}/ca.pem"));
    }
    if listener.wants_certificate() {
        let keystore = cluster.client_keystore();
        add(format!("ssl.keystore.type=PEM\nssl.keystore.location={}", keystore.display()));
    }
    if let Some(mechanism) = mechanism {
        add(format!("sasl.mechanism={}", mechanism.name()));
        match cluster.issuer() {
            Some(issuer) if mechanism == Mechanism::OAuthBearer => add(token_endpoint(issuer)),
            _ => add(format!("sasl.jaas.config={}", mechanism.login())),
        }
    }
    text
}

/// The lines by which a producer gets tokens that are signed.
fn token_endpoint(issuer: &Issuer) -> String {
    format!(
        "{}\nsasl.oauthbearer.client.credentials.client.id={CLIENT_ID}\n\
         sasl.oauthbearer.client.credentials.client.secret={CLIENT_SECRET}",
        token_endpoint_for_any(issuer)
    )
}

/// The same lines without those that say who the producer is.
fn token_endpoint_for_any(issuer: &Issuer) -> String {
    let package = "org.apache.kafka.common.security.oauthbearer";
    format!(
        "sasl.jaas.config={package}.OAuthBearerLoginModule required \\\n  ssl.truststore.type=\"PEM\" \\\n  \
         ssl.truststore.location=\"{CERTIFICATES}/ca.pem\";\n\
         sasl.login.callback.handler.class={package}.OAuthBearerLoginCallbackHandler\n\
         sasl.oauthbearer.token.endpoint.url={}",
        issuer.token_url()
    )
}

/// The lines of a producer that signs what it shows at the token endpoint (KIP-1139) by the key of a certificate.
pub(super) fn properties_that_sign(
    cluster: &KafkaCluster,
    issuer: &Issuer,
    (algorithm, certificate, key): (&str, &str, &str),
) -> String {
    let template = cluster.directory().join(format!("{key}-template.json"));
    // The brokers know several keys, and try one only.
    let header = format!("{{\"header\":{{\"kid\":\"{certificate}.pem\"}}}}");
    std::fs::write(&template, header).expect("a template");
    let servers = cluster.bootstrap_servers_of(Listener::SaslPlaintext);
    let mut text = format!(
        "bootstrap.servers={servers}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=OAUTHBEARER\n{}\n",
        token_endpoint_for_any(issuer)
    );
    let class = "org.apache.kafka.common.security.oauthbearer.JwtBearerJwtRetriever";
    for (name, value) in [
        ("jwt.retriever.class", class),
        ("assertion.algorithm", algorithm),
        ("assertion.claim.aud", AUDIENCE),
        ("assertion.claim.iss", ISSUER),
        ("assertion.claim.sub", USER),
        ("assertion.private.key.file", &format!("{CERTIFICATES}/{key}.key")),
        ("assertion.private.key.passphrase", MockCertificate::PASSWORD),
        ("assertion.template.file", &template.display().to_string()),
    ] {
        writeln!(text, "sasl.oauthbearer.{name}={value}").expect("a String takes all");
    }
    text
}

/// A producer by the lines of a file.
pub(super) fn producer(properties: &str) -> KafkaProducer {
    let config = ProducerConfig::from_properties_text(properties);
    KafkaProducer::builder().config(config).build().expect("a valid configuration")
}

/// A producer by the lines of a file, with this token always.
pub(super) fn producer_with_token(token: &str, properties: &str) -> KafkaProducer {
    let token = token.to_owned();
    let provider = move || ready(Ok(AccessToken::new(token.clone())));
    let config = ProducerConfig::from_properties_text(properties).sasl(Sasl::oauth_bearer(provider));
    KafkaProducer::builder().config(config).build().expect("a valid configuration")
}
