//! Records that do not get to the log.

use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{KafkaProducerBuilder, MetadataRecoveryStrategy};

use super::sheet::{Told, compare};
use crate::support::logged::Logged;
use crate::support::{
    TestResult, cluster_with, empty, enqueue_all, record, results, seconds, skip_time, soon, until,
};

/// Long, so that the seconds that a busy machine takes do not show in where the time went. Nothing but that ends meanwhile.
fn timed(logged: &Logged, cluster: &MockCluster) -> KafkaProducerBuilder {
    logged
        .builder(cluster)
        .delivery_timeout(seconds(1200))
        .connections_max_idle(None)
        .metadata_max_idle(seconds(5000))
        .metadata_recovery_strategy(MetadataRecoveryStrategy::None)
}

#[tokio::test]
async fn not_enough_replicas() -> TestResult {
    let logged = Logged::by("not-enough-replicas");
    let cluster = cluster_with(1, 1).await;
    cluster.set_min_insync_replicas(2);

    let producer =
        timed(&logged, &cluster).retry_backoff(seconds(5000)).retry_backoff_max(seconds(5000)).build()?;
    let is_retried = || producer.metrics().record_retries == 1;
    let error =
        logged.run_out("send", producer.send(record("x")), is_retried, seconds(1201)).await.unwrap_err();
    compare(&logged, "Not enough replicas, for too long", &Told::send(&error));

    let logged = Logged::by("retries-used-up");
    let producer = logged.builder(&cluster).retries(1).build()?;
    let error = soon("send", producer.send(record("x"))).await.unwrap_err();
    compare(&logged, "Not enough replicas, retries used up", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn too_large_here() -> TestResult {
    let logged = Logged::by("too-large-here");
    let cluster = cluster_with(1, 1).await;
    let producer = logged.builder(&cluster).max_request_size(1000).build()?;

    let error = soon("send", producer.send(record("x".repeat(2000)))).await.unwrap_err();

    compare(&logged, "Too large here", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn too_large_there() -> TestResult {
    let logged = Logged::by("too-large-there");
    let cluster = cluster_with(1, 1).await;
    cluster.set_max_message_bytes(1000);
    let producer = logged.builder(&cluster).build()?;

    let error = soon("send", producer.send(record("x".repeat(2000)))).await.unwrap_err();

    compare(&logged, "Too large there", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn buffer_full() -> TestResult {
    let logged = Logged::by("buffer-full");
    let cluster = cluster_with(1, 1).await;
    let producer = timed(&logged, &cluster)
        .request_timeout(seconds(1000))
        .batch_size(1000)
        .buffer_memory(4000)
        .build()?;
    soon("first", producer.send(record("first"))).await?;
    empty(&producer).await;
    cluster.freeze(0)?;
    let filler = "x".repeat(900);

    let error = loop {
        if let Err(error) = producer.try_enqueue(record(&filler)) {
            break error;
        }
    };
    compare(&logged, "Buffer full", &Told::send(&error));

    logged.forget();
    let is_waiting = || producer.metrics().waiting_for_memory == 1;
    let waiting = producer.enqueue(record(&filler));
    let error = logged.run_out("enqueue", waiting, is_waiting, seconds(61)).await.unwrap_err();
    compare(&logged, "Too slow: memory", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn too_slow_connecting() -> TestResult {
    let logged = Logged::by("connecting");
    let cluster = cluster_with(1, 1).await;
    let producer = timed(&logged, &cluster).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.broker_down(0).await?;

    // At the third failure the log has been told of the first.
    let is_tried = || producer.health().brokers.iter().any(|broker| broker.failures >= 3);
    let error =
        logged.run_out("send", producer.send(record("x")), is_tried, seconds(1201)).await.unwrap_err();

    compare(&logged, "Too slow: connecting", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn too_slow_broker_disconnected() -> TestResult {
    let logged = Logged::by("disconnected");
    let cluster = cluster_with(1, 1).await;
    let producer = timed(&logged, &cluster).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    let delivery = producer.enqueue(record("x")).await?;
    until("it is sent", || producer.metrics().produce_requests_sent == 2).await;
    cluster.broker_down(0).await?;

    let is_tried = || producer.health().brokers.iter().any(|broker| broker.failures >= 3);
    let error = logged.run_out("delivery", delivery, is_tried, seconds(1201)).await.unwrap_err();

    compare(&logged, "Too slow: broker disconnected", &Told::delivery(&error));
    Ok(())
}

/// The pause is over before `delivery.timeout.ms` is, as it always is for a record that comes when it has begun.
#[tokio::test]
async fn too_slow_throttled() -> TestResult {
    let logged = Logged::by("throttled-by-a-quota");
    let cluster = cluster_with(1, 1).await;
    let producer = timed(&logged, &cluster).request_timeout(seconds(500)).build()?;
    cluster.inject(Fault::throttle(seconds(900)).api(Api::Produce));
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;

    let delivery = producer.enqueue(record("x")).await?;
    logged.two_seconds().await;
    skip_time(seconds(900)).await;
    until("it is sent", || producer.metrics().produce_requests_sent == 2).await;
    skip_time(seconds(300)).await;
    let error = soon("delivery", delivery).await.unwrap_err();

    compare(&logged, "Too slow: throttled by a quota", &Told::delivery(&error));
    Ok(())
}

#[tokio::test]
async fn too_slow_in_flight_and_behind() -> TestResult {
    let logged = Logged::by("in-flight");
    let cluster = cluster_with(1, 1).await;
    let producer = timed(&logged, &cluster)
        .request_timeout(seconds(1200))
        .enable_idempotence(false)
        .max_in_flight_requests_per_connection(1)
        .batch_size(1)
        .build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;

    let deliveries = enqueue_all(&producer, (0..2).map(record)).await;
    until("one is sent", || producer.metrics().produce_requests_sent == 2).await;
    logged.two_seconds().await;
    skip_time(seconds(1201)).await;
    let failed = results(deliveries).await;

    let [first, second] = [0, 1].map(|i| failed[i].as_ref().unwrap_err());
    compare(&logged, "Too slow: in flight", &Told::delivery(first));
    compare(&logged, "Too slow: behind another batch", &Told::delivery(second));
    Ok(())
}

#[tokio::test]
async fn longer_than_the_call_may_take() -> TestResult {
    let logged = Logged::by("limit-of-the-call");
    let cluster = cluster_with(1, 1).await;
    let producer = logged.builder(&cluster).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;

    let is_sent = || producer.metrics().requests_in_flight == 1;
    let sent = producer.send_timeout(record("x"), seconds(5));
    let error = logged.run_out("send", sent, is_sent, seconds(5)).await.unwrap_err();

    compare(&logged, "Too slow: limit of the call", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn too_slow_between_attempts() -> TestResult {
    let logged = Logged::by("between-attempts");
    let cluster = cluster_with(1, 1).await;
    let producer =
        timed(&logged, &cluster).retry_backoff(seconds(5000)).retry_backoff_max(seconds(5000)).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.fail_next(Api::Produce, 7, 1);

    let is_retried = || producer.metrics().record_retries == 1;
    let error =
        logged.run_out("send", producer.send(record("x")), is_retried, seconds(1201)).await.unwrap_err();

    compare(&logged, "Too slow: between attempts", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn connection_lost() -> TestResult {
    let logged = Logged::by("connection-lost");
    let cluster = cluster_with(1, 1).await;
    let producer = logged.builder(&cluster).enable_idempotence(false).retries(0).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.disconnect_after_request(Api::Produce, 1);

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();

    compare(&logged, "Connection lost, retries used up", &Told::send(&error));
    Ok(())
}

/// A pause is never longer than `delivery.timeout.ms`, so the record is handed over before the pause begins.
#[tokio::test]
async fn throttled() -> TestResult {
    let logged = Logged::by("throttled");
    let cluster = cluster_with(1, 1).await;
    let producer = timed(&logged, &cluster).batch_size(1).max_in_flight_requests_per_connection(1);
    let producer = producer.delivery_timeout(seconds(250)).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.inject(Fault::throttle(seconds(1200)).api(Api::Produce).always());
    cluster.freeze(0)?;

    let before = producer.enqueue(record("before")).await?;
    until("the record before is sent", || producer.metrics().produce_requests_sent == 2).await;
    let delivery = producer.enqueue(record("x")).await?;
    logged.two_seconds().await;
    skip_time(seconds(20)).await;
    cluster.unfreeze(0)?;
    soon("the record before", before).await?;
    skip_time(seconds(231)).await;
    let error = soon("delivery", delivery).await.unwrap_err();

    compare(&logged, "Throttled", &Told::delivery(&error));
    Ok(())
}

#[tokio::test]
async fn refused_for_good() -> TestResult {
    let cases = [
        ("Fenced", "fenced", Api::Produce, 90),
        ("Not authorised to write to the topic", "not-to-write", Api::Produce, 29),
        ("Not authorised for the cluster", "not-for-the-cluster", Api::InitProducerId, 31),
        ("Refused for its contents", "refused-for-contents", Api::Produce, 87),
    ];
    for (case, client_id, api, code) in cases {
        let logged = Logged::by(client_id);
        let cluster = cluster_with(1, 1).await;
        cluster.inject(Fault::error_code(code).api(api).always());
        let producer = logged.builder(&cluster).build()?;

        let error = soon("send", producer.send(record("x"))).await.unwrap_err();

        compare(&logged, case, &Told::send(&error));
    }
    Ok(())
}
