//! `enable.idempotence`: each record is written once, whatever becomes of requests and answers.

use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{DeliveryErrorKind, Disposition, ErrorCode, Persisted};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, log_of, millis, producer, record,
    record_for, results, seconds, skip_time, soon, texts, until,
};

/// Producer id, epoch and first sequence number of each batch in the log.
fn identities(cluster: &MockCluster, partition: i32) -> Vec<(i64, i16, i32)> {
    let batches = cluster.batches(TOPIC, partition);
    batches.iter().map(|batch| (batch.producer_id, batch.producer_epoch, batch.base_sequence)).collect()
}

/// Neither lost nor doubled: what is told as delivered or as not written is so.
fn check_once(
    log: &[String],
    results: &[Result<kafka_producer::RecordMetadata, kafka_producer::DeliveryError>],
) {
    for (i, result) in results.iter().enumerate() {
        let written = log.iter().filter(|value| **value == i.to_string()).count();
        match result {
            Ok(_) => assert_eq!(written, 1, "record {i} was acknowledged; {log:?}"),
            Err(error) if error.persisted() == Persisted::No => {
                assert_eq!(written, 0, "record {i}: {error:?}; {log:?}");
            }
            Err(error) => assert!(written <= 1, "record {i}: {error:?}; {log:?}"),
        }
    }
    let numbers: Vec<usize> = log.iter().map(|value| value.parse().unwrap()).collect();
    assert!(numbers.is_sorted(), "{log:?}");
}

#[tokio::test]
async fn batches_are_numbered_by_their_records() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let producer = builder(&cluster).linger(millis(5)).build()?;

    for _ in 0..3 {
        delivered(enqueue_all(&producer, (0..20).map(|i| record_for(i % 2, i))).await).await;
    }

    for partition in 0..2 {
        let batches = cluster.batches(TOPIC, partition);
        let mut next = 0;
        for batch in &batches {
            assert_eq!(batch.base_sequence, next);
            next += batch.record_count;
        }
        assert_eq!(next, 30);
        let ids = identities(&cluster, partition);
        assert!(ids.iter().all(|(id, epoch, _)| *id >= 0 && *id == ids[0].0 && *epoch == 0), "{ids:?}");
    }
    assert_eq!(cluster.requests().of(Api::InitProducerId), 1);
    Ok(())
}

#[tokio::test]
async fn several_batches_of_a_partition_are_under_way_at_once() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.freeze(0)?;

    let deliveries = enqueue_all(&producer, (1..6).map(record)).await;
    until("five are under way", || producer.metrics().requests_in_flight == 5).await;
    cluster.unfreeze(0)?;
    delivered(deliveries).await;

    assert_eq!(log_of(&cluster, 0), texts(0..6));
    Ok(())
}

#[tokio::test]
async fn without_idempotence_batches_bear_no_numbers() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).enable_idempotence(false).build()?;

    producer.send(record("x")).await?;

    assert_eq!(identities(&cluster, 0), [(-1, -1, -1)]);
    assert_eq!(cluster.requests().of(Api::InitProducerId), 0);
    Ok(())
}

/// Java: `testCanRetryWithoutIdempotence` and its relatives: one fault for one of several batches under way.
#[tokio::test]
async fn any_single_failure_loses_and_doubles_nothing() -> TestResult {
    let codes = [-1, 2, 3, 6, 7, 10, 17, 19, 20, 29, 45, 47, 56, 59, 87];
    let plain = codes.map(Fault::error_code);
    let after_append = [7, 20, 56, 13].map(Fault::error_code_after_append);
    let losses = [Fault::disconnect_after(), Fault::disconnect_before()];
    for fault in plain.into_iter().chain(after_append).chain(losses) {
        for skip in [0, 1, 3] {
            let cluster = cluster_with(1, 1).await;
            let producer = builder(&cluster).batch_size(60).build()?;
            soon("first", producer.send(record(0))).await?;
            cluster.inject(fault.clone().api(Api::Produce).skip(skip));

            let deliveries = enqueue_all(&producer, (1..12).map(record)).await;
            let results = results(deliveries).await;

            let mut log = log_of(&cluster, 0);
            assert_eq!(log.remove(0), "0");
            let log: Vec<_> =
                log.iter().map(|value| (value.parse::<usize>().unwrap() - 1).to_string()).collect();
            println!("{fault:?} {skip}");
            check_once(&log, &results);
        }
    }
    Ok(())
}

/// A batch that was written, then answered as too large because the limit was lowered, is cut: its pieces are in the
/// log already, but no broker knows them by their numbers.
#[tokio::test]
async fn pieces_of_a_batch_that_may_be_written_are_not_written_again() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).linger(millis(20)).build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;
    cluster.inject(Fault::error_code_after_append(7).api(Api::Produce));
    cluster.inject(Fault::error_code(10).api(Api::Produce).skip(1));

    let deliveries = enqueue_all(&producer, (0..6).map(record)).await;
    let results = results(deliveries).await;

    check_once(&log_of(&cluster, 0), &results);
    Ok(())
}

/// Java: `testIdempotenceWithMultipleInflightsWhereFirstFailsFatally…`: those behind it are numbered anew.
#[tokio::test]
async fn records_behind_a_refused_one_are_delivered_in_order() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.delay(None, Some(Api::Produce), millis(10));
    cluster.inject(Fault::error_code(87).api(Api::Produce));

    let deliveries = enqueue_all(&producer, (1..20).map(record)).await;
    let results = results(deliveries).await;

    assert!(results[0].is_err());
    assert!(results[1..].iter().all(Result::is_ok));
    let mut expected = texts(0..20);
    expected.remove(1);
    assert_eq!(log_of(&cluster, 0), expected);
    let ids = identities(&cluster, 0);
    assert_eq!((ids[0].1, ids[1].1, ids[1].2), (0, 1, 0), "a new epoch begins at 0: {ids:?}");
    Ok(())
}

#[tokio::test]
async fn lost_answers_of_all_batches_under_way_double_nothing() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1).request_timeout(millis(200)).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.drop_response(Api::Produce, 1);

    let deliveries = enqueue_all(&producer, (1..30).map(record)).await;
    delivered(deliveries).await;

    assert_eq!(log_of(&cluster, 0), texts(0..30));
    Ok(())
}

#[tokio::test]
async fn leader_moves_between_attempts_double_nothing() -> TestResult {
    let cluster = cluster_with(3, 1).await;
    let producer = builder(&cluster).batch_size(1).build()?;
    soon("first", producer.send(record(0))).await?;

    let mut next = 1;
    for round in 0..20 {
        cluster.inject(Fault::disconnect_after().api(Api::Produce).skip(round % 4));
        let deliveries = enqueue_all(&producer, (next..next + 10).map(record)).await;
        next += 10;
        cluster.set_leader(TOPIC, 0, Some(i32::try_from(round % 3)?))?;
        delivered(deliveries).await;
    }

    assert_eq!(log_of(&cluster, 0), texts(0..next));
    Ok(())
}

#[tokio::test]
async fn expired_batch_leaves_no_stuck_partition() -> TestResult {
    for is_written in [false, true] {
        let cluster = cluster_with(1, 1).await;
        let producer = builder(&cluster).batch_size(1).delivery_timeout(seconds(120)).build()?;
        soon("first", producer.send(record(0))).await?;
        let fault = if is_written { Fault::error_code_after_append(7) } else { Fault::error_code(7) };
        cluster.inject(fault.api(Api::Produce).always());
        let deliveries = enqueue_all(&producer, (1..4).map(record)).await;
        until("the first was refused", || producer.metrics().record_retries > 0).await;
        skip_time(seconds(121)).await;
        let results = results(deliveries).await;
        assert!(results.iter().all(Result::is_err));
        cluster.clear_faults();

        for i in 4..8 {
            soon("later", producer.send(record(i))).await?;
        }

        let log = log_of(&cluster, 0);
        assert_eq!(log[0], "0");
        assert_eq!(log[log.len() - 4..], texts(4..8));
        assert_eq!(log.iter().collect::<std::collections::BTreeSet<_>>().len(), log.len(), "{log:?}");
    }
    Ok(())
}

#[tokio::test]
async fn expired_batch_in_flight_leaves_no_stuck_partition() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let builder = builder(&cluster).delivery_timeout(seconds(120)).request_timeout(seconds(120));
    let producer = builder.batch_size(1).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.freeze(0)?;
    let deliveries = enqueue_all(&producer, (1..8).map(record)).await;
    until("they are under way", || producer.metrics().requests_in_flight >= 5).await;
    skip_time(seconds(121)).await;
    let results = results(deliveries).await;
    assert!(results.iter().all(Result::is_err));
    cluster.unfreeze(0)?;

    soon("later", async { while producer.send(record(8)).await.is_err() {} }).await;
    soon("last", producer.send(record(9))).await?;

    let log = log_of(&cluster, 0);
    assert_eq!(log.iter().filter(|value| *value == "9").count(), 1);
    assert_eq!(log.last().unwrap(), "9");
    Ok(())
}

#[tokio::test]
async fn failing_requests_for_an_id_are_made_again() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.fail_next(Api::InitProducerId, 14, 2);
    cluster.inject(Fault::disconnect_before().api(Api::InitProducerId).skip(2));
    let producer = producer(&cluster);

    soon("send", producer.send(record("x"))).await?;

    assert_eq!(cluster.requests().of(Api::InitProducerId), 4);
    Ok(())
}

#[tokio::test]
async fn id_that_is_never_answered_is_asked_for_elsewhere() -> TestResult {
    let cluster = cluster_with(2, 1).await;
    cluster.drop_response(Api::InitProducerId, 1);
    let producer = builder(&cluster).request_timeout(millis(100)).build()?;

    soon("send", producer.send(record("x"))).await?;
    Ok(())
}

/// Java: `testClusterAuthorizationExceptionInInitProducerIdRequest`: fails what waits, and recovers.
#[tokio::test]
async fn refused_id_fails_records_until_it_is_granted() -> TestResult {
    for compression in [kafka_producer::Compression::None, kafka_producer::Compression::Lz4] {
        let cluster = cluster_with(1, 1).await;
        cluster.inject(Fault::error_code(31).api(Api::InitProducerId).always());
        let producer = builder(&cluster).compression(compression).build()?;

        let error = soon("send", producer.send(record("x".repeat(20_000)).key("k"))).await.unwrap_err();

        let error = error.delivery_error().unwrap().clone();
        let DeliveryErrorKind::Broker { code, .. } = error.kind() else { panic!("{error:?}") };
        assert_eq!(code, ErrorCode::ClusterAuthorizationFailed);
        assert!(error.to_string().contains("enable.idempotence=false"), "{error}");
        assert_eq!((error.persisted(), error.disposition()), (Persisted::No, Disposition::FixConfiguration));
        assert_eq!(error.record().expect("the record comes back").key.unwrap(), "k");
        assert_eq!(producer.metrics().buffered_bytes, 0);

        cluster.clear_faults();
        soon("granted", async { while producer.send(record("y")).await.is_err() {} }).await;
    }
    Ok(())
}

#[tokio::test]
async fn broker_without_ids_fails_records_with_advice() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.remove_api(Api::InitProducerId);
    let producer = producer(&cluster);

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();

    assert_eq!(error.disposition(), Disposition::FixConfiguration);
    assert!(error.to_string().contains("enable.idempotence=false"), "{error}");
    Ok(())
}

#[tokio::test]
async fn records_wait_for_the_id_in_their_order() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.delay(None, Some(Api::InitProducerId), millis(100));
    let producer = builder(&cluster).batch_size(100).build()?;

    let deliveries = enqueue_all(&producer, (0..50).map(record)).await;
    assert_eq!(cluster.end_offset(TOPIC, 0)?, 0);
    delivered(deliveries).await;

    assert_eq!(log_of(&cluster, 0), texts(0..50));
    Ok(())
}

#[tokio::test]
async fn records_that_wait_for_the_id_time_out() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.inject(Fault::error_code(14).api(Api::InitProducerId).always());
    let producer = builder(&cluster).delivery_timeout(millis(200)).request_timeout(millis(100)).build()?;

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();

    assert!(matches!(error.delivery_error().unwrap().kind(), DeliveryErrorKind::TimedOut(_)));
    assert_eq!(error.persisted(), Persisted::No);
    let _ = soon("close", producer.close(seconds(1))).await;
    Ok(())
}

#[tokio::test]
async fn close_and_drop_do_not_wait_for_an_id_without_records() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.inject(Fault::drop_response().api(Api::InitProducerId).always());
    let producer = producer(&cluster);
    soon("metadata", producer.partitions_for(TOPIC)).await?;

    let report = soon("close", producer.close(seconds(60))).await;

    assert!(report.undelivered.is_empty());
    Ok(())
}

#[tokio::test]
async fn topic_that_is_made_anew_takes_records_of_the_same_producer() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1).build()?;
    delivered(enqueue_all(&producer, (0..10).map(record)).await).await;

    cluster.delete_topic(TOPIC)?;
    cluster.create_topic(TOPIC, 1, 1)?;
    delivered(enqueue_all(&producer, (10..30).map(record)).await).await;

    assert_eq!(log_of(&cluster, 0), texts(10..30));
    Ok(())
}

#[tokio::test]
async fn cut_batches_keep_their_numbers() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_max_message_bytes(300);
    let producer = builder(&cluster).linger(millis(20)).build()?;

    delivered(enqueue_all(&producer, (0..200).map(record)).await).await;

    assert_eq!(log_of(&cluster, 0), texts(0..200));
    let ids = identities(&cluster, 0);
    assert!(ids.iter().all(|(_, epoch, _)| *epoch == 0), "{ids:?}");
    Ok(())
}

#[tokio::test]
async fn failing_piece_does_not_stop_the_others() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_max_message_bytes(400);
    let producer = builder(&cluster).linger(millis(20)).build()?;

    let records = (0..60).map(|i| if i % 20 == 7 { record("x".repeat(500)) } else { record(i) });
    let results = results(enqueue_all(&producer, records).await).await;

    for (i, result) in results.iter().enumerate() {
        assert_eq!(result.is_err(), i % 20 == 7, "{i} {result:?}");
    }
    let expected: Vec<_> = (0..60).filter(|i| i % 20 != 7).map(|i| i.to_string()).collect();
    assert_eq!(log_of(&cluster, 0), expected);
    Ok(())
}

#[tokio::test]
async fn refused_id_is_not_asked_for_without_need() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.inject(Fault::error_code(31).api(Api::InitProducerId).always());
    let producer = producer(&cluster);
    soon("metadata", producer.partitions_for(TOPIC)).await?;

    for _ in 0..20 {
        skip_time(seconds(2)).await;
        tokio::time::sleep(millis(5)).await;
    }

    let requests = cluster.requests().of(Api::InitProducerId);
    assert!(requests <= 2, "{requests} requests of an idle producer");
    Ok(())
}

/// The bytes of an attempt may lie on a broken connection that the broker still reads. If it refuses the next attempt
/// because an older batch has not come, both may come yet: a new number would then write the records twice.
#[tokio::test]
async fn batch_with_an_unanswered_attempt_gets_no_new_number() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let builder = builder(&cluster).request_timeout(seconds(190)).delivery_timeout(seconds(200));
    let producer = builder.linger(millis(0)).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.freeze(0)?;
    let older = producer.enqueue(record(1)).await?;
    until("the older is sent", || producer.metrics().produce_requests_sent == 2).await;
    skip_time(seconds(100)).await;
    let younger = producer.enqueue(record(2)).await?;
    until("the younger is sent", || producer.metrics().produce_requests_sent == 3).await;

    cluster.broker_down(0).await?;
    until("the connection is lost", || producer.metrics().record_retries >= 2).await;
    skip_time(seconds(100)).await;
    assert_eq!(soon("older", older).await.unwrap_err().persisted(), Persisted::Maybe);
    cluster.broker_up(0).await?;
    cluster.unfreeze(0)?;
    cluster.set_leader(TOPIC, 0, Some(0))?;
    let younger = soon("younger", younger).await.unwrap_err();
    let next = soon("next", producer.send(record(3))).await?;

    assert_eq!(younger.persisted(), Persisted::Maybe);
    assert_eq!(younger.error_code(), Some(ErrorCode::OutOfOrderSequenceNumber), "{younger:?}");
    assert_eq!(log_of(&cluster, 0), ["0", "3"]);
    assert_eq!(next.offset(), Some(1));
    Ok(())
}

/// Java: `testSenderShouldRetryWithBackoffOnRetriableError`.
#[tokio::test]
async fn request_for_an_id_is_made_again_after_the_backoff() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.fail_next(Api::InitProducerId, 14, 1);
    let producer = builder(&cluster)
        .retry_backoff(seconds(60))
        .retry_backoff_max(seconds(60))
        .delivery_timeout(seconds(300))
        .build()?;
    let mut delivery = producer.enqueue(record("x")).await?;
    until("the first request has failed", || {
        cluster.requests().of(Api::InitProducerId) == 1 && producer.metrics().requests_in_flight == 0
    })
    .await;

    skip_time(seconds(50)).await;
    assert!(tokio::time::timeout(millis(50), &mut delivery).await.is_err());
    assert_eq!(cluster.requests().of(Api::InitProducerId), 1);
    skip_time(seconds(11)).await;

    soon("delivery", delivery).await?;
    assert_eq!(cluster.requests().of(Api::InitProducerId), 2);
    Ok(())
}

/// Java: `testForceCloseWithProducerIdReset`.
#[tokio::test]
async fn close_with_no_time_gives_back_records_that_wait_for_the_id() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.inject(Fault::error_code(14).api(Api::InitProducerId).always());
    let producer = producer(&cluster);
    let deliveries = enqueue_all(&producer, (0..3).map(record)).await;

    let report = soon("close", producer.close(millis(0))).await;

    assert_eq!(report.undelivered.len(), 3);
    for (i, result) in results(deliveries).await.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.persisted()), (DeliveryErrorKind::Closed, Persisted::No));
        assert_eq!(error.record().unwrap().value.unwrap(), i.to_string());
    }
    Ok(())
}

/// Java ends the producer at some of these (`testClusterAuthorizationExceptionInProduceRequest`,
/// `testUnsupportedVersionInProduceRequest`).
#[tokio::test]
async fn no_error_of_a_batch_ends_the_producer() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    let codes = [31, 35, 43, 29, 49, 90];
    for (i, code) in (0..).zip(codes) {
        cluster.fail_next(Api::Produce, code, 1);

        let error = soon("refused", producer.send(record("refused"))).await.unwrap_err();
        assert_eq!(error.delivery_error().unwrap().error_code(), Some(ErrorCode::from(code)));

        assert_eq!(soon("next", producer.send(record(i))).await?.offset(), Some(i), "{code}");
    }
    assert_eq!(log_of(&cluster, 0), texts(0..codes.len()));
    Ok(())
}
