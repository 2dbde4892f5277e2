//! What the tests share: clusters, producers with short waits, and bounded waiting for conditions.

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use kafka_mock::{MockCluster, MockRecord};
use kafka_producer::{
    BootstrapServers, Delivery, DeliveryError, KafkaProducer, KafkaProducerBuilder, ProducerRecord,
    RecordMetadata,
};

pub(crate) mod logged;

pub(crate) type TestResult = Result<(), Box<dyn Error>>;

/// The topic of most tests.
pub(crate) const TOPIC: &str = "orders";

/// Long enough for the busiest machine, since only a test that fails waits for so long.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Starts brokers, with a topic that has a replica on each.
pub(crate) async fn cluster_with(brokers: i32, partitions: i32) -> MockCluster {
    let cluster = MockCluster::builder().brokers(brokers).auto_create_topics(false, 1).start().await.unwrap();
    cluster.create_topic(TOPIC, partitions, i16::try_from(brokers).unwrap()).unwrap();
    cluster
}

/// A producer that retries and reconnects at once and does not linger.
pub(crate) fn builder(cluster: &MockCluster) -> KafkaProducerBuilder {
    builder_at(cluster.bootstrap_servers())
}

pub(crate) fn builder_at(bootstrap_servers: impl Into<BootstrapServers>) -> KafkaProducerBuilder {
    KafkaProducer::builder()
        .bootstrap_servers(bootstrap_servers)
        .linger(Duration::ZERO)
        .retry_backoff(millis(5))
        .retry_backoff_max(millis(20))
        .reconnect_backoff(millis(5))
        .reconnect_backoff_max(millis(20))
        .request_timeout(seconds(5))
        .delivery_timeout(seconds(60))
        .max_block(seconds(60))
}

pub(crate) fn producer(cluster: &MockCluster) -> KafkaProducer {
    builder(cluster).build().unwrap()
}

/// A record without a key whose value is this text.
pub(crate) fn record(value: impl ToString) -> ProducerRecord {
    ProducerRecord::to(TOPIC).value(value.to_string())
}

/// The same for a partition.
pub(crate) fn record_for(partition: i32, value: impl ToString) -> ProducerRecord {
    record(value).partition(partition)
}

/// Waits for something that must come soon.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("still waiting for: {what}"),
    }
}

/// Waits until a condition holds that other tasks bring about.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    soon(what, async {
        while !condition() {
            tokio::time::sleep(millis(1)).await;
        }
    })
    .await;
}

/// Waits until the producer has no byte in memory, which may be a moment after the last result.
pub(crate) async fn empty<K, V>(producer: &KafkaProducer<K, V>)
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    until("memory is back", || producer.metrics().buffered_bytes == 0).await;
}

/// Begins a call, lets the time run ahead once the condition holds, and waits for what comes of the call.
///
/// For calls that end with a timeout: a real one would be so short that a busy machine overruns it too early, or so
/// long that the test takes its time.
pub(crate) async fn run_out<F: Future>(
    what: &str,
    call: F,
    condition: impl FnMut() -> bool,
    time: Duration,
) -> F::Output {
    let mut call = pin!(call);
    tokio::select! {
        biased;
        output = &mut call => return output,
        () = until("the call waits", condition) => {}
    }
    skip_time(time).await;
    soon(what, call).await
}

/// Enqueues records in their order.
pub(crate) async fn enqueue_all(
    producer: &KafkaProducer,
    records: impl IntoIterator<Item = ProducerRecord>,
) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for record in records {
        deliveries.push(soon("enqueue", producer.enqueue(record)).await.unwrap());
    }
    deliveries
}

/// Waits for all results.
pub(crate) async fn results(
    deliveries: impl IntoIterator<Item = Delivery>,
) -> Vec<Result<RecordMetadata, DeliveryError>> {
    let mut results = Vec::new();
    for delivery in deliveries {
        results.push(soon("delivery", delivery).await);
    }
    results
}

/// Waits for all results, which must be good.
pub(crate) async fn delivered(deliveries: impl IntoIterator<Item = Delivery>) -> Vec<RecordMetadata> {
    results(deliveries).await.into_iter().map(Result::unwrap).collect()
}

/// Lets the clock of a current-thread runtime run ahead, timers included.
pub(crate) async fn skip_time(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// The values in a partition's log, as text.
pub(crate) fn log_of(cluster: &MockCluster, partition: i32) -> Vec<String> {
    cluster.records(TOPIC, partition).iter().map(text).collect()
}

/// The values in the logs of all partitions.
pub(crate) fn logs_of(cluster: &MockCluster) -> Vec<Vec<String>> {
    let partitions = i32::try_from(cluster.partition_count(TOPIC)).unwrap();
    (0..partitions).map(|partition| log_of(cluster, partition)).collect()
}

fn text(record: &MockRecord) -> String {
    String::from_utf8(record.value.as_deref().unwrap_or_default().to_vec()).unwrap()
}

/// The texts of the numbers in a range, as `record(number)` makes them.
pub(crate) fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Removes what a retry after a lost answer wrote again, keeping the first of each.
pub(crate) fn without_repeats(mut log: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    log.retain(|value| seen.insert(value.clone()));
    log
}
