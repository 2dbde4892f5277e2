//! `flush`, `close`, and what they do to records that wait.

use kafka_mock::Api;
use kafka_producer::{CloseReport, DeliveryErrorKind, Disposition, KafkaProducer, Persisted, SendErrorKind};

use crate::support::{
    TOPIC, TestResult, builder, builder_at, cluster_with, delivered, enqueue_all, log_of, logs_of, millis,
    producer, record, record_for, results, seconds, skip_time, soon, texts, until,
};

async fn close(producer: &KafkaProducer, timeout: u64) -> CloseReport {
    soon("close", producer.close(seconds(timeout))).await
}

#[tokio::test]
async fn flush_sends_what_lingers_and_waits_for_it() -> TestResult {
    let cluster = cluster_with(1, 8).await;
    let producer = builder(&cluster).linger(seconds(600)).delivery_timeout(seconds(900)).build()?;
    let deliveries = enqueue_all(&producer, (0..80).map(|i| record_for(i % 8, i / 8))).await;
    assert_eq!(cluster.requests().of(Api::Produce), 0);

    soon("flush", producer.flush()).await;

    assert!(deliveries.iter().all(|delivery| delivery.try_result().is_some()));
    for log in logs_of(&cluster) {
        assert_eq!(log, texts(0..10));
    }
    Ok(())
}

#[tokio::test]
async fn flush_of_nothing_returns_at_once() -> TestResult {
    let producer = builder_at("127.0.0.1:1").build()?;

    soon("flush", producer.flush()).await;
    Ok(())
}

/// A task whose record is accepted while another closes has it delivered: the timeout is ample.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn records_that_are_accepted_while_another_task_closes_are_delivered() -> TestResult {
    let cluster = cluster_with(1, 4).await;
    for round in 0..60 {
        let producer = producer(&cluster);
        drop(producer.partitions_for(TOPIC).await?);
        let callers: Vec<_> = (0..4)
            .map(|partition| {
                let producer = producer.clone();
                tokio::spawn(async move {
                    let mut accepted = Vec::new();
                    while let Ok(delivery) = producer.enqueue(record_for(partition, "x")).await {
                        accepted.push(delivery);
                        tokio::task::yield_now().await;
                    }
                    accepted
                })
            })
            .collect();
        for _ in 0..round {
            tokio::task::yield_now().await;
        }

        let report = close(&producer, 20).await;

        assert_eq!((report.failed, report.undelivered.len()), (0, 0), "round {round}");
        for caller in callers {
            delivered(soon("caller", caller).await?).await;
        }
    }
    Ok(())
}

#[tokio::test]
async fn records_after_a_flush_linger_again() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).linger(seconds(600)).delivery_timeout(seconds(900)).build()?;
    drop(producer.enqueue(record(0)).await?);
    soon("flush", producer.flush()).await;

    let delivery = producer.enqueue(record(1)).await?;
    assert!(tokio::time::timeout(millis(50), delivery).await.is_err());
    assert_eq!(log_of(&cluster, 0), ["0"]);
    soon("second flush", producer.flush()).await;

    assert_eq!(log_of(&cluster, 0), ["0", "1"]);
    Ok(())
}

#[tokio::test]
async fn flush_waits_for_failed_records_too() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.fail_next(Api::Produce, 87, 1);
    let producer = producer(&cluster);
    let delivery = producer.enqueue(record(0)).await?;

    soon("flush", producer.flush()).await;

    assert!(delivery.try_result().unwrap().is_err());
    Ok(())
}

#[tokio::test]
async fn flush_waits_for_retries_and_pieces() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.fail_next(Api::Produce, 6, 2);
    cluster.set_max_message_bytes(400);
    let producer = builder(&cluster).linger(seconds(5)).build()?;
    let deliveries = enqueue_all(&producer, (0..100).map(record)).await;

    soon("flush", producer.flush()).await;

    assert!(deliveries.iter().all(|delivery| matches!(delivery.try_result(), Some(Ok(_)))));
    assert_eq!(log_of(&cluster, 0), texts(0..100));
    Ok(())
}

#[tokio::test]
async fn flush_given_up_changes_nothing() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    drop(producer.partitions_for(TOPIC).await?);
    cluster.freeze(0)?;
    let delivery = producer.enqueue(record(0)).await?;

    for _ in 0..10 {
        assert!(tokio::time::timeout(millis(2), producer.flush()).await.is_err());
    }
    cluster.unfreeze(0)?;

    soon("delivery", delivery).await?;
    soon("flush", producer.flush()).await;
    Ok(())
}

#[tokio::test]
async fn flushes_at_once_all_return() -> TestResult {
    let cluster = cluster_with(1, 4).await;
    let producer = builder(&cluster).linger(seconds(600)).delivery_timeout(seconds(900)).build()?;
    let tasks: Vec<_> = (0..20)
        .map(|task| {
            let producer = producer.clone();
            tokio::spawn(async move {
                let delivery = producer.enqueue(record_for(task % 4, task)).await.unwrap();
                producer.flush().await;
                assert!(delivery.try_result().is_some());
            })
        })
        .collect();

    for task in tasks {
        soon("flush", task).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flush_never_waits_for_linger_however_it_meets_other_flushes() -> TestResult {
    let cluster = cluster_with(1, 4).await;
    let producer = builder(&cluster).linger(seconds(600)).delivery_timeout(seconds(900)).build()?;
    let tasks: Vec<_> = (0..4)
        .map(|partition| {
            let producer = producer.clone();
            tokio::spawn(async move {
                for i in 0..150 {
                    drop(producer.enqueue(record_for(partition, i)).await.unwrap());
                    producer.flush().await;
                }
            })
        })
        .collect();

    for task in tasks {
        soon("flushes", task).await?;
    }
    Ok(())
}

#[tokio::test]
async fn close_delivers_what_was_accepted() -> TestResult {
    let cluster = cluster_with(2, 4).await;
    let producer = builder(&cluster).linger(seconds(600)).delivery_timeout(seconds(900)).build()?;
    let deliveries = enqueue_all(&producer, (0..40).map(|i| record_for(i % 4, i / 4))).await;

    let report = close(&producer, 60).await;

    assert_eq!((report.delivered, report.failed, report.undelivered.len()), (40, 0, 0));
    delivered(deliveries).await;
    for log in logs_of(&cluster) {
        assert_eq!(log, texts(0..10));
    }
    until("connections are closed", || cluster.open_connections(0) + cluster.open_connections(1) == 0).await;
    Ok(())
}

#[tokio::test]
async fn close_without_records_returns_at_once() -> TestResult {
    let producer = builder_at("127.0.0.1:1").build()?;

    let report = close(&producer, 60).await;

    assert_eq!((report.delivered, report.failed, report.undelivered.len()), (0, 0, 0));
    Ok(())
}

#[tokio::test]
async fn close_goes_on_retrying() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.fail_next(Api::Produce, 19, 5);
    let producer = producer(&cluster);
    let delivery = producer.enqueue(record("x")).await?;

    let report = close(&producer, 60).await;

    assert_eq!((report.delivered, report.undelivered.len()), (1, 0));
    soon("delivery", delivery).await?;
    Ok(())
}

#[tokio::test]
async fn close_gives_up_after_its_timeout_and_returns_the_records() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let producer = builder(&cluster).enable_idempotence(false).batch_size(1).build()?;
    soon("first", producer.send(record_for(0, "first"))).await?;
    cluster.freeze(0)?;
    let sent = enqueue_all(&producer, (0..3).map(|i| record_for(0, i).key("k").header("h", "v"))).await;
    until("a request is under way", || producer.metrics().requests_in_flight > 0).await;

    let report = soon("close", producer.close(millis(50))).await;

    assert_eq!((report.delivered, report.failed, report.undelivered.len()), (1, 3, 3));
    for (i, result) in results(sent).await.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), DeliveryErrorKind::Closed);
        assert_eq!(error.disposition(), Disposition::NewProducer);
        // Only the first is on its way; the others waited for their turn.
        assert_eq!(error.persisted(), if i == 0 { Persisted::Maybe } else { Persisted::No });
        let record = error.record().unwrap();
        assert_eq!(record.value.as_deref(), Some(i.to_string().as_bytes()));
        assert_eq!((record.key.as_deref(), record.headers.len()), (Some(&b"k"[..]), 1));
        assert_eq!(record.partition, Some(0));
    }
    assert_eq!(producer.metrics().buffered_records, 0);
    assert_eq!(producer.metrics().buffered_bytes, 0);
    Ok(())
}

#[tokio::test]
async fn close_returns_records_whose_deliveries_were_dropped() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let producer = builder(&cluster).build()?;
    soon("first", producer.send(record_for(0, "first"))).await?;
    cluster.freeze(0)?;
    for i in 0..10 {
        drop(soon("enqueue", producer.enqueue(record_for(i % 2, i).key("k"))).await?);
    }

    let report = soon("close", producer.close(millis(50))).await;

    let mut values = [Vec::new(), Vec::new()];
    for error in &report.undelivered {
        assert_eq!(error.kind(), DeliveryErrorKind::Closed);
        let record = error.record().unwrap();
        assert_eq!(record.key.unwrap(), "k");
        let partition = usize::try_from(record.partition.unwrap())?;
        values[partition].push(String::from_utf8(record.value.unwrap().to_vec())?);
    }
    assert_eq!(values, [["0", "2", "4", "6", "8"], ["1", "3", "5", "7", "9"]], "in their order");
    Ok(())
}

#[tokio::test]
async fn close_with_no_time_fails_what_is_left() -> TestResult {
    let producer = builder_at("127.0.0.1:1").build()?;

    let report = soon("close", producer.close(millis(0))).await;

    assert!(report.undelivered.is_empty());
    Ok(())
}

#[tokio::test]
async fn records_given_up_by_close_come_back_from_compressed_batches() -> TestResult {
    for &codec in CODECS {
        let cluster = cluster_with(1, 8).await;
        let producer = builder(&cluster).compression(codec).build()?;
        soon("connection", producer.partitions_for(TOPIC)).await?;
        cluster.freeze(0)?;
        let text = "so much to compress ".repeat(400);
        let records = (0..80).map(|i| record_for(i % 8, format!("{i} {text}")));
        let deliveries = enqueue_all(&producer, records).await;

        let report = soon("close", producer.close(millis(0))).await;

        assert_eq!(report.undelivered.len(), 80, "{codec}");
        for (i, result) in results(deliveries).await.into_iter().enumerate() {
            let record = result.unwrap_err().record().expect("the record comes back");
            assert_eq!(record.value.unwrap(), format!("{i} {text}"), "{codec}");
        }
    }
    Ok(())
}

const CODECS: &[kafka_producer::Compression] = &[
    #[cfg(feature = "gzip")]
    kafka_producer::Compression::Gzip,
    kafka_producer::Compression::Lz4,
    #[cfg(feature = "snappy")]
    kafka_producer::Compression::Snappy,
    #[cfg(feature = "zstd")]
    kafka_producer::Compression::Zstd,
];

#[tokio::test]
async fn flush_and_close_wait_for_batches_that_are_being_compressed() -> TestResult {
    for &codec in CODECS {
        let cluster = cluster_with(1, 8).await;
        let producer = builder(&cluster).compression(codec).batch_size(100_000).build()?;
        let text = "so much to compress ".repeat(400);
        let records = |range: std::ops::Range<i32>| {
            let text = text.clone();
            range.map(move |i| record_for(i % 8, format!("{i} {text}")))
        };

        let flushed = enqueue_all(&producer, records(0..400)).await;
        soon("flush", producer.flush()).await;
        assert!(flushed.iter().all(|delivery| delivery.try_result().is_some_and(|result| result.is_ok())));
        let closed = enqueue_all(&producer, records(400..800)).await;
        let report = soon("close", producer.close(seconds(20))).await;

        assert_eq!((report.delivered, report.undelivered.len()), (800, 0), "{codec}");
        assert!(closed.iter().all(|delivery| delivery.try_result().is_some_and(|result| result.is_ok())));
    }
    Ok(())
}

#[tokio::test]
async fn close_frees_sends_that_wait_for_metadata() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.enqueue(record("x").key("k")).await }
    });
    let elsewhere = tokio::spawn({
        let producer = producer.clone();
        async move {
            let record = kafka_producer::ProducerRecord::to("missing").value("y");
            producer.send(record).await
        }
    });
    cluster.inject(kafka_mock::Fault::error_code(5).api(Api::Metadata).topic(TOPIC).always());
    until("metadata was asked for", || cluster.requests().of(Api::Metadata) >= 2).await;

    let _ = close(&producer, 60).await;

    // The first may have got its metadata before the fault was there.
    if let Err(error) = soon("waiting send", waiting).await? {
        assert!(matches!(error.kind(), SendErrorKind::Closed), "{error:?}");
        assert_eq!(error.into_record().unwrap(), record("x").key("k"));
    }
    let error = soon("waiting send", elsewhere).await?.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::Closed), "{error:?}");
    assert_eq!(error.into_record().unwrap().value.unwrap(), "y");
    Ok(())
}

/// As in Java, where closing wakes the threads that wait: the close itself may take long.
#[tokio::test]
async fn sends_that_wait_for_metadata_learn_of_a_close_before_it_ends() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    drop(producer.enqueue(record("stuck")).await?);
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(kafka_producer::ProducerRecord::to("missing").value("y")).await }
    });
    tokio::time::sleep(millis(10)).await;

    let closing = tokio::spawn({
        let producer = producer.clone();
        async move { producer.close(seconds(12)).await }
    });
    let error = tokio::time::timeout(seconds(2), waiting).await??.unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::Closed), "{error:?}");
    cluster.unfreeze(0)?;
    let _ = soon("close", closing).await?;
    Ok(())
}

#[tokio::test]
async fn close_frees_sends_that_wait_for_memory() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1000).buffer_memory(4000).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    while producer.try_enqueue(record("x".repeat(900))).is_ok() {}
    let waiting: Vec<_> = (0..5)
        .map(|i| {
            let producer = producer.clone();
            tokio::spawn(async move { producer.enqueue(record(format!("{i}{}", "x".repeat(900)))).await })
        })
        .collect();
    until("they wait", || producer.metrics().waiting_for_memory == 5).await;

    let _ = soon("close", producer.close(millis(50))).await;

    for (i, task) in waiting.into_iter().enumerate() {
        let error = soon("waiting send", task).await?.unwrap_err();
        assert!(matches!(error.kind(), SendErrorKind::Closed), "{error:?}");
        assert!(error.into_record().unwrap().value.unwrap().starts_with(i.to_string().as_bytes()));
    }
    assert_eq!(producer.metrics().waiting_for_memory, 0);
    assert_eq!(producer.metrics().buffered_bytes, 0);
    Ok(())
}

#[tokio::test]
async fn second_close_returns_the_same_report() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    let clone = producer.clone();
    drop(producer.enqueue(record("x")).await?);

    let (first, second) =
        soon("closes", async { tokio::join!(producer.close(seconds(60)), clone.close(seconds(60))) }).await;
    let third = close(&clone, 0).await;

    assert_eq!(first.delivered, 1);
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    assert_eq!(format!("{first:?}"), format!("{third:?}"));
    Ok(())
}

#[tokio::test]
async fn close_given_up_leaves_the_producer_closed_and_delivering() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    let delivery = producer.enqueue(record("late")).await?;

    assert!(tokio::time::timeout(millis(10), producer.close(seconds(600))).await.is_err());
    assert!(matches!(producer.try_enqueue(record("x")).unwrap_err().kind(), SendErrorKind::Closed));
    cluster.unfreeze(0)?;

    soon("delivery", delivery).await?;
    Ok(())
}

#[tokio::test]
async fn flush_after_close_returns() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    drop(producer.enqueue(record("x")).await?);
    let _ = close(&producer, 60).await;

    soon("flush", producer.flush()).await;
    assert!(matches!(
        soon("partitions", producer.partitions_for("missing")).await,
        Err(SendErrorKind::Closed)
    ));
    Ok(())
}

#[tokio::test]
async fn close_ends_by_delivery_timeout_when_no_broker_leads() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).delivery_timeout(seconds(100)).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.set_leader(TOPIC, 0, None)?;
    let delivery = producer.enqueue(record("x")).await?;
    until("the broker has refused it", || producer.metrics().record_retries > 0).await;

    let closing = tokio::spawn({
        let producer = producer.clone();
        async move { producer.close(seconds(600)).await }
    });
    tokio::time::sleep(millis(20)).await;
    skip_time(seconds(101)).await;

    let report = soon("close", closing).await?;
    assert_eq!((report.delivered, report.failed, report.undelivered.len()), (1, 1, 0));
    assert!(matches!(delivery.try_result().unwrap().unwrap_err().kind(), DeliveryErrorKind::TimedOut(_)));
    Ok(())
}
