//! What each level of `acks` waits for and tells.

use kafka_mock::{Api, Fault};
use kafka_producer::{Acks, Disposition, ErrorCode, Persisted};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, log_of, millis, record, record_for,
    soon, texts, until,
};

#[tokio::test]
async fn acks_of_all_and_leader_tell_the_offset() -> TestResult {
    for acks in [Acks::All, Acks::Leader] {
        let cluster = cluster_with(3, 1).await;
        let producer = builder(&cluster).acks(acks).build()?;

        let deliveries = enqueue_all(&producer, (0..10).map(record)).await;
        let offsets: Vec<_> = delivered(deliveries).await.iter().map(|metadata| metadata.offset()).collect();

        assert_eq!(offsets, (0..10).map(Some).collect::<Vec<_>>(), "{acks:?}");
    }
    Ok(())
}

#[tokio::test]
async fn acks_none_delivers_in_order_without_offsets() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).acks(Acks::None).batch_size(200).build()?;

    let deliveries = enqueue_all(&producer, (0..200).map(|i| record(i).timestamp(7))).await;
    let metadata = delivered(deliveries).await;

    assert!(metadata.iter().all(|metadata| metadata.offset().is_none() && metadata.timestamp() == 7));
    assert_eq!(metadata[0].to_string(), "orders-0");
    until("the records are in the log", || cluster.end_offset(TOPIC, 0).unwrap() == 200).await;
    assert_eq!(log_of(&cluster, 0), texts(0..200));
    assert_eq!(producer.metrics().buffered_bytes, 0);
    Ok(())
}

#[tokio::test]
async fn acks_none_does_not_wait_for_the_broker() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).acks(Acks::None).build()?;
    soon("connection", producer.send(record(0))).await?;
    cluster.freeze(0)?;

    soon("send to a frozen broker", producer.send(record(1))).await?;

    cluster.unfreeze(0)?;
    until("the records are in the log", || cluster.end_offset(TOPIC, 0).unwrap() == 2).await;
    Ok(())
}

/// The broker has no other way to tell (Kafka closes the connection when a request with `acks=0` fails).
#[tokio::test]
async fn acks_none_survives_a_closed_connection() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).acks(Acks::None).build()?;
    soon("first", producer.send(record(0))).await?;
    until("first is written", || cluster.end_offset(TOPIC, 0).unwrap() == 1).await;
    cluster.disconnect_before_request(Api::Produce, 1);

    soon("lost", producer.send(record("lost"))).await?;
    until("connection is made again", || cluster.open_connections(0) > 0).await;
    until("later records arrive", || {
        drop(producer.try_enqueue(record("later")));
        cluster.end_offset(TOPIC, 0).unwrap() > 1
    })
    .await;

    assert!(!log_of(&cluster, 0).contains(&"lost".to_owned()));
    Ok(())
}

#[tokio::test]
async fn acks_all_waits_for_enough_replicas() -> TestResult {
    let cluster = cluster_with(3, 1).await;
    cluster.set_min_insync_replicas(3);
    let producer = builder(&cluster).build()?;
    let led_elsewhere = (cluster.leader(TOPIC, 0).unwrap() + 1) % 3;
    cluster.broker_down(led_elsewhere).await?;

    let delivery = producer.enqueue(record("x")).await?;
    until("the broker has refused twice", || producer.metrics().record_retries >= 2).await;
    assert_eq!(cluster.end_offset(TOPIC, 0)?, 0);
    cluster.broker_up(led_elsewhere).await?;

    assert_eq!(soon("delivery", delivery).await?.offset(), Some(0));
    Ok(())
}

#[tokio::test]
async fn acks_leader_does_not_wait_for_replicas() -> TestResult {
    let cluster = cluster_with(3, 1).await;
    cluster.set_min_insync_replicas(3);
    let producer = builder(&cluster).acks(Acks::Leader).build()?;
    cluster.broker_down((cluster.leader(TOPIC, 0).unwrap() + 1) % 3).await?;

    assert_eq!(soon("send", producer.send(record("x"))).await?.offset(), Some(0));
    Ok(())
}

#[tokio::test]
async fn too_few_replicas_for_too_long_fail_the_record_as_not_written() -> TestResult {
    let cluster = cluster_with(3, 1).await;
    cluster.set_min_insync_replicas(4);
    let producer = builder(&cluster).retries(2).build()?;

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();

    assert_eq!(error.delivery_error().unwrap().error_code(), Some(ErrorCode::NotEnoughReplicas));
    assert_eq!(error.persisted(), Persisted::No);
    assert_eq!(error.disposition(), Disposition::RetryLater);
    assert_eq!(cluster.requests().of(Api::Produce), 3);
    Ok(())
}

/// Requests that wait in our own queue when the connection breaks are sent on the next one, in their order.
#[tokio::test]
async fn acks_none_keeps_order_over_a_broken_connection() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).acks(Acks::None).batch_size(1).max_request_size(2_000_000).build()?;
    soon("connection", producer.send(record("first"))).await?;
    until("first is written", || cluster.end_offset(TOPIC, 0).unwrap() == 1).await;
    cluster.freeze(0)?;

    // More than the buffers of the sockets hold, so that some requests wait behind one that is half written.
    let filler = "x".repeat(1_000_000);
    let records = (0..12).map(|i| record(format!("{i:02}{filler}")));
    let deliveries = enqueue_all(&producer, records).await;
    tokio::time::sleep(millis(50)).await;
    cluster.broker_down(0).await?;
    cluster.broker_up(0).await?;
    delivered(deliveries).await;
    soon("last", producer.send(record_for(0, "last"))).await?;
    until("last is written", || log_of(&cluster, 0).last().is_some_and(|last| last == "last")).await;

    let numbers: Vec<String> =
        log_of(&cluster, 0).iter().map(|value| value.chars().take(2).collect()).collect();
    let mut sorted = numbers[1..numbers.len() - 1].to_vec();
    sorted.sort();
    assert_eq!(numbers[1..numbers.len() - 1], sorted);
    assert!(producer.metrics().record_retries > 0, "the sockets took everything");
    Ok(())
}

/// An error code for `acks=0` cannot be told, and a later fault must not be taken for it.
#[tokio::test]
async fn acks_none_counts_refused_records_as_delivered() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.inject(Fault::error_code(6).api(Api::Produce));
    let producer = builder(&cluster).acks(Acks::None).build()?;

    let metadata = soon("send", producer.send(record("x"))).await?;

    assert_eq!(metadata.offset(), None);
    Ok(())
}
