//! A pool of transactional producers against `kafka-mock`.

use futures::FutureExt;
use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{KafkaProducerBuilder, PoolError, TransactionErrorKind, TransactionalProducerPool};

use crate::support::{TOPIC, TestResult, builder, builder_at, millis, record_for, soon, until};

const PREFIX: &str = "payments-";
const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const TRANSACTION_ABORTABLE: i16 = 120;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;

async fn cluster() -> MockCluster {
    let cluster = MockCluster::builder().brokers(3).auto_create_topics(false, 1).start().await.unwrap();
    cluster.create_topic(TOPIC, 3, 3).unwrap();
    cluster
}

/// What makes the producers of a pool, with a short `max.block.ms`.
fn factory(cluster: &MockCluster) -> impl Fn() -> KafkaProducerBuilder + Send + Sync + 'static {
    let servers = cluster.bootstrap_servers();
    move || builder_at(servers.as_str()).max_block(millis(2000))
}

async fn pool(cluster: &MockCluster, size: usize) -> TransactionalProducerPool {
    TransactionalProducerPool::start(PREFIX, size, factory(cluster)).await.unwrap()
}

fn committed(cluster: &MockCluster) -> Vec<String> {
    let records = (0..3).flat_map(|partition| cluster.committed_records(TOPIC, partition));
    let text = |value: Option<bytes::Bytes>| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
    let mut values: Vec<_> = records.map(|record| text(record.value)).collect();
    values.sort();
    values
}

#[tokio::test]
async fn pool_that_starts_fences_every_producer_that_had_its_ids() -> TestResult {
    let cluster = cluster().await;
    let mut dead = builder(&cluster).transactional_id("payments-2").build_transactional()?;
    let transaction = dead.begin_transaction().await?;
    transaction.send(record_for(0, "of the dead")).await?;

    let pool = pool(&cluster, 3).await;

    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error.kind(), TransactionErrorKind::Fenced { .. }), "{error}");
    assert_eq!((pool.size(), pool.idle()), (3, 3));
    let mut ids: Vec<_> = cluster.transactions().into_keys().collect();
    ids.sort();
    assert_eq!(ids, ["payments-0", "payments-1", "payments-2"]);
    assert_eq!(committed(&cluster), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn transactions_of_several_producers_are_open_at_once() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 3).await;

    let mut producers = Vec::new();
    for _ in 0..3 {
        producers.push(pool.acquire().await?);
    }
    let mut open = Vec::new();
    for (number, producer) in producers.iter_mut().enumerate() {
        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, number)).await?;
        open.push(transaction);
    }
    for transaction in open {
        transaction.commit().await?;
    }

    assert_eq!(committed(&cluster), ["0", "1", "2"]);
    Ok(())
}

#[tokio::test]
async fn caller_waits_for_a_producer_that_comes_back() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 1).await;
    let taken = pool.acquire().await?;

    let error = pool.acquire().await.unwrap_err();
    assert!(matches!(error, PoolError::Exhausted { size: 1, .. }), "{error}");
    let mut waiting = Box::pin(pool.acquire());
    assert!(tokio::time::timeout(millis(20), &mut waiting).await.is_err());
    drop(taken);
    let mut producer = soon("a producer", waiting).await?;

    producer.begin_transaction().await?.commit().await?;
    Ok(())
}

#[tokio::test]
async fn wait_that_is_dropped_takes_no_producer() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 1).await;
    let taken = pool.acquire().await?;
    for _ in 0..10 {
        assert!(tokio::time::timeout(millis(1), pool.acquire()).await.is_err());
    }

    drop(taken);

    assert_eq!(pool.idle(), 1);
    drop(soon("a producer", pool.acquire()).await?);
    Ok(())
}

#[tokio::test]
async fn transaction_that_is_not_finished_is_aborted_before_the_next_caller() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 1).await;
    let mut producer = pool.acquire().await?;
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "dropped")).await?;

    drop(transaction);
    drop(producer);
    let mut producer = pool.acquire().await?;
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "kept")).await?;
    transaction.commit().await?;

    assert_eq!(committed(&cluster), ["kept"]);
    Ok(())
}

#[tokio::test]
async fn commit_that_a_caller_let_go_of_is_not_told_to_the_next() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 1).await;
    let mut producer = pool.acquire().await?;
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    cluster.inject(Fault::delay(millis(300)).api(Api::EndTxn));
    cluster.inject(Fault::error_code(TRANSACTION_ABORTABLE).api(Api::EndTxn));

    assert!(tokio::time::timeout(millis(20), transaction.commit()).await.is_err());
    drop(producer);

    let mut producer = pool.acquire().await?;
    producer.begin_transaction().await?.commit().await?;
    Ok(())
}

#[tokio::test]
async fn producer_that_cannot_go_on_is_replaced() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 1).await;
    let mut producer = pool.acquire().await?;
    let transaction = producer.begin_transaction().await?;
    cluster.inject(Fault::error_code(TRANSACTIONAL_ID_AUTHORIZATION_FAILED).api(Api::Produce));
    drop(transaction.enqueue(record_for(0, "lost")).await?);
    assert!(transaction.commit().await.is_err());
    assert!(producer.begin_transaction().await.is_err());

    drop(producer);
    let mut producer = pool.acquire().await?;
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "again")).await?;
    transaction.commit().await?;

    assert_eq!(committed(&cluster), ["again"]);
    assert_eq!(cluster.transactions().len(), 1);
    Ok(())
}

#[tokio::test]
async fn id_that_another_producer_has_taken_is_left_to_it() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 2).await;
    let mut producer = pool.acquire().await?;
    let id = producer.config_value("transactional.id").unwrap();
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "old")).await?;
    let mut other = builder(&cluster).transactional_id(id).build_transactional()?;
    let taking = other.begin_transaction().await?;
    assert!(transaction.commit().await.is_err());
    drop(producer);

    // The other one of the pool is of use.
    for _ in 0..3 {
        let mut producer = pool.acquire().await?;
        producer.begin_transaction().await?.commit().await?;
    }
    assert_eq!(pool.size(), 1);
    taking.send(record_for(0, "new")).await?;
    taking.commit().await?;

    assert_eq!(committed(&cluster), ["new"]);
    Ok(())
}

#[tokio::test]
async fn id_that_another_producer_may_have_taken_is_not_taken_back() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 1).await;
    let mut producer = pool.acquire().await?;
    let transaction = producer.begin_transaction().await?;
    cluster.inject(Fault::error_code(INVALID_PRODUCER_ID_MAPPING).api(Api::Produce));
    drop(transaction.enqueue(record_for(0, "lost")).await?);
    assert!(transaction.commit().await.is_err());
    drop(producer);

    let error = pool.acquire().await.unwrap_err();

    let PoolError::Fenced { source, .. } = &error else { panic!("{error}") };
    assert!(source.to_string().contains("INVALID_PRODUCER_ID_MAPPING"), "{source}");
    Ok(())
}

#[tokio::test]
async fn pool_whose_ids_were_all_taken_says_so() -> TestResult {
    let cluster = cluster().await;
    let first = pool(&cluster, 1).await;
    let second = pool(&cluster, 1).await;
    let mut producer = first.acquire().await?;
    if let Ok(transaction) = producer.begin_transaction().await {
        drop(transaction.enqueue(record_for(0, "late")).await?);
        assert!(transaction.commit().await.is_err());
    }
    drop(producer);

    let error = first.acquire().await.unwrap_err();

    assert!(matches!(error, PoolError::Fenced { .. }), "{error}");
    second.acquire().await?.begin_transaction().await?.commit().await?;
    Ok(())
}

#[tokio::test]
async fn pool_does_not_start_without_all_of_its_ids() {
    let cluster = cluster().await;
    cluster.inject(Fault::error_code(TRANSACTIONAL_ID_AUTHORIZATION_FAILED).api(Api::InitProducerId));

    let error = TransactionalProducerPool::start(PREFIX, 2, factory(&cluster)).await.unwrap_err();

    assert!(matches!(error, PoolError::Start { .. }), "{error}");
}

#[tokio::test]
async fn pool_closes_all_producers_those_in_use_once_they_come_back() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 3).await;
    let mut producer = pool.acquire().await?;
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;

    let closing = tokio::spawn({
        let pool = pool.clone();
        async move { pool.close(millis(20_000)).await }
    });
    // Closing does not touch what is in use.
    transaction.commit().await?;
    drop(producer);
    let reports = soon("the reports", closing).await?;

    assert_eq!(reports.len(), 3);
    assert!(matches!(pool.acquire().await.unwrap_err(), PoolError::Closed));
    assert_eq!(committed(&cluster), ["a"]);
    Ok(())
}

#[tokio::test]
async fn close_of_a_pool_ends_in_time_without_those_in_use() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 2).await;
    let producer = pool.acquire().await?;

    let reports = soon("the reports", pool.close(millis(100))).await;

    assert_eq!(reports.len(), 1);
    drop(producer);
    Ok(())
}

#[tokio::test]
async fn producer_that_comes_back_too_late_ends() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 2).await;
    let mut producer = pool.acquire().await?;
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "late")).await?;
    assert_eq!(soon("the reports", pool.close(millis(100))).await.len(), 1);

    transaction.commit().await?;
    drop(producer);

    until("connections are closed", || (0..3).all(|broker| cluster.open_connections(broker) == 0)).await;
    assert_eq!((pool.idle(), committed(&cluster)), (0, vec!["late".to_owned()]));
    Ok(())
}

#[tokio::test]
async fn caller_gets_the_producer_whose_transaction_ends_first() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 2).await;
    let (mut slow, mut quick) = (pool.acquire().await?, pool.acquire().await?);
    let quick_id = quick.transactional_id().to_owned();
    for (asked, producer) in (0..).zip([&mut slow, &mut quick]) {
        let wait = if asked == 0 { millis(600_000) } else { millis(300) };
        cluster.inject(Fault::delay(wait).api(Api::EndTxn));
        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "a")).await?;
        assert!(transaction.commit().now_or_never().is_none());
        until("the coordinator is told", || cluster.requests().of(Api::EndTxn) == asked + 1).await;
    }
    drop(slow);
    drop(quick);

    let acquired = pool.acquire().await?;

    assert_eq!(acquired.transactional_id(), quick_id);
    Ok(())
}

#[tokio::test]
async fn producers_that_change_places_keep_their_ids() -> TestResult {
    let cluster = cluster().await;
    let pool = pool(&cluster, 2).await;
    let (mut one, mut other) = (pool.acquire().await?, pool.acquire().await?);
    std::mem::swap(&mut *one, &mut *other);
    let lost = one.transactional_id().to_owned();
    let mut taker = builder(&cluster).transactional_id(lost.as_str()).build_transactional()?;
    let transaction = one.begin_transaction().await?;
    drop(taker.begin_transaction().await?);
    drop(transaction.enqueue(record_for(0, "lost")).await?);
    assert!(transaction.commit().await.is_err());
    drop((one, other));

    // A producer that was fenced is no longer of the pool, and the other one is.
    for _ in 0..3 {
        assert_ne!(pool.acquire().await?.transactional_id(), lost);
    }
    assert_eq!(pool.size(), 1);
    Ok(())
}
