//! Brokers that answer with rubbish, thousands of connections long: producers neither panic nor grow, give every record
//! back or deliver it, and work again once the brokers have come to their senses.
//!
//! `HOSTILE_CONNECTIONS` says how many connections; `.ci/run` has ten thousand.

mod answers;
mod attack;
mod brokers;
mod campaign;
mod serving;

use kafka_producer::{KafkaProducer, Sasl, SecurityProtocol};

use campaign::{Campaign, impatient};
use serving::PlainBroker;

const PRODUCERS: usize = 8;
const CAMPAIGN: Campaign = Campaign {
    warm: 500,
    connections: 2_500,
    // Each connection may leave less than a hundred bytes.
    most_growth: 200_000,
    most_at_a_time: 4 * 1024 * 1024,
    most_resident_growth: 16 * 1024 * 1024,
};

/// The second and the fourth of four say who they are. The brokers do not know the password of the fourth, which must not believe them.
fn producer(number: usize, bootstrap_servers: &str) -> KafkaProducer {
    let builder = impatient(bootstrap_servers);
    let builder = match number % 4 {
        1 => builder.security_protocol(SecurityProtocol::SaslPlaintext).sasl(Sasl::plain("alice", "secret")),
        3 => builder
            .security_protocol(SecurityProtocol::SaslPlaintext)
            .sasl(Sasl::scram_sha_256("alice", "secret")),
        _ => builder,
    };
    builder.build().unwrap()
}

#[test]
fn thousands_of_hostile_connections_leave_no_trace() {
    let times = std::env::var("HOSTILE_CONNECTIONS")
        .map_or(1, |number| number.parse::<usize>().unwrap() / CAMPAIGN.connections);
    let campaign = Campaign {
        warm: times * CAMPAIGN.warm,
        connections: times * CAMPAIGN.connections,
        most_growth: i64::try_from(times).unwrap() * CAMPAIGN.most_growth,
        ..CAMPAIGN
    };
    let producers = |addresses: &str| (0..PRODUCERS).map(|number| producer(number, addresses)).collect();

    campaign.run(PlainBroker, producers, |number| number % 4 != 3);
}
