//! The recipe of `docs/transactions.md` for exactly once into Kafka: the position in another system stands in a topic beside, and is written
//! in the transaction of the records.

use std::time::Duration;

use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{
    Disposition, ProducerRecord, TransactionError, TransactionErrorKind, TransactionalProducer,
};

use crate::support::{TOPIC, TestResult, builder, millis, soon};

const PROGRESS: &str = "import-progress";
const SOURCE: &str = "table-7";
const ROWS: usize = 200;
const PART: usize = 7;

async fn cluster(version: i16) -> MockCluster {
    let cluster = MockCluster::builder().brokers(3).auto_create_topics(false, 1).transaction_version(version);
    let cluster = cluster.start().await.unwrap();
    cluster.create_topic(TOPIC, 3, 3).unwrap();
    cluster.create_topic(PROGRESS, 1, 3).unwrap();
    cluster
}

fn importer(cluster: &MockCluster) -> TransactionalProducer {
    builder(cluster).transactional_id("import-1").build_transactional().unwrap()
}

fn text(value: Option<bytes::Bytes>) -> String {
    String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()
}

/// How many rows are written for certain.
fn position(cluster: &MockCluster) -> usize {
    let records = cluster.committed_records(PROGRESS, 0);
    records.into_iter().next_back().map_or(0, |record| text(record.value).parse().unwrap())
}

/// Starts as a new process does, and imports what is left.
async fn import(cluster: &MockCluster) -> Result<(), TransactionError> {
    let mut producer = importer(cluster);
    // From here on no instance before this one can commit.
    drop(producer.begin_transaction().await?);
    let mut position = position(cluster);
    while position < ROWS {
        let next = (position + PART).min(ROWS);
        match write(&mut producer, position..next).await {
            Ok(()) => position = next,
            Err(error) if error.disposition() == Disposition::AbortTransaction => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn write(
    producer: &mut TransactionalProducer,
    rows: std::ops::Range<usize>,
) -> Result<(), TransactionError> {
    let next = rows.end;
    let transaction = producer.begin_transaction().await?;
    for row in rows {
        let partition = i32::try_from(row % 3).unwrap();
        let record = ProducerRecord::to(TOPIC).partition(partition).value(format!("row {row:03}"));
        drop(transaction.enqueue(record).await);
    }
    drop(transaction.enqueue(ProducerRecord::to(PROGRESS).key(SOURCE).value(next.to_string())).await);
    transaction.commit().await
}

fn imported(cluster: &MockCluster) -> Vec<String> {
    let records = (0..3).flat_map(|partition| cluster.committed_records(TOPIC, partition));
    let mut values: Vec<_> = records.map(|record| text(record.value)).collect();
    values.sort();
    values
}

fn all_rows() -> Vec<String> {
    (0..ROWS).map(|row| format!("row {row:03}")).collect()
}

#[tokio::test]
async fn position_in_a_side_topic_makes_an_import_exactly_once() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        for stop in 0..15 {
            let lost = [Fault::disconnect_after, Fault::disconnect_before, Fault::reset_after];
            let apis = [Api::EndTxn, Api::Produce, Api::InitProducerId];
            cluster.inject(lost[stop % 3]().api(apis[stop % 2]).skip(2));
            cluster.inject(lost[stop % 2]().api(apis[stop % 3]));
            cluster.inject(Fault::error_code(120).api(Api::EndTxn).skip(3));
            // Whatever it is in the middle of, that is the end of this instance.
            let ran =
                tokio::time::timeout(Duration::from_millis(2 + 4 * stop as u64), import(&cluster)).await;
            if let Ok(Err(error)) = ran {
                let disposition = error.disposition();
                let is_expected = matches!(disposition, Disposition::NewProducer | Disposition::FindOutcome);
                assert!(is_expected, "version {version}: {error}");
            }
        }
        cluster.clear_faults();
        soon("the import", import(&cluster)).await?;

        assert_eq!(imported(&cluster), all_rows(), "version {version}");
    }
    Ok(())
}

#[tokio::test]
async fn importer_that_was_thought_dead_adds_nothing() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut old = importer(&cluster);
        write(&mut old, 0..PART).await?;
        let transaction = old.begin_transaction().await?;
        transaction.send(ProducerRecord::to(TOPIC).partition(0).value("row 007")).await?;

        soon("the import", import(&cluster)).await?;
        drop(transaction.enqueue(ProducerRecord::to(PROGRESS).key(SOURCE).value("8")).await);
        let error = transaction.commit().await.unwrap_err();

        assert!(matches!(error.kind(), TransactionErrorKind::Fenced { .. }), "version {version}: {error}");
        assert_eq!(imported(&cluster), all_rows(), "version {version}");
        assert_eq!(position(&cluster), ROWS);
    }
    Ok(())
}

#[tokio::test]
async fn commit_in_doubt_is_settled_by_the_next_producer() -> TestResult {
    for is_done in [true, false] {
        let cluster = cluster(2).await;
        let mut producer = importer(&cluster);
        let transaction = producer.begin_transaction().await?;
        drop(transaction.enqueue(ProducerRecord::to(PROGRESS).key(SOURCE).value("5")).await?.await?);
        let fault = if is_done { Fault::drop_response() } else { Fault::disconnect_before().always() };
        cluster.inject(fault.api(Api::EndTxn));
        assert!(tokio::time::timeout(millis(50), transaction.commit()).await.is_err());
        let report = producer.close(millis(20)).await;
        let error = report.unseen_commit.unwrap().unwrap_err();
        assert_eq!(error.disposition(), Disposition::FindOutcome, "{error}");

        cluster.clear_faults();
        let mut next = importer(&cluster);
        drop(soon("the id", next.begin_transaction()).await?);

        let settled = position(&cluster);
        assert!(settled == 5 || settled == 0 && !is_done, "{settled}");
        next.begin_transaction().await?.commit().await?;
        assert_eq!(position(&cluster), settled);
    }
    Ok(())
}
