//! Producers, transactions and partitions that have ended.

use std::time::Duration;

use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{KafkaProducer, Purge, TransactionalProducer};

use super::sheet::{Told, compare};
use crate::support::logged::Logged;
use crate::support::{
    TOPIC, TestResult, builder, cluster_with, enqueue_all, record, record_for, results, run_out, seconds,
    soon, until,
};

fn transactional(logged: &Logged, cluster: &MockCluster) -> TransactionalProducer {
    logged.builder(cluster).transactional_id("payments-1").build_transactional().unwrap()
}

#[tokio::test]
async fn fenced_transaction() -> TestResult {
    let logged = Logged::by("fenced-transaction");
    let cluster = MockCluster::builder().transaction_version(2).start().await?;
    cluster.create_topic(TOPIC, 1, 1)?;
    let mut first = transactional(&logged, &cluster);
    let transaction = first.begin_transaction().await?;
    transaction.send(record_for(0, "of the first")).await?;
    let mut second = builder(&cluster).transactional_id("payments-1").build_transactional()?;
    let _other = second.begin_transaction().await?;

    let error = transaction.commit().await.unwrap_err();

    compare(&logged, "Fenced: transaction", &Told::transaction(&error));
    Ok(())
}

#[tokio::test]
async fn transactional_id_of_others() -> TestResult {
    let logged = Logged::by("transactional-id-of-others");
    let cluster = cluster_with(1, 1).await;
    cluster.inject(Fault::error_code(53).api(Api::InitProducerId).always());
    let mut producer = transactional(&logged, &cluster);

    let error = soon("a refusal", producer.begin_transaction()).await.unwrap_err();

    compare(&logged, "Not authorised for the transactional id", &Told::transaction(&error));
    Ok(())
}

#[tokio::test]
async fn closed() -> TestResult {
    let logged = Logged::by("closed");
    let cluster = cluster_with(1, 1).await;
    let producer = logged.builder(&cluster).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    let _delivery = soon("enqueue", producer.enqueue(record("x"))).await?;
    until("it is sent", || producer.metrics().produce_requests_sent == 2).await;

    let report = soon("close", producer.close(Duration::ZERO)).await;

    compare(&logged, "Closed before delivery", &Told::delivery(&report.undelivered[0]));

    logged.forget();
    let error = soon("send", producer.send(record("y"))).await.unwrap_err();

    compare(&logged, "Closed", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn runtime_gone() -> TestResult {
    let logged = Logged::by("runtime-gone");
    let cluster = cluster_with(1, 1).await;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let builder = logged.builder(&cluster);
    let producer: KafkaProducer = runtime.spawn(async move { builder.build().unwrap() }).await?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    let delivery = soon("enqueue", producer.enqueue(record("x"))).await?;
    until("it is sent", || producer.metrics().produce_requests_sent == 2).await;

    runtime.shutdown_background();
    let under_way = soon("delivery", delivery).await.unwrap_err();

    logged.told().await;
    compare(&logged, "Runtime gone before delivery", &Told::delivery(&under_way));

    logged.forget();
    let error = soon("send", producer.send(record("y"))).await.unwrap_err();

    compare(&logged, "Runtime gone", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn purged() -> TestResult {
    let logged = Logged::by("purged");
    let cluster = cluster_with(1, 1).await;
    let producer = logged.builder(&cluster).linger(seconds(600)).delivery_timeout(seconds(900)).build()?;
    let _delivery = soon("enqueue", producer.enqueue(record("x"))).await?;

    let purged = soon("purge", producer.purge(Purge::All)).await;

    logged.told().await;
    compare(&logged, "Purged", &Told::delivery(&purged[0]));
    Ok(())
}

#[tokio::test]
async fn withdrawn() -> TestResult {
    let logged = Logged::by("withdrawn");
    let cluster = cluster_with(1, 1).await;
    let producer = logged.builder(&cluster).linger(seconds(600)).delivery_timeout(seconds(900)).build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;

    let is_queued = || producer.metrics().partitions.iter().any(|partition| partition.queued_batches == 1);
    let sent = producer.send_timeout(record("x"), seconds(1));
    let error = run_out("send", sent, is_queued, seconds(1)).await.unwrap_err();

    logged.told().await;
    compare(&logged, "Withdrawn", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn waiting_amid_async_code() -> TestResult {
    let logged = Logged::by("waiting-amid-async-code");
    let cluster = cluster_with(1, 1).await;
    let producer = logged.builder(&cluster).build()?;

    let error = producer.send_blocking(record("x")).unwrap_err();

    compare(&logged, "Waiting amid async code", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn stopped() -> TestResult {
    let logged = Logged::by("stopped");
    let cluster = cluster_with(1, 1).await;
    let producer = logged.builder(&cluster).fail_stop(true).batch_size(1).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.inject(Fault::error_code(87).api(Api::Produce));
    let deliveries = enqueue_all(&producer, (0..2).map(record)).await;

    let failed = results(deliveries).await;

    compare(&logged, "Stopped", &Told::delivery(failed[1].as_ref().unwrap_err()));

    logged.forget();
    let later = soon("send", producer.send(record("later"))).await.unwrap_err();

    compare(&logged, "Stopped: later records", &Told::send(&later));
    Ok(())
}
