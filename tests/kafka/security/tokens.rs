//! Delegation tokens (KIP-48), made by Kafka's own tool.

use std::time::Duration;

use kafka_producer::Disposition;
use kafka_producer::ProducerRecord;
use kafka_producer::SendError;

use super::CLOSE_LIMIT;
use super::client;
use super::client::Mechanism;
use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::wait;

const TOPIC: &str = "delegated";
const LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn delegation_tokens_let_producers_in(cluster: &KafkaCluster) {
    cluster.create_topic(TOPIC, 1, 1, &[]).await;
    let (id, hmac) = create(cluster).await;
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512] {
        let name = mechanism.name();
        let right = with_token(cluster, mechanism, &id, &hmac);
        // Brokers take in a new token a little later.
        wait::wait_for(&format!("a producer let in by {id} with {name}"), LIMIT, async || {
            send(&right).await.ok()
        })
        .await;
        println!("delegation token with {name}: accepted");

        let wrong = send(&with_token(cluster, mechanism, &id, "d3Jvbmc=")).await;

        let error = wrong.expect_err("a wrong token is refused");
        assert_eq!(error.disposition(), Disposition::FixConfiguration, "{error}");
        println!("wrong delegation token with {name}: {error}");
    }
}

/// Sends one record.
async fn send(properties: &str) -> Result<(), SendError> {
    let producer = client::producer(properties);
    let sent = producer.send(ProducerRecord::to(TOPIC).value("x")).await;
    let _ = producer.close(CLOSE_LIMIT).await;
    sent.map(drop)
}

/// Has the user of the cluster make a token. Returns its id and its HMAC.
async fn create(cluster: &KafkaCluster) -> (String, String) {
    let servers = cluster.bootstrap_servers_of(Listener::SaslPlaintext);
    let file = cluster.directory().join("owner.properties");
    let properties = client::properties(cluster, Listener::SaslPlaintext, Some(Mechanism::ScramSha256));
    std::fs::write(&file, properties).expect("a file");
    let file = file.to_str().expect("a path of text");
    let mut arguments = vec!["--bootstrap-server", &servers, "--command-config", file, "--create"];
    arguments.extend(["--max-life-time-period", "-1"]);
    let output = cluster.run_tool(cluster.version().delegation_token_command(), &arguments, Vec::new()).await;
    let output = String::from_utf8(output).expect("text");
    let row = output.lines().rfind(|line| !line.trim().is_empty()).expect("a table");
    let mut columns = row.split_whitespace().map(str::to_owned);
    let (Some(id), Some(hmac)) = (columns.next(), columns.next()) else { panic!("{output}") };
    (id, hmac)
}

fn with_token(cluster: &KafkaCluster, mechanism: Mechanism, id: &str, hmac: &str) -> String {
    format!(
        "bootstrap.servers={}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism={}\n\
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  username=\"{id}\" \\\n  \
         password=\"{hmac}\" \\\n  tokenauth=\"true\";\n",
        cluster.bootstrap_servers_of(Listener::SaslPlaintext),
        mechanism.name()
    )
}
