//! Calls that take too long, and what becomes of transactions when the producer is closed.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use kafka_mock::{Api, Fault, GroupProtocol, TransactionState};
use kafka_producer::{
    ConsumerGroupMetadata, Disposition, ErrorCode, OffsetAndMetadata, ProducerRecord, SendErrorKind,
    TopicPartition, TransactionErrorKind, TransactionalProducer,
};

use super::{ID, NOT_COORDINATOR, cluster, committed, state, transactional};
use crate::support::{TOPIC, TestResult, builder, millis, record_for, seconds, soon, until};

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(600);

/// A producer that waits for no call for long.
fn impatient(cluster: &kafka_mock::MockCluster) -> TransactionalProducer {
    builder(cluster).transactional_id(ID).max_block(seconds(2)).build_transactional().unwrap()
}

#[tokio::test]
async fn begin_that_takes_too_long_goes_on() -> TestResult {
    let apis = [Api::FindCoordinator, Api::InitProducerId];
    // Each takes seconds of waiting.
    futures::future::try_join_all(apis.map(begin_late)).await?;
    Ok(())
}

async fn begin_late(api: Api) -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = impatient(&cluster);
    cluster.inject(Fault::error_code(COORDINATOR_LOAD_IN_PROGRESS).api(api).always());

    for _ in 0..2 {
        let error = producer.begin_transaction().await.unwrap_err();
        let kind = error.kind();
        assert!(matches!(kind, TransactionErrorKind::TimedOut { call: "begin_transaction", .. }), "{error}");
        assert_eq!(error.disposition(), Disposition::RepeatCall);
    }
    cluster.clear_faults();
    while let Err(error) = producer.begin_transaction().await {
        assert_eq!(error.disposition(), Disposition::RepeatCall);
    }

    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    transaction.commit().await?;
    assert_eq!(committed(&cluster), ["a"], "{api:?}");
    Ok(())
}

#[tokio::test]
async fn abort_that_takes_too_long_goes_on() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = impatient(&cluster);
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    cluster.inject(Fault::error_code(NOT_COORDINATOR).api(Api::EndTxn).always());

    let error = transaction.abort().await.unwrap_err();
    assert!(matches!(error.kind(), TransactionErrorKind::TimedOut { call: "abort", .. }), "{error}");
    let error = producer.begin_transaction().await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::RepeatCall);
    cluster.clear_faults();
    while producer.begin_transaction().await.is_err() {}

    assert_eq!(state(&cluster), Some(TransactionState::CompleteAbort));
    assert_eq!(committed(&cluster), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn close_waits_for_the_commit_that_is_under_way() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut producer = transactional(&cluster);
        let transaction = producer.begin_transaction().await?;
        drop(transaction.enqueue(record_for(0, "a")).await?);
        cluster.inject(Fault::error_code(COORDINATOR_LOAD_IN_PROGRESS).api(Api::EndTxn).times(4));

        assert!(tokio::time::timeout(millis(20), transaction.commit()).await.is_err());
        assert_ne!(state(&cluster), Some(TransactionState::CompleteCommit));
        drop(soon("close", producer.close(seconds(30))).await);

        assert_eq!(state(&cluster), Some(TransactionState::CompleteCommit), "version {version}");
        assert_eq!(committed(&cluster), ["a"], "version {version}");
    }
    Ok(())
}

#[tokio::test]
async fn close_aborts_the_transaction_that_was_dropped() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut producer = transactional(&cluster);
        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "a")).await?;
        drop(transaction);

        drop(soon("close", producer.close(seconds(30))).await);

        assert_eq!(state(&cluster), Some(TransactionState::CompleteAbort), "version {version}");
        assert_eq!(committed(&cluster), [""; 0], "version {version}");
    }
    Ok(())
}

#[tokio::test]
async fn close_with_no_time_does_not_wait_for_the_commit() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = transactional(&cluster);
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    cluster.inject(Fault::delay(NEVER).api(Api::EndTxn).always());

    assert!(tokio::time::timeout(millis(20), transaction.commit()).await.is_err());
    let report = tokio::time::timeout(seconds(10), producer.close(Duration::ZERO)).await;
    assert!(report.is_ok());
    Ok(())
}

#[tokio::test]
async fn close_of_a_fenced_producer_ends_at_once() -> TestResult {
    let cluster = cluster(2).await;
    let mut first = transactional(&cluster);
    let transaction = first.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    let mut second = transactional(&cluster);
    drop(second.begin_transaction().await?);
    assert_eq!(transaction.commit().await.unwrap_err().disposition(), Disposition::NewProducer);

    let report = soon("close", first.close(NEVER)).await;

    assert!(report.undelivered.is_empty());
    Ok(())
}

#[tokio::test]
async fn close_ends_a_begin_that_is_under_way() -> TestResult {
    for api in [Api::FindCoordinator, Api::InitProducerId] {
        let cluster = cluster(2).await;
        let mut producer = transactional(&cluster);
        cluster.inject(Fault::delay(NEVER).api(api).always());

        assert!(tokio::time::timeout(millis(20), producer.begin_transaction()).await.is_err());
        drop(soon("close", producer.close(NEVER)).await);
    }
    Ok(())
}

#[tokio::test]
async fn handle_is_refused_after_the_producer_was_closed() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = transactional(&cluster);
    let transaction = producer.begin_transaction().await?;
    let handle = transaction.handle();
    handle.send(record_for(0, "a")).await?;
    transaction.commit().await?;
    drop(producer.close(seconds(30)).await);

    let error = soon("a refusal", handle.send(record_for(0, "late"))).await.unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::Closed | SendErrorKind::TransactionOver), "{error}");
    assert_eq!(committed(&cluster), ["a"]);
    Ok(())
}

#[tokio::test]
async fn generation_without_a_member_is_refused() -> TestResult {
    const UNKNOWN_MEMBER_ID: i16 = 25;
    for version in [1, 2] {
        let cluster = cluster(version).await;
        cluster.set_group_member("readers", GroupProtocol::Classic, "member-1", None, 7);
        let mut producer = transactional(&cluster);
        let transaction = producer.begin_transaction().await?;
        let group = ConsumerGroupMetadata::new("readers").member("", 7);
        let offsets = [(TopicPartition::new(TOPIC, 0), OffsetAndMetadata::new(5))];

        let error = transaction.send_offsets(offsets, &group).await.unwrap_err();

        let TransactionErrorKind::Broker { code, .. } = error.kind() else { panic!("{error}") };
        assert_eq!(*code, ErrorCode::from(UNKNOWN_MEMBER_ID), "version {version}");
        assert_eq!(error.disposition(), Disposition::AbortTransaction);
        transaction.abort().await?;
        producer.begin_transaction().await?.commit().await?;
    }
    Ok(())
}

#[tokio::test]
async fn record_without_a_place_fails_the_commit() -> TestResult {
    for (topic, partition) in [("missing", 0), (TOPIC, 7), ("topic abc", 0)] {
        let cluster = cluster(2).await;
        let mut producer = impatient(&cluster);
        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "a")).await?;
        let record = ProducerRecord::to(topic).partition(partition).value("b");
        assert!(transaction.enqueue(record).await.is_err(), "{topic}");

        let error = transaction.commit().await.unwrap_err();

        assert!(matches!(error.kind(), TransactionErrorKind::RecordsRefused { records: 1, .. }), "{error}");
        assert_eq!(error.disposition(), Disposition::AbortTransaction);
        while producer.begin_transaction().await.is_err() {}
        assert_eq!(committed(&cluster), [""; 0], "{topic}");
    }
    Ok(())
}

#[tokio::test]
async fn close_aborts_the_transaction_that_was_leaked() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut producer = transactional(&cluster);
        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "a")).await?;
        std::mem::forget(transaction);

        drop(soon("close", producer.close(seconds(30))).await);

        assert_eq!(state(&cluster), Some(TransactionState::CompleteAbort), "version {version}");
    }
    Ok(())
}

#[tokio::test]
async fn producer_that_is_dropped_aborts_and_ends_though_a_handle_is_left() -> TestResult {
    for is_leaked in [false, true] {
        let cluster = cluster(2).await;
        let mut producer = transactional(&cluster);
        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "a")).await?;
        let handle = transaction.handle();
        if is_leaked {
            std::mem::forget(transaction);
        } else {
            drop(transaction);
        }

        drop(producer);

        until("the transaction is aborted", || state(&cluster) == Some(TransactionState::CompleteAbort))
            .await;
        until("connections are closed", || (0..3).all(|broker| cluster.open_connections(broker) == 0)).await;
        let error = soon("a refusal", handle.send(record_for(0, "late"))).await.unwrap_err();
        assert!(matches!(error.kind(), SendErrorKind::Closed | SendErrorKind::TransactionOver), "{error}");
        assert_eq!(committed(&cluster), [""; 0]);
    }
    Ok(())
}

#[tokio::test]
async fn call_that_was_dropped_while_its_task_gave_way_fails_the_commit() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = transactional(&cluster);
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;

    let mut given_up = 0;
    std::future::poll_fn(|cx| {
        // Nothing but the budget of this task is missing when a call has to wait.
        while let Poll::Ready(budget) = tokio::task::coop::poll_proceed(cx) {
            budget.made_progress();
        }
        let mut call = std::pin::pin!(transaction.enqueue(record_for(0, "b")));
        given_up += usize::from(call.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;

    assert_eq!(given_up, 1);
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error.kind(), TransactionErrorKind::RecordsRefused { records: 1, .. }), "{error}");
    assert_eq!(committed(&cluster), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn handle_hands_over_what_needs_no_waiting() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = transactional(&cluster);
    assert_eq!(producer.transactional_id(), ID);
    assert_eq!(producer.partitions_for(TOPIC).await?.len(), 3);
    let transaction = producer.begin_transaction().await?;
    assert_eq!(transaction.partitions_for(TOPIC).await?.len(), 3);
    let handle = transaction.handle();

    let delivery = handle.try_enqueue(record_for(0, "a"))?;
    transaction.flush().await;
    assert_eq!(soon("the delivery", delivery).await?.offset(), Some(0));
    transaction.commit().await?;

    let error = handle.try_enqueue(record_for(0, "late")).unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::TransactionOver), "{error}");
    assert_eq!(committed(&cluster), ["a"]);
    Ok(())
}
