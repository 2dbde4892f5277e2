//! What users write into `producer.properties` for a listener.

use std::fmt::Write;

use kafka_producer::KafkaProducer;
use kafka_producer::ProducerConfig;

use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::Version;
use crate::support::security::CERTIFICATES;
use crate::support::security::PASSWORD;
use crate::support::security::USER;

/// How a client says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    pub(super) const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    const fn login_module(self) -> &'static str {
        match self {
            Self::Plain => "org.apache.kafka.common.security.plain.PlainLoginModule",
            Self::ScramSha256 | Self::ScramSha512 => {
                "org.apache.kafka.common.security.scram.ScramLoginModule"
            }
        }
    }
}

/// Those that clients of a listener may use; `None` where they say nothing.
pub(super) fn mechanisms_of(listener: Listener, _version: Version) -> Vec<Option<Mechanism>> {
    if listener.has_sasl() { Mechanism::ALL.map(Some).to_vec() } else { vec![None] }
}

/// The lines of a file for a listener of the cluster, with the right credentials.
pub(super) fn properties(cluster: &KafkaCluster, listener: Listener, mechanism: Option<Mechanism>) -> String {
    let mut text = format!(
        "bootstrap.servers={}\nsecurity.protocol={}\n",
        cluster.bootstrap_servers_of(listener),
        listener.protocol()
    );
    if listener.is_encrypted() {
        write!(text, "ssl.truststore.type=PEM\nssl.truststore.location={CERTIFICATES}/ca.pem\n")
            .expect("a String takes all");
    }
    if let Some(mechanism) = mechanism {
        write!(
            text,
            "sasl.mechanism={}\nsasl.jaas.config={} required \\\n  username=\"{USER}\" \\\n  password=\"{PASSWORD}\";\n",
            mechanism.name(),
            mechanism.login_module(),
        )
        .expect("a String takes all");
    }
    text
}

pub(super) fn producer(properties: &str) -> KafkaProducer {
    let config = ProducerConfig::from_properties_text(properties);
    KafkaProducer::builder().config(config).build().expect("a valid configuration")
}
