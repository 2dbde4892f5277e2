//! What security adds to start-up: round trips from `build` to the first acknowledgement.

use kafka_mock::{MockTls, MockToken};

use super::*;
use crate::config::{Sasl, SecurityProtocol, Tls, TlsVersion};
use crate::token::AccessToken;

const MECHANISMS: [&str; 5] = ["none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

/// What is promised: the first record to the broker that is asked first takes so many round trips more than in plaintext.
const PROMISED_MORE: u32 = 4;

fn sasl(mechanism: &str) -> Option<Sasl> {
    match mechanism {
        "PLAIN" => Some(Sasl::plain("alice", "secret")),
        "SCRAM-SHA-256" => Some(Sasl::scram_sha_256("alice", "secret")),
        "SCRAM-SHA-512" => Some(Sasl::scram_sha_512("alice", "secret")),
        "OAUTHBEARER" => Some(Sasl::oauth_bearer(|| async { Ok(AccessToken::new("t0ken")) })),
        _ => None,
    }
}

/// Sends a first record. Returns the round trips that it takes, and what was asked of which broker.
async fn round_trips(tls: Option<TlsVersion>, mechanism: &str, brokers: i32) -> (u32, Vec<String>) {
    let mut cluster = cluster(ROUND_TRIP, brokers);
    cluster.tls = tls;
    let sasl = sasl(mechanism);
    if sasl.is_some() {
        let mut brokers = cluster.brokers.lock().unwrap();
        brokers.demand_sasl("alice", "secret", None, false);
        brokers.set_sasl_token("t0ken", MockToken::of("alice"));
    }
    let cluster = Arc::new(cluster);
    let protocol = match (tls, &sasl) {
        (None, None) => SecurityProtocol::Plaintext,
        (None, Some(_)) => SecurityProtocol::SaslPlaintext,
        (Some(_), None) => SecurityProtocol::Ssl,
        (Some(_), Some(_)) => SecurityProtocol::SaslSsl,
    };
    let mut builder =
        KafkaProducer::builder().bootstrap_servers("127.0.0.1:9092").security_protocol(protocol);
    if tls.is_some() {
        builder = builder.tls(Tls::new().truststore_pem(MockTls::ca_pem()));
    }
    if let Some(sasl) = sasl {
        builder = builder.sasl(sasl);
    }
    let start = clock::now();
    let producer: KafkaProducer = builder.build_with(Arc::new(ToDistant(Arc::clone(&cluster)))).unwrap();
    producer.send(ProducerRecord::to(TOPIC).partition(brokers - 1).value("2 apples")).await.unwrap();
    let took = clock::now() - start;
    // Proofs are computed in turns of a millisecond between which others run.
    let trips = took.as_millis() / ROUND_TRIP.as_millis();
    assert!(took.as_millis() % ROUND_TRIP.as_millis() < 50, "{took:?}");
    (u32::try_from(trips).unwrap(), cluster.log())
}

const TLS: [(Option<TlsVersion>, u32); 3] =
    [(None, 0), (Some(TlsVersion::V1_3), 1), (Some(TlsVersion::V1_2), 2)];

/// Round trips that a mechanism takes on each connection: one for SaslHandshake, and one for its words, or two.
fn words(mechanism: &str) -> u32 {
    match mechanism {
        "none" => 0,
        "PLAIN" | "OAUTHBEARER" => 2,
        _ => 3,
    }
}

#[tokio::test(start_paused = true)]
async fn security_costs_the_round_trips_of_its_protocols_on_one_connection() {
    let (plaintext, _) = round_trips(None, "none", 1).await;
    assert_eq!(plaintext, 4);
    for mechanism in MECHANISMS {
        for (tls, handshake) in TLS {
            let (trips, log) = round_trips(tls, mechanism, 1).await;

            let more = trips - plaintext;
            assert_eq!(more, handshake + words(mechanism), "{tls:?} with {mechanism}: {log:#?}");
            assert!(more <= PROMISED_MORE || tls == Some(TlsVersion::V1_2), "{tls:?} with {mechanism}");
        }
    }
}

/// It is known only by what the first broker answers, which takes Metadata from none that it has not let in.
#[tokio::test(start_paused = true)]
async fn security_costs_the_same_again_for_another_broker() {
    let (plaintext, _) = round_trips(None, "none", 3).await;
    assert_eq!(plaintext, 5);
    for mechanism in MECHANISMS {
        for (tls, handshake) in TLS {
            let (trips, log) = round_trips(tls, mechanism, 3).await;

            // In plaintext, a look ahead along with ApiVersions finds the other broker.
            let without_look = u32::from(mechanism != "none");
            let expected = 2 * (handshake + words(mechanism)) + without_look;
            assert_eq!(trips - plaintext, expected, "{tls:?} with {mechanism}: {log:#?}");
        }
    }
}
