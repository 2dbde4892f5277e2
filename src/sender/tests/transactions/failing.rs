//! What leaves a transaction to be aborted.

use std::time::Duration;

use crate::error::{DeliveryErrorKind, Disposition, Persisted, TransactionErrorKind};
use crate::protocol::ErrorCode;
use crate::sender::tests::rig::{
    Config, Rig, TRANSACTION_TIMEOUT, error, failure, is_done, is_pending, is_under_way, millis, reason,
};
use crate::sender::tests::wire::Reply;
use crate::sender::transactions::{CallReply, Wish};
use crate::topic_partition::TopicPartition;

const DELIVERY_TIMEOUT: Duration = Duration::from_secs(3);

/// A transaction whose records are given up after three seconds.
fn impatient(level: i16, config: Config) -> Rig {
    let config =
        Config { delivery_timeout: DELIVERY_TIMEOUT, request_timeout: DELIVERY_TIMEOUT * 10, ..config };
    let mut rig = Rig::transactional_with(config, level);
    rig.begin();
    rig
}

/// Of which partition a record failed, and why.
fn failed_record(reply: &CallReply) -> (TopicPartition, DeliveryErrorKind, Persisted) {
    match reason(reply) {
        TransactionErrorKind::RecordsFailed { topic_partition, reason, persisted, .. } => {
            (topic_partition, *reason, persisted)
        }
        other => panic!("{other:?}"),
    }
}

/// The transaction is aborted in the background, and the next one can be committed, in an epoch of its own.
fn assert_goes_on(rig: &mut Rig, level: i16) {
    rig.advance(millis(200));
    rig.grant("EndTxn abort");
    assert_next_is_committed(rig, level);
}

fn assert_next_is_committed(rig: &mut Rig, level: i16) {
    let begin = rig.call(Wish::Begin);
    if level == 1 {
        rig.grant("InitProducerId 7/0");
    }
    rig.begun(&begin);
    rig.put(0, "again");
    if level == 1 {
        rig.grant("AddPartitionsToTxn topic-0");
    }
    let request = rig.request();
    let identity = request.batches[0].identity;
    assert_eq!((identity.epoch, identity.sequence), (1, 0));
    rig.acknowledge(&request);
    let commit = rig.commit();
    rig.grant("EndTxn commit");
    assert!(is_done(&commit));
}

#[test]
fn record_that_a_broker_refuses_fails_the_commit() {
    for level in [1, 2] {
        for code in [29, 48, 87, 120] {
            let mut rig = Rig::in_transaction(level);
            rig.deliver(0, "first");
            let delivery = rig.send(0, "a");
            let request = rig.request();
            rig.reply(&request, &Reply::error(code));
            assert!(matches!(failure(&delivery).kind(), DeliveryErrorKind::Broker { code: said, .. }
                if said.code() == code));

            let commit = rig.commit();

            let (partition, reason, persisted) = failed_record(&commit);
            assert_eq!((partition, persisted), (TopicPartition::new("topic", 0), Persisted::No));
            assert_eq!(reason, failure(&delivery).kind());
            assert_eq!(error(&commit).disposition(), Disposition::AbortTransaction);
            assert_goes_on(&mut rig, level);
        }
    }
}

#[test]
fn record_that_is_refused_during_the_commit_fails_it() {
    for level in [1, 2] {
        let mut rig = Rig::in_transaction(level);
        rig.deliver(0, "first");
        rig.put(0, "a");
        let request = rig.request();
        let commit = rig.commit();
        assert!(is_under_way(&commit));
        rig.reply(&request, &Reply::error(87));

        assert!(matches!(failed_record(&commit).1, DeliveryErrorKind::Broker { .. }));
        assert_goes_on(&mut rig, level);
    }
}

#[test]
fn record_whose_number_the_broker_does_not_take_leaves_the_transaction_to_be_aborted() {
    for level in [1, 2] {
        for code in [45, 59] {
            let mut rig = Rig::in_transaction(level);
            rig.deliver(0, "first");
            let delivery = rig.send(0, "a");
            let request = rig.request();
            let commit = rig.commit();
            rig.reply(&request, &Reply::error(code));
            rig.advance(rig.config.retry_backoff);

            assert_eq!(error(&commit).disposition(), Disposition::AbortTransaction, "{level} {code}");
            assert!(!is_pending(&delivery));
            assert!(rig.received.is_empty());
            assert_goes_on(&mut rig, level);
        }
    }
}

#[test]
fn record_of_an_old_epoch_leaves_the_transaction_to_be_aborted() {
    for level in [1, 2] {
        let mut rig = Rig::in_transaction(level);
        rig.deliver(0, "first");
        let delivery = rig.send(0, "a");
        let request = rig.request();
        rig.reply(&request, &Reply::error(47));
        rig.advance(TRANSACTION_TIMEOUT);
        assert!(!is_pending(&delivery));
        assert!(rig.received.is_empty());

        // Only the answer to the abort tells whether another producer has the id.
        let commit = rig.commit();
        assert!(is_under_way(&commit));
        rig.advance(rig.config.retry_backoff);
        rig.grant("EndTxn abort");

        assert_eq!(reason(&commit), TransactionErrorKind::GivenUp);
        assert_eq!(error(&commit).disposition(), Disposition::AbortTransaction);
        assert_next_is_committed(&mut rig, level);
    }
}

#[test]
fn retries_that_are_used_up_leave_the_transaction_to_be_aborted() {
    for level in [1, 2] {
        for code in [14, 15, 16, 51, 7] {
            let mut rig = Rig::transactional_with(Config { retries: 1, ..Config::transactional() }, level);
            rig.begin();
            rig.deliver(0, "first");
            rig.put(0, "a");
            for _ in 0..2 {
                rig.advance(rig.config.retry_backoff);
                let request = rig.request();
                rig.reply(&request, &Reply::error(code));
            }

            let late = rig.send(0, "late");
            let commit = rig.commit();

            assert!(matches!(failed_record(&commit).1, DeliveryErrorKind::Broker { code: said, .. }
                if said.code() == code));
            assert_eq!(failure(&late).kind(), DeliveryErrorKind::TransactionFailed(error(&commit)));
            assert_goes_on(&mut rig, level);
        }
    }
}

#[test]
fn leader_whose_coordinator_is_busy_is_asked_again() {
    let mut rig = Rig::in_transaction(2);
    let delivery = rig.send(0, "a");
    let request = rig.request();
    rig.reply(&request, &Reply::error(51));
    assert!(is_pending(&delivery));
    rig.advance(rig.config.retry_backoff);

    rig.acknowledge_all();
    let commit = rig.commit();
    rig.grant("EndTxn commit");

    assert!(is_done(&commit));
}

#[test]
fn partition_that_may_not_be_written_to_takes_the_others_with_it() {
    let mut rig = Rig::in_transaction(1);
    let deliveries = [rig.append(0, "a"), rig.append(1, "b")];
    rig.settle();
    let mut said = rig.said(29);
    said.others = vec![(1, Some(55))];
    rig.say("AddPartitionsToTxn topic-0 topic-1", said);

    let commit = rig.commit();
    let text = error(&commit).to_string();
    assert!(text.contains("topic-0") && text.contains("TOPIC_AUTHORIZATION_FAILED"), "{text}");
    for delivery in deliveries {
        assert_eq!(failure(&delivery).kind(), DeliveryErrorKind::TransactionFailed(error(&commit)));
    }
    assert!(rig.received.is_empty());
    rig.advance(rig.config.retry_backoff);
    rig.refuse("EndTxn abort", 48);
    rig.begin();
}

#[test]
fn refusal_of_a_partition_during_the_commit_fails_it() {
    let mut rig = Rig::in_transaction(1);
    let deliveries = [rig.append(0, "a"), rig.append(1, "b")];
    let commit = rig.commit();
    let mut said = rig.said(55);
    said.others = vec![(0, Some(29))];
    rig.say("AddPartitionsToTxn topic-0 topic-1", said);

    assert_eq!(error(&commit).disposition(), Disposition::AbortTransaction);
    for delivery in deliveries {
        assert_eq!(failure(&delivery).kind(), DeliveryErrorKind::TransactionFailed(error(&commit)));
    }
}

#[test]
fn partitions_that_are_passed_over_without_a_reason_fail_the_transaction() {
    let mut rig = Rig::in_transaction(1);
    rig.put(0, "a");
    rig.refuse("AddPartitionsToTxn topic-0", 55);
    assert!(rig.received.is_empty());
    let commit = rig.commit();
    assert!(matches!(
        reason(&commit),
        TransactionErrorKind::Broker { code: ErrorCode::OperationNotAttempted, .. }
    ));
}

#[test]
fn partition_that_is_refused_after_others_have_written_leaves_them_to_be_aborted() {
    let mut rig = Rig::in_transaction(1);
    rig.deliver(0, "a");
    let queued = rig.append(0, "b");
    let refused = rig.append(1, "c");
    rig.world.lead(0, -1);
    rig.settle();
    let under_way = rig.received.pop_front();
    rig.refuse("AddPartitionsToTxn topic-1", 29);
    assert!(!is_pending(&refused));
    if let Some(request) = under_way {
        rig.acknowledge(&request);
    }
    let abort = rig.abort();
    rig.advance(rig.config.retry_backoff);
    rig.grant("EndTxn abort");

    assert!(is_done(&abort) && !is_pending(&queued));
    rig.begin();
    rig.deliver(2, "d");
    let commit = rig.commit();
    rig.grant("EndTxn commit");
    assert!(is_done(&commit));
}

#[test]
fn aborting_by_demand_of_the_coordinator_is_possible_from_every_request() {
    let mut rig = Rig::in_transaction(1);
    rig.put(0, "a");
    rig.refuse("AddPartitionsToTxn topic-0", 120);
    let commit = rig.commit();
    assert_eq!(error(&commit).disposition(), Disposition::AbortTransaction);
    rig.advance(rig.config.retry_backoff);
    rig.grant("EndTxn abort");
    rig.begin();

    let mut rig = Rig::transactional(1);
    let begin = rig.call(Wish::Begin);
    rig.grant("FindCoordinator payments");
    rig.refuse("InitProducerId -1/-1", 120);
    // No transaction is open that its caller could abort.
    rig.advance(Duration::from_millis(200));
    rig.grant("InitProducerId -1/-1");
    rig.begun(&begin);
}

#[test]
fn record_that_expires_fails_the_commit() {
    for level in [1, 2] {
        let mut rig = impatient(level, Config::transactional());
        rig.deliver(0, "first");
        let delivery = rig.send(0, "a");
        assert_eq!(rig.received.len(), 1);
        rig.advance(DELIVERY_TIMEOUT);
        assert!(matches!(failure(&delivery).kind(), DeliveryErrorKind::TimedOut(_)));

        let commit = rig.commit();

        let (_, reason, persisted) = failed_record(&commit);
        assert!(matches!(reason, DeliveryErrorKind::TimedOut(_)));
        assert_eq!(persisted, Persisted::Maybe);
        rig.close(rig.connection_to(1), None);
        assert_goes_on(&mut rig, level);
    }
}

#[test]
fn record_that_expires_unsent_fails_the_commit_that_is_under_way() {
    for level in [1, 2] {
        let mut rig = impatient(level, Config::transactional());
        rig.deliver(1, "first");
        rig.down.insert(1);
        let deliveries = [rig.append(0, "a"), rig.append(2, "b")];
        rig.settle();
        if level == 1 {
            rig.grant("AddPartitionsToTxn topic-0 topic-2");
        }
        let commit = rig.commit();
        rig.advance(DELIVERY_TIMEOUT - millis(1));
        assert!(is_under_way(&commit));
        rig.advance(millis(1));

        for delivery in deliveries {
            assert!(matches!(failure(&delivery).kind(), DeliveryErrorKind::TimedOut(_)));
        }
        assert!(matches!(failed_record(&commit).1, DeliveryErrorKind::TimedOut(_)));
        rig.grant("EndTxn abort");
        rig.begin();
    }
}

#[test]
fn record_that_expires_after_a_retry_leaves_the_transaction_to_be_aborted() {
    for level in [1, 2] {
        let mut rig = impatient(level, Config::transactional());
        rig.deliver(0, "first");
        let first = rig.send(0, "a");
        let second = rig.send(0, "b");
        let request = rig.received.pop_front().unwrap();
        rig.world.lead(0, -1);
        rig.reply(&request, &Reply::error(6));
        rig.advance(DELIVERY_TIMEOUT);

        assert!(matches!(failure(&first).kind(), DeliveryErrorKind::TimedOut(_)));
        assert!(!is_pending(&second));
        let commit = rig.commit();
        assert_eq!(error(&commit).disposition(), Disposition::AbortTransaction);
        rig.world.lead(0, 1);
        rig.close(rig.connection_to(1), None);
        rig.advance(millis(10_000));
        assert_goes_on(&mut rig, level);
    }
}

#[test]
fn late_answers_about_a_record_that_has_expired_change_nothing() {
    for level in [1, 2] {
        let mut rig = impatient(level, Config::transactional());
        rig.deliver(0, "first");
        rig.put(0, "a");
        let request = rig.request();
        rig.advance(DELIVERY_TIMEOUT);
        let commit = rig.commit();
        let error = error(&commit);
        rig.reply(&request, &Reply::error(48));
        assert_eq!(commit.outcome(), Some(Err(error)));
        assert_goes_on(&mut rig, level);
    }
}

#[test]
fn brokers_that_give_no_other_epoch_end_the_producer_after_a_record_that_has_failed() {
    for code in [None, Some(29), Some(59)] {
        let mut rig = impatient(1, Config::transactional().with_version(22, 1));
        rig.deliver(0, "first");
        rig.put(0, "a");
        let request = rig.request();
        if let Some(code) = code {
            rig.reply(&request, &Reply::error(code));
        }
        rig.advance(DELIVERY_TIMEOUT);
        let commit = rig.commit();
        assert_eq!(error(&commit).disposition(), Disposition::AbortTransaction, "{code:?}");
        rig.close(rig.connection_to(1), None);
        rig.advance(millis(200));
        rig.grant("EndTxn abort");

        let next = rig.call(Wish::Begin);
        assert_eq!(reason(&next), TransactionErrorKind::EpochNotGiven, "{code:?}");
        assert_eq!(error(&next).disposition(), Disposition::NewProducer);
    }
}
