//! `enqueue` and `try_enqueue`: what is accepted, what comes back, and the `Delivery`.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use kafka_mock::Api;
use kafka_producer::{
    DeliveryErrorKind, Disposition, KafkaProducer, Persisted, ProducerRecord, SendErrorKind, TopicPartition,
};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, log_of, millis, producer, record,
    record_for, seconds, soon, texts, until,
};

/// A producer that knows the topic.
async fn ready(producer: &KafkaProducer) {
    soon("metadata", producer.partitions_for(TOPIC)).await.unwrap();
}

#[tokio::test]
async fn delivery_names_the_partition_at_once() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let producer = producer(&cluster);

    let delivery = producer.enqueue(record_for(2, "x")).await?;

    assert_eq!(delivery.topic_partition(), &TopicPartition::new(TOPIC, 2));
    assert_eq!(soon("delivery", delivery).await?.partition(), 2);
    Ok(())
}

#[tokio::test]
async fn try_enqueue_asks_for_an_unknown_topic_and_succeeds_later() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let producer = producer(&cluster);

    let error = producer.try_enqueue(record_for(1, "x").header("h", "v")).unwrap_err();
    let SendErrorKind::TopicUnknown { topic, partition, partition_count } = error.kind() else {
        panic!("{error:?}")
    };
    assert_eq!((topic.as_str(), *partition, *partition_count), (TOPIC, Some(1), None));
    assert_eq!((error.persisted(), error.disposition()), (Persisted::No, Disposition::RetryLater));
    assert!(error.is_retriable());
    assert_eq!(error.kind().to_string(), "topic \"orders\" not in metadata yet");

    let mut again = Some(error.into_record().unwrap());
    let mut delivery = None;
    until("the topic is known", || match producer.try_enqueue(again.take().unwrap()) {
        Ok(accepted) => {
            delivery = Some(accepted);
            true
        }
        Err(error) => {
            again = error.into_record();
            false
        }
    })
    .await;
    soon("delivery", delivery.unwrap()).await?;
    assert_eq!(cluster.records(TOPIC, 1)[0].headers.len(), 1);
    Ok(())
}

#[tokio::test]
async fn try_enqueue_tells_of_a_partition_that_is_not_there_yet() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let producer = producer(&cluster);
    ready(&producer).await;

    let error = producer.try_enqueue(record_for(2, "x")).unwrap_err();
    assert_eq!(
        error.kind().to_string(),
        "partition 2 of topic \"orders\" with 2 partitions not in metadata yet"
    );
    cluster.add_partitions(TOPIC, 3)?;

    until("the partition is known", || producer.try_enqueue(record_for(2, "x")).is_ok()).await;
    Ok(())
}

#[tokio::test]
async fn try_enqueue_refuses_what_memory_does_not_hold() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1000).buffer_memory(10_000).build()?;
    ready(&producer).await;
    cluster.freeze(0)?;

    let mut accepted = Vec::new();
    let error = loop {
        match producer.try_enqueue(record("x".repeat(900)).header("h", "v")) {
            Ok(delivery) => accepted.push(delivery),
            Err(error) => break error,
        }
    };

    let SendErrorKind::Full { needed, available, limit } = *error.kind() else { panic!("{error:?}") };
    assert!(needed > available, "{error}");
    assert_eq!(limit, 10_000);
    assert_eq!(error.disposition(), Disposition::RetryLater);
    let back = error.into_record().unwrap();
    assert_eq!((back.value.unwrap().len(), back.headers.len()), (900, 1));
    assert!((5..=10).contains(&accepted.len()), "{}", accepted.len());
    cluster.unfreeze(0)?;
    delivered(accepted).await;
    Ok(())
}

/// No caller waits for memory, so nothing but the refusal itself can say that it is wanted.
#[tokio::test]
async fn refusal_for_memory_sends_batches_that_linger() -> TestResult {
    let cluster = cluster_with(1, 50).await;
    let producer = builder(&cluster)
        .batch_size(1000)
        .buffer_memory(10_000)
        .linger(seconds(600))
        .delivery_timeout(seconds(900))
        .build()?;
    ready(&producer).await;
    let mut partitions = (0..50).cycle();

    let mut accepted = Vec::new();
    while let Ok(delivery) = producer.try_enqueue(record_for(partitions.next().unwrap(), "x")) {
        accepted.push(delivery);
    }

    until("memory is free again", || producer.try_enqueue(record_for(49, "x")).is_ok()).await;
    assert!(accepted.len() < 50);
    delivered(accepted).await;
    Ok(())
}

#[tokio::test]
async fn try_enqueue_refuses_records_that_are_too_large_or_invalid() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).max_request_size(1000).build()?;
    ready(&producer).await;

    let too_large = producer.try_enqueue(record("x".repeat(1000))).unwrap_err();
    let partition = producer.try_enqueue(record("p").partition(-1)).unwrap_err();
    let timestamp = producer.try_enqueue(record("t").timestamp(-1)).unwrap_err();

    assert!(matches!(too_large.kind(), SendErrorKind::TooLarge { setting: "max.request.size", .. }));
    for error in [&partition, &timestamp] {
        assert!(matches!(error.kind(), SendErrorKind::InvalidRecord(_)), "{error:?}");
    }
    for error in [too_large, partition, timestamp] {
        assert_eq!(error.disposition(), Disposition::FixRecord);
        assert_eq!(error.persisted(), Persisted::No);
        assert!(!error.is_retriable());
        assert!(error.into_record().unwrap().value.is_some());
    }
    assert_eq!(producer.metrics().buffered_bytes, 0);
    Ok(())
}

#[tokio::test]
async fn invalid_records_are_refused_without_metadata() -> TestResult {
    let producer = crate::support::builder_at("127.0.0.1:1").build()?;

    let error = soon("refusal", producer.enqueue(record("x").partition(-7))).await.unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::InvalidRecord(_)));
    assert_eq!(error.into_record().unwrap().partition, Some(-7));
    Ok(())
}

#[tokio::test]
async fn closed_producer_refuses_and_gives_the_record_back() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    ready(&producer).await;
    let _ = producer.close(seconds(5)).await;

    let refused = [producer.try_enqueue(record("x")), soon("enqueue", producer.enqueue(record("x"))).await];

    for refused in refused {
        let error = refused.unwrap_err();
        assert!(matches!(error.kind(), SendErrorKind::Closed));
        assert_eq!(error.disposition(), Disposition::NewProducer);
        assert_eq!(error.record(), Some(record("x")));
        assert_eq!(error.into_record(), Some(record("x")));
    }
    Ok(())
}

#[tokio::test]
async fn dropped_deliveries_do_no_harm() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);

    for i in 0..100 {
        drop(producer.enqueue(record(i)).await?);
    }
    soon("flush", producer.flush()).await;

    assert_eq!(log_of(&cluster, 0), texts(0..100));
    assert_eq!(producer.metrics().records_delivered, 100);
    Ok(())
}

#[tokio::test]
async fn delivery_gives_its_result_once_and_says_so_without_waiting() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    cluster.freeze(0)?;
    let mut delivery = {
        cluster.unfreeze(0)?;
        ready(&producer).await;
        cluster.freeze(0)?;
        producer.enqueue(record("x")).await?
    };

    assert!(delivery.try_result().is_none());
    cluster.unfreeze(0)?;
    producer.flush().await;
    assert_eq!(delivery.try_result().unwrap()?.offset(), Some(0));
    assert_eq!(soon("delivery", &mut delivery).await?.offset(), Some(0));

    let again = soon("delivery", &mut delivery).await.unwrap_err();
    assert_eq!(again.kind(), DeliveryErrorKind::ResultTaken);
    assert_eq!(delivery.try_result().unwrap().unwrap_err().kind(), DeliveryErrorKind::ResultTaken);
    Ok(())
}

#[tokio::test]
async fn delivery_may_move_between_tasks_while_it_is_pending() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    ready(&producer).await;
    cluster.freeze(0)?;
    let mut delivery = producer.enqueue(record("x")).await?;

    // Polled here, with this task's waker, and then elsewhere.
    assert!(tokio::time::timeout(millis(5), &mut delivery).await.is_err());
    let elsewhere = tokio::spawn(delivery);
    tokio::task::yield_now().await;
    cluster.unfreeze(0)?;

    assert_eq!(soon("delivery", elsewhere).await??.offset(), Some(0));
    Ok(())
}

struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn only_the_last_waker_of_a_delivery_is_woken() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    ready(&producer).await;
    cluster.freeze(0)?;
    let mut delivery = pin!(producer.enqueue(record("x")).await?);
    let counters: Vec<_> = (0..10).map(|_| Arc::new(CountingWaker(AtomicUsize::new(0)))).collect();

    for counter in &counters {
        let waker = Waker::from(Arc::clone(counter));
        assert!(matches!(delivery.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending));
    }
    cluster.unfreeze(0)?;
    until("the delivery is settled", || delivery.try_result().is_some()).await;

    let woken: Vec<_> = counters.iter().map(|counter| counter.0.load(Ordering::SeqCst)).collect();
    assert_eq!(woken, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    Ok(())
}

#[tokio::test]
async fn thousands_of_waiting_tasks_are_all_woken() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let producer = builder(&cluster).batch_size(1_000_000).linger(millis(10)).build()?;
    ready(&producer).await;
    cluster.freeze(0)?;
    let deliveries = enqueue_all(&producer, (0..3000).map(|i| record_for(i % 2, i))).await;

    let tasks: Vec<_> = deliveries.into_iter().map(tokio::spawn).collect();
    tokio::task::yield_now().await;
    cluster.unfreeze(0)?;

    for task in tasks {
        soon("delivery", task).await??;
    }
    Ok(())
}

/// The first wait is for metadata; records of one task must not overtake each other there.
#[tokio::test]
async fn records_that_waited_for_metadata_keep_their_order() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.delay(None, Some(Api::Metadata), millis(50));
    let producer = producer(&cluster);

    let deliveries = enqueue_all(&producer, (0..100).map(record)).await;
    delivered(deliveries).await;

    assert_eq!(log_of(&cluster, 0), texts(0..100));
    Ok(())
}

#[tokio::test]
async fn producer_outside_a_runtime_is_refused() {
    let refused = std::thread::spawn(|| {
        KafkaProducer::builder().bootstrap_servers("127.0.0.1:9092").build().map(drop).unwrap_err()
    });

    let error = refused.join().unwrap();
    assert!(matches!(error, kafka_producer::BuildError::NoRuntime));
    assert_eq!(
        error.to_string(),
        "a producer must be built within a tokio runtime, or by `build_blocking`, which makes one"
    );
}

#[tokio::test]
async fn records_for_several_topics_go_their_ways() -> TestResult {
    let cluster = cluster_with(2, 1).await;
    for topic in ["a", "b", "c"] {
        cluster.create_topic(topic, 2, 1)?;
    }
    let producer = producer(&cluster);

    let records = (0..60).map(|i| {
        let record: ProducerRecord = ProducerRecord::to(["a", "b", "c"][i % 3]);
        record.value(i.to_string()).partition(0)
    });
    delivered(enqueue_all(&producer, records).await).await;

    for (number, topic) in ["a", "b", "c"].into_iter().enumerate() {
        let values: Vec<_> = cluster.records(topic, 0).iter().map(|r| r.value.clone().unwrap()).collect();
        let expected: Vec<_> = (0..60).skip(number).step_by(3).map(|i| i.to_string()).collect();
        assert_eq!(values, expected);
    }
    Ok(())
}
