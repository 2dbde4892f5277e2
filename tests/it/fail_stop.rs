//! Partitions that the first failure stops.

use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{
    Acks, BuildError, DeliveryErrorKind, Disposition, KafkaProducer, KafkaProducerBuilder, Persisted,
    SendErrorKind, TopicPartition,
};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, log_of, millis, record, record_for,
    results, soon, texts,
};

fn fail_stop(cluster: &MockCluster) -> KafkaProducerBuilder {
    builder(cluster).fail_stop(true)
}

/// Has the next record for a partition fail.
async fn stop(cluster: &MockCluster, producer: &KafkaProducer, partition: i32) {
    cluster.inject(Fault::error_code(87).api(Api::Produce).partition(TOPIC, partition));
    let failed = producer.send(record_for(partition, "bad"));
    assert!(soon("failure", failed).await.is_err());
}

#[tokio::test]
async fn records_behind_a_failed_one_come_back_until_the_partition_is_resumed() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = fail_stop(&cluster).batch_size(1).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.delay(None, Some(Api::Produce), millis(20));
    cluster.inject(Fault::error_code(87).api(Api::Produce).skip(1));

    let deliveries = enqueue_all(&producer, (1..20).map(record)).await;
    let mut results = results(deliveries).await.into_iter();
    assert!(results.next().unwrap().is_ok());
    let culprit = results.next().unwrap().unwrap_err();
    assert!(matches!(culprit.kind(), DeliveryErrorKind::Broker { .. }));
    let mut back = vec![culprit.record().unwrap()];
    for result in results {
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.persisted()), (DeliveryErrorKind::Stopped, Persisted::No));
        assert_eq!(error.disposition(), Disposition::ResumePartition);
        assert!(error.to_string().contains("orders-0") && error.to_string().contains("fail_stop"), "{error}");
        back.push(error.record().unwrap());
    }
    let refused = soon("refusal", producer.enqueue(record("new"))).await.unwrap_err();
    let is_named = |kind: &SendErrorKind| matches!(kind, SendErrorKind::Stopped { topic, partition: 0 } if *topic == TOPIC);
    assert!(is_named(refused.kind()) && !refused.is_retriable());
    assert_eq!(refused.into_record().unwrap().value.unwrap(), "new");
    assert!(is_named(producer.try_enqueue(record("new")).unwrap_err().kind()));
    assert_eq!(log_of(&cluster, 0), texts(0..2));

    assert!(producer.resume(&TopicPartition::new(TOPIC, 0)));
    delivered(enqueue_all(&producer, back).await).await;

    assert_eq!(log_of(&cluster, 0), texts(0..20));
    assert!(!producer.resume(&TopicPartition::new(TOPIC, 0)), "nothing is stopped");
    assert!(
        !producer.resume(&TopicPartition::new(TOPIC, 7))
            && !producer.resume(&TopicPartition::new(TOPIC, -1))
            && !producer.resume(&TopicPartition::new("none", 0))
    );
    Ok(())
}

#[tokio::test]
async fn partitions_stop_one_by_one_and_records_that_may_avoid_them_do() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let producer = fail_stop(&cluster).build()?;
    stop(&cluster, &producer, 0).await;
    stop(&cluster, &producer, 2).await;

    let metadata = delivered(enqueue_all(&producer, (0..50).map(record)).await).await;

    assert!(metadata.iter().all(|metadata| metadata.partition() == 1));
    stop(&cluster, &producer, 1).await;
    let refused = soon("refusal", producer.send(record("x"))).await.unwrap_err();
    assert!(matches!(refused.kind(), SendErrorKind::Stopped { .. }), "{refused:?}");
    assert!(producer.resume(&TopicPartition::new(TOPIC, 2)));
    assert_eq!(soon("send", producer.send(record("x"))).await?.partition(), 2);
    Ok(())
}

/// Without adaptive partitioning the partition is drawn without a look at the queues.
#[tokio::test]
async fn records_without_a_key_find_the_one_partition_that_is_not_stopped() -> TestResult {
    for is_adaptive in [false, true] {
        let cluster = cluster_with(1, 8).await;
        let producer =
            fail_stop(&cluster).batch_size(1).partitioner_adaptive_partitioning(is_adaptive).build()?;
        for partition in 0..7 {
            stop(&cluster, &producer, partition).await;
        }

        for i in 0..100 {
            let delivery = soon("enqueue", producer.enqueue(record(i))).await?;
            assert_eq!(delivery.topic_partition().partition, 7);
        }
        stop(&cluster, &producer, 7).await;
        let refused = soon("refusal", producer.enqueue(record("x"))).await.unwrap_err();
        assert!(matches!(refused.kind(), SendErrorKind::Stopped { .. }), "{refused:?}");
        assert!(refused.into_record().is_some());
    }
    Ok(())
}

/// No caller may wait for ever for memory that goes to a stopped partition.
#[tokio::test]
async fn callers_who_wait_for_memory_are_refused_when_the_partition_stops() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = fail_stop(&cluster).batch_size(1000).buffer_memory(6000).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.delay(None, Some(Api::Produce), millis(200));
    cluster.inject(Fault::error_code(87).api(Api::Produce));
    let large = "x".repeat(900);
    let accepted = enqueue_all(&producer, (0..3).map(|_| record(&large))).await;

    let waiting = soon("refusal", producer.enqueue(record(&large))).await;

    assert!(matches!(waiting.unwrap_err().kind(), SendErrorKind::Stopped { .. }));
    assert!(results(accepted).await.iter().all(Result::is_err));
    assert_eq!(log_of(&cluster, 0), ["0"]);
    Ok(())
}

#[tokio::test]
async fn flush_and_close_end_with_a_stopped_partition() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = fail_stop(&cluster).build()?;
    stop(&cluster, &producer, 0).await;

    soon("flush", producer.flush()).await;
    let report = soon("close", producer.close(millis(5000))).await;

    assert_eq!((report.failed, report.undelivered.len()), (1, 0));
    Ok(())
}

#[tokio::test]
async fn without_it_records_behind_a_failed_one_are_written() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).build()?;
    stop(&cluster, &producer, 0).await;

    soon("send", producer.send(record("x"))).await?;

    assert!(!producer.resume(&TopicPartition::new(TOPIC, 0)));
    Ok(())
}

#[tokio::test]
async fn acks_of_none_are_refused() {
    let build = KafkaProducer::<bytes::Bytes, bytes::Bytes>::builder()
        .bootstrap_servers("localhost:9092")
        .acks(Acks::None)
        .enable_idempotence(false)
        .fail_stop(true)
        .build();

    assert!(matches!(build, Err(BuildError::FailStopWithoutAcks)), "{build:?}");
}
