//! Sessions that the brokers end after two seconds are renewed on the connections in use, under load.

use std::time::Duration;

use bytes::Bytes;
use kafka_producer::ProducerRecord;

use super::CLOSE_LIMIT;
use super::client;
use super::client::Mechanism;
use crate::support::Isolation;
use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::wait;

const TOPIC: &str = "renewed";
/// Two renewals at least.
const LOAD: Duration = Duration::from_secs(5);
/// The same where time does not matter, for one producer after the other.
const LONG_LOAD: Duration = Duration::from_secs(30);
const AT_ONCE: u64 = 500;
const PAUSE: Duration = Duration::from_millis(2);

/// What a producer has done that had a partition for itself.
struct Sent {
    name: String,
    records: u64,
    connections: u64,
}

pub(super) async fn sessions_are_renewed_under_load(cluster: &KafkaCluster) {
    let listeners = [Listener::SaslPlaintextShort, Listener::SaslSslShort];
    let mut cells: Vec<(Listener, Mechanism)> = Vec::new();
    for listener in listeners {
        let mechanisms = client::mechanisms_of(listener, cluster.version()).into_iter().flatten();
        cells.extend(mechanisms.map(|mechanism| (listener, mechanism)));
    }
    cluster.create_topic(TOPIC, i32::try_from(cells.len()).expect("few cells"), 1, &[]).await;

    let loads = (0..).zip(&cells).map(|(partition, cell)| load(cluster, *cell, partition));
    let mut sent = Vec::new();
    if super::is_whole() {
        for load in loads {
            sent.push(load.await);
        }
    } else {
        sent = futures::future::join_all(loads).await;
    }
    let mut found: Vec<Vec<Bytes>> = vec![Vec::new(); cells.len()];
    for record in cluster.consume_all(TOPIC, Isolation::ReadUncommitted).await {
        let partition = usize::try_from(record.partition).expect("positive");
        found[partition].push(record.value.expect("a value"));
    }

    for (Sent { name, records, connections }, found) in sent.into_iter().zip(found) {
        assert_eq!(u64::try_from(found.len()).expect("few"), records, "{name}");
        let is_in_order = found.iter().zip(0_u64..).all(|(found, number)| *found == number.to_be_bytes()[..]);
        assert!(is_in_order, "{name}");
        // A broker that has to wait for its processor around the end of a session ends the connection. In half a minute on a busy
        // machine that happens.
        let allowed = if super::is_whole() { 2 } else { 1 };
        assert!(connections <= allowed, "{name}: {connections} connections for one that is renewed");
    }
}

/// Sends numbers to a partition for a while.
async fn load(cluster: &KafkaCluster, (listener, mechanism): (Listener, Mechanism), partition: i32) -> Sent {
    let name = format!("{listener:?} with {}", mechanism.name());
    let producer = client::producer(&client::properties(cluster, listener, Some(mechanism)));
    let limit = if super::is_whole() { LONG_LOAD } else { LOAD };
    let begin = wait::now();
    let mut records = 0;
    let mut deliveries = Vec::new();
    while begin.elapsed() < limit {
        for number in records..records + AT_ONCE {
            let value = Bytes::copy_from_slice(&number.to_be_bytes());
            let record = ProducerRecord::to(TOPIC).partition(partition).value(value);
            deliveries.push(producer.enqueue(record).await.expect("accepted"));
        }
        records += AT_ONCE;
        tokio::time::sleep(PAUSE).await;
    }
    for (delivery, number) in deliveries.into_iter().zip(0..) {
        let metadata = delivery.await.unwrap_or_else(|error| panic!("{name}: record {number}: {error}"));
        assert_eq!(metadata.offset(), Some(number), "{name}: offsets follow each other");
    }
    let metrics = producer.metrics();
    let report = producer.close(CLOSE_LIMIT).await;
    let (connections, retries) = (metrics.connections_created, metrics.record_retries);
    println!("{name}: {records} records by {connections} connection(s), {retries} sent again");
    assert_eq!((report.delivered, report.failed), (records, 0), "{name}");
    Sent { name, records, connections }
}
