//! Brokers that answer a TLS handshake with rubbish, or what comes after it: producers neither panic nor hang nor grow, give every
//! record back or deliver it, and work again once the brokers have come to their senses.

#[path = "../hostile/answers.rs"]
mod answers;
mod attack;
#[path = "../hostile/brokers.rs"]
mod brokers;
#[path = "../hostile/campaign.rs"]
mod campaign;
mod serving;

use std::time::Duration;

use kafka_mock::MockTls;
use kafka_producer::{KafkaProducer, SecurityProtocol, Tls};

use campaign::{Campaign, impatient};
use serving::TlsBroker;

const PRODUCERS: usize = 6;
const CAMPAIGN: Campaign = Campaign {
    warm: 300,
    connections: 1_200,
    most_growth: 800_000,
    // Less than one of the frames that hostile brokers announce.
    most_at_a_time: 16 * 1024 * 1024,
    most_resident_growth: 32 * 1024 * 1024,
};
const SETUP_TIMEOUT: Duration = Duration::from_millis(200);

fn producer(bootstrap_servers: &str) -> KafkaProducer {
    impatient(bootstrap_servers)
        .security_protocol(SecurityProtocol::Ssl)
        .tls(Tls::new().truststore_pem(MockTls::ca_pem()))
        .socket_connection_setup_timeout(SETUP_TIMEOUT)
        .socket_connection_setup_timeout_max(SETUP_TIMEOUT)
        .build()
        .unwrap()
}

#[test]
fn hostile_handshakes_leave_no_trace() {
    let producers = |addresses: &str| (0..PRODUCERS).map(|_| producer(addresses)).collect();

    CAMPAIGN.run(TlsBroker::new(), producers, |_| true);
}
