//! Transactions against `kafka-mock`, in both versions of the protocol.

use std::future::Future;
use std::task::{Context, Waker};

use kafka_mock::{Api, Fault, GroupProtocol, MockCluster, TransactionState};
use kafka_producer::{
    ConsumerGroupMetadata, DeliveryErrorKind, Disposition, ErrorCode, OffsetAndMetadata, ProducerRecord,
    SendErrorKind, TopicPartition, TransactionErrorKind, TransactionalProducer,
};

use crate::support::{TOPIC, TestResult, builder, millis, record, record_for, seconds, soon, until};

mod calls;
mod fencing;

const ID: &str = "payments-1";
const NOT_COORDINATOR: i16 = 16;
const CONCURRENT_TRANSACTIONS: i16 = 51;
const TRANSACTION_ABORTABLE: i16 = 120;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
const MESSAGE_TOO_LARGE_FOR_GOOD: i16 = 87;

/// Three brokers, a topic with three partitions, and a level of `transaction.version`.
async fn cluster(version: i16) -> MockCluster {
    let builder = MockCluster::builder().brokers(3).auto_create_topics(false, 1).transaction_version(version);
    let cluster = builder.start().await.unwrap();
    cluster.create_topic(TOPIC, 3, 3).unwrap();
    cluster
}

/// Brokers of an old release.
async fn old_cluster(release: &str) -> MockCluster {
    let builder = MockCluster::builder().brokers(3).auto_create_topics(false, 1).kafka_release(release);
    let cluster = builder.start().await.unwrap();
    cluster.create_topic(TOPIC, 3, 3).unwrap();
    cluster
}

fn transactional(cluster: &MockCluster) -> TransactionalProducer {
    builder(cluster).transactional_id(ID).build_transactional().unwrap()
}

/// Values that a reader sees which reads what is committed, sorted.
fn committed(cluster: &MockCluster) -> Vec<String> {
    let records = (0..3).flat_map(|partition| cluster.committed_records(TOPIC, partition));
    let mut values: Vec<_> = records.map(|record| text(record.value.as_deref())).collect();
    values.sort();
    values
}

/// Values that any reader sees.
fn written(cluster: &MockCluster) -> usize {
    (0..3).map(|partition| cluster.records(TOPIC, partition).len()).sum()
}

fn text(value: Option<&[u8]>) -> String {
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

fn state(cluster: &MockCluster) -> Option<TransactionState> {
    cluster.transactions().get(ID).map(|transaction| transaction.state)
}

#[tokio::test]
async fn committed_records_are_seen_and_aborted_ones_are_not() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut producer = transactional(&cluster);

        let transaction = producer.begin_transaction().await?;
        for partition in 0..3 {
            transaction.send(record_for(partition, format!("a{partition}"))).await?;
        }
        assert_eq!(committed(&cluster), [""; 0], "version {version}");
        transaction.commit().await?;
        assert_eq!(committed(&cluster), ["a0", "a1", "a2"], "version {version}");

        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "b")).await?;
        transaction.abort().await?;
        let transaction = producer.begin_transaction().await?;
        drop(transaction.enqueue(record_for(0, "c")).await?);
        transaction.commit().await?;

        assert_eq!(committed(&cluster), ["a0", "a1", "a2", "c"], "version {version}");
        assert_eq!(written(&cluster), 5, "version {version}");
    }
    Ok(())
}

#[tokio::test]
async fn old_brokers_serve_transactions_of_version_1() -> TestResult {
    for release in ["1.0", "2.3", "2.8", "3.9"] {
        let cluster = old_cluster(release).await;
        let mut producer = transactional(&cluster);

        for number in 0..3 {
            let transaction = producer.begin_transaction().await?;
            transaction.send(record_for(number % 2, number)).await?;
            if number == 1 { transaction.abort().await? } else { transaction.commit().await? }
        }

        assert_eq!(committed(&cluster), ["0", "2"], "{release}");
        assert_eq!(cluster.requests().of_version(Api::EndTxn, 5), 0, "{release}");
    }
    Ok(())
}

#[tokio::test]
async fn each_version_asks_for_what_it_must_and_no_more() -> TestResult {
    for (version, adds) in [(1, 3), (2, 0)] {
        let cluster = cluster(version).await;
        // A request that times out is sent again.
        let builder = builder(&cluster).transactional_id(ID).request_timeout(seconds(59));
        let mut producer = builder.build_transactional()?;
        for _ in 0..3 {
            let transaction = producer.begin_transaction().await?;
            transaction.send(record_for(0, "a")).await?;
            transaction.commit().await?;
        }

        let requests = cluster.requests();
        assert_eq!(requests.of(Api::AddPartitionsToTxn), adds, "version {version}");
        assert_eq!(requests.of(Api::EndTxn), 3, "version {version}");
        assert_eq!(requests.of(Api::InitProducerId), 1, "version {version}");
        assert_eq!(requests.of(Api::FindCoordinator), 1, "version {version}");
        assert_eq!(requests.of_version(Api::EndTxn, 5), if version == 2 { 3 } else { 0 });
    }
    Ok(())
}

#[tokio::test]
async fn empty_transactions_ask_for_nothing() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut producer = transactional(&cluster);

        producer.begin_transaction().await?.commit().await?;
        producer.begin_transaction().await?.abort().await?;
        drop(producer.begin_transaction().await?);
        producer.begin_transaction().await?.commit().await?;

        assert_eq!(cluster.requests().of(Api::EndTxn), 0);
    }
    Ok(())
}

#[tokio::test]
async fn dropped_transaction_is_aborted_and_the_next_one_waits_for_that() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut producer = transactional(&cluster);

        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "dropped")).await?;
        drop(transaction);
        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "kept")).await?;
        transaction.commit().await?;

        assert_eq!(committed(&cluster), ["kept"]);
    }
    Ok(())
}

#[tokio::test]
async fn last_transaction_is_aborted_when_its_producer_is_dropped() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = transactional(&cluster);
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "dropped")).await?;

    drop(transaction);
    drop(producer);

    until("aborted", || state(&cluster) == Some(TransactionState::CompleteAbort)).await;
    Ok(())
}

#[tokio::test]
async fn handles_send_from_many_tasks_until_the_transaction_is_over() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = transactional(&cluster);

    let transaction = producer.begin_transaction().await?;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let handle = transaction.handle();
            tokio::spawn(async move { handle.send(record(format!("task {task}"))).await })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let handle = transaction.handle();
    transaction.commit().await?;

    let late = handle.send(record("late")).await.unwrap_err();
    assert!(matches!(late.kind(), SendErrorKind::TransactionOver), "{late}");
    let next = producer.begin_transaction().await?;
    let late = handle.send(record("late")).await.unwrap_err();
    assert!(matches!(late.kind(), SendErrorKind::TransactionOver), "{late}");
    next.commit().await?;

    assert_eq!(committed(&cluster).len(), 8);
    Ok(())
}

#[tokio::test]
async fn record_that_fails_fails_the_commit_and_is_named() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut producer = transactional(&cluster);

        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "good")).await?;
        cluster.inject(Fault::error_code(MESSAGE_TOO_LARGE_FOR_GOOD).api(Api::Produce).partition(TOPIC, 1));
        let delivery = transaction.enqueue(record_for(1, "bad")).await?;
        let error = transaction.commit().await.unwrap_err();

        let TransactionErrorKind::RecordsFailed { topic_partition, records, reason, .. } = error.kind()
        else {
            panic!("{error}");
        };
        assert_eq!((topic_partition, *records), (&TopicPartition::new(TOPIC, 1), 1));
        let code = ErrorCode::from(MESSAGE_TOO_LARGE_FOR_GOOD);
        assert!(
            matches!(&**reason, DeliveryErrorKind::Broker { code: said, .. } if *said == code),
            "{reason}"
        );
        assert_eq!(error.disposition(), Disposition::AbortTransaction);
        assert!(delivery.await.is_err());
        let record = error.record().and_then(|error| error.record()).map(|record| record.value);
        assert_eq!(record.flatten().as_deref(), Some(&b"bad"[..]));

        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(1, "again")).await?;
        transaction.commit().await?;
        assert_eq!(committed(&cluster), ["again"], "version {version}");
    }
    Ok(())
}

#[tokio::test]
async fn coordinator_that_moves_is_looked_up_again() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut producer = transactional(&cluster);
        for number in 0..6 {
            let transaction = producer.begin_transaction().await?;
            transaction.send(record_for(0, number)).await?;
            cluster.move_transaction_coordinator(ID, number % 3)?;
            transaction.commit().await?;
        }

        assert_eq!(committed(&cluster), ["0", "1", "2", "3", "4", "5"], "version {version}");
    }
    Ok(())
}

#[tokio::test]
async fn codes_that_pass_are_asked_again() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut producer = transactional(&cluster);
        let apis = [Api::FindCoordinator, Api::InitProducerId, Api::AddPartitionsToTxn, Api::EndTxn];
        for api in apis {
            for code in [15, NOT_COORDINATOR, CONCURRENT_TRANSACTIONS, 14, -1] {
                cluster.inject(Fault::error_code(code).api(api));
            }
        }

        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "a")).await?;
        transaction.commit().await?;

        assert_eq!(committed(&cluster), ["a"], "version {version}");
    }
    Ok(())
}

#[tokio::test]
async fn answers_that_are_lost_are_asked_for_again() -> TestResult {
    for version in [1, 2] {
        for fault in [Fault::disconnect_after, Fault::disconnect_before, Fault::reset_after] {
            let cluster = cluster(version).await;
            let mut producer = transactional(&cluster);
            for api in [Api::InitProducerId, Api::AddPartitionsToTxn, Api::Produce, Api::EndTxn] {
                cluster.inject(fault().api(api));
            }

            for value in ["a", "b"] {
                let transaction = producer.begin_transaction().await?;
                transaction.send(record_for(0, value)).await?;
                transaction.commit().await?;
            }

            assert_eq!(committed(&cluster), ["a", "b"], "version {version}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn transaction_that_the_broker_wants_aborted_is_aborted() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut producer = transactional(&cluster);

        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "a")).await?;
        cluster.inject(Fault::error_code(TRANSACTION_ABORTABLE).api(Api::EndTxn));
        let error = transaction.commit().await.unwrap_err();

        assert_eq!(error.disposition(), Disposition::AbortTransaction, "{error}");
        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "b")).await?;
        transaction.commit().await?;
        assert_eq!(committed(&cluster), ["b"], "version {version}");
    }
    Ok(())
}

#[tokio::test]
async fn offsets_are_committed_with_their_transaction() -> TestResult {
    for version in [1, 2] {
        let cluster = cluster(version).await;
        let mut producer = transactional(&cluster);
        cluster.set_group_member("readers", GroupProtocol::Classic, "member-1", None, 7);
        let group = ConsumerGroupMetadata::new("readers").member("member-1", 7);
        let offset = |offset| [(TopicPartition::new(TOPIC, 2), OffsetAndMetadata::new(offset))];

        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "a")).await?;
        transaction.send_offsets(offset(10), &group).await?;
        assert!(cluster.committed_offsets("readers").is_empty());
        transaction.commit().await?;
        let key = (TOPIC.to_owned(), 2);
        assert_eq!(cluster.committed_offsets("readers").get(&key).map(|found| found.offset), Some(10));

        let transaction = producer.begin_transaction().await?;
        transaction.send_offsets(offset(20), &group).await?;
        transaction.abort().await?;
        assert_eq!(cluster.committed_offsets("readers").get(&key).map(|found| found.offset), Some(10));

        let transaction = producer.begin_transaction().await?;
        let stranger = ConsumerGroupMetadata::new("readers").member("member-2", 7);
        let error = transaction.send_offsets(offset(30), &stranger).await.unwrap_err();
        assert_eq!(error.disposition(), Disposition::AbortTransaction, "{error}");
        let error = transaction.commit().await.unwrap_err();
        assert!(matches!(error.kind(), TransactionErrorKind::Broker { .. }), "{error}");
        assert_eq!(cluster.committed_offsets("readers").get(&key).map(|found| found.offset), Some(10));
    }
    Ok(())
}

#[tokio::test]
async fn commit_that_was_cancelled_goes_on() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = transactional(&cluster);
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    cluster.inject(Fault::delay(millis(300)).api(Api::EndTxn));

    let cancelled = tokio::time::timeout(millis(20), transaction.commit()).await;
    assert!(cancelled.is_err());
    soon("the commit", producer.finish_transaction()).await?;

    assert_eq!(committed(&cluster), ["a"]);
    Ok(())
}

#[tokio::test]
async fn begin_tells_that_a_cancelled_commit_failed() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = transactional(&cluster);
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    cluster.inject(Fault::delay(millis(300)).api(Api::EndTxn));
    cluster.inject(Fault::error_code(TRANSACTION_ABORTABLE).api(Api::EndTxn));

    assert!(tokio::time::timeout(millis(20), transaction.commit()).await.is_err());
    let error = producer.begin_transaction().await.unwrap_err();
    // It is not about the transaction that was to be begun, so a loop that sends the same records again must not take it for that.
    let TransactionErrorKind::PreviousNotCommitted { error: why } = error.kind() else { panic!("{error}") };
    assert!(matches!(why.kind(), TransactionErrorKind::Broker { .. }), "{why}");
    assert_eq!(error.disposition(), Disposition::SendPreviousAgain, "{error}");

    producer.begin_transaction().await?.commit().await?;
    assert_eq!(committed(&cluster), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn call_that_takes_too_long_says_so_and_goes_on() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer =
        builder(&cluster).transactional_id(ID).max_block(seconds(2)).build_transactional().unwrap();
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    cluster.inject(Fault::error_code(NOT_COORDINATOR).api(Api::EndTxn).always());

    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error.kind(), TransactionErrorKind::TimedOut { call: "commit", .. }), "{error}");
    assert_eq!(error.disposition(), Disposition::RepeatCall);
    cluster.clear_faults();
    soon("the commit", async { while producer.finish_transaction().await.is_err() {} }).await;

    assert_eq!(committed(&cluster), ["a"]);
    Ok(())
}

#[tokio::test]
async fn transaction_ends_in_the_version_that_it_has_begun_with() -> TestResult {
    for (from, to) in [(1, 2), (2, 1)] {
        let cluster = cluster(from).await;
        let mut producer = transactional(&cluster);
        for number in 0..4 {
            let transaction = producer.begin_transaction().await?;
            transaction.send(record_for(0, number)).await?;
            if number == 1 {
                cluster.set_transaction_version(to);
                // Brokers say what is finalized when they are connected to.
                cluster.inject(Fault::disconnect_after().api(Api::Produce));
            }
            transaction.send(record_for(1, number)).await?;
            transaction.commit().await?;
        }

        assert_eq!(committed(&cluster), ["0", "0", "1", "1", "2", "2", "3", "3"], "from {from} to {to}");
    }
    Ok(())
}

#[tokio::test]
async fn record_that_is_not_accepted_fails_the_commit() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = builder(&cluster).transactional_id(ID).max_request_size(1000).build_transactional()?;
    let large = || ProducerRecord::to(TOPIC).partition(1).value(vec![7; 2000]);

    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    assert!(transaction.enqueue(large()).await.is_err());
    assert!(transaction.handle().send(large()).await.is_err());
    let error = transaction.commit().await.unwrap_err();

    let TransactionErrorKind::RecordsRefused { topic, partition, records, .. } = error.kind() else {
        panic!("{error}");
    };
    assert_eq!((topic.as_ref(), *partition, *records), (TOPIC, Some(1), 2));
    assert_eq!(error.disposition(), Disposition::AbortTransaction);
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "b")).await?;
    transaction.commit().await?;
    assert_eq!(committed(&cluster), ["b"]);
    Ok(())
}

#[tokio::test]
async fn record_that_can_be_tried_again_does_not_fail_the_commit() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = transactional(&cluster);

    let transaction = producer.begin_transaction().await?;
    assert!(transaction.try_enqueue(record_for(0, "a")).is_err());
    transaction.send(record_for(0, "a")).await?;
    transaction.commit().await?;

    assert_eq!(committed(&cluster), ["a"]);
    Ok(())
}

#[tokio::test]
async fn call_that_waits_or_was_dropped_fails_the_commit() -> TestResult {
    for is_dropped in [true, false] {
        let cluster = cluster(2).await;
        let mut producer = transactional(&cluster);
        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "a")).await?;
        let handle = transaction.handle();
        // There is no such topic.
        let mut call = Box::pin(async move { handle.send(ProducerRecord::to("missing").value("b")).await });
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());

        if is_dropped {
            drop(call);
            let error = transaction.commit().await.unwrap_err();
            assert!(
                matches!(error.kind(), TransactionErrorKind::RecordsRefused { records: 1, .. }),
                "{error}"
            );
        } else {
            let error = transaction.commit().await.unwrap_err();
            assert!(matches!(error.kind(), TransactionErrorKind::RecordsWaited { records: 1 }), "{error}");
            let error = soon("the call", call).await.unwrap_err();
            assert!(matches!(error.kind(), SendErrorKind::TransactionOver), "{error}");
        }
        assert_eq!(committed(&cluster), [""; 0]);
    }
    Ok(())
}

#[tokio::test]
async fn call_with_the_same_offsets_waits_for_the_first() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = transactional(&cluster);
    let group = ConsumerGroupMetadata::new("readers");
    let offset = |offset| [(TopicPartition::new(TOPIC, 2), OffsetAndMetadata::new(offset))];
    let transaction = producer.begin_transaction().await?;
    cluster.inject(Fault::delay(millis(300)).api(Api::TxnOffsetCommit));

    assert!(tokio::time::timeout(millis(20), transaction.send_offsets(offset(10), &group)).await.is_err());
    soon("the offsets", transaction.send_offsets(offset(10), &group)).await?;
    assert_eq!(cluster.requests().of(Api::TxnOffsetCommit), 1);
    transaction.send_offsets(offset(11), &group).await?;
    assert_eq!(cluster.requests().of(Api::TxnOffsetCommit), 2);
    transaction.commit().await?;

    let offsets = cluster.committed_offsets("readers");
    assert_eq!(offsets.get(&(TOPIC.to_owned(), 2)).map(|found| found.offset), Some(11));
    Ok(())
}

#[tokio::test]
async fn offsets_that_are_never_taken_fail_after_the_delivery_timeout() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = builder(&cluster)
        .transactional_id(ID)
        .request_timeout(millis(300))
        .delivery_timeout(millis(300))
        .linger(millis(0))
        .build_transactional()?;
    cluster.inject(Fault::error_code(3).api(Api::TxnOffsetCommit).always());
    let transaction = producer.begin_transaction().await?;

    let offsets = [(TopicPartition::new(TOPIC, 2), OffsetAndMetadata::new(10))];
    let error = transaction.send_offsets(offsets, &ConsumerGroupMetadata::new("readers")).await.unwrap_err();
    assert!(matches!(error.kind(), TransactionErrorKind::OffsetsTimedOut { .. }), "{error}");
    assert!(error.to_string().contains(&format!("for {TOPIC}-2")), "{error}");
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error.kind(), TransactionErrorKind::OffsetsTimedOut { .. }), "{error}");

    producer.begin_transaction().await?.commit().await?;
    Ok(())
}

#[tokio::test]
async fn close_tells_what_became_of_a_commit_under_way() -> TestResult {
    for is_answered in [true, false] {
        let cluster = cluster(2).await;
        let mut producer = transactional(&cluster);
        let transaction = producer.begin_transaction().await?;
        transaction.send(record_for(0, "a")).await?;
        let fault = if is_answered { Fault::delay(millis(300)) } else { Fault::drop_response() };
        cluster.inject(fault.api(Api::EndTxn));

        assert!(tokio::time::timeout(millis(50), transaction.commit()).await.is_err());
        let report = producer.close(if is_answered { millis(20_000) } else { millis(50) }).await;

        match report.unseen_commit {
            Some(Ok(())) => assert!(is_answered),
            Some(Err(error)) => {
                assert!(!is_answered, "{error}");
                assert_eq!(error.disposition(), Disposition::FindOutcome, "{error}");
            }
            None => panic!("a commit was under way"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn close_says_nothing_of_a_commit_that_its_caller_has_seen() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer = transactional(&cluster);
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    transaction.commit().await?;

    assert!(producer.close(millis(20_000)).await.unseen_commit.is_none());
    Ok(())
}

#[tokio::test]
async fn producer_that_was_dropped_gives_its_last_transaction_up() -> TestResult {
    let cluster = cluster(2).await;
    let mut producer =
        builder(&cluster).transactional_id(ID).transaction_timeout(millis(300)).build_transactional()?;
    let transaction = producer.begin_transaction().await?;
    transaction.send(record_for(0, "a")).await?;
    cluster.inject(Fault::error_code(NOT_COORDINATOR).api(Api::EndTxn).always());

    drop(transaction);
    drop(producer);

    let open = || (0..3).map(|broker| cluster.open_connections(broker)).sum::<u64>();
    until("connections are closed", || open() == 0).await;
    Ok(())
}
