//! What an application asks of a producer before it gives it work, and while it works: `ready`, pinned topics, `health`.

use kafka_mock::{Api, MockCluster};
use kafka_producer::{
    BrokerState, BuildError, ErrorCode, NotReady, ProducerRecord, SendErrorKind, TransactionalProducer,
};

use crate::support::{
    TOPIC, TestResult, builder, builder_at, cluster_with, millis, producer, record, run_out, seconds,
    skip_time, soon, until,
};

#[tokio::test]
async fn ready_producer_takes_records_of_pinned_topics_at_once() -> TestResult {
    let cluster = cluster_with(2, 2).await;
    cluster.create_topic("payments", 1, 1)?;
    let producer = builder(&cluster).pin_topics([TOPIC, "payments"]).build()?;

    soon("ready", producer.ready(seconds(60))).await?;

    for topic in [TOPIC, "payments"] {
        let delivery = producer.try_enqueue(ProducerRecord::to(topic).value("x"))?;
        soon("delivery", delivery).await?;
    }
    Ok(())
}

#[tokio::test]
async fn pinned_topics_are_asked_for_before_the_first_record() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).pin_topics([TOPIC]).build()?;

    until("metadata", || cluster.requests().of(Api::Metadata) > 0).await;
    soon("ready", producer.ready(seconds(60))).await?;
    let before = cluster.requests().of(Api::Metadata);
    soon("delivery", producer.try_enqueue(record("x"))?).await?;

    assert_eq!(cluster.requests().of(Api::Metadata), before);
    Ok(())
}

#[tokio::test]
async fn pinned_topic_is_never_forgotten() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let pinned = builder(&cluster).pin_topics([TOPIC]);
    let producer = pinned.metadata_max_age(seconds(10)).metadata_max_idle(seconds(30)).build()?;
    soon("first", producer.send(record("x"))).await?;

    for _ in 0..10 {
        let before = cluster.requests().of(Api::Metadata);
        skip_time(seconds(11)).await;
        until("a refresh", || cluster.requests().of(Api::Metadata) > before).await;
        until("the answer", || producer.metrics().requests_in_flight == 0).await;
    }

    soon("delivery", producer.try_enqueue(record("y"))?).await?;
    Ok(())
}

#[tokio::test]
async fn pinned_topic_may_be_created() -> TestResult {
    let cluster = MockCluster::builder().auto_create_topics(true, 3).start().await?;
    let producer = builder(&cluster).pin_topics(["new"]).build()?;

    soon("ready", producer.ready(seconds(60))).await?;

    assert_eq!(cluster.partition_count("new"), 3);
    Ok(())
}

#[tokio::test]
async fn producer_without_a_broker_is_not_ready() -> TestResult {
    let producer = builder_at("127.0.0.1:1").build()?;

    let error = soon("ready", producer.ready(millis(200))).await.unwrap_err();

    let NotReady::NoCluster { waited, brokers, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*waited, brokers.len(), brokers[0].port), (millis(200), 1, 1));
    let text = error.to_string();
    assert!(text.starts_with("no broker has described the cluster within 200 ms: 127.0.0.1:1: "), "{text}");
    assert!(!producer.health().is_ready());
    Ok(())
}

#[tokio::test]
async fn producer_without_pinned_topics_is_ready_when_a_broker_has_answered() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);

    soon("ready", producer.ready(seconds(60))).await?;

    assert!(producer.metrics().metadata_age.is_some());
    Ok(())
}

#[tokio::test]
async fn missing_topic_keeps_a_producer_from_being_ready() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).pin_topics([TOPIC, "missing"]).build()?;

    let is_asked_again = || cluster.requests().of(Api::Metadata) > 3;
    let error = run_out("ready", producer.ready(seconds(60)), is_asked_again, seconds(61)).await.unwrap_err();

    let NotReady::NoTopic { topic, cause, .. } = &error else { panic!("{error:?}") };
    assert_eq!((topic.as_str(), *cause), ("missing", Some(ErrorCode::UnknownTopicOrPartition)));
    cluster.create_topic("missing", 1, 1)?;
    soon("ready", producer.ready(seconds(60))).await?;
    Ok(())
}

#[tokio::test]
async fn closed_producer_is_not_ready() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("ready", producer.ready(seconds(60))).await?;

    let _report = soon("close", producer.close(seconds(60))).await;

    let error = soon("ready", producer.ready(seconds(60))).await.unwrap_err();
    assert!(matches!(error, NotReady::Refused(SendErrorKind::Closed)), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn wait_for_a_producer_to_be_ready_may_be_given_up() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.freeze(0)?;
    let producer = builder(&cluster).pin_topics([TOPIC]).build()?;
    assert!(tokio::time::timeout(millis(20), producer.ready(seconds(60))).await.is_err());

    cluster.unfreeze(0)?;

    soon("ready", producer.ready(seconds(60))).await?;
    soon("send", producer.send(record("x"))).await?;
    Ok(())
}

#[tokio::test]
async fn names_that_cannot_be_asked_for_cannot_be_pinned() {
    for name in [String::new(), "x".repeat(40_000)] {
        let built = builder_at("127.0.0.1:1").pin_topics([name]).build();

        assert!(matches!(built, Err(BuildError::PinnedTopic)), "{built:?}");
    }
}

#[tokio::test]
async fn transactional_producer_can_pin_topics_and_be_ready() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let pinned = builder(&cluster).pin_topics([TOPIC]).transactional_id("till");
    let mut producer: TransactionalProducer = pinned.build_transactional()?;

    soon("ready", producer.ready(seconds(60))).await?;
    assert!(producer.health().is_ready());

    let transaction = soon("begin", producer.begin_transaction()).await?;
    let delivery = transaction.try_enqueue(record("x"))?;
    soon("delivery", delivery).await?;
    soon("commit", transaction.commit()).await?;
    Ok(())
}

#[tokio::test]
async fn producer_that_delivers_is_healthy() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    assert!(!producer.health().is_ready());

    soon("send", producer.send(record("x"))).await?;

    let health = producer.health();
    assert!(health.is_ready(), "{health:?}");
    assert!(health.last_delivery_age.is_some() && health.metadata_age.is_some(), "{health:?}");
    assert!(health.oldest_waiting.is_none() && health.end.is_none(), "{health:?}");
    assert_eq!(health.brokers.len(), 1);
    assert_eq!((health.brokers[0].state, health.brokers[0].failures), (BrokerState::Connected, 0));
    Ok(())
}

#[tokio::test]
async fn health_tells_why_a_broker_is_not_connected() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("send", producer.send(record("x"))).await?;

    cluster.broker_down(0).await?;
    let _delivery = producer.enqueue(record("y")).await?;

    let is_failing = || producer.health().brokers.iter().any(|broker| broker.failures > 2);
    until("attempts have failed", is_failing).await;
    let health = producer.health();
    let broker = &health.brokers[0];
    assert!(broker.last_failure.is_some() && broker.state != BrokerState::Connected, "{broker:?}");
    assert!(!health.is_ready(), "{health:?}");
    assert!(health.oldest_waiting.is_some(), "{health:?}");
    Ok(())
}

#[tokio::test]
async fn health_tells_how_long_the_oldest_record_has_waited() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer =
        builder(&cluster).request_timeout(seconds(1000)).delivery_timeout(seconds(2000)).build()?;
    soon("send", producer.send(record("x"))).await?;
    cluster.freeze(0)?;
    let delivery = producer.enqueue(record("y")).await?;

    skip_time(seconds(100)).await;

    let health = producer.health();
    assert!(health.oldest_waiting >= Some(seconds(100)), "{health:?}");
    assert!(health.last_delivery_age >= Some(seconds(100)), "{health:?}");
    cluster.unfreeze(0)?;
    soon("delivery", delivery).await?;
    assert_eq!(producer.health().oldest_waiting, None);
    Ok(())
}

#[tokio::test]
async fn health_tells_that_a_producer_is_closed() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("send", producer.send(record("x"))).await?;

    let _report = soon("close", producer.close(seconds(60))).await;

    let health = producer.health();
    assert!(matches!(health.end, Some(SendErrorKind::Closed)), "{health:?}");
    assert!(!health.is_ready());
    Ok(())
}
