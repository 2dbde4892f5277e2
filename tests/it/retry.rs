//! Which failures are retried, how often, and how batches that are too large are cut.

use kafka_mock::{Api, Fault};
use kafka_producer::{Compression, DeliveryErrorKind, Disposition, ErrorCode, Persisted, SendErrorKind};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, log_of, millis, producer, record,
    record_for, results, seconds, skip_time, soon, texts, until, without_repeats,
};

/// The codes that Java retries without idempotence (reference: `Sender.canRetry`, class `RetriableException`).
const RETRIED: [i16; 26] =
    [2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 88, 89, 100, 103, 106];

#[tokio::test]
async fn retriable_codes_are_retried_until_they_pass() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    for (count, code) in (0..).zip(RETRIED) {
        cluster.fail_next(Api::Produce, code, 2);

        let metadata = soon("send", producer.send(record(code))).await?;

        assert_eq!(metadata.offset(), Some(count), "code {code}");
    }
    assert_eq!(producer.metrics().record_retries, 2 * 26);
    assert_eq!(producer.metrics().record_errors, 0);
    Ok(())
}

#[tokio::test]
async fn retries_are_counted_and_end() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).retries(3).build()?;
    cluster.fail_next(Api::Produce, 19, 3);
    soon("send", producer.send(record("passes at the last try"))).await?;
    let before = cluster.requests().of(Api::Produce);

    cluster.fail_next(Api::Produce, 19, 4);
    let error = soon("send", producer.send(record("fails"))).await.unwrap_err();

    assert_eq!(cluster.requests().of(Api::Produce) - before, 4);
    let error = error.delivery_error().unwrap().clone();
    assert_eq!(error.error_code(), Some(ErrorCode::NotEnoughReplicas));
    assert_eq!(error.time_spent().attempts, 4);
    assert_eq!(error.time_spent().last_error, Some(ErrorCode::NotEnoughReplicas));
    assert!(error.is_retriable());
    assert_eq!(log_of(&cluster, 0), ["passes at the last try"]);
    Ok(())
}

#[tokio::test]
async fn without_retries_the_first_failure_is_the_last() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).enable_idempotence(false).retries(0).build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;

    for (code, persisted) in
        [(6, Persisted::Maybe), (19, Persisted::No), (7, Persisted::Maybe), (20, Persisted::Maybe)]
    {
        let before = cluster.requests().of(Api::Produce);
        cluster.fail_next(Api::Produce, code, 1);
        let error = soon("send", producer.send(record(code))).await.unwrap_err();

        assert_eq!(cluster.requests().of(Api::Produce) - before, 1);
        assert_eq!(error.delivery_error().unwrap().error_code(), Some(ErrorCode::from(code)));
        assert_eq!(error.persisted(), persisted, "code {code}");
    }
    Ok(())
}

#[tokio::test]
async fn lost_connections_are_retried_within_retries() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).retries(1).build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;

    cluster.disconnect_before_request(Api::Produce, 1);
    soon("send", producer.send(record(0))).await?;
    cluster.disconnect_before_request(Api::Produce, 2);
    let error = soon("send", producer.send(record(1))).await.unwrap_err();

    let SendErrorKind::Delivery(error) = error.kind() else { panic!("{error:?}") };
    assert!(matches!(error.kind(), DeliveryErrorKind::Disconnected { .. }), "{error:?}");
    // The mock has thrown the request away, but the producer cannot know that.
    assert_eq!(error.persisted(), Persisted::Maybe);
    assert_eq!(error.disposition(), Disposition::RetryLater);
    assert_eq!(error.record().unwrap().value.unwrap(), "1");
    assert_eq!(log_of(&cluster, 0), ["0"]);
    Ok(())
}

#[tokio::test]
async fn doubt_about_an_earlier_attempt_stays_with_the_record() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    // Written, though the answer says otherwise; then refused for good.
    cluster.inject(Fault::error_code_after_append(7).api(Api::Produce));
    cluster.inject(Fault::error_code(29).api(Api::Produce).skip(1));

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();

    assert_eq!(error.delivery_error().unwrap().error_code(), Some(ErrorCode::TopicAuthorizationFailed));
    assert_eq!(error.persisted(), Persisted::Maybe);
    assert_eq!(log_of(&cluster, 0), ["x"]);
    Ok(())
}

#[tokio::test]
async fn doubt_about_a_batch_stays_with_its_pieces() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).linger(millis(20)).build()?;
    // Written, though the answer says otherwise; then too large (the topic's limit was changed meanwhile).
    cluster.inject(Fault::error_code_after_append(7).api(Api::Produce));
    cluster.inject(Fault::error_code(10).api(Api::Produce).skip(1));
    cluster.inject(Fault::error_code(29).api(Api::Produce).skip(2).always());

    let deliveries = enqueue_all(&producer, (0..2).map(record)).await;

    for result in results(deliveries).await {
        assert_eq!(result.unwrap_err().persisted(), Persisted::Maybe);
    }
    assert_eq!(log_of(&cluster, 0), texts(0..2));
    Ok(())
}

#[tokio::test]
async fn retry_waits_for_its_backoff() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster)
        .retry_backoff(seconds(1000))
        .retry_backoff_max(seconds(1000))
        .delivery_timeout(seconds(5000))
        .build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;
    cluster.fail_next(Api::Produce, 19, 1);
    let mut delivery = producer.enqueue(record("x")).await?;
    until("the first attempt has failed", || producer.metrics().record_retries == 1).await;

    skip_time(seconds(700)).await;
    assert!(tokio::time::timeout(millis(50), &mut delivery).await.is_err());
    assert_eq!(cluster.requests().of(Api::Produce), 1);
    skip_time(seconds(600)).await;

    soon("delivery", delivery).await?;
    Ok(())
}

/// Unlike in Java, where a retried batch lingers again.
#[tokio::test]
async fn retry_does_not_linger_again() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer =
        builder(&cluster).linger(seconds(30)).delivery_timeout(seconds(60)).batch_size(100).build()?;
    cluster.fail_next(Api::Produce, 19, 2);

    soon("send", producer.send(record("x".repeat(200)))).await?;

    assert_eq!(producer.metrics().record_retries, 2);
    Ok(())
}

/// KIP-951: the refusal names the leader, so neither metadata nor backoff are waited for.
#[tokio::test]
async fn new_leader_that_the_refusal_names_is_tried_at_once() -> TestResult {
    let cluster = cluster_with(2, 1).await;
    let producer = builder(&cluster)
        .retry_backoff(seconds(60))
        .retry_backoff_max(seconds(60))
        .delivery_timeout(seconds(120))
        .build()?;
    soon("first", producer.send(record(0))).await?;
    let leader = cluster.leader(TOPIC, 0).unwrap();
    cluster.set_leader(TOPIC, 0, Some(1 - leader))?;

    soon("send to the new leader", producer.send(record(1))).await?;

    assert_eq!(log_of(&cluster, 0), texts(0..2));
    assert_eq!(producer.metrics().record_retries, 1);
    Ok(())
}

/// Before Produce 10 refusals name no leader.
#[tokio::test]
async fn new_leader_is_found_through_metadata() -> TestResult {
    let cluster = cluster_with(2, 1).await;
    cluster.set_api_versions(Api::Produce, 3, 9)?;
    let producer = producer(&cluster);
    soon("first", producer.send(record(0))).await?;
    let leader = cluster.leader(TOPIC, 0).unwrap();
    cluster.set_leader(TOPIC, 0, Some(1 - leader))?;

    soon("send to the new leader", producer.send(record(1))).await?;

    assert_eq!(log_of(&cluster, 0), texts(0..2));
    Ok(())
}

#[tokio::test]
async fn failing_partition_does_not_hold_up_the_others() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let producer = producer(&cluster);
    soon("metadata", producer.partitions_for(TOPIC)).await?;
    cluster.inject(Fault::error_code(19).api(Api::Produce).partition(TOPIC, 1).always());

    let stuck = producer.enqueue(record_for(1, "stuck")).await?;
    let records = (0..50).map(|i| record_for(if i % 2 == 0 { 0 } else { 2 }, i / 2));
    delivered(enqueue_all(&producer, records).await).await;

    assert!(stuck.try_result().is_none());
    assert_eq!(log_of(&cluster, 0), texts(0..25));
    assert_eq!(log_of(&cluster, 2), texts(0..25));
    cluster.clear_faults();
    soon("stuck", stuck).await?;
    Ok(())
}

#[tokio::test]
async fn batch_that_is_too_large_is_cut_and_arrives_once_in_order() -> TestResult {
    for compression in [Compression::None, Compression::Lz4] {
        let cluster = cluster_with(1, 1).await;
        cluster.set_max_message_bytes(500);
        let producer = builder(&cluster).linger(millis(20)).compression(compression).build()?;

        let records = (0..500).map(|i| record(i).key(format!("key {i}")).header("h", "v").timestamp(i));
        let metadata = delivered(enqueue_all(&producer, records).await).await;

        assert_eq!(log_of(&cluster, 0), texts(0..500), "{compression:?}");
        assert!(metadata.iter().map(|m| m.offset().unwrap()).eq(0..500));
        assert!(metadata.iter().map(|m| m.timestamp()).eq(0..500));
        let records = cluster.records(TOPIC, 0);
        assert!(
            records.iter().zip(0..).all(|(record, i)| record.timestamp == i && record.headers.len() == 1)
        );
        assert!(producer.metrics().batch_splits > 0);
        assert_eq!(producer.metrics().buffered_bytes, 0);
        assert_eq!(producer.metrics().buffered_records, 0);
    }
    Ok(())
}

#[tokio::test]
async fn pieces_are_not_overtaken_by_later_batches() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_max_message_bytes(300);
    let producer = builder(&cluster).batch_size(2000).build()?;

    delivered(enqueue_all(&producer, (0..1000).map(record)).await).await;

    assert_eq!(log_of(&cluster, 0), texts(0..1000));
    Ok(())
}

#[tokio::test]
async fn pieces_are_retried_like_any_batch() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_max_message_bytes(300);
    let producer = builder(&cluster).linger(millis(20)).build()?;
    cluster.inject(Fault::error_code(6).api(Api::Produce).skip(3).times(2));
    cluster.inject(Fault::disconnect_after().api(Api::Produce).skip(7));

    delivered(enqueue_all(&producer, (0..200).map(record)).await).await;

    assert_eq!(without_repeats(log_of(&cluster, 0)), texts(0..200));
    Ok(())
}

#[tokio::test]
async fn cutting_takes_no_retry() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_max_message_bytes(200);
    let producer = builder(&cluster).enable_idempotence(false).linger(millis(20)).retries(0).build()?;

    delivered(enqueue_all(&producer, (0..100).map(record)).await).await;

    assert_eq!(log_of(&cluster, 0), texts(0..100));
    Ok(())
}

#[tokio::test]
async fn single_record_that_is_too_large_fails_alone() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_max_message_bytes(500);
    let producer = builder(&cluster).linger(millis(20)).build()?;

    let records = (0..30).map(|i| if i == 13 { record("x".repeat(1000)) } else { record(i) });
    let results = results(enqueue_all(&producer, records).await).await;

    for (i, result) in results.iter().enumerate() {
        assert_eq!(result.is_err(), i == 13, "{i}: {result:?}");
    }
    let error = results[13].as_ref().unwrap_err();
    assert_eq!(error.error_code(), Some(ErrorCode::MessageTooLarge));
    assert_eq!((error.disposition(), error.persisted()), (Disposition::FixRecord, Persisted::No));
    assert_eq!(error.record().unwrap().value.unwrap().len(), 1000);
    let mut expected = texts(0..30);
    expected.remove(13);
    assert_eq!(log_of(&cluster, 0), expected);
    Ok(())
}

/// Java: `testSplitAndReenqueuePreventInfiniteRecursion`.
#[tokio::test]
async fn cutting_ends_at_single_records() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.inject(Fault::error_code(10).api(Api::Produce).always());
    let producer = builder(&cluster).linger(millis(20)).build()?;

    let deliveries = enqueue_all(&producer, (0..64).map(record)).await;

    for (i, result) in results(deliveries).await.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert_eq!(error.error_code(), Some(ErrorCode::MessageTooLarge));
        assert_eq!(error.record().unwrap().value.unwrap(), i.to_string());
    }
    assert_eq!(cluster.end_offset(TOPIC, 0)?, 0);
    assert_eq!(producer.metrics().buffered_bytes, 0);
    Ok(())
}

#[tokio::test]
async fn throttled_producer_waits_and_then_goes_on() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).delivery_timeout(seconds(300)).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.inject(Fault::throttle(seconds(60)).api(Api::Produce));
    soon("throttled", producer.send(record(1))).await?;
    let before = cluster.requests().of(Api::Produce);

    let mut delivery = producer.enqueue(record(2)).await?;
    assert!(tokio::time::timeout(millis(50), &mut delivery).await.is_err());
    assert_eq!(cluster.requests().of(Api::Produce), before);
    skip_time(seconds(61)).await;

    soon("after the throttle", delivery).await?;
    assert_eq!(log_of(&cluster, 0), texts(0..3));
    Ok(())
}
