//! What a user reads of each mistake, and how soon the producer tells it to a caller who waits.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use kafka_producer::Disposition;
use kafka_producer::ProducerRecord;

use super::CLOSE_LIMIT;
use super::client;
use super::client::Mechanism;
use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::Version;
use crate::support::issuer::AUDIENCE;
use crate::support::issuer::CLIENT_SECRET;
use crate::support::issuer::ISSUER;
use crate::support::security::CERTIFICATES;
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
    mistakes.extend(wrong_certificates(cluster));
    mistakes.extend(wrong_client_certificates(cluster));

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
    let value = |key: &str| properties.lines().find_map(|line| line.strip_prefix(key));
    let said =
        error.kind().to_string().replace(value("bootstrap.servers=").expect("every file has them"), "BROKER");
    let said = match value("sasl.oauthbearer.token.endpoint.url=") {
        Some(url) => said.replace(url, "ENDPOINT"),
        None => said,
    };
    assert!(!format!("{error:?} {said}").contains("hunter2"), "{said}");
    (without_times(&said), error.disposition(), elapsed)
}

/// How long a caller has waited, and the day, differ from run to run. So does the end of a token that was made for the run.
fn without_times(said: &str) -> String {
    for marker in [", and has ended on ", ", and ends on "] {
        if let Some((begin, _)) = said.split_once(marker) {
            return format!("{begin}{marker}DAY");
        }
    }
    if let Some((begin, (_, end))) =
        said.split_once("here it is ").and_then(|(begin, rest)| Some((begin, rest.split_once(';')?)))
    {
        return format!("{begin}here it is TODAY;{end}");
    }
    let parts = said.split_once(" after ");
    let parts = parts.and_then(|(begin, rest)| Some((begin, rest.split_once(" (max.block.ms)")?.1)));
    let said = parts
        .map_or_else(|| said.to_owned(), |(begin, end)| format!("{begin} after WAITED (max.block.ms){end}"));
    crate::security::without_attempts(&said)
}

const REFUSED: &str =
    "record for topic \"mistaken\" cannot be accepted: broker BROKER: authentication failed: ";
const TLS_FAILED: &str = "record for topic \"mistaken\" cannot be accepted: broker BROKER: TLS failed: ";

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
        ("that has ended", &issuer.expired, AUDIENCE, "has ended"),
        ("for others", &issuer.for_others, "others", "ends"),
        ("signed by another key", &issuer.of_another_key, AUDIENCE, "ends"),
    ];
    // Why, only the log of the broker tells. What the token claims shows which of these it is.
    let mistake = |(name, token, audience, end): (&str, &String, &str, &str)| Mistake {
        name: format!("token {name}"),
        properties: client::properties(cluster, Listener::SaslPlaintext, None),
        token: Some(token.clone()),
        says: format!(
            "{REFUSED}broker refuses the access token (OAUTHBEARER, SASL_AUTHENTICATION_FAILED (58)): \
             {{\"status\":\"invalid_token\"}}; the token claims iss \"{ISSUER}\", aud \"{audience}\", sub \"{USER}\", and {end} on DAY"
        ),
    };
    let mut mistakes: Vec<Mistake> = tokens.into_iter().map(mistake).collect();
    let lacking =
        "record for topic \"mistaken\" cannot be accepted: no access token: token endpoint ENDPOINT";
    mistakes.push(Mistake {
        name: "token endpoint of another CA".to_owned(),
        properties: client::properties(cluster, Listener::SaslPlaintext, Some(Mechanism::OAuthBearer))
            .replace("/ca.pem", "/other-ca.pem"),
        token: None,
        says: format!(
            "{lacking}: the token endpoint's certificate \"CN=localhost\" (issued by \"O=kafka-mock,CN=kafka-mock test CA\", \
             valid until 2120-01-01 00:00:00 UTC) is signed by no authority that the option ssl.truststore.location of \
             sasl.jaas.config vouches for; if you trust it, add to it the certificate of \"O=kafka-mock,CN=kafka-mock test \
             CA\""
        ),
    });
    mistakes.push(Mistake {
        name: "wrong secret for the token endpoint".to_owned(),
        properties: client::properties(cluster, Listener::SaslPlaintext, Some(Mechanism::OAuthBearer))
            .replace(CLIENT_SECRET, "wrong-hunter2"),
        token: None,
        says: format!("{lacking} answers 401: invalid_client: who are you?; check sasl.oauthbearer.client.credentials.client.secret"),
    });
    mistakes
}

fn wrong_certificates(cluster: &KafkaCluster) -> Vec<Mistake> {
    let right = |listener| client::properties(cluster, listener, None);
    let mistake = |name: &str, properties: String, says: &str| Mistake {
        name: name.to_owned(),
        properties,
        token: None,
        says: format!("{TLS_FAILED}{says}"),
    };
    let shown = |name: &str, from_to: &str| {
        format!(
            "the broker's certificate \"CN={name}\" (issued by \"O=kafka-mock,CN=kafka-mock test CA\", {from_to})"
        )
    };
    let valid = shown("localhost", "valid until 2120-01-01 00:00:00 UTC");
    vec![
        mistake(
            "wrong CA",
            right(Listener::Ssl).replace("/ca.pem", "/other-ca.pem"),
            &format!(
                "{valid} is signed by no authority that ssl.truststore.location vouches for; if you trust it, add to it \
                 the certificate of \"O=kafka-mock,CN=kafka-mock test CA\""
            ),
        ),
        mistake(
            "wrong name",
            right(Listener::SslWrongName),
            &format!(
                "{} is for kafka.example.com, and not for \"127.0.0.1\", which is the broker's name in bootstrap.servers \
                 or in its advertised.listeners (ssl.endpoint.identification.algorithm=https)",
                shown("kafka.example.com", "valid until 2120-01-01 00:00:00 UTC")
            ),
        ),
        mistake(
            "certificate that has ended",
            right(Listener::SslExpired),
            &format!(
                "{} has ended, and here it is TODAY; give the broker another certificate (its ssl.keystore.location)",
                shown("localhost", "valid until 2020-01-01 00:00:00 UTC")
            ),
        ),
        mistake(
            "certificate that has not begun",
            right(Listener::SslNotYetValid),
            &format!(
                "{valid} is not valid before 2119-01-01 00:00:00 UTC, and here it is TODAY; set the clock, or give the \
                 broker another certificate (its ssl.keystore.location)"
            ),
        ),
    ]
}

fn wrong_client_certificates(cluster: &KafkaCluster) -> Vec<Mistake> {
    let right = client::properties(cluster, Listener::SslMutual, None);
    let keystore = |name: &str| {
        let certificate = Path::new(CERTIFICATES).join(name);
        let parts = ["pem", "key"].map(|end| std::fs::read_to_string(certificate.with_extension(end)));
        let [certificate, key] = parts.map(|part| part.expect("a certificate and its key"));
        let file = cluster.directory().join(format!("{name}-keystore.pem"));
        std::fs::write(&file, certificate + &key).expect("a keystore");
        right.replace(&cluster.client_keystore().display().to_string(), &file.display().to_string())
    };
    let none = client::properties(cluster, Listener::Ssl, None).replace(
        &cluster.bootstrap_servers_of(Listener::Ssl),
        &cluster.bootstrap_servers_of(Listener::SslMutual),
    );
    let mistake = |name: &str, properties: String, says: String| Mistake {
        name: name.to_owned(),
        properties,
        token: None,
        says: format!("{TLS_FAILED}{says}"),
    };
    let refused = |subject: &str| match old_refusal(cluster.version()) {
        Some(error) => format!(
            "the broker breaks off the TLS handshake ({error}); old brokers do that when they refuse the producer's \
             certificate, which is \"{subject}\" of ssl.keystore.location"
        ),
        None => format!(
            "the broker refuses the producer's certificate \"{subject}\" of ssl.keystore.location (CertificateUnknown); \
             its issuer may be missing in the broker's ssl.truststore.location"
        ),
    };
    let ended = format!(
        "the producer's certificate \"CN=client\" of ssl.keystore.location has ended on 2020-01-01 00:00:00 UTC, and here it \
         is TODAY; put another one there {}",
        match old_refusal(cluster.version()) {
            Some(error) => format!("(the broker breaks off the TLS handshake: {error})"),
            None => "(the broker refuses it: CertificateUnknown)".to_owned(),
        }
    );
    let wanted = match old_refusal(cluster.version()) {
        Some(error) => format!(
            "the broker breaks off the TLS handshake ({error}); old brokers do that when they ask for a certificate of the \
             producer's: set ssl.keystore.location, or ssl.keystore.certificate.chain and ssl.keystore.key"
        ),
        None => "the broker asks for a certificate of the producer's; set ssl.keystore.location, or \
                 ssl.keystore.certificate.chain and ssl.keystore.key (BadCertificate)"
            .to_owned(),
    };
    vec![
        mistake("no certificate of the client", none, wanted),
        mistake(
            "certificate of the client by another CA",
            keystore("client-other-ca"),
            refused("CN=stranger"),
        ),
        mistake("certificate of the client that has ended", keystore("client-expired"), ended),
    ]
}

/// What comes from a broker that sends part of its own hello once more, in place of an alert.
const fn old_refusal(version: Version) -> Option<&'static str> {
    match version {
        Version::V1_0_2 => {
            Some("received unexpected handshake message: got ServerHello when expecting NewSessionTicket")
        }
        Version::V2_8_2 => Some("cannot decrypt peer's message"),
        Version::V3_9_2 | Version::V4_3_1 => None,
    }
}

fn wrong_listeners(cluster: &KafkaCluster) -> Vec<Mistake> {
    let right = client::properties(cluster, Listener::SaslPlaintext, Some(Mechanism::Plain));
    let servers = cluster.bootstrap_servers_of(Listener::SaslPlaintext);
    let tls = client::properties(cluster, Listener::Ssl, None);
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
            name: "plaintext at a TLS listener".to_owned(),
            properties: tls.replace("=SSL", "=PLAINTEXT"),
            token: None,
            says: format!(
                "{TLS_FAILED}the broker speaks TLS at this address, and the producer does not: set security.protocol to SSL or \
                 SASL_SSL, or correct the port"
            ),
        },
        Mistake {
            name: "TLS at the plain listener".to_owned(),
            // A broker that is about to stop looks the same, so the caller waits as long as it wants to.
            properties: tls.replace(&cluster.bootstrap_servers_of(Listener::Ssl), &cluster.bootstrap_servers())
                + "max.block.ms=3000\n",
            token: None,
            says: "topic \"mistaken\" not in metadata after WAITED (max.block.ms): no broker can be reached (BROKER: TLS failed: closed in \
                   the middle of the TLS handshake: the broker may speak plaintext here (then security.protocol or the port is wrong), \
                   be stopping, or be behind a firewall)"
                .to_owned(),
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
