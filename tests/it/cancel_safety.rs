//! What becomes of a record when the future that carries it is dropped.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use kafka_producer::ProducerRecord;

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, log_of, millis, producer, record, seconds, soon, texts, until,
};

#[tokio::test]
async fn dropped_while_waiting_for_metadata_is_never_sent() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.freeze(0)?;
    let producer = producer(&cluster);

    assert!(tokio::time::timeout(millis(20), producer.enqueue(record("dropped"))).await.is_err());
    assert!(tokio::time::timeout(millis(20), producer.send(record("dropped"))).await.is_err());
    cluster.unfreeze(0)?;
    soon("send", producer.send(record("kept"))).await?;
    soon("flush", producer.flush()).await;

    assert_eq!(log_of(&cluster, 0), ["kept"]);
    assert_eq!(producer.metrics().records_delivered, 1);
    Ok(())
}

#[tokio::test]
async fn dropped_while_waiting_for_memory_is_never_sent() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1000).buffer_memory(2000).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    let filler = "x".repeat(900);
    while producer.try_enqueue(record(&filler)).is_ok() {}

    for _ in 0..5 {
        let value = format!("dropped {filler}");
        assert!(tokio::time::timeout(millis(5), producer.enqueue(record(value))).await.is_err());
    }
    assert_eq!(producer.metrics().waiting_for_memory, 0);
    cluster.unfreeze(0)?;
    soon("flush", producer.flush()).await;

    assert!(log_of(&cluster, 0).iter().all(|value| !value.starts_with("dropped")));
    assert_eq!(producer.metrics().buffered_bytes, 0);
    Ok(())
}

#[tokio::test]
async fn dropped_after_acceptance_is_sent_all_the_same() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("metadata", producer.partitions_for(TOPIC)).await?;
    cluster.freeze(0)?;

    assert!(tokio::time::timeout(millis(20), producer.send(record("kept"))).await.is_err());
    cluster.unfreeze(0)?;
    soon("flush", producer.flush()).await;

    assert_eq!(log_of(&cluster, 0), ["kept"]);
    Ok(())
}

#[tokio::test]
async fn future_that_is_never_polled_sends_nothing() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("metadata", producer.partitions_for(TOPIC)).await?;

    drop(producer.enqueue(record("dropped")));
    drop(producer.send(record("dropped")));
    drop(producer.send_all([record("dropped")]));
    soon("flush", producer.flush()).await;

    assert_eq!(cluster.end_offset(TOPIC, 0)?, 0);
    Ok(())
}

/// Wherever the future is dropped, the record is in the log if and only if it was accepted.
#[tokio::test]
async fn dropped_after_any_number_of_polls_is_either_in_or_out() -> TestResult {
    for polls in 0..12 {
        let cluster = cluster_with(1, 1).await;
        let producer = producer(&cluster);
        {
            let mut enqueue = pin!(producer.enqueue(record(polls)));
            for _ in 0..polls {
                let mut context = Context::from_waker(Waker::noop());
                if enqueue.as_mut().poll(&mut context).is_ready() {
                    break;
                }
                tokio::time::sleep(millis(1)).await;
            }
        }
        let accepted = producer.metrics().buffered_records + producer.metrics().records_delivered;

        soon("flush", producer.flush()).await;

        assert_eq!(u64::try_from(cluster.end_offset(TOPIC, 0)?)?, accepted, "after {polls} polls");
        assert_eq!(producer.metrics().buffered_bytes, 0);
    }
    Ok(())
}

/// The usual mistake with `select!`: a lost race must not lose or double the record.
#[tokio::test]
async fn enqueue_tried_again_after_each_lost_race_writes_each_record_once() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(200).buffer_memory(600).build()?;

    let mut lost = 0;
    let mut number = 0;
    soon("all records", async {
        while number < 300 {
            tokio::select! {
                biased;
                accepted = producer.enqueue(record(number)) => {
                    drop(accepted.unwrap());
                    number += 1;
                }
                () = tokio::task::yield_now() => lost += 1,
            }
        }
    })
    .await;
    soon("flush", producer.flush()).await;

    assert!(lost > 0, "no race was lost");
    assert_eq!(log_of(&cluster, 0), texts(0..300));
    Ok(())
}

#[tokio::test]
async fn send_all_given_up_sends_what_was_accepted() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("metadata", producer.partitions_for(TOPIC)).await?;

    let records = [record(0), record(1), ProducerRecord::to("missing").value("2"), record(3)];
    assert!(tokio::time::timeout(millis(50), producer.send_all(records)).await.is_err());
    soon("flush", producer.flush()).await;

    assert_eq!(log_of(&cluster, 0), texts(0..2));
    Ok(())
}

#[tokio::test]
async fn aborted_tasks_leave_the_producer_working() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    let tasks: Vec<_> = (0..50)
        .map(|i| {
            let producer = producer.clone();
            tokio::spawn(async move { producer.send(record(i)).await.map(drop) })
        })
        .collect();
    for (i, task) in tasks.iter().enumerate() {
        if i % 2 == 0 {
            task.abort();
        }
        tokio::task::yield_now().await;
    }

    soon("send", producer.send(record("last"))).await?;
    soon("flush", producer.flush()).await;

    until("memory is back", || producer.metrics().buffered_bytes == 0).await;
    assert_eq!(producer.metrics().buffered_records, 0);
    Ok(())
}

#[tokio::test]
async fn partitions_for_given_up_changes_nothing() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    cluster.freeze(0)?;
    let producer = producer(&cluster);

    assert!(tokio::time::timeout(millis(10), producer.partitions_for(TOPIC)).await.is_err());
    cluster.unfreeze(0)?;

    assert_eq!(soon("partitions", producer.partitions_for(TOPIC)).await?.len(), 3);
    let _ = soon("close", producer.close(seconds(5))).await;
    Ok(())
}
