//! `delivery.timeout.ms`, `request.timeout.ms` and `max.block.ms`.
//!
//! The times are long and the clock is moved, so that a machine that is slow for a second changes nothing.

use std::error::Error as _;
use std::time::Duration;

use kafka_mock::{Api, Fault};
use kafka_producer::{
    BrokerState, DeliveryError, DeliveryErrorKind, Disposition, ErrorCode, KafkaProducerBuilder, Persisted,
    ProducerRecord, SendErrorKind, TimeSpent,
};

use crate::support::{
    TOPIC, TestResult, builder, builder_at, cluster_with, delivered, empty, enqueue_all, log_of, millis,
    producer, record, record_for, results, run_out, seconds, skip_time, soon, until,
};

/// Sends a record again after 40 s, and gives it up after 120.
fn timed(builder: KafkaProducerBuilder) -> KafkaProducerBuilder {
    builder.delivery_timeout(seconds(120)).request_timeout(seconds(40))
}

fn time_spent(error: &DeliveryError) -> TimeSpent {
    match error.kind() {
        DeliveryErrorKind::TimedOut(spent) => *spent,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn record_without_a_leader_times_out_as_not_written() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_leader(TOPIC, 0, None)?;
    let producer = timed(builder(&cluster)).build()?;
    let asked = || cluster.requests().of(Api::Metadata);

    let sending = producer.send(record("x").key("k").timestamp(3));
    let error = run_out("send", sending, || asked() > 3, seconds(121)).await.unwrap_err();

    let error = error.delivery_error().unwrap().clone();
    let spent = time_spent(&error);
    assert!(spent.no_leader >= seconds(100), "{spent:?}");
    assert_eq!((spent.attempts, spent.leader_known, spent.last_error), (0, false, None));
    assert_eq!(error.persisted(), Persisted::No);
    assert_eq!(error.disposition(), Disposition::RetryLater);
    assert_eq!(error.record(), Some(record("x").key("k").timestamp(3).partition(0)));
    assert!(error.to_string().contains("without a leader"), "{error}");
    assert_eq!(producer.metrics().buffered_bytes, 0);
    Ok(())
}

#[tokio::test]
async fn record_at_a_frozen_broker_times_out_as_maybe_written() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = timed(builder(&cluster)).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    let delivery = producer.enqueue(record("x")).await?;
    until("it is sent", || producer.metrics().produce_requests_sent == 2).await;

    skip_time(seconds(41)).await;
    until("the connection is given up", || producer.metrics().record_retries == 1).await;
    skip_time(seconds(80)).await;
    let error = soon("delivery", delivery).await.unwrap_err();

    let spent = time_spent(&error);
    assert!(spent.in_flight >= seconds(40), "{spent:?}");
    assert!(spent.attempts >= 1, "{spent:?}");
    assert_eq!(error.persisted(), Persisted::Maybe);
    Ok(())
}

#[tokio::test]
async fn record_that_waited_behind_another_times_out_as_not_written() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = timed(builder(&cluster)).enable_idempotence(false).batch_size(1).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;

    let deliveries = enqueue_all(&producer, (0..2).map(record)).await;
    until("one is sent", || producer.metrics().produce_requests_sent == 2).await;
    skip_time(seconds(121)).await;
    let failed = results(deliveries).await;

    let [first, second] = [0, 1].map(|i| failed[i].as_ref().unwrap_err());
    assert_eq!(first.persisted(), Persisted::Maybe);
    assert_eq!(second.persisted(), Persisted::No);
    assert_eq!(time_spent(second).attempts, 0);
    assert!(time_spent(second).queued >= seconds(100), "{second:?}");
    Ok(())
}

#[tokio::test]
async fn record_for_a_broker_that_is_gone_times_out_as_not_written() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = timed(builder(&cluster)).build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;
    cluster.broker_down(0).await?;

    let is_queued = || producer.metrics().buffered_records == 1;
    let error = run_out("send", producer.send(record("x")), is_queued, seconds(121)).await.unwrap_err();

    assert!(matches!(error.delivery_error().unwrap().kind(), DeliveryErrorKind::TimedOut(_)));
    assert_eq!(error.persisted(), Persisted::No);
    Ok(())
}

#[tokio::test]
async fn delivery_timeout_is_neither_shorter_nor_much_longer() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_leader(TOPIC, 0, None)?;
    let producer = builder(&cluster).delivery_timeout(seconds(6000)).build()?;
    let delivery = producer.enqueue(record("x")).await?;

    skip_time(seconds(5900)).await;
    tokio::time::sleep(millis(20)).await;
    assert!(delivery.try_result().is_none());
    skip_time(seconds(100)).await;

    let error = soon("delivery", delivery).await.unwrap_err();
    assert!(matches!(error.kind(), DeliveryErrorKind::TimedOut(_)), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn timeouts_of_many_partitions_come_together() -> TestResult {
    let cluster = cluster_with(1, 20).await;
    for partition in 0..20 {
        cluster.set_leader(TOPIC, partition, None)?;
    }
    let producer = builder(&cluster).delivery_timeout(seconds(120)).build()?;
    let deliveries = enqueue_all(&producer, (0..100).map(|i| record_for(i % 20, i))).await;

    skip_time(seconds(121)).await;

    for result in results(deliveries).await {
        assert_eq!(result.unwrap_err().persisted(), Persisted::No);
    }
    assert_eq!(producer.metrics().buffered_bytes, 0);
    assert_eq!(producer.metrics().buffered_records, 0);
    Ok(())
}

/// In Java the second record would inherit the deadline of the first, whose batch it joins.
#[tokio::test]
async fn later_record_has_its_own_deadline() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_leader(TOPIC, 0, None)?;
    let producer = builder(&cluster).delivery_timeout(seconds(120)).build()?;
    let first = producer.enqueue(record(0)).await?;
    skip_time(seconds(60)).await;
    let second = producer.enqueue(record(1)).await?;

    skip_time(seconds(61)).await;
    assert!(soon("first", first).await.is_err());
    tokio::time::sleep(millis(20)).await;
    assert!(second.try_result().is_none());
    skip_time(seconds(60)).await;

    assert!(soon("second", second).await.is_err());
    Ok(())
}

#[tokio::test]
async fn request_timeout_closes_the_connection_and_the_batch_is_sent_again() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = timed(builder(&cluster)).build()?;
    soon("first", producer.send(record("first"))).await?;
    let connections = cluster.connections_accepted(0);
    cluster.drop_response(Api::Produce, 1);

    let is_written = || cluster.end_offset(TOPIC, 0).unwrap() == 2;
    let metadata = run_out("send", producer.send(record("x")), is_written, seconds(41)).await?;

    // The broker has carried out the first attempt too, and knows the second for the same.
    assert_eq!(log_of(&cluster, 0), ["first", "x"]);
    assert_eq!(metadata.offset(), Some(1));
    assert!(cluster.connections_accepted(0) > connections);
    assert!(producer.metrics().record_retries >= 1);
    Ok(())
}

#[tokio::test]
async fn request_timeout_without_retries_fails_as_maybe_written() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = timed(builder(&cluster)).enable_idempotence(false).retries(0).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.drop_response(Api::Produce, 1);

    let is_written = || cluster.end_offset(TOPIC, 0).unwrap() == 2;
    let error = run_out("send", producer.send(record("x")), is_written, seconds(41)).await.unwrap_err();

    assert_eq!(error.persisted(), Persisted::Maybe);
    assert_eq!(error.disposition(), Disposition::RetryLater);
    assert!(matches!(error.delivery_error().unwrap().kind(), DeliveryErrorKind::Disconnected { .. }));
    Ok(())
}

#[tokio::test]
async fn answer_after_the_deadline_changes_nothing_and_holds_nothing_up() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).delivery_timeout(seconds(120)).request_timeout(seconds(120)).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.inject(Fault::delay(seconds(121)).api(Api::Produce));

    let is_written = || cluster.end_offset(TOPIC, 0).unwrap() == 2;
    let error = run_out("late", producer.send(record("late")), is_written, seconds(120)).await.unwrap_err();
    skip_time(seconds(1)).await;

    assert_eq!(error.persisted(), Persisted::Maybe);
    soon("later", producer.send(record("later"))).await?;
    assert_eq!(log_of(&cluster, 0), ["first", "late", "later"]);
    empty(&producer).await;
    Ok(())
}

/// Java: `testExpiredBatchDoesNotRetry`.
#[tokio::test]
async fn expired_batch_is_not_sent_again() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = timed(builder(&cluster)).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    let is_sent = || producer.metrics().produce_requests_sent == 2;
    let error = run_out("send", producer.send(record("x")), is_sent, seconds(121)).await.unwrap_err();
    assert!(error.delivery_error().is_some());
    cluster.unfreeze(0)?;

    soon("last", producer.send(record("last"))).await?;

    // What was on its way when the broker froze may be carried out, but nothing is sent after the deadline.
    let log = log_of(&cluster, 0);
    assert_eq!(log.first().unwrap(), "first");
    assert_eq!(log.last().unwrap(), "last");
    let attempts = time_spent(error.delivery_error().unwrap()).attempts;
    let written = log.iter().filter(|value| *value == "x").count();
    assert!(written <= usize::try_from(attempts)?, "{log:?}");
    Ok(())
}

#[tokio::test]
async fn unknown_topic_times_out_after_max_block() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    let is_told = || cluster.requests().of(Api::Metadata) > 3;

    let sending = producer.send(ProducerRecord::to("missing").value("x"));
    let error = run_out("send", sending, is_told, seconds(61)).await.unwrap_err();

    let SendErrorKind::MetadataTimeout { topic, partition, partition_count, waited, cause, brokers, .. } =
        error.kind()
    else {
        panic!("{error:?}")
    };
    assert_eq!((topic.as_str(), *partition, *partition_count), ("missing", None, None));
    assert_eq!((*waited, *cause), (seconds(60), Some(ErrorCode::UnknownTopicOrPartition)));
    assert_eq!(brokers[0].state, BrokerState::Connected);
    assert_eq!(error.persisted(), Persisted::No);
    assert_eq!(error.disposition(), Disposition::RetryLater);
    assert!(error.to_string().starts_with("topic \"missing\" not in metadata after 60 s"), "{error}");
    assert_eq!(error.into_record().unwrap().value.unwrap(), "x");
    Ok(())
}

#[tokio::test]
async fn timeout_says_so_if_no_broker_has_answered() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).max_block(millis(200)).build()?;
    // Of brokers that are up only.
    let address = cluster.bootstrap_servers();
    cluster.broker_down(0).await?;

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();

    let text = error.to_string();
    let reason = format!("(max.block.ms): no broker can be reached ({address}: connection refused, ");
    assert!(text.contains(&reason), "{text}");
    let failure = error.source().unwrap();
    assert_eq!(failure.to_string(), "while connecting: connection refused");
    assert!(failure.source().unwrap().is::<std::io::Error>());
    Ok(())
}

/// What lies behind another batch does not linger, although the sender has not looked at it.
#[tokio::test]
async fn batch_behind_another_counts_as_queued_and_not_as_lingering() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = timed(builder(&cluster)).linger(millis(5)).batch_size(150).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.set_leader(TOPIC, 0, None)?;

    let deliveries = enqueue_all(&producer, (0..100).map(record)).await;
    until("the leader is gone", || producer.metrics().record_retries > 0).await;
    skip_time(seconds(121)).await;
    let failed = results(deliveries).await;

    let last = failed.last().unwrap().as_ref().unwrap_err();
    let spent = time_spent(last);
    assert!(spent.linger <= millis(5), "{spent:?}");
    assert!(spent.queued + spent.no_leader >= seconds(100), "{spent:?}");
    Ok(())
}

#[tokio::test]
async fn unknown_partition_times_out_after_max_block() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let producer = producer(&cluster);
    let is_told = || cluster.requests().of(Api::Metadata) > 3;

    let error = run_out("send", producer.send(record_for(2, "x")), is_told, seconds(61)).await.unwrap_err();

    let SendErrorKind::MetadataTimeout { partition, partition_count, cause, .. } = error.kind() else {
        panic!("{error:?}")
    };
    assert_eq!((*partition, *partition_count, *cause), (Some(2), Some(2), None));
    assert!(
        error.to_string().starts_with("partition 2 of topic \"orders\" with 2 partitions not in metadata"),
        "{error}"
    );
    assert_eq!(error.into_record().unwrap().partition, Some(2));
    Ok(())
}

#[tokio::test]
async fn producer_with_no_broker_to_ask_times_out_after_max_block() -> TestResult {
    let producer = builder_at("127.0.0.1:1").max_block(millis(200)).build()?;

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();
    let partitions = soon("partitions", producer.partitions_for(TOPIC)).await.unwrap_err();

    let SendErrorKind::MetadataTimeout { cause, partition_count, .. } = error.kind() else {
        panic!("{error:?}")
    };
    assert_eq!((*cause, *partition_count), (None, None));
    assert!(matches!(partitions, SendErrorKind::MetadataTimeout { .. }));
    Ok(())
}

#[tokio::test]
async fn max_block_of_zero_never_waits_but_asks() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).max_block(Duration::ZERO).build()?;

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::MetadataTimeout { .. }), "{error:?}");

    until("the topic is known", || producer.try_enqueue(record("y")).is_ok()).await;
    soon("send", producer.send(record("z"))).await?;
    Ok(())
}

#[tokio::test]
async fn full_memory_times_out_after_max_block() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = timed(builder(&cluster)).batch_size(1000).buffer_memory(4000).build()?;
    soon("first", producer.send(record("first"))).await?;
    empty(&producer).await;
    cluster.freeze(0)?;
    let filler = "x".repeat(900);
    while producer.try_enqueue(record(&filler)).is_ok() {}

    let is_waiting = || producer.metrics().waiting_for_memory == 1;
    let waiting = producer.enqueue(record(&filler).key("k"));
    let error = run_out("enqueue", waiting, is_waiting, seconds(61)).await.unwrap_err();

    let SendErrorKind::MemoryTimeout { needed, limit, metadata_wait, memory_wait, within } = *error.kind()
    else {
        panic!("{error:?}")
    };
    assert!(needed > 900 && limit == 4000 && within == "max.block.ms");
    assert_eq!(metadata_wait, Duration::ZERO);
    assert!((seconds(60)..seconds(100)).contains(&memory_wait), "{memory_wait:?}");
    assert_eq!((error.persisted(), error.disposition()), (Persisted::No, Disposition::RetryLater));
    assert_eq!(error.into_record().unwrap().key.unwrap(), "k");
    assert_eq!(producer.metrics().waiting_for_memory, 0);
    Ok(())
}

#[tokio::test]
async fn waits_for_metadata_and_memory_share_max_block() -> TestResult {
    let cluster = cluster_with(2, 1).await;
    cluster.create_topic("other", 1, 2)?;
    let leader = cluster.leader(TOPIC, 0).unwrap();
    let producer = timed(builder(&cluster)).batch_size(1000).buffer_memory(4000).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(leader)?;
    let filler = "x".repeat(900);
    while producer.try_enqueue(record(&filler)).is_ok() {}
    cluster.delay(Some(1 - leader), Some(Api::Metadata), seconds(30));
    let asked = cluster.requests().of(Api::Metadata);

    // More than a partition that cannot be sent leaves to others.
    let waiting = tokio::spawn({
        let producer = producer.clone();
        let other = ProducerRecord::to("other").value("x".repeat(3500));
        async move { producer.enqueue(other).await }
    });
    // A broker that is frozen counts a request when it thaws.
    let is_asked =
        || cluster.requests().of(Api::Metadata) > asked || producer.metrics().requests_in_flight > 1;
    until("metadata is asked for", is_asked).await;
    skip_time(seconds(31)).await;
    tokio::time::sleep(millis(20)).await;
    skip_time(seconds(31)).await;
    let error = soon("enqueue", waiting).await?.unwrap_err();

    // The frozen broker may have been asked for the metadata; then the wait was for that alone.
    if let SendErrorKind::MemoryTimeout { metadata_wait, memory_wait, .. } = *error.kind() {
        assert!(metadata_wait >= seconds(30), "{error:?}");
        assert!(metadata_wait + memory_wait < seconds(70), "{error:?}");
    } else {
        assert!(matches!(error.kind(), SendErrorKind::MetadataTimeout { .. }), "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn time_before_acceptance_is_told_in_the_error() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_leader(TOPIC, 0, None)?;
    cluster.delay(None, Some(Api::Metadata), millis(100));
    let producer = builder(&cluster).delivery_timeout(millis(600)).request_timeout(millis(600)).build()?;

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();

    let spent = time_spent(error.delivery_error().unwrap());
    assert!(spent.metadata >= millis(90), "{spent:?}");
    Ok(())
}

#[tokio::test]
async fn partition_that_gets_its_leader_in_time_delivers() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_leader(TOPIC, 0, None)?;
    let producer = producer(&cluster);
    let deliveries = enqueue_all(&producer, (0..10).map(record)).await;
    until("metadata was asked for again", || cluster.requests().of(Api::Metadata) > 3).await;

    cluster.set_leader(TOPIC, 0, Some(0))?;

    delivered(deliveries).await;
    Ok(())
}

#[tokio::test]
async fn longest_durations_do_no_harm() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let longest =
        [Duration::MAX, Duration::from_millis(i64::MAX as u64), Duration::from_millis(i32::MAX as u64)];
    let setters: [fn(KafkaProducerBuilder, Duration) -> KafkaProducerBuilder; 14] = [
        |builder, time| builder.connections_max_idle(Some(time)),
        |builder, time| builder.delivery_timeout(time),
        |builder, time| builder.linger(time).batch_size(1).delivery_timeout(time),
        |builder, time| builder.max_block(time),
        |builder, time| builder.metadata_max_age(time),
        |builder, time| builder.metadata_max_idle(time),
        |builder, time| builder.metadata_recovery_rebootstrap_trigger(time),
        |builder, time| builder.partitioner_availability_timeout(time),
        |builder, time| builder.reconnect_backoff(time).reconnect_backoff_max(time),
        |builder, time| builder.request_timeout(time).delivery_timeout(time),
        |builder, time| builder.retry_backoff(time).retry_backoff_max(time),
        |builder, time| builder.retry_backoff_max(time),
        |builder, time| {
            builder.socket_connection_setup_timeout(time).socket_connection_setup_timeout_max(time)
        },
        |builder, time| builder.reconnect_backoff_max(time),
    ];
    for (number, set) in setters.into_iter().enumerate() {
        for time in longest {
            // Too long for a property is as good as working.
            let Ok(producer) = set(builder(&cluster), time).build() else { continue };
            soon("send", producer.send(record(number))).await?;
            let _ = soon("close", producer.close(time)).await;
        }
    }
    Ok(())
}

/// Java: `testBlockTimeout`.
#[tokio::test]
async fn memory_that_is_freed_in_part_does_not_prolong_the_wait() -> TestResult {
    let cluster = cluster_with(2, 2).await;
    let builder = builder(&cluster).request_timeout(seconds(300)).delivery_timeout(seconds(600));
    let producer = builder.batch_size(1000).buffer_memory(4000).build()?;
    delivered(enqueue_all(&producer, (0..2).map(|partition| record_for(partition, "first"))).await).await;
    let (frozen, other) = (cluster.leader(TOPIC, 0).unwrap(), cluster.leader(TOPIC, 1).unwrap());
    assert_ne!(frozen, other);
    empty(&producer).await;
    cluster.freeze(frozen)?;
    cluster.delay(Some(other), Some(Api::Produce), seconds(30));
    let filler = "x".repeat(900);
    let freed = producer.enqueue(record_for(1, &filler)).await?;
    let mut stuck = Vec::new();
    while let Ok(delivery) = producer.try_enqueue(record_for(0, &filler)) {
        stuck.push(delivery);
    }

    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.enqueue(record_for(1, "y".repeat(3500))).await }
    });
    until("it waits", || producer.metrics().waiting_for_memory == 1).await;
    until("it is written", || cluster.end_offset(TOPIC, 1).unwrap() == 2).await;
    skip_time(seconds(31)).await;
    until("a part is freed", || freed.try_result().is_some()).await;
    skip_time(seconds(30)).await;
    let error = soon("enqueue", waiting).await?.unwrap_err();

    let SendErrorKind::MemoryTimeout { memory_wait, .. } = *error.kind() else { panic!("{error:?}") };
    assert!((seconds(60)..seconds(100)).contains(&memory_wait), "{memory_wait:?}");
    soon("what made room", freed).await?;
    cluster.unfreeze(frozen)?;
    delivered(stuck).await;
    assert_eq!(producer.metrics().buffer_available_bytes, 4000);
    Ok(())
}
