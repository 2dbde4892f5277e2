//! What a user reads of each mistake, and how soon the producer tells it to a caller who waits.

use std::fmt::Write;
use std::time::Duration;

use kafka_producer::Disposition;
use kafka_producer::ProducerRecord;

use super::CLOSE_LIMIT;
use super::client;
use super::client::Mechanism;
use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::Version;
use crate::support::security::PASSWORD;
use crate::support::security::USER;
use crate::support::wait;

const TOPIC: &str = "mistaken";
/// Long beside the moment at which a caller is to know, unless a mistake says otherwise.
const MAX_BLOCK_MS: u32 = 20_000;
const SOON: Duration = Duration::from_secs(10);

/// A mistake, and what is said of it where the broker's address is put as `BROKER`.
struct Mistake {
    name: String,
    properties: String,
    /// An access token, in place of what the properties say.
    token: Option<String>,
    says: String,
}

pub(super) async fn every_mistake_is_told(cluster: &KafkaCluster) {
    cluster.create_topic(TOPIC, 1, 1, &[]).await;
    let mut mistakes = wrong_credentials(cluster);
    mistakes.extend(wrong_listeners(cluster));
    mistakes.extend(wrong_tokens(cluster));

    let mut wrong = String::new();
    for Mistake { name, properties, token, says } in mistakes {
        let (said, disposition, elapsed) = make(&properties, token.as_deref()).await;
        println!(
            "Kafka {}, {name} after {elapsed:.1?} [{disposition:?}]:\n    {said}",
            cluster.version().number()
        );
        let is_certain = !says.contains("max.block.ms");
        let expected = if is_certain { Disposition::FixConfiguration } else { Disposition::RetryLater };
        if (&said, disposition) != (&says, expected) || elapsed > SOON {
            writeln!(wrong, "{name} after {elapsed:?} [{disposition:?}]\nnot: {says}\nbut: {said}\n")
                .expect("a String takes all");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Makes a mistake, and returns what the caller is told, what it is to do about that, and after which time.
async fn make(properties: &str, token: Option<&str>) -> (String, Disposition, Duration) {
    let begin = wait::now();
    let all_properties = format!("max.block.ms={MAX_BLOCK_MS}\n{properties}");
    let producer = match token {
        Some(token) => client::producer_with_token(token, &all_properties),
        None => client::producer(&all_properties),
    };
    let error = producer.send(ProducerRecord::to(TOPIC).value("x")).await.expect_err(properties);
    let elapsed = begin.elapsed();
    let _ = producer.close(CLOSE_LIMIT).await;
    let servers = properties.lines().find_map(|line| line.strip_prefix("bootstrap.servers="));
    let said = error.to_string().replace(servers.expect("every file has them"), "BROKER");
    assert!(!format!("{error:?} {said}").contains("hunter2"), "{said}");
    (without_times(&said), error.disposition(), elapsed)
}

/// How long a caller has waited differs from run to run.
fn without_times(said: &str) -> String {
    let parts = said.split_once(" after ");
    let parts = parts.and_then(|(begin, rest)| Some((begin, rest.split_once(" (max.block.ms)")?.1)));
    parts.map_or_else(|| said.to_owned(), |(begin, end)| format!("{begin} after WAITED (max.block.ms){end}"))
}

const REFUSED: &str = "record for topic mistaken cannot be accepted: broker BROKER: authentication failed: ";

fn wrong_credentials(cluster: &KafkaCluster) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for mechanism in Mechanism::BY_PASSWORD {
        let right = client::properties(cluster, Listener::SaslPlaintext, Some(mechanism));
        let name = mechanism.name();
        let words = match mechanism {
            Mechanism::Plain => "Authentication failed: Invalid username or password".to_owned(),
            _ if cluster.version() == Version::V1_0_2 => {
                format!("Authentication failed due to invalid credentials with SASL mechanism {name}")
            }
            _ => format!(
                "Authentication failed during authentication due to invalid credentials with SASL mechanism {name}"
            ),
        };
        let says = format!(
            "{REFUSED}broker refuses what sasl.jaas.config says ({name}, SASL_AUTHENTICATION_FAILED (58)): {words}"
        );
        mistakes.push(Mistake {
            name: format!("wrong password with {name}"),
            properties: right.replace(PASSWORD, "wrong-hunter2"),
            token: None,
            says: says.clone(),
        });
        mistakes.push(Mistake {
            name: format!("unknown user with {name}"),
            properties: right.replace(USER, "mallory"),
            token: None,
            says,
        });
    }
    mistakes.push(Mistake {
        name: "mechanism that the broker does not offer".to_owned(),
        properties: client::properties(cluster, Listener::SaslPlaintextScram256, Some(Mechanism::Plain)),
        token: None,
        says: format!(
            "{REFUSED}broker does not take sasl.mechanism PLAIN; it offers SCRAM-SHA-256 \
             (UNSUPPORTED_SASL_MECHANISM (33))"
        ),
    });
    mistakes
}

/// Only where brokers check what tokens say.
fn wrong_tokens(cluster: &KafkaCluster) -> Vec<Mistake> {
    let Some(issuer) = cluster.issuer() else { return Vec::new() };
    let tokens = [
        ("that has ended", &issuer.expired),
        ("for others", &issuer.for_others),
        ("signed by another key", &issuer.of_another_key),
    ];
    let mistake = |(name, token): (&str, &String)| Mistake {
        name: format!("token {name}"),
        properties: client::properties(cluster, Listener::SaslPlaintext, None),
        token: Some(token.clone()),
        // Why, only the log of the broker tells.
        says: format!(
            "{REFUSED}broker refuses the access token (OAUTHBEARER, SASL_AUTHENTICATION_FAILED (58)): \
             {{\"status\":\"invalid_token\"}}"
        ),
    };
    tokens.into_iter().map(mistake).collect()
}

fn wrong_listeners(cluster: &KafkaCluster) -> Vec<Mistake> {
    let right = client::properties(cluster, Listener::SaslPlaintext, Some(Mechanism::Plain));
    let servers = cluster.bootstrap_servers_of(Listener::SaslPlaintext);
    // In the order of a hash map of Java's.
    let offered = match cluster.version() {
        Version::V1_0_2 => "PLAIN, SCRAM-SHA-512, SCRAM-SHA-256",
        _ => "PLAIN, SCRAM-SHA-512, SCRAM-SHA-256, OAUTHBEARER",
    };
    let silent =
        client::properties(cluster, Listener::SaslPlaintext, None).replace("=SASL_PLAINTEXT", "=PLAINTEXT");
    vec![
        Mistake {
            name: "nothing said to a broker that wants SASL".to_owned(),
            properties: silent,
            token: None,
            says: format!(
                "{REFUSED}broker demands SASL at this address: set security.protocol to SASL_PLAINTEXT or SASL_SSL, \
                 and sasl.mechanism to one of those that it offers ({offered})"
            ),
        },
        Mistake {
            name: "SASL at the plain listener".to_owned(),
            properties: right.replace(&servers, &cluster.bootstrap_servers()),
            token: None,
            says: format!(
                "{REFUSED}broker takes no SASL at this address; security.protocol or the port is wrong \
                 (ILLEGAL_SASL_STATE (34))"
            ),
        },
    ]
}
