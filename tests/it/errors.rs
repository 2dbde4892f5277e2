//! What a failed record tells: kind, advice, whether it may be written, and the record itself.

use std::error::Error;

use kafka_mock::Api;
use kafka_producer::{
    Compression, DeliveryErrorKind, Disposition, ErrorCode, Header, Headers, Persisted, ProducerRecord,
    SendErrorKind,
};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, enqueue_all, millis, producer, record, results, seconds, soon,
};

/// The codes that Java gives up on at once, and what to do then.
const FATAL: [(i16, Disposition, Persisted); 22] = [
    (-1, Disposition::RetryLater, Persisted::Maybe),
    (17, Disposition::FixRecord, Persisted::No),
    (18, Disposition::FixRecord, Persisted::No),
    (21, Disposition::FixConfiguration, Persisted::No),
    (29, Disposition::FixConfiguration, Persisted::No),
    (31, Disposition::FixConfiguration, Persisted::No),
    (32, Disposition::FixRecord, Persisted::No),
    (35, Disposition::FixConfiguration, Persisted::No),
    (42, Disposition::Bug, Persisted::No),
    (43, Disposition::FixConfiguration, Persisted::No),
    (45, Disposition::NewProducer, Persisted::No),
    (47, Disposition::NewProducer, Persisted::No),
    (48, Disposition::NewProducer, Persisted::No),
    (49, Disposition::NewProducer, Persisted::No),
    (53, Disposition::FixConfiguration, Persisted::No),
    (59, Disposition::NewProducer, Persisted::No),
    (76, Disposition::FixConfiguration, Persisted::No),
    (87, Disposition::FixRecord, Persisted::No),
    (90, Disposition::NewProducer, Persisted::No),
    (120, Disposition::NewProducer, Persisted::No),
    (38, Disposition::FixConfiguration, Persisted::No),
    (12_345, Disposition::Bug, Persisted::Maybe),
];

#[tokio::test]
async fn final_codes_fail_the_record_at_once() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    // With idempotence some of them are healed.
    let producer = builder(&cluster).enable_idempotence(false).build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;
    for (code, disposition, persisted) in FATAL {
        let before = cluster.requests().of(Api::Produce);
        cluster.fail_next(Api::Produce, code, 1);

        let error = soon("send", producer.send(record(code))).await.unwrap_err();

        assert_eq!(cluster.requests().of(Api::Produce) - before, 1, "code {code} was retried");
        let SendErrorKind::Delivery(error) = error.kind() else { panic!("{error:?}") };
        let DeliveryErrorKind::Broker { code: told, message } = error.kind() else { panic!("{error:?}") };
        assert_eq!(told, ErrorCode::from(code));
        assert_eq!(message.as_deref(), Some("injected by the test"));
        assert_eq!(error.disposition(), disposition, "code {code}");
        assert_eq!(error.persisted(), persisted, "code {code}");
    }
    assert_eq!(cluster.end_offset(TOPIC, 0)?, 0);
    assert_eq!(producer.metrics().record_errors, 22);
    assert_eq!(producer.metrics().record_retries, 0);
    // The producer goes on.
    assert_eq!(soon("send", producer.send(record("good"))).await?.offset(), Some(0));
    Ok(())
}

/// The broker has the batch already (Java: `testCorrectHandlingOfDuplicateSequenceError`).
#[tokio::test]
async fn duplicate_sequence_counts_as_delivered_without_an_offset() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    cluster.fail_next(Api::Produce, 46, 1);

    let metadata = soon("send", producer.send(record("x").timestamp(5))).await?;

    assert_eq!((metadata.offset(), metadata.timestamp(), metadata.partition()), (None, 5, 0));
    Ok(())
}

fn full_records() -> Vec<ProducerRecord> {
    let base = || ProducerRecord::to(TOPIC).partition(0);
    vec![
        base().timestamp(1000).key("key").value("value").header("a", "1").header("a", None::<&str>),
        base().timestamp(999).key("").value(""),
        base().timestamp(2000),
        base().timestamp(1500).value("x".repeat(5000)),
        base().timestamp(i64::MAX).key("k").header("", ""),
    ]
}

#[tokio::test]
async fn failed_records_come_back_as_they_were_sent() -> TestResult {
    for compression in [Compression::None, Compression::Lz4] {
        let cluster = cluster_with(1, 1).await;
        cluster.fail_next(Api::Produce, 29, 1);
        let producer = builder(&cluster).linger(millis(20)).compression(compression).build()?;

        let deliveries = enqueue_all(&producer, full_records()).await;
        let failed = results(deliveries).await;

        for (result, expected) in failed.into_iter().zip(full_records()) {
            let error = result.unwrap_err();
            assert_eq!(error.record(), Some(expected), "{compression:?}");
            assert_eq!(error.topic_partition().to_string(), "orders-0");
        }
    }
    Ok(())
}

#[tokio::test]
async fn failed_record_can_be_sent_again() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    cluster.fail_next(Api::Produce, 87, 1);
    let producer = producer(&cluster);

    let error = soon("send", producer.send(record("x").key("k").header("h", "v"))).await.unwrap_err();
    let again = error.record().unwrap();
    let metadata = soon("send", producer.send(again.clone())).await?;

    assert_eq!(again.partition, Some(metadata.partition()));
    assert_eq!(again.timestamp, Some(metadata.timestamp()));
    assert_eq!(again.headers, Headers::from([Header::new("h", "v")]));
    Ok(())
}

#[tokio::test]
async fn error_that_is_kept_holds_no_memory_of_the_producer() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.fail_next(Api::Produce, 87, 1);
    let producer = producer(&cluster);

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();

    assert_eq!(producer.metrics().buffered_bytes, 0);
    assert_eq!(error.record().unwrap().value.unwrap(), "x");
    Ok(())
}

#[tokio::test]
async fn errors_say_what_failed_for_which_record() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.fail_next(Api::Produce, 87, 1);
    let producer = producer(&cluster);

    let error = soon("send", producer.send(record("secret"))).await.unwrap_err();

    let shown = error.to_string();
    assert!(shown.starts_with("record for orders-0: "), "{shown}");
    assert!(shown.contains("injected by the test; not written; "), "{shown}");
    assert!(!format!("{error:?} {error:#?}").contains("secret"));
    // Every level of the message once: the source has no text that is in the error itself.
    assert!(error.source().is_none_or(|source| source.to_string() != shown));
    Ok(())
}

#[tokio::test]
async fn error_of_an_accepted_record_has_no_record_of_its_own() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.fail_next(Api::Produce, 87, 1);
    let producer = producer(&cluster);

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();

    assert!(error.record().is_some());
    assert!(error.into_record().is_none());
    Ok(())
}

#[tokio::test]
async fn topics_that_are_refused_for_their_name_or_rights_fail_at_once() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).max_block(seconds(60)).build()?;
    cluster.inject(kafka_mock::Fault::error_code(29).api(Api::Metadata).topic("forbidden").always());

    let invalid = ProducerRecord::to("no spaces allowed").value("x");
    let forbidden = ProducerRecord::to("forbidden").value("y");
    let invalid = soon("invalid", producer.send(invalid)).await.unwrap_err();
    let forbidden = soon("forbidden", producer.send(forbidden)).await.unwrap_err();

    let SendErrorKind::TopicRefused { code, topic } = invalid.kind() else { panic!("{invalid:?}") };
    assert_eq!((*code, topic.as_str()), (ErrorCode::InvalidTopicException, "no spaces allowed"));
    assert_eq!(invalid.disposition(), Disposition::FixRecord);
    assert_eq!(invalid.into_record().unwrap().value.unwrap(), "x");
    let SendErrorKind::TopicRefused { code, .. } = forbidden.kind() else { panic!("{forbidden:?}") };
    assert_eq!(*code, ErrorCode::TopicAuthorizationFailed);
    assert_eq!(forbidden.disposition(), Disposition::FixConfiguration);

    // Rights may be granted.
    cluster.clear_faults();
    cluster.create_topic("forbidden", 1, 1)?;
    soon("granted", producer.send(ProducerRecord::to("forbidden").value("y"))).await?;
    Ok(())
}

#[tokio::test]
async fn refused_topic_does_not_hold_up_others() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);

    let (refused, good) = soon("both", async {
        tokio::join!(producer.send(ProducerRecord::to("not valid!")), producer.send(record("x")))
    })
    .await;

    assert!(matches!(refused.unwrap_err().kind(), SendErrorKind::TopicRefused { .. }));
    assert_eq!(good?.offset(), Some(0));
    Ok(())
}

#[tokio::test]
async fn no_common_version_of_produce_fails_the_record() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_api_versions(Api::Produce, 100, 101)?;
    let producer = producer(&cluster);

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();

    assert_eq!(error.delivery_error().unwrap().kind(), DeliveryErrorKind::UnsupportedVersion);
    assert_eq!(error.disposition(), Disposition::FixConfiguration);
    assert_eq!(error.persisted(), Persisted::No);
    assert_eq!(error.record().unwrap().value.unwrap(), "x");
    Ok(())
}
