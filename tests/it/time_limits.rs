//! Calls with a time limit of their own.

use std::thread;
use std::time::Duration;

use kafka_producer::{
    DeliveryErrorKind, Disposition, KafkaProducer, Persisted, ProducerRecord, SendErrorKind,
};
use tokio::runtime::Builder;

use crate::support::{
    TOPIC, TestResult, builder, builder_at, cluster_with, log_of, millis, record, run_out, seconds,
    skip_time, soon, texts, until,
};

#[tokio::test]
async fn record_comes_back_when_the_time_for_metadata_is_over() -> TestResult {
    let producer = builder_at("127.0.0.1:1").build()?;

    let waiting = producer.enqueue_timeout(record(0).key("k"), seconds(2));
    let is_waiting = || producer.health().brokers.iter().any(|broker| broker.failures > 0);
    let error = run_out("enqueue", waiting, is_waiting, seconds(3)).await.unwrap_err();

    let SendErrorKind::MetadataTimeout { waited, within, .. } = *error.kind() else { panic!("{error}") };
    assert_eq!((waited, within), (seconds(2), "the timeout of the call"));
    assert!(error.to_string().contains("after 2 s (the timeout of the call)"), "{error}");
    assert_eq!(error.into_record(), Some(record(0).key("k")));
    Ok(())
}

#[tokio::test]
async fn record_comes_back_when_the_time_for_memory_is_over() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1000).buffer_memory(4000).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    let filler = "x".repeat(900);
    while producer.try_enqueue(record(&filler)).is_ok() {}

    let is_waiting = || producer.metrics().waiting_for_memory == 1;
    let waiting = producer.send_timeout(record(&filler), seconds(2));
    let error = run_out("send", waiting, is_waiting, seconds(3)).await.unwrap_err();

    let SendErrorKind::MemoryTimeout { within, .. } = *error.kind() else { panic!("{error}") };
    assert_eq!(within, "the timeout of the call");
    assert!(error.to_string().contains("within the timeout of the call: waited"), "{error}");
    assert_eq!(error.into_record(), Some(record(&filler)));
    Ok(())
}

#[tokio::test]
async fn limit_of_the_call_may_be_longer_than_that_of_all_calls() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).max_block(Duration::ZERO).build()?;

    soon("enqueue", producer.enqueue_timeout(record(0), seconds(60))).await?.await?;
    soon("send", producer.send_timeout(record(1), seconds(60))).await?;

    assert_eq!(log_of(&cluster, 0), texts(0..2));
    Ok(())
}

fn lingering(cluster: &kafka_mock::MockCluster) -> KafkaProducer {
    builder(cluster).linger(seconds(600)).delivery_timeout(seconds(900)).build().unwrap()
}

#[tokio::test]
async fn record_whose_time_is_over_before_it_was_sent_is_withdrawn() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = lingering(&cluster);
    let before = soon("enqueue", producer.enqueue(record("before"))).await?;

    let is_queued = || producer.metrics().partitions[0].queued_batches == 1;
    let sent = producer.send_timeout(record("late"), seconds(2));
    let error = run_out("send", sent, is_queued, seconds(3)).await.unwrap_err();

    let delivery = error.delivery_error().unwrap();
    assert_eq!((delivery.kind(), error.persisted()), (DeliveryErrorKind::Withdrawn, Persisted::No));
    assert_eq!(error.disposition(), Disposition::RetryLater);
    assert_eq!(error.record().unwrap().value, record("late").value);
    soon("flush", producer.flush()).await;
    soon("delivery", before).await?;
    assert_eq!(soon("close", producer.close(seconds(60))).await.delivered, 1);
    assert_eq!(log_of(&cluster, 0), ["before"]);
    Ok(())
}

#[tokio::test]
async fn record_that_was_sent_is_told_as_under_way() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.freeze(0)?;

    let is_sent = || producer.metrics().requests_in_flight == 1;
    let sent = producer.send_timeout(record(1), seconds(2));
    let error = run_out("send", sent, is_sent, seconds(3)).await.unwrap_err();

    let SendErrorKind::UnderWay { topic_partition, waited } = error.kind() else { panic!("{error}") };
    assert_eq!((topic_partition.partition, *waited), (0, seconds(2)));
    assert_eq!((error.persisted(), error.disposition()), (Persisted::Maybe, Disposition::FindOutcome));
    let text = "record for orders-0 not acknowledged after 2 s (the timeout of the call); under way, may be written; look for it before you send it again";
    assert_eq!(error.to_string(), text);
    assert!(error.record().is_none() && error.into_record().is_none());
    cluster.unfreeze(0)?;
    until("it is written", || log_of(&cluster, 0) == texts(0..2)).await;
    Ok(())
}

#[tokio::test]
async fn delivery_that_was_withdrawn_says_so_and_others_go_on() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = lingering(&cluster);
    let mut deliveries = Vec::new();
    for number in 0..10 {
        deliveries.push(soon("enqueue", producer.enqueue(record(number))).await?);
    }

    let withdrawn = deliveries.remove(4);
    assert!(soon("withdraw", producer.withdraw(&withdrawn)).await);
    assert!(!soon("withdraw", producer.withdraw(&withdrawn)).await);

    let error = soon("withdrawn", withdrawn).await.unwrap_err();
    assert_eq!(error.kind(), DeliveryErrorKind::Withdrawn);
    let text = "record for orders-0: the record was withdrawn before it was sent; not written; send it again if it is still wanted";
    assert_eq!(error.to_string(), text);
    soon("flush", producer.flush()).await;
    for (offset, delivery) in deliveries.into_iter().enumerate() {
        assert_eq!(soon("delivery", delivery).await?.offset(), i64::try_from(offset).ok());
    }
    assert_eq!(log_of(&cluster, 0), [texts(0..4), texts(5..10)].concat());
    Ok(())
}

#[tokio::test]
async fn deliveries_of_others_are_left_alone() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let [one, other] = [lingering(&cluster), lingering(&cluster)];
    let delivery = soon("enqueue", one.enqueue(record(0))).await?;
    drop(soon("enqueue", other.enqueue(record(1))).await?);

    assert!(!soon("withdraw", other.withdraw(&delivery)).await);

    drop(soon("close", one.close(seconds(60))).await);
    soon("delivery", delivery).await?;
    assert!(!soon("withdraw", one.withdraw(&soon("closed", other.enqueue(record(2))).await?)).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_limit_holds_although_the_runtime_of_the_producer_stands_still() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let own = Builder::new_current_thread().enable_all().build()?;
    let producer = thread::scope(|scope| {
        let start = || {
            own.block_on(async {
                let producer = lingering(&cluster);
                drop(soon("metadata", producer.partitions_for(TOPIC)).await);
                producer
            })
        };
        scope.spawn(start).join().unwrap()
    });

    let error = soon("send", producer.send_timeout(record(0), millis(20))).await.unwrap_err();
    assert_eq!(error.delivery_error().unwrap().kind(), DeliveryErrorKind::Withdrawn);
    let error = soon("enqueue", producer.enqueue_timeout(ProducerRecord::to("missing"), millis(20))).await;
    assert!(matches!(error.unwrap_err().kind(), SendErrorKind::MetadataTimeout { .. }));
    own.shutdown_background();
    Ok(())
}

#[tokio::test]
async fn records_whose_time_is_over_together_are_withdrawn_together() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let patient = builder(&cluster).batch_size(100_000).linger(seconds(600)).delivery_timeout(seconds(900));
    let producer = patient.build()?;
    drop(soon("metadata", producer.partitions_for(TOPIC)).await?);
    let kept = soon("enqueue", producer.enqueue(record("kept"))).await?;
    let tasks: Vec<_> = (0..300)
        .map(|number| {
            let producer = producer.clone();
            tokio::spawn(async move { producer.send_timeout(record(number), seconds(2)).await })
        })
        .collect();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }

    skip_time(seconds(3)).await;

    for task in tasks {
        let error = soon("send", task).await?.unwrap_err();
        assert_eq!(error.delivery_error().unwrap().kind(), DeliveryErrorKind::Withdrawn);
    }
    let rebuilt = producer.metrics().batches_completed;
    assert!(rebuilt <= 30, "{rebuilt} times for 300 records");
    soon("flush", producer.flush()).await;
    soon("kept", kept).await?;
    assert_eq!(log_of(&cluster, 0), ["kept"]);
    Ok(())
}
