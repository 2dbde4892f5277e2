//! What transactions cost, in round trips.

use std::sync::Arc;
use std::time::Duration;

use super::distant::{self, Distant, ToDistant};
use super::{ROUND_TRIP, TOPIC, cluster};
use crate::clock;
use crate::producer::KafkaProducer;
use crate::producer::transactional::{ConsumerGroupMetadata, OffsetAndMetadata, TransactionalProducer};
use crate::record::ProducerRecord;
use crate::topic_partition::{Topic, TopicPartition};

const ID: &str = "payments-1";
const GROUP: &str = "billing";

/// What a transaction consists of beside its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Record,
    RecordAndOffsets,
}

/// A cluster whose brokers are as far away as this, with a level of `transaction.version`.
fn transactional_cluster(brokers: i32, version: i16) -> Arc<Distant> {
    let cluster = cluster(ROUND_TRIP, brokers);
    cluster.brokers.lock().unwrap().set_transaction_version(Some(version));
    Arc::new(cluster)
}

fn build(cluster: &Arc<Distant>) -> TransactionalProducer {
    let builder = KafkaProducer::builder().bootstrap_servers("127.0.0.1:9092").transactional_id(ID);
    // What waits for offsets is not the end of a transaction yet, so its records would linger.
    let builder = builder.linger(Duration::ZERO);
    let producer: KafkaProducer = builder.build_with(Arc::new(ToDistant(Arc::clone(cluster)))).unwrap();
    TransactionalProducer::new(producer)
}

/// Writes and commits a transaction of one record for the last partition. Returns how long it takes.
async fn time(producer: &mut TransactionalProducer, partition: i32, content: Content) -> Duration {
    let start = clock::now();
    let transaction = producer.begin_transaction().await.unwrap();
    let record = ProducerRecord::to(TOPIC).partition(partition).value("2 apples");
    drop(transaction.enqueue(record).await.unwrap());
    if content == Content::RecordAndOffsets {
        let read = TopicPartition { topic: Topic::from(TOPIC), partition };
        let offsets = [(read, OffsetAndMetadata::new(7))];
        transaction.send_offsets(offsets, &ConsumerGroupMetadata::new(GROUP)).await.unwrap();
    }
    transaction.commit().await.unwrap();
    clock::now() - start
}

/// What was asked since the log had so many lines, without who was asked.
fn asked(cluster: &Distant, since: usize) -> Vec<String> {
    let log = cluster.log();
    let names = distant::without_versions(&log);
    names[since..].iter().filter_map(|line| line.split_once(": ")).map(|(_, name)| name.to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn transaction_costs_one_round_trip_more_than_its_records_or_two_before_kip_890() {
    for (version, requests) in
        [(1, &["AddPartitionsToTxn", "Produce", "EndTxn"][..]), (2, &["Produce", "EndTxn"])]
    {
        for brokers in [1, 3] {
            let cluster = transactional_cluster(brokers, version);
            let mut producer = build(&cluster);
            time(&mut producer, brokers - 1, Content::Record).await;
            for _ in 0..3 {
                let before = cluster.log().len();

                let took = time(&mut producer, brokers - 1, Content::Record).await;

                assert_eq!(asked(&cluster, before), requests, "version {version}, {brokers} brokers");
                assert_eq!(took, u32::try_from(requests.len()).unwrap() * ROUND_TRIP);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn offsets_cost_nothing_more_since_kip_890_and_one_round_trip_before() {
    for (version, trips, requests) in [
        (1, 4, &["AddPartitionsToTxn", "Produce", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn"][..]),
        (2, 2, &["Produce", "TxnOffsetCommit", "EndTxn"]),
    ] {
        let cluster = transactional_cluster(1, version);
        let mut producer = build(&cluster);
        time(&mut producer, 0, Content::RecordAndOffsets).await;
        let before = cluster.log().len();

        let took = time(&mut producer, 0, Content::RecordAndOffsets).await;

        let mut asked = asked(&cluster, before);
        let mut requests = requests.to_vec();
        asked.sort();
        requests.sort_unstable();
        assert_eq!(asked, requests, "version {version}");
        assert_eq!(took, trips * ROUND_TRIP, "version {version}: {asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn first_transaction_takes_seven_round_trips_from_the_start_or_eight_before_kip_890() {
    for (version, trips) in [(1, 8), (2, 7)] {
        let cluster = transactional_cluster(1, version);
        let mut producer = build(&cluster);

        let took = time(&mut producer, 0, Content::Record).await;

        assert_eq!(took, trips * ROUND_TRIP, "version {version}: {:#?}", cluster.log());
    }
}
