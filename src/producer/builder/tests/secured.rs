//! What security adds to start-up: round trips from `build` to the first acknowledgement.

use kafka_mock::{MockTls, MockToken};

use super::*;
use crate::config::{Sasl, SecurityProtocol, Tls, TlsVersion};
use crate::token::AccessToken;

const MECHANISMS: [&str; 5] = ["none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

/// What is promised: by TLS 1.3 the first record takes at most so many round trips more than in plaintext.
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
async fn round_trips(
    tls: Option<TlsVersion>,
    mechanism: &str,
    brokers: i32,
    checks_cluster: bool,
) -> (u32, Vec<String>) {
    let mut cluster = cluster(ROUND_TRIP, brokers);
    cluster.tls = tls;
    let (took, log) = time_of_first_record(cluster, mechanism, brokers, checks_cluster).await;
    // The client goes ahead after a moment without an answer, and proofs are computed in turns of a millisecond.
    let trips = took.as_millis() / ROUND_TRIP.as_millis();
    assert!(took.as_millis() % ROUND_TRIP.as_millis() < 50, "{took:?} {log:#?}");
    (u32::try_from(trips).unwrap(), log)
}

/// Sends a first record to the last of the brokers. Returns how long it takes until it is acknowledged.
async fn time_of_first_record(
    cluster: Distant,
    mechanism: &str,
    brokers: i32,
    checks_cluster: bool,
) -> (Duration, Vec<String>) {
    let tls = cluster.tls;
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
    builder = builder.property("metadata.cluster.check.enable", checks_cluster.to_string());
    if tls.is_some() {
        builder = builder.tls(Tls::new().truststore_pem(MockTls::ca_pem()));
    }
    if let Some(sasl) = sasl {
        builder = builder.sasl(sasl);
    }
    let start = clock::now();
    let producer: KafkaProducer = builder.build_with(Arc::new(ToDistant(Arc::clone(&cluster)))).unwrap();
    producer.send(ProducerRecord::to(TOPIC).partition(brokers - 1).value("2 apples")).await.unwrap();
    (clock::now() - start, cluster.log())
}

const TLS: [Option<TlsVersion>; 3] = [None, Some(TlsVersion::V1_3), Some(TlsVersion::V1_2)];

/// Round trips more than in plaintext: with [no TLS, TLS 1.3, TLS 1.2].
type More = [u32; 3];

async fn more_than_in_plaintext(mechanism: &str, brokers: i32, checks_cluster: bool) -> More {
    let (plaintext, _) = round_trips(None, "none", brokers, checks_cluster).await;
    let mut more = [0; 3];
    for (more, tls) in more.iter_mut().zip(TLS) {
        let (trips, log) = round_trips(tls, mechanism, brokers, checks_cluster).await;
        *more = trips - plaintext;
        let is_excepted = tls == Some(TlsVersion::V1_2) || (checks_cluster && mechanism == "OAUTHBEARER");
        let is_promised = *more <= PROMISED_MORE || is_excepted;
        assert!(is_promised, "{mechanism} {tls:?}: {log:#?}");
    }
    more
}

/// One or two for TLS, and one for the last words.
#[tokio::test(start_paused = true)]
async fn security_costs_few_round_trips_if_the_broker_asked_first_leads() {
    for (mechanism, more) in [
        ("none", [0, 1, 2]),
        ("PLAIN", [1, 2, 3]),
        ("OAUTHBEARER", [1, 2, 3]),
        ("SCRAM-SHA-256", [1, 2, 3]),
        ("SCRAM-SHA-512", [1, 2, 3]),
    ] {
        assert_eq!(more_than_in_plaintext(mechanism, 1, true).await, more, "{mechanism}");
    }
}

/// TLS costs the same again. The look ahead at who leads goes along with the last words, but for OAUTHBEARER. A leader that can be
/// asked whether it is of the cluster, as from Kafka 4.4 on, has to answer that before it hears a password or a token.
#[tokio::test(start_paused = true)]
async fn security_costs_few_round_trips_more_if_another_broker_leads() {
    for (mechanism, more, more_with_check) in [
        ("none", [0, 2, 4], [0, 2, 4]),
        ("PLAIN", [2, 3, 5], [2, 4, 6]),
        ("OAUTHBEARER", [3, 4, 6], [3, 5, 7]),
        ("SCRAM-SHA-256", [2, 4, 6], [2, 4, 6]),
        ("SCRAM-SHA-512", [2, 4, 6], [2, 4, 6]),
    ] {
        assert_eq!(more_than_in_plaintext(mechanism, 3, false).await, more, "{mechanism}");
        assert_eq!(more_than_in_plaintext(mechanism, 3, true).await, more_with_check, "{mechanism}");
    }
}

/// What goes ahead arrives by itself. Brokers of Kafka would leave it in the buffers of TLS for a while otherwise.
#[tokio::test(start_paused = true)]
async fn nothing_goes_ahead_to_brokers_that_answer_at_once() {
    for mechanism in &MECHANISMS[1..] {
        let mut cluster = cluster(Duration::from_millis(5), 3);
        cluster.dislikes_early_requests = true;

        let (took, log) = time_of_first_record(cluster, mechanism, 3, true).await;

        assert!(took < Duration::from_millis(100), "{mechanism}: {took:?} {log:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn peer_that_ends_the_connection_when_it_is_asked_ahead_costs_one_more() {
    for mechanism in &MECHANISMS[1..] {
        let mut cluster = cluster(ROUND_TRIP, 1);
        cluster.dislikes_early_requests = true;

        let (took, log) = time_of_first_record(cluster, mechanism, 1, true).await;

        assert!(took < 12 * ROUND_TRIP, "{mechanism}: {took:?} {log:#?}");
        let connects = log.iter().filter(|line| line.ends_with("connect")).count();
        assert_eq!(connects, 2, "{log:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn brokers_before_kafka_2_4_are_connected_to_once_more_in_all() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        let mut cluster = cluster(ROUND_TRIP, 3);
        cluster.tls = Some(TlsVersion::V1_2);
        // As of Kafka 1.0.
        for (api, max) in
            [(Api::ApiVersions, 1), (Api::Metadata, 5), (Api::InitProducerId, 0), (Api::Produce, 5)]
        {
            cluster.brokers.lock().unwrap().set_api_versions(api, 0, max).unwrap();
        }

        let (took, log) = time_of_first_record(cluster, mechanism, 3, true).await;

        assert!(took < 22 * ROUND_TRIP, "{mechanism}: {took:?} {log:#?}");
        let to_first = log.iter().filter(|line| *line == "0: connect").count();
        let to_leader = log.iter().filter(|line| *line == "2: connect").count();
        assert_eq!((to_first, to_leader), (2, 1), "{log:#?}");
    }
}
