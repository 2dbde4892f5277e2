//! Runs one of the programs against a mock cluster: `rdkafka`, `java`, `confluent-kafka` or `krafka`.

use std::path::Path;

use kafka_mock::MockCluster;
use migration::{AnyError, from_confluent_kafka, from_java, from_krafka, from_rdkafka};

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let cluster = MockCluster::start(3).await?;
    cluster.create_topic("orders", 4, 3)?;
    let servers = cluster.bootstrap_servers();
    match std::env::args().nth(1).as_deref() {
        Some("confluent-kafka") => {
            from_confluent_kafka::run(&servers).await?;
            from_confluent_kafka::run_transaction(&servers).await
        }
        Some("java") => {
            let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/producer.properties"));
            from_java::run(&servers, file).await?;
            from_java::run_transaction(&servers).await
        }
        Some("krafka") => {
            from_krafka::run(&servers).await?;
            from_krafka::run_transaction(&servers).await
        }
        Some("rdkafka") => {
            from_rdkafka::run(&servers).await?;
            let of_thread = servers.clone();
            tokio::task::spawn_blocking(move || from_rdkafka::run_on_a_thread(&of_thread)).await??;
            from_rdkafka::run_transaction(&servers).await
        }
        _ => Err("from which client? rdkafka, java, confluent-kafka or krafka".into()),
    }
}
