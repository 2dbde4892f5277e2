//! Each program writes what it wrote with the old client, into the partitions where it wrote it.

use std::path::Path;

use kafka_mock::{MockCluster, MockRecord};
use migration::{AnyError, from_confluent_kafka, from_java, from_krafka, from_rdkafka};

/// Where `customer-7` belongs among four partitions: by librdkafka's hash, which is CRC-32, and by Java's, which is murmur2.
const BY_CRC32: i32 = 0;
const BY_MURMUR2: i32 = 3;

async fn shop() -> Result<MockCluster, AnyError> {
    let cluster = MockCluster::start(3).await?;
    cluster.create_topic("orders", 4, 3)?;
    Ok(cluster)
}

/// What there is of the customer, in its order.
fn of_customer(cluster: &MockCluster, partition: i32) -> Vec<MockRecord> {
    let records = cluster.records("orders", partition).into_iter();
    records.filter(|record| record.key.as_deref() == Some(b"customer-7")).collect()
}

fn values(records: &[MockRecord]) -> Vec<Option<&[u8]>> {
    records.iter().map(|record| record.value.as_deref()).collect()
}

fn total(cluster: &MockCluster) -> usize {
    (0..4).map(|partition| cluster.records("orders", partition).len()).sum()
}

#[tokio::test]
async fn from_rdkafka() -> Result<(), AnyError> {
    let cluster = shop().await?;
    let servers = cluster.bootstrap_servers();

    from_rdkafka::run(&servers).await?;
    let of_thread = servers.clone();
    tokio::task::spawn_blocking(move || from_rdkafka::run_on_a_thread(&of_thread)).await??;
    from_rdkafka::run_transaction(&servers).await?;

    let written = of_customer(&cluster, BY_CRC32);
    let expected: [Option<&[u8]>; 5] =
        [Some(b"2 apples"), None, Some(b"7"), Some(b"3 pears"), Some(b"5 plums")];
    assert_eq!(values(&written), expected);
    assert_eq!(written[1].headers.len(), 1);
    assert_eq!(total(&cluster), 104);
    Ok(())
}

#[tokio::test]
async fn from_java() -> Result<(), AnyError> {
    let cluster = shop().await?;
    let servers = cluster.bootstrap_servers();

    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/producer.properties"));
    from_java::run(&servers, file).await?;
    from_java::run_transaction(&servers).await?;

    let written = of_customer(&cluster, BY_MURMUR2);
    let number = |number: i64| Some(number.to_be_bytes().to_vec());
    let expected = [number(2), None, number(7), number(3), number(5)];
    assert_eq!(values(&written), expected.iter().map(Option::as_deref).collect::<Vec<_>>());
    assert_eq!(total(&cluster), 104);
    Ok(())
}

#[tokio::test]
async fn from_confluent_kafka() -> Result<(), AnyError> {
    let cluster = shop().await?;
    let servers = cluster.bootstrap_servers();

    from_confluent_kafka::run(&servers).await?;
    from_confluent_kafka::run_transaction(&servers).await?;

    let expected: [Option<&[u8]>; 4] = [Some(b"2 apples"), None, Some(b"7"), Some(b"5 plums")];
    assert_eq!(values(&of_customer(&cluster, BY_CRC32)), expected);
    assert_eq!(total(&cluster), 103);
    Ok(())
}

#[tokio::test]
async fn from_krafka() -> Result<(), AnyError> {
    let cluster = shop().await?;
    let servers = cluster.bootstrap_servers();

    from_krafka::run(&servers).await?;
    from_krafka::run_transaction(&servers).await?;

    let written = of_customer(&cluster, BY_MURMUR2);
    let expected: [Option<&[u8]>; 4] = [Some(b"2 apples"), None, Some(b"7"), Some(b"5 plums")];
    assert_eq!(values(&written), expected);
    assert_eq!(written[1].headers.len(), 1);
    assert_eq!(total(&cluster), 103);
    Ok(())
}
