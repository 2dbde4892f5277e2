//! `buffer.memory`: never exceeded, served first come first served, given back to the last byte.

use std::sync::Arc;

use kafka_mock::{Api, MockCluster};
use kafka_producer::{Compression, Delivery, KafkaProducer, ProducerRecord};
use tokio::task::JoinHandle;

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, empty, enqueue_all, log_of, logs_of, millis, record,
    record_for, results, seconds, soon, texts, until,
};

/// A producer of little memory at a broker that is frozen, and what was accepted until the memory was full.
async fn full() -> (MockCluster, KafkaProducer, Vec<Delivery>) {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1000).buffer_memory(4000).build().unwrap();
    soon("first", producer.send(record(filler("first")))).await.unwrap();
    empty(&producer).await;
    cluster.freeze(0).unwrap();
    let mut accepted = Vec::new();
    while let Ok(delivery) = producer.try_enqueue(record(filler("accepted"))) {
        accepted.push(delivery);
    }
    (cluster, producer, accepted)
}

fn filler(name: impl ToString) -> String {
    format!("{:x<900}", name.to_string())
}

fn spawn(producer: &KafkaProducer, value: String) -> JoinHandle<Delivery> {
    spawn_record(producer.clone(), record(value))
}

#[expect(clippy::async_yields_async, reason = "the tests await the two stages apart")]
fn spawn_record(producer: KafkaProducer, record: ProducerRecord) -> JoinHandle<Delivery> {
    tokio::spawn(async move { producer.enqueue(record).await.unwrap() })
}

#[tokio::test]
async fn waiters_are_served_first_come_first_served() -> TestResult {
    let (cluster, producer, accepted) = full().await;
    let mut waiting = Vec::new();
    for i in 0..8 {
        waiting.push(spawn(&producer, filler(i)));
        until("it waits", || producer.metrics().waiting_for_memory == i + 1).await;
    }

    cluster.unfreeze(0)?;
    for task in waiting {
        soon("delivery", soon("enqueue", task).await?).await?;
    }
    delivered(accepted).await;

    let log: Vec<_> = log_of(&cluster, 0).iter().map(|value| value.replace('x', "")).collect();
    assert_eq!(log[log.len() - 8..], texts(0..8));
    assert_eq!(producer.metrics().buffered_bytes, 0);
    assert_eq!(producer.metrics().buffer_available_bytes, 4000);
    Ok(())
}

#[tokio::test]
async fn large_record_is_not_starved_by_small_ones() -> TestResult {
    let (cluster, producer, accepted) = full().await;
    let large = spawn(&producer, "L".repeat(3500));
    until("it waits", || producer.metrics().waiting_for_memory == 1).await;
    let small: Vec<_> = (0..20).map(|i| spawn(&producer, filler(i))).collect();
    until("they wait", || producer.metrics().waiting_for_memory == 21).await;

    cluster.unfreeze(0)?;
    soon("large", soon("large", large).await?).await?;
    for task in small {
        soon("small", soon("small", task).await?).await?;
    }
    delivered(accepted).await;

    let log = log_of(&cluster, 0);
    let large = log.iter().position(|value| value.starts_with('L')).unwrap();
    let small = log.iter().position(|value| value.starts_with('0')).unwrap();
    assert!(large < small, "the large record was overtaken");
    Ok(())
}

#[tokio::test]
async fn cancelled_waiters_leave_nothing_behind() -> TestResult {
    let (cluster, producer, accepted) = full().await;
    let waiting: Vec<_> = (0..10).map(|i| spawn(&producer, filler(format!("cancelled {i}")))).collect();
    until("they wait", || producer.metrics().waiting_for_memory == 10).await;
    let last = spawn(&producer, filler("last"));
    until("it waits", || producer.metrics().waiting_for_memory == 11).await;

    for task in waiting {
        task.abort();
    }
    until("they are gone", || producer.metrics().waiting_for_memory == 1).await;
    cluster.unfreeze(0)?;
    soon("last", soon("last", last).await?).await?;
    delivered(accepted).await;

    assert!(log_of(&cluster, 0).iter().all(|value| !value.contains("cancelled")));
    assert_eq!(producer.metrics().buffered_bytes, 0);
    // Every byte can be had again.
    soon("largest", producer.send(record("x".repeat(3900)))).await?;
    Ok(())
}

#[tokio::test]
async fn waiters_cancelled_at_the_moment_of_their_turn_leave_nothing_behind() -> TestResult {
    let (cluster, producer, accepted) = full().await;
    for round in 0..30 {
        let waiting = spawn(&producer, filler(format!("round {round}")));
        // What the broker had read before it froze may have made room already.
        until("it waits", || producer.metrics().waiting_for_memory > 0 || waiting.is_finished()).await;
        cluster.unfreeze(0)?;
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        drop(waiting.await);
        cluster.freeze(0)?;
        while producer.try_enqueue(record(filler("again"))).is_ok() {}
    }
    cluster.unfreeze(0)?;
    delivered(accepted).await;
    soon("flush", producer.flush()).await;

    assert_eq!(producer.metrics().buffered_bytes, 0);
    assert_eq!(producer.metrics().waiting_for_memory, 0);
    soon("largest", producer.send(record("x".repeat(3900)))).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_never_exceeded_and_always_returned() -> TestResult {
    for compression in [Compression::None, Compression::Lz4] {
        let cluster = Arc::new(cluster_with(2, 40).await);
        cluster.delay(None, Some(Api::Produce), millis(1));
        let producer = builder(&cluster)
            .batch_size(2000)
            .buffer_memory(20_000)
            .linger(millis(3))
            .compression(compression)
            .build()?;
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let producer = producer.clone();
                tokio::spawn(async move {
                    for i in 0..150 {
                        let value = format!("{task} {i} {}", "y".repeat((i * 37) % 1500));
                        drop(
                            producer
                                .enqueue(record_for((task * 150 + i32::try_from(i).unwrap()) % 40, value))
                                .await
                                .unwrap(),
                        );
                        let metrics = producer.metrics();
                        assert!(metrics.buffered_bytes <= 20_000, "{metrics:?}");
                    }
                })
            })
            .collect();

        for task in tasks {
            soon("task", task).await?;
        }
        soon("flush", producer.flush()).await;

        let metrics = producer.metrics();
        assert_eq!((metrics.buffered_bytes, metrics.buffered_records), (0, 0), "{metrics:?}");
        assert_eq!(logs_of(&cluster).iter().map(Vec::len).sum::<usize>(), 1200);
    }
    Ok(())
}

/// A record for each of many partitions takes more memory than there is, were a whole batch reserved for each.
#[tokio::test]
async fn many_partitions_share_little_memory() -> TestResult {
    let cluster = cluster_with(1, 300).await;
    let producer = builder(&cluster)
        .batch_size(16_384)
        .buffer_memory(64_000)
        .linger(seconds(600))
        .delivery_timeout(seconds(900))
        .build()?;

    let deliveries = enqueue_all(&producer, (0..1500).map(|i| record_for(i % 300, i / 300))).await;
    soon("flush", producer.flush()).await;
    delivered(deliveries).await;

    for log in logs_of(&cluster) {
        assert_eq!(log, texts(0..5));
    }
    Ok(())
}

/// Enqueues to a partition that cannot be sent until some calls wait; returns what was accepted and those calls.
async fn flood(
    producer: &KafkaProducer,
    topic: &'static str,
    waiting: usize,
) -> (Vec<Delivery>, Vec<JoinHandle<Delivery>>) {
    let record_of = move |i: usize| ProducerRecord::to(topic).partition(0).value(filler(i));
    soon("the topic is known", producer.partitions_for(topic)).await.unwrap();
    empty(producer).await;
    let mut accepted = Vec::new();
    while let Ok(delivery) = producer.try_enqueue(record_of(accepted.len())) {
        accepted.push(delivery);
    }
    let before = producer.metrics().waiting_for_memory;
    let mut tasks = Vec::new();
    for i in 0..waiting {
        let (sending, record) = (producer.clone(), record_of(accepted.len() + i));
        tasks.push(spawn_record(sending, record));
        until("it waits", || producer.metrics().waiting_for_memory == before + i + 1).await;
    }
    (accepted, tasks)
}

/// What keeps a topic from being sent, and what ends that.
type Trouble = fn(&MockCluster);

#[tokio::test]
async fn topic_that_cannot_be_sent_does_not_stall_the_others() -> TestResult {
    let leaderless: (Trouble, Trouble) = (
        |cluster| cluster.set_leader("dead", 0, None).unwrap(),
        |cluster| cluster.set_leader("dead", 0, Some(1)).unwrap(),
    );
    let frozen: (Trouble, Trouble) =
        (|cluster| cluster.freeze(1).unwrap(), |cluster| cluster.unfreeze(1).unwrap());
    for (begin, end) in [leaderless, frozen] {
        let cluster = cluster_with(2, 1).await;
        cluster.create_topic("dead", 1, 2)?;
        cluster.set_leader(TOPIC, 0, Some(0))?;
        cluster.set_leader("dead", 0, Some(1))?;
        let producer = builder(&cluster)
            .batch_size(1000)
            .buffer_memory(20_000)
            .request_timeout(seconds(60))
            .delivery_timeout(seconds(120))
            .max_block(seconds(60))
            .build()?;
        soon("other", producer.send(record("first"))).await?;
        soon("dead", producer.send(ProducerRecord::to("dead").partition(0).value("first"))).await?;

        begin(&cluster);
        let (accepted, waiting) = flood(&producer, "dead", 10).await;
        // With and without waiting for each, and with a record larger than a batch.
        for i in 0..50 {
            soon("send", producer.send(record(filler(i)))).await?;
        }
        delivered(enqueue_all(&producer, (50..200).map(|i| record(filler(i)))).await).await;
        soon("large", producer.send(record("L".repeat(5000)))).await?;

        assert_eq!(producer.metrics().waiting_for_memory, 10);
        assert!(accepted.iter().all(|delivery| delivery.try_result().is_none()));
        end(&cluster);
        delivered(accepted).await;
        for task in waiting {
            soon("delivery", soon("enqueue", task).await?).await?;
        }
        let log: Vec<_> =
            cluster.records("dead", 0).iter().map(|record| record.value.clone().unwrap()).collect();
        let expected: Vec<_> = (0..log.len() - 1).map(filler).collect();
        assert_eq!(log[1..], expected, "in the order in which they were enqueued");
        assert_eq!(producer.metrics().buffered_bytes, 0);
    }
    Ok(())
}

#[tokio::test]
async fn many_dead_partitions_do_not_stall_the_others() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.create_topic("dead", 20, 1)?;
    let producer = builder(&cluster)
        .batch_size(1000)
        .buffer_memory(200_000)
        .delivery_timeout(seconds(120))
        .request_timeout(seconds(60))
        .build()?;
    soon("first", producer.send(record("first"))).await?;
    for partition in 0..20 {
        cluster.set_leader("dead", partition, None)?;
    }
    soon("the topic is known", producer.partitions_for("dead")).await?;

    for partition in 0..20 {
        let dead = || ProducerRecord::to("dead").partition(partition).value(filler("x"));
        while let Ok(delivery) = producer.try_enqueue(dead()) {
            drop(delivery);
        }
    }

    let deliveries = enqueue_all(&producer, (0..300).map(|i| record(filler(i)))).await;
    delivered(deliveries).await;
    Ok(())
}

/// Without a key there is no reason to wait for the one partition that takes nothing.
#[tokio::test]
async fn records_without_a_key_go_where_memory_is_left() -> TestResult {
    let cluster = cluster_with(2, 2).await;
    cluster.set_leader(TOPIC, 0, Some(0))?;
    cluster.set_leader(TOPIC, 1, Some(1))?;
    let producer = builder(&cluster)
        .batch_size(1000)
        .buffer_memory(20_000)
        .request_timeout(seconds(60))
        .delivery_timeout(seconds(120))
        .build()?;
    soon("first", producer.send(record_for(0, "first"))).await?;
    soon("second", producer.send(record_for(1, "second"))).await?;
    // What the first two hold back of the memory would be free for the stuck partition later.
    empty(&producer).await;
    cluster.freeze(1)?;
    while producer.try_enqueue(record_for(1, filler("stuck"))).is_ok() {}

    for i in 0..100 {
        drop(soon("enqueue", producer.enqueue(record(filler(i)))).await?);
    }

    until("all are written", || log_of(&cluster, 0).len() == 101).await;
    Ok(())
}

/// A caller cannot tell beforehand which partition it will be.
#[tokio::test]
async fn records_without_a_key_wait_for_the_first_partition_that_has_memory_again() -> TestResult {
    let cluster = cluster_with(2, 2).await;
    cluster.set_leader(TOPIC, 0, Some(0))?;
    cluster.set_leader(TOPIC, 1, Some(1))?;
    let producer = builder(&cluster)
        .batch_size(1000)
        .buffer_memory(20_000)
        .request_timeout(seconds(60))
        .delivery_timeout(seconds(120))
        .build()?;
    soon("first", producer.send(record_for(0, "first"))).await?;
    soon("second", producer.send(record_for(1, "second"))).await?;

    for thawed in [0, 1, 0, 1, 0, 1] {
        empty(&producer).await;
        cluster.freeze(0)?;
        cluster.freeze(1)?;
        for partition in [0, 1] {
            while producer.try_enqueue(record_for(partition, filler("stuck"))).is_ok() {}
        }
        let waiting: Vec<_> = (0..8).map(|i| spawn(&producer, filler(i))).collect();
        until("they wait", || producer.metrics().waiting_for_memory == 8).await;

        cluster.unfreeze(thawed)?;

        for task in waiting {
            drop(soon("enqueue", task).await?);
        }
        cluster.unfreeze(0)?;
        cluster.unfreeze(1)?;
        soon("flush", producer.flush()).await;
    }
    Ok(())
}

#[tokio::test]
async fn waiting_for_memory_ends_the_linger() -> TestResult {
    let cluster = cluster_with(1, 20).await;
    let producer = builder(&cluster)
        .batch_size(1000)
        .buffer_memory(6000)
        .linger(seconds(600))
        .delivery_timeout(seconds(900))
        .build()?;

    let deliveries = enqueue_all(&producer, (0..40).map(|i| record_for(i % 20, filler(i)))).await;
    soon("flush", producer.flush()).await;

    delivered(deliveries).await;
    Ok(())
}

#[tokio::test]
async fn memory_returns_from_failures_of_every_kind() -> TestResult {
    let cluster = cluster_with(1, 4).await;
    let producer = builder(&cluster)
        .linger(millis(10))
        .delivery_timeout(millis(400))
        .request_timeout(millis(100))
        .build()?;
    soon("metadata", producer.partitions_for("orders")).await?;
    cluster.inject(kafka_mock::Fault::error_code(87).api(Api::Produce).partition("orders", 0));
    cluster.inject(kafka_mock::Fault::error_code(10).api(Api::Produce).partition("orders", 1).always());
    cluster.set_leader("orders", 2, None)?;
    cluster.inject(kafka_mock::Fault::drop_response().api(Api::Produce).partition("orders", 3).always());

    let deliveries = enqueue_all(&producer, (0..40).map(|i| record_for(i % 4, i))).await;
    let failed = results(deliveries).await;

    assert!(failed.iter().filter(|result| result.is_err()).count() >= 20);
    until("memory is back", || producer.metrics().buffered_bytes == 0).await;
    assert_eq!(producer.metrics().buffered_records, 0);
    Ok(())
}
