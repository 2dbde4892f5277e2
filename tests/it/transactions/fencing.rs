//! Producers that lose their transactional id, or may not have it.

use kafka_mock::{Api, Fault};
use kafka_producer::{
    ConsumerGroupMetadata, Disposition, ErrorCode, OffsetAndMetadata, SendErrorKind, TopicPartition,
    TransactionErrorKind,
};

use super::{
    ID, MESSAGE_TOO_LARGE_FOR_GOOD, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, cluster, committed, transactional,
};
use crate::support::{TOPIC, TestResult, builder, millis, record_for, until};

#[tokio::test]
async fn second_producer_with_the_id_fences_the_first() -> TestResult {
    for (version, sends_again) in [(1, false), (1, true), (2, false), (2, true)] {
        let cluster = cluster(version).await;
        let mut first = transactional(&cluster);
        let transaction = first.begin_transaction().await?;
        transaction.send(record_for(0, "of the first")).await?;

        let mut second = transactional(&cluster);
        let other = second.begin_transaction().await?;
        other.send(record_for(0, "of the second")).await?;

        if sends_again {
            let refused = transaction.send(record_for(0, "of a zombie")).await.unwrap_err();
            let SendErrorKind::Delivery(error) = refused.kind() else { panic!("{refused}") };
            assert_eq!(error.error_code(), Some(ErrorCode::InvalidProducerEpoch), "version {version}");
        }
        let error = transaction.commit().await.unwrap_err();
        assert!(matches!(error.kind(), TransactionErrorKind::Fenced { .. }), "version {version}: {error}");
        assert_eq!(error.disposition(), Disposition::NewProducer);
        let error = first.begin_transaction().await.unwrap_err();
        assert!(matches!(error.kind(), TransactionErrorKind::Fenced { .. }), "version {version}: {error}");
        other.commit().await?;
        assert_eq!(committed(&cluster), ["of the second"], "version {version}");
    }
    Ok(())
}

#[tokio::test]
async fn transaction_that_the_coordinator_gave_up_is_not_committed() -> TestResult {
    for (version, sends_again) in [(1, false), (1, true), (2, false), (2, true)] {
        let cluster = cluster(version).await;
        // The second transaction must not take that long.
        let timeout = millis(1500);
        let mut producer =
            builder(&cluster).transactional_id(ID).transaction_timeout(timeout).build_transactional()?;
        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "late")).await?;

        // What is aborted before its time is over is aborted for another producer.
        if version == 2 {
            tokio::time::sleep(timeout).await;
        }
        let _ = cluster.time_out_transaction(ID);
        if sends_again {
            let refused = transaction.send(record_for(0, "too late")).await.unwrap_err();
            let SendErrorKind::Delivery(error) = refused.kind() else { panic!("{refused}") };
            assert_eq!(error.error_code(), Some(ErrorCode::InvalidProducerEpoch), "version {version}");
        }
        let error = transaction.commit().await.unwrap_err();

        assert_eq!(committed(&cluster), [""; 0]);
        if version == 1 {
            assert!(matches!(error.kind(), TransactionErrorKind::Fenced { .. }), "{error}");
            continue;
        }
        // The producer learns its epoch as the transaction is aborted, and goes on.
        assert!(matches!(error.kind(), TransactionErrorKind::GivenUp), "{error}");
        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "in time")).await?;
        transaction.commit().await?;
        assert_eq!(committed(&cluster), ["in time"]);
    }
    Ok(())
}

#[tokio::test]
async fn offsets_of_a_transaction_that_the_coordinator_gave_up_leave_the_producer_usable() -> TestResult {
    let cluster = cluster(2).await;
    let timeout = millis(1500);
    let mut producer =
        builder(&cluster).transactional_id(ID).transaction_timeout(timeout).build_transactional()?;
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "late")).await?;
    tokio::time::sleep(timeout).await;
    let _ = cluster.time_out_transaction(ID);

    let offset = [(TopicPartition::new(TOPIC, 2), OffsetAndMetadata::new(10))];
    let group = ConsumerGroupMetadata::new("readers");
    let error = transaction.send_offsets(offset, &group).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::AbortTransaction, "{error}");
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error.kind(), TransactionErrorKind::GivenUp), "{error}");

    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "in time")).await?;
    transaction.commit().await?;
    assert_eq!(committed(&cluster), ["in time"]);
    Ok(())
}

#[tokio::test]
async fn producer_that_may_not_have_the_id_says_so_and_can_try_again() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = transactional(&cluster);
    cluster.inject(Fault::error_code(TRANSACTIONAL_ID_AUTHORIZATION_FAILED).api(Api::InitProducerId));

    let error = producer.begin_transaction().await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::FixConfiguration, "{error}");

    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    transaction.commit().await?;
    assert_eq!(committed(&cluster), ["a"]);
    Ok(())
}

#[tokio::test]
async fn refusal_of_a_producer_by_the_leader_says_so() -> TestResult {
    for version in [1, 2] {
        for code in [90, 49, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 31] {
            let cluster = cluster(version).await;
            let mut producer = transactional(&cluster);
            let transaction = producer.begin_transaction().await?;
            cluster.inject(Fault::error_code(code).api(Api::Produce));
            drop(transaction.enqueue(record_for(0, "a")).await?);

            let error = transaction.commit().await.unwrap_err();

            assert_eq!(error.disposition(), Disposition::NewProducer, "{code}: {error}");
            assert!(error.to_string().contains("Produce"), "{code}: {error}");
            assert_eq!(matches!(error.kind(), TransactionErrorKind::Fenced { .. }), code == 90, "{error}");
            let again = producer.begin_transaction().await.unwrap_err();
            assert_eq!(again, error);
        }
    }
    Ok(())
}

#[tokio::test]
async fn old_epoch_at_the_leader_is_told_as_what_it_comes_from() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut first = transactional(&cluster);
        let transaction = first.begin_transaction().await?;
        transaction.send(record_for(0, "of the first")).await?;
        let mut second = transactional(&cluster);
        let other = second.begin_transaction().await?;

        drop(transaction.enqueue(record_for(0, "late")).await?);
        let error = transaction.commit().await.unwrap_err();

        assert!(matches!(error.kind(), TransactionErrorKind::Fenced { .. }), "version {version}: {error}");
        other.commit().await?;
        assert_eq!(committed(&cluster), [""; 0]);
    }
    Ok(())
}

/// A producer that fences another, and is not ready yet: its question for the id is answered by the abort of the open transaction first.
#[tokio::test]
async fn producer_whose_id_is_being_taken_does_not_take_it_back() -> TestResult {
    for sends_again in [false, true] {
        let cluster = cluster(2).await;
        let mut first = transactional(&cluster);
        let transaction = first.begin_transaction().await?;
        transaction.send(record_for(0, "of the first")).await?;

        assert!(cluster.time_out_transaction(ID));
        if sends_again {
            assert!(transaction.send(record_for(0, "of a zombie")).await.is_err());
        }
        let error = transaction.commit().await.unwrap_err();

        assert!(matches!(error.kind(), TransactionErrorKind::Fenced { .. }), "{error}");
        let error = first.begin_transaction().await.unwrap_err();
        assert!(matches!(error.kind(), TransactionErrorKind::Fenced { .. }), "{error}");
    }
    Ok(())
}

/// Its question for another epoch would have the coordinator abort the transaction that the successor has open.
#[tokio::test]
async fn producer_that_needs_an_epoch_does_not_ask_for_it_when_another_has_the_id() -> TestResult {
    let cluster = cluster(1).await;
    let mut first = transactional(&cluster);
    let transaction = first.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    cluster.inject(Fault::error_code(MESSAGE_TOO_LARGE_FOR_GOOD).api(Api::Produce));
    drop(transaction.enqueue(record_for(0, "refused")).await?);
    transaction.commit().await.unwrap_err();
    let took_ids = || cluster.requests().of(Api::InitProducerId);
    until("another epoch is asked for", || took_ids() == 2).await;

    let mut second = transactional(&cluster);
    let other = second.begin_transaction().await?;
    other.send(record_for(0, "of the second")).await?;
    if let Ok(transaction) = first.begin_transaction().await {
        drop(transaction.enqueue(record_for(0, "of a zombie")).await);
        let error = transaction.commit().await.unwrap_err();
        assert!(matches!(error.kind(), TransactionErrorKind::Fenced { .. }), "{error}");
    }
    other.commit().await?;

    assert_eq!(committed(&cluster), ["of the second"]);
    Ok(())
}
