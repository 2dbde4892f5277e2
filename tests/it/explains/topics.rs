//! Topics that are not there, or not for this producer.

use kafka_mock::{Api, Fault};
use kafka_producer::ProducerRecord;

use super::sheet::{Told, compare};
use crate::support::{
    TestResult, builder, cluster_with, producer, record, record_for, run_out, seconds, soon, until,
};

#[tokio::test]
async fn unknown_topic_and_partition() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let cases = [
        ("Unknown topic", ProducerRecord::to("missing").value("x")),
        ("Unknown partition", record_for(2, "x")),
    ];
    for (case, record) in cases {
        let producer = producer(&cluster);
        let before = cluster.requests().of(Api::Metadata);
        // What the third request was answered is known when the fourth is sent.
        let is_told = || cluster.requests().of(Api::Metadata) > before + 3;

        let error = run_out("send", producer.send(record), is_told, seconds(61)).await.unwrap_err();

        compare(case, &Told::send(&error));
    }
    Ok(())
}

#[tokio::test]
async fn unknown_topic_without_waiting() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);

    let error = producer.try_enqueue(record("x")).unwrap_err();

    compare("Unknown topic, without waiting", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn refused_topics() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.inject(Fault::error_code(29).api(Api::Metadata).topic("payments").always());
    let producer = producer(&cluster);
    for (case, topic) in [("Name with a space", "new orders"), ("Not authorised for the topic", "payments")] {
        let sending = producer.send(ProducerRecord::to(topic).value("x"));

        let error = soon("a refusal", sending).await.unwrap_err();

        compare(case, &Told::send(&error));
    }
    Ok(())
}

#[tokio::test]
async fn no_leader() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_leader(crate::support::TOPIC, 0, None)?;
    let producer = builder(&cluster).delivery_timeout(seconds(1200)).build()?;
    let is_told = || cluster.requests().of(Api::Metadata) > 3;

    let error = run_out("send", producer.send(record("x")), is_told, seconds(1201)).await.unwrap_err();

    compare("No leader", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn too_slow_metadata() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.delay(None, Some(Api::Metadata), seconds(10_000));
    let producer = builder(&cluster).build()?;
    let sending = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(record("x")).await }
    });

    for request in 1..3 {
        until("a request", || cluster.requests().of(Api::Metadata) == request).await;
        // Longer than request.timeout.ms.
        crate::support::skip_time(seconds(6)).await;
    }
    until("a request", || cluster.requests().of(Api::Metadata) == 3).await;
    crate::support::skip_time(seconds(60)).await;
    let error = soon("send", sending).await?.unwrap_err();

    compare("Too slow: metadata", &Told::send(&error));
    Ok(())
}
