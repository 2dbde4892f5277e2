//! Topics that are not there, or not for this producer.

use kafka_mock::{Api, Fault};
use kafka_producer::{BrokerState, ProducerRecord};

use super::sheet::{Told, compare};
use crate::support::logged::Logged;
use crate::support::{TestResult, cluster_with, record, record_for, seconds, skip_time, soon, until};

#[tokio::test]
async fn unknown_topic_and_partition() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let cases = [
        ("Unknown topic", "unknown-topic", ProducerRecord::to("missing").value("x")),
        ("Unknown partition", "unknown-partition", record_for(2, "x")),
    ];
    for (case, client_id, record) in cases {
        let logged = Logged::by(client_id);
        let producer = logged.builder(&cluster).build()?;
        let before = cluster.requests().of(Api::Metadata);
        // What the third request was answered is known when the fourth is sent.
        let is_told = || cluster.requests().of(Api::Metadata) > before + 3;

        let error = logged.run_out("send", producer.send(record), is_told, seconds(61)).await.unwrap_err();

        compare(&logged, case, &Told::send(&error));
    }
    Ok(())
}

#[tokio::test]
async fn unknown_topic_without_waiting() -> TestResult {
    let logged = Logged::by("unknown-topic-without-waiting");
    let cluster = cluster_with(1, 1).await;
    let producer = logged.builder(&cluster).build()?;

    let error = producer.try_enqueue(record("x")).unwrap_err();

    compare(&logged, "Unknown topic, without waiting", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn refused_topics() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.inject(Fault::error_code(29).api(Api::Metadata).topic("payments").always());
    for (case, client_id, topic) in [
        ("Name with a space", "name-with-a-space", "new orders"),
        ("Not authorised for the topic", "not-for-the-topic", "payments"),
    ] {
        let logged = Logged::by(client_id);
        let producer = logged.builder(&cluster).build()?;
        let sending = producer.send(ProducerRecord::to(topic).value("x"));

        let error = soon("a refusal", sending).await.unwrap_err();

        compare(&logged, case, &Told::send(&error));
    }
    Ok(())
}

#[tokio::test]
async fn no_leader() -> TestResult {
    let logged = Logged::by("no-leader");
    let cluster = cluster_with(1, 1).await;
    cluster.set_leader(crate::support::TOPIC, 0, None)?;
    let producer = logged.builder(&cluster).delivery_timeout(seconds(1200)).build()?;
    let is_told = || cluster.requests().of(Api::Metadata) > 3;

    let error = logged.run_out("send", producer.send(record("x")), is_told, seconds(1201)).await.unwrap_err();

    compare(&logged, "No leader", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn too_slow_metadata() -> TestResult {
    let logged = Logged::by("metadata");
    let cluster = cluster_with(1, 1).await;
    cluster.delay(None, Some(Api::Metadata), seconds(10_000));
    let producer = logged.builder(&cluster).request_timeout(seconds(25)).build()?;
    let sending = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(record("x")).await }
    });
    let is_connected = || producer.health().brokers.iter().any(|it| it.state == BrokerState::Connected);

    // The last request is under way when `max.block.ms` is over.
    for (request, time) in [(1, 26), (2, 26), (3, 10)] {
        until("a request", || cluster.requests().of(Api::Metadata) >= request && is_connected()).await;
        if request == 1 {
            logged.two_seconds().await;
        }
        skip_time(seconds(time)).await;
    }
    let error = soon("send", sending).await?.unwrap_err();

    compare(&logged, "Too slow: metadata", &Told::send(&error));
    Ok(())
}
