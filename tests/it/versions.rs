//! Brokers of other releases: the newest versions that both sides speak are used, and old ones suffice.

use kafka_mock::{Api, MockCluster};
use kafka_producer::{DeliveryErrorKind, ErrorCode};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, log_of, millis, producer, record,
    run_out, seconds, soon, texts, until,
};

async fn cluster_of(release: &str) -> MockCluster {
    let cluster = MockCluster::builder().brokers(2).kafka_release(release).start().await.unwrap();
    cluster.create_topic(TOPIC, 2, 2).unwrap();
    cluster
}

/// Release, and the highest versions of Produce, Metadata and ApiVersions in it (Kafka's release notes), as far as
/// this crate speaks them.
const RELEASES: [(&str, i16, i16); 14] = [
    ("0.11", 3, 4),
    ("1.0", 5, 5),
    ("1.1", 5, 5),
    ("2.0", 6, 6),
    ("2.1", 7, 7),
    ("2.3", 7, 8),
    ("2.4", 8, 9),
    ("2.8", 9, 11),
    ("3.1", 9, 12),
    ("3.7", 10, 12),
    ("3.9", 11, 12),
    ("4.0", 12, 13),
    ("4.1", 13, 13),
    ("4.3", 13, 13),
];

#[tokio::test]
async fn every_release_takes_records() -> TestResult {
    for (release, produce, metadata) in RELEASES {
        for is_idempotent in [true, false] {
            let cluster = cluster_of(release).await;
            let producer = builder(&cluster).enable_idempotence(is_idempotent).batch_size(200).build()?;

            let records = (0..40).map(|i| record(i).partition(0).header("h", "v").key("k"));
            let told = delivered(enqueue_all(&producer, records).await).await;

            assert_eq!(log_of(&cluster, 0), texts(0..40), "{release}");
            assert!(told.iter().map(|metadata| metadata.offset()).eq((0..40).map(Some)), "{release}");
            let requests = cluster.requests();
            assert_eq!(requests.of_version(Api::Produce, produce), requests.of(Api::Produce), "{release}");
            assert_eq!(of_metadata(&cluster, metadata), requests.of(Api::Metadata), "{release}");
            assert_eq!(cluster.refusals(), Vec::<String>::new(), "{release}");
        }
    }
    Ok(())
}

/// Returns how often Metadata was asked for in this version, with the one time that it is asked for before a broker has
/// said what it speaks.
fn of_metadata(cluster: &MockCluster, version: i16) -> u64 {
    let early = u64::from(version != 4);
    assert!(cluster.requests().of_version(Api::Metadata, version) > 0);
    cluster.requests().of_version(Api::Metadata, version) + early
}

#[tokio::test]
async fn errors_and_leader_moves_are_survived_in_every_release() -> TestResult {
    for (release, ..) in RELEASES {
        let cluster = cluster_of(release).await;
        let producer = producer(&cluster);
        soon("first", producer.send(record(0).partition(0))).await?;
        cluster.fail_next(Api::Produce, 19, 1);
        soon("second", producer.send(record(1).partition(0))).await?;
        cluster.set_leader(TOPIC, 0, Some(1 - cluster.leader(TOPIC, 0).unwrap()))?;
        soon("third", producer.send(record(2).partition(0))).await?;
        cluster.fail_next(Api::Produce, 87, 1);
        let error = soon("fourth", producer.send(record(3).partition(0))).await.unwrap_err();

        let DeliveryErrorKind::Broker { code, .. } = error.delivery_error().unwrap().kind() else {
            panic!("{error:?}")
        };
        assert_eq!(code, ErrorCode::InvalidRecord, "{release}");
        assert_eq!(log_of(&cluster, 0), texts(0..3), "{release}");
    }
    Ok(())
}

#[tokio::test]
async fn each_version_of_produce_works_by_itself() -> TestResult {
    for version in 3..=13 {
        let cluster = cluster_with(1, 3).await;
        cluster.set_api_versions(Api::Produce, version, version)?;
        cluster.create_topic("other", 2, 1)?;
        let producer = builder(&cluster).linger(millis(5)).build()?;

        let records = (0..30).map(|i| record(i).partition(i % 3));
        let others = (0..10).map(|i| {
            let mut record = record(i).partition(i % 2);
            record.topic = "other".into();
            record
        });
        let deliveries = enqueue_all(&producer, records.chain(others)).await;
        delivered(deliveries).await;

        assert_eq!(cluster.requests().of_version(Api::Produce, version), cluster.requests().of(Api::Produce));
        assert_eq!(cluster.end_offset(TOPIC, 2)?, 10, "version {version}");
        assert_eq!(cluster.end_offset("other", 1)?, 5, "version {version}");
    }
    Ok(())
}

#[tokio::test]
async fn each_version_of_metadata_works_by_itself() -> TestResult {
    for version in 0..=13 {
        let cluster = cluster_with(2, 2).await;
        cluster.set_api_versions(Api::Metadata, version, version)?;
        if version < 10 {
            // Without topic ids the newest Produce cannot be spoken.
            cluster.set_api_versions(Api::Produce, 0, 12)?;
        }
        let producer = producer(&cluster);

        soon("send", producer.send(record("x"))).await?;

        assert_eq!(of_metadata(&cluster, version), cluster.requests().of(Api::Metadata), "version {version}");
    }
    Ok(())
}

#[tokio::test]
async fn each_version_of_api_versions_works_by_itself() -> TestResult {
    for version in 0..=4 {
        let cluster = cluster_with(1, 1).await;
        cluster.set_api_versions(Api::ApiVersions, 0, version)?;
        let producer = producer(&cluster);

        soon("send", producer.send(record("x"))).await?;
    }
    Ok(())
}

#[tokio::test]
async fn brokers_of_two_releases_may_share_a_producer() -> TestResult {
    // A rolling upgrade: the versions change while connections are open, and count for new ones.
    let cluster = cluster_of("2.8").await;
    let producer = producer(&cluster);
    soon("first", producer.send(record(0).partition(0))).await?;
    cluster.set_api_versions(Api::Produce, 3, 13)?;
    cluster.set_api_versions(Api::Metadata, 0, 13)?;
    for broker in 0..2 {
        cluster.broker_down(broker).await?;
        cluster.broker_up(broker).await?;
    }

    soon("second", producer.send(record(1).partition(0))).await?;

    assert_eq!(log_of(&cluster, 0), texts(0..2));
    assert!(cluster.requests().of_version(Api::Produce, 13) > 0, "{:?}", cluster.requests());
    Ok(())
}

/// Produce 13 names topics by id; one that was made anew under its name has another.
#[tokio::test]
async fn topic_ids_that_have_changed_are_learnt() -> TestResult {
    let cluster = cluster_with(2, 1).await;
    let producer = producer(&cluster);
    soon("first", producer.send(record(0))).await?;
    cluster.delete_topic(TOPIC)?;
    cluster.create_topic(TOPIC, 1, 2)?;

    soon("second", producer.send(record(1))).await?;

    assert_eq!(log_of(&cluster, 0), ["1"]);
    assert!(cluster.requests().of_version(Api::Produce, 13) >= 2);
    Ok(())
}

/// A broker that speaks Produce 13 beside one that tells no ids (N18): it must not go on for ever.
#[tokio::test]
async fn produce_13_without_topic_ids_ends() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_api_versions(Api::Metadata, 0, 9)?;
    let producer = builder(&cluster).delivery_timeout(millis(500)).request_timeout(millis(200)).build()?;

    let result = soon("send", producer.send(record("x"))).await;

    if let Err(error) = result {
        assert!(error.delivery_error().is_some(), "{error:?}");
    }
    let _ = soon("close", producer.close(seconds(2))).await;
    assert_eq!(producer.metrics().buffered_bytes, 0);
    Ok(())
}

#[tokio::test]
async fn broker_without_a_common_version_of_metadata_does_no_harm() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_api_versions(Api::Metadata, 90, 91)?;
    let producer = producer(&cluster);
    let is_connected = || cluster.connections_accepted(0) > 0;

    assert!(run_out("send", producer.send(record("x")), is_connected, seconds(61)).await.is_err());
    cluster.set_api_versions(Api::Metadata, 0, 13)?;
    cluster.broker_down(0).await?;
    cluster.broker_up(0).await?;

    soon("send", producer.send(record("y"))).await?;
    until("memory is back", || producer.metrics().buffered_bytes == 0).await;
    Ok(())
}
