//! Brokers check what a producer has signed itself.

use kafka_producer::ProducerRecord;

use super::CLOSE_LIMIT;
use super::client;
use crate::support::KafkaCluster;

const TOPIC: &str = "signed";

/// The token endpoint gives back what the producer has signed, as the access token: so a broker reads the signature.
pub(super) async fn signatures_of_producers_are_genuine(cluster: &KafkaCluster) {
    let Some(issuer) = cluster.issuer() else { return };
    cluster.create_topic(TOPIC, 1, 1, &[]).await;
    for signer in [
        ("RS256", "client-rsa", "client-rsa"),
        ("RS256", "client-rsa", "client-rsa-encrypted"),
        ("ES256", "client", "client"),
        ("ES256", "client", "client-encrypted"),
    ] {
        let (algorithm, _, key) = signer;
        let producer = client::producer(&client::properties_that_sign(cluster, issuer, signer));

        let sent = producer.send(ProducerRecord::to(TOPIC).value(key)).await;

        sent.unwrap_or_else(|error| panic!("{algorithm} by {key}: {error}"));
        let _ = producer.close(CLOSE_LIMIT).await;
        println!("{algorithm} by {key}.key: the broker accepts the signature");
    }
}
