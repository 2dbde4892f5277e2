//! Metrics that are pushed to brokers (KIP-714).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_mock::{
    Api, Compression, MockCluster, PushedKind, PushedMetric, PushedMetrics, TelemetrySubscription,
};
use kafka_producer::{ClientInstanceIdError, KafkaProducer, KafkaProducerBuilder};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, millis, record, seconds, skip_time, soon, until,
};

/// Long enough that nothing is pushed unless a test lets the time run ahead.
const INTERVAL: Duration = Duration::from_secs(60);
/// Longer than the interval with its jitter.
const NEXT_PUSH: Duration = Duration::from_secs(91);

const UNKNOWN_SERVER_ERROR: i16 = -1;
const THROTTLING_QUOTA_EXCEEDED: i16 = 89;

fn everything() -> TelemetrySubscription {
    TelemetrySubscription::all(INTERVAL)
}

async fn cluster(subscription: TelemetrySubscription) -> MockCluster {
    let cluster = MockCluster::builder().auto_create_topics(false, 1).telemetry(subscription);
    let cluster = cluster.start().await.unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    cluster
}

/// A producer whose other timers are far away.
fn patient(cluster: &MockCluster) -> KafkaProducerBuilder {
    builder(cluster)
        .request_timeout(seconds(100_000))
        .delivery_timeout(seconds(200_000))
        .connections_max_idle(None)
        .metadata_max_idle(seconds(200_000))
}

/// A producer that knows what brokers want.
async fn subscribed(cluster: &MockCluster) -> KafkaProducer {
    let producer = patient(cluster).build().unwrap();
    soon("send", producer.send(record("x"))).await.unwrap();
    soon("id", producer.client_instance_id(seconds(60))).await.unwrap();
    producer
}

/// Lets the time run ahead until something has come. The answer that sets the next timer may not be taken in yet, so once may be too
/// few times.
async fn run_until(what: &str, mut has_come: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if has_come() {
            return;
        }
        skip_time(NEXT_PUSH).await;
        tokio::time::sleep(millis(2)).await;
    }
    panic!("still waiting for: {what}");
}

/// Lets the time run ahead until brokers have had so many requests of a kind.
async fn asked(cluster: &MockCluster, api: Api, count: u64) {
    run_until("request", || cluster.requests().of(api) >= count).await;
}

/// Lets the time run ahead until brokers have taken so many pushes, and returns the last.
async fn pushed(cluster: &MockCluster, count: usize) -> PushedMetrics {
    run_until("push", || cluster.pushed_metrics().len() >= count).await;
    cluster.pushed_metrics()[count - 1].clone()
}

/// By name without Kafka's prefix, and by the label if there is one.
fn by_name(push: &PushedMetrics) -> BTreeMap<String, PushedMetric> {
    let name = |metric: &PushedMetric| {
        let label = metric.attributes.values().next().map(|label| format!("/{label}")).unwrap_or_default();
        format!("{}{label}", metric.name.strip_prefix("org.apache.kafka.producer.").unwrap())
    };
    push.metrics().unwrap().into_iter().map(|metric| (name(&metric), metric)).collect()
}

#[tokio::test]
async fn brokers_that_ask_for_metrics_get_them_under_kafkas_names() -> TestResult {
    let cluster = cluster(everything()).await;
    let producer = subscribed(&cluster).await;
    for number in 0..4 {
        soon("send", producer.send(record(number))).await?;
    }

    let push = pushed(&cluster, 1).await;

    let found = by_name(&push);
    let metrics = producer.metrics();
    assert_eq!(found["connection.creation.total"].value, metrics.connections_created as f64);
    assert_eq!(found["topic.record.send.total/orders"].value, 5.0);
    assert_eq!(found["topic.byte.total/orders"].value, metrics.bytes_sent as f64);
    assert_eq!(found["batch.size.avg"].value, metrics.batch_size.mean().unwrap());
    assert_eq!(found["record.queue.time.max"].value, metrics.queue_time.max().unwrap() * 1e3);
    assert!(found.contains_key("node.request.latency.avg/node-0"));
    assert_eq!(found["produce.throttle.time.avg"].value, 0.0);
    assert_eq!(found["connection.creation.total"].kind, PushedKind::CumulativeSum);
    let total = &found["connection.creation.total"];
    assert!(total.start_time > 1_600_000_000_000_000_000 && total.start_time < total.time);
    assert!(!push.is_terminating);
    let id = producer.client_instance_id(Duration::ZERO).await?;
    assert_eq!(u128::from_be_bytes(*id.as_bytes()), push.client_instance_id);
    assert!(cluster.refusals().is_empty());
    Ok(())
}

#[tokio::test]
async fn only_what_is_subscribed_is_pushed() {
    let names = ["org.apache.kafka.producer.connection.", "org.apache.kafka.producer.record.queue"];
    let cluster = cluster(everything().metrics(names)).await;
    let _producer = subscribed(&cluster).await;

    let push = pushed(&cluster, 1).await;

    let found: BTreeSet<_> = push.metrics().unwrap().into_iter().map(|metric| metric.name).collect();
    assert!(found.len() > 2 && found.iter().all(|name| names.iter().any(|wanted| name.starts_with(wanted))));
}

#[tokio::test]
async fn deltas_count_what_came_since_the_last_push_that_was_taken() {
    let cluster = cluster(everything().delta(true)).await;
    let producer = subscribed(&cluster).await;
    let sent = |push: &PushedMetrics| by_name(push)["topic.record.send.total/orders"].clone();

    let first = sent(&pushed(&cluster, 1).await);
    assert_eq!((first.value, first.kind), (1.0, PushedKind::DeltaSum));
    for number in 0..3 {
        soon("send", producer.send(record(number))).await.unwrap();
    }
    // What is refused is pushed again.
    cluster.fail_next(Api::PushTelemetry, THROTTLING_QUOTA_EXCEEDED, 1);
    let second = sent(&pushed(&cluster, 2).await);

    assert_eq!(second.value, 3.0);
    assert_eq!(second.start_time, first.time);
    assert_eq!(sent(&pushed(&cluster, 3).await).value, 0.0);
}

#[tokio::test]
async fn the_brokers_favourite_codec_that_the_crate_has_compresses() {
    for (codecs, expected) in [
        (vec![Compression::Lz4, Compression::Snappy], Compression::Lz4),
        (vec![Compression::Snappy, Compression::Lz4], Compression::Snappy),
        (vec![Compression::Gzip], Compression::Gzip),
        (vec![], Compression::None),
    ] {
        let cluster = cluster(everything().compressions(codecs)).await;
        let _producer = subscribed(&cluster).await;

        assert_eq!(pushed(&cluster, 1).await.compression, expected);
    }
    // Whether the crate has zstd or not.
    let cluster = cluster(everything().compressions([Compression::Zstd, Compression::Lz4])).await;
    let _producer = subscribed(&cluster).await;
    let compression = pushed(&cluster, 1).await.compression;
    assert_eq!(compression, if cfg!(feature = "zstd") { Compression::Zstd } else { Compression::Lz4 });
}

#[tokio::test]
async fn another_subscription_is_fetched_at_once() {
    let cluster = cluster(everything()).await;
    let producer = subscribed(&cluster).await;
    let first = pushed(&cluster, 1).await;
    cluster.set_telemetry(everything().metrics(["org.apache.kafka.producer.batch."]).delta(true));

    let second = pushed(&cluster, 2).await;

    assert_eq!(cluster.requests().of(Api::GetTelemetrySubscriptions), 2);
    assert_eq!(second.client_instance_id, first.client_instance_id);
    assert!(by_name(&second).keys().all(|name| name.starts_with("batch.")));
    drop(producer);
}

#[tokio::test]
async fn what_a_broker_finds_too_large_loses_topics_and_then_brokers() {
    let cluster = cluster(everything().compressions([]).max_bytes(4000)).await;
    let _producer = subscribed(&cluster).await;

    let push = pushed(&cluster, 1).await;

    let names: Vec<_> = by_name(&push).into_keys().collect();
    assert!(push.data.len() <= 4000 && names.contains(&"connection.creation.total".to_owned()));
    assert!(!names.iter().any(|name| name.starts_with("topic.")));

    cluster.set_telemetry(everything().compressions([]).max_bytes(100));
    asked(&cluster, Api::GetTelemetrySubscriptions, 2).await;
    for _ in 0..5 {
        skip_time(NEXT_PUSH).await;
        tokio::time::sleep(millis(2)).await;
    }
    assert_eq!(cluster.pushed_metrics().len(), 1, "nothing is small enough");
}

#[tokio::test]
async fn refused_telemetry_ends_and_harms_no_record() -> TestResult {
    for api in [Api::GetTelemetrySubscriptions, Api::PushTelemetry] {
        let cluster = cluster(everything()).await;
        cluster.fail_next(api, UNKNOWN_SERVER_ERROR, 1);
        let producer = patient(&cluster).build()?;
        soon("send", producer.send(record("x"))).await?;
        asked(&cluster, api, 1).await;

        for number in 0..5 {
            skip_time(NEXT_PUSH).await;
            soon("send", producer.send(record(number))).await?;
        }

        assert_eq!(cluster.requests().of(api), 1);
        assert_eq!(cluster.connections_accepted(0), 1);
        let _ = soon("close", producer.close(seconds(60))).await;
        assert!(cluster.pushed_metrics().is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn lost_requests_are_asked_again() -> TestResult {
    let cluster = cluster(everything()).await;
    cluster.disconnect_after_request(Api::GetTelemetrySubscriptions, 1);
    let producer = patient(&cluster).build()?;
    soon("send", producer.send(record("x"))).await?;

    asked(&cluster, Api::GetTelemetrySubscriptions, 2).await;

    soon("id", producer.client_instance_id(seconds(60))).await?;
    cluster.disconnect_after_request(Api::PushTelemetry, 1);
    asked(&cluster, Api::PushTelemetry, 2).await;
    assert!(!pushed(&cluster, 1).await.is_terminating);
    Ok(())
}

#[tokio::test]
async fn close_pushes_for_the_last_time() -> TestResult {
    let cluster = cluster(everything()).await;
    let producer = subscribed(&cluster).await;

    let report = soon("close", producer.close(seconds(60))).await;

    let pushed = cluster.pushed_metrics();
    assert_eq!((pushed.len(), report.delivered), (1, 1));
    assert!(pushed[0].is_terminating);
    assert_eq!(by_name(&pushed[0])["topic.record.send.total/orders"].value, 1.0);
    Ok(())
}

#[tokio::test]
async fn close_waits_for_the_last_push_no_longer_than_a_second() {
    let cluster = cluster(everything()).await;
    let producer = subscribed(&cluster).await;
    cluster.drop_response(Api::PushTelemetry, 1);

    let close = soon("close", producer.close(seconds(1000)));
    let skip = async {
        until("the last push", || cluster.requests().of(Api::PushTelemetry) == 1).await;
        skip_time(millis(1100)).await;
    };
    let (report, ()) = tokio::join!(close, skip);

    assert_eq!(report.delivered, 1);
}

#[tokio::test]
async fn close_without_time_waits_for_no_push() {
    let cluster = cluster(everything()).await;
    let producer = subscribed(&cluster).await;
    cluster.drop_response(Api::PushTelemetry, 1);

    let _ = soon("close", producer.close(Duration::ZERO)).await;

    assert!(cluster.pushed_metrics().len() <= 1);
}

#[tokio::test]
async fn brokers_without_it_are_not_asked() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = patient(&cluster).build()?;
    soon("send", producer.send(record("x"))).await?;

    let id = soon("id", producer.client_instance_id(seconds(60))).await;

    assert!(matches!(id, Err(ClientInstanceIdError::NotOffered)), "{id:?}");
    assert_eq!(cluster.requests().of(Api::GetTelemetrySubscriptions), 0);
    assert!(cluster.refusals().is_empty());
    Ok(())
}

#[tokio::test]
async fn nothing_is_asked_or_pushed_if_the_user_does_not_want_it() -> TestResult {
    let cluster = cluster(everything()).await;
    let producer = patient(&cluster).enable_metrics_push(false).build()?;
    soon("send", producer.send(record("x"))).await?;

    let id = producer.client_instance_id(seconds(60)).await;
    let _ = soon("close", producer.close(seconds(60))).await;

    let message = "no client instance id: metrics are not pushed; set enable.metrics.push=true";
    assert_eq!(id.unwrap_err().to_string(), message);
    assert_eq!(cluster.requests().of(Api::GetTelemetrySubscriptions), 0);
    Ok(())
}

#[tokio::test]
async fn brokers_that_want_nothing_are_asked_again_later() {
    let cluster = cluster(everything().metrics([""; 0])).await;
    let producer = subscribed(&cluster).await;

    asked(&cluster, Api::GetTelemetrySubscriptions, 3).await;

    let _ = soon("close", producer.close(seconds(60))).await;
    assert_eq!(cluster.requests().of(Api::PushTelemetry), 0);
}

#[tokio::test]
async fn who_waits_for_the_id_is_told_of_the_end() -> TestResult {
    let cluster = cluster(everything()).await;
    cluster.drop_response(Api::GetTelemetrySubscriptions, 1);
    let producer = patient(&cluster).build()?;
    until("asked", || cluster.requests().of(Api::GetTelemetrySubscriptions) == 1).await;

    let other = producer.clone();
    let waiting = tokio::spawn(async move { other.client_instance_id(seconds(60)).await });
    let _ = soon("close", producer.close(seconds(60))).await;

    let told = soon("the end", waiting).await?;
    let is_told = matches!(told, Err(ClientInstanceIdError::Ended(_) | ClientInstanceIdError::NotOffered));
    assert!(is_told, "{told:?}");
    Ok(())
}

#[tokio::test]
async fn attributes_say_where_the_producer_is() {
    let cluster = cluster(everything()).await;
    let producer = patient(&cluster).client_rack("rack-a").build().unwrap();
    soon("send", producer.send(record("x"))).await.unwrap();
    soon("id", producer.client_instance_id(seconds(60))).await.unwrap();

    let push = pushed(&cluster, 1).await;

    assert_eq!(push.resource().unwrap(), BTreeMap::from([("client_rack".to_owned(), "rack-a".to_owned())]));
}
