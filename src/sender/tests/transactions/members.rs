//! Partitions on their way into a transaction, and what they may send.

use crate::delivery::Delivery;
use crate::error::DeliveryErrorKind;
use crate::sender::tests::rig::{Received, Rig, failure, is_done, is_pending, millis, offset};
use crate::sender::tests::wire::Reply;
use crate::sender::tests::world::TOPIC;

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const CONCURRENT_TRANSACTIONS: i16 = 51;
const INVALID_RECORD: i16 = 87;

/// A transaction of version 1, and a record of partition 1 that a broker is about to refuse.
fn before_a_refusal() -> (Rig, Received) {
    let mut rig = Rig::transactional(1);
    // A broker answers in the order of requests, so the one that is about to refuse must not be the coordinator.
    rig.coordination.nodes.0 = 1;
    rig.begin();
    rig.deliver(1, "first");
    rig.put(1, "bad");
    let request = rig.request();
    (rig, request)
}

fn is_failed_with_its_transaction(delivery: &Delivery) -> bool {
    matches!(failure(delivery).kind(), DeliveryErrorKind::TransactionFailed(_))
}

#[test]
fn partition_is_added_once() {
    let mut rig = Rig::in_transaction(1);
    let first = rig.send(0, "a");
    let second = rig.send(0, "b");
    rig.grant("AddPartitionsToTxn topic-0");
    rig.acknowledge_all();

    let third = rig.send(0, "c");
    assert_eq!(rig.asked(), [""; 0]);
    rig.acknowledge_all();

    assert_eq!([offset(&first), offset(&second), offset(&third)], [Some(0), Some(1), Some(2)]);
}

#[test]
fn partition_is_never_added_in_version_2() {
    let mut rig = Rig::in_transaction(2);
    for value in ["a", "b"] {
        let delivery = rig.send(0, value);
        assert_eq!(rig.asked(), [""; 0]);
        rig.acknowledge_all();
        assert!(!is_pending(&delivery));
    }
}

#[test]
fn no_record_is_sent_before_its_partition_is_added() {
    let mut rig = Rig::in_transaction(1);
    drop([rig.append(0, "a"), rig.append(1, "b")]);
    rig.settle();
    assert!(rig.received.is_empty());
    rig.advance(millis(1000));
    assert!(rig.received.is_empty());

    rig.grant("AddPartitionsToTxn topic-0 topic-1");

    let mut sent: Vec<_> = rig.received.iter().flat_map(|request| request.records()).collect();
    sent.sort_unstable();
    assert_eq!(sent, ["a", "b"]);
}

#[test]
fn partition_that_comes_later_is_added_while_the_first_writes() {
    let mut rig = Rig::in_transaction(1);
    let first = rig.send(0, "a");
    let second = rig.send(1, "b");
    rig.grant("AddPartitionsToTxn topic-0");

    assert_eq!(rig.request().records(), ["a"]);
    assert_eq!(rig.asked(), ["AddPartitionsToTxn topic-1"]);
    assert!(is_pending(&first) && is_pending(&second));
    rig.grant("AddPartitionsToTxn topic-1");

    assert_eq!(rig.request().records(), ["b"]);
}

#[test]
fn added_partition_does_not_wait_for_another_that_is_refused_for_now() {
    let mut rig = Rig::in_transaction(1);
    rig.deliver(0, "a");
    rig.put(1, "b");
    rig.refuse("AddPartitionsToTxn topic-1", COORDINATOR_LOAD_IN_PROGRESS);

    rig.put(0, "c");

    assert_eq!(rig.request().records(), ["c"]);
}

#[test]
fn queues_take_records_of_the_open_transaction_only() {
    let mut rig = Rig::in_transaction(1);
    rig.deliver(0, "a");
    let (over, next) = (rig.coordination.transaction, rig.coordination.transaction + 1);
    let commit = rig.commit();
    rig.grant("EndTxn commit");
    assert!(is_done(&commit));

    for transaction in [over, next] {
        rig.coordination.transaction = transaction;
        // One queue is there, the other would be made for the record.
        assert!(rig.try_append(TOPIC, 0, "between").is_none());
        assert!(rig.try_append(TOPIC, 1, "between").is_none());
    }
    rig.begin();
    assert_eq!(rig.coordination.transaction, next);
    rig.coordination.transaction = over;
    assert!(rig.try_append(TOPIC, 0, "late").is_none());
    assert!(rig.try_append(TOPIC, 2, "late").is_none());
}

#[test]
fn busy_coordinator_is_asked_again_soon() {
    let mut rig = Rig::in_transaction(1);
    for partition in 0..2 {
        let question = format!("AddPartitionsToTxn topic-{partition}");
        rig.put(partition, "a");
        for pause in [2, 4, 8] {
            rig.refuse(&question, CONCURRENT_TRANSACTIONS);
            rig.advance(millis(pause - 1));
            assert_eq!(rig.asked(), [""; 0], "after {pause} ms");
            rig.advance(millis(1));
            assert_eq!(rig.asked(), [question.as_str()], "after {pause} ms");
        }
        rig.grant(&question);
        rig.acknowledge_all();
    }
}

#[test]
fn coordinator_that_refuses_for_now_is_asked_again_after_the_backoff() {
    let mut rig = Rig::in_transaction(1);
    rig.put(0, "a");
    rig.refuse("AddPartitionsToTxn topic-0", COORDINATOR_LOAD_IN_PROGRESS);
    rig.advance(rig.config.retry_backoff - millis(1));
    assert_eq!(rig.asked(), [""; 0]);

    rig.advance(millis(1));

    rig.grant("AddPartitionsToTxn topic-0");
    assert_eq!(rig.request().records(), ["a"]);
}

#[test]
fn partition_that_an_answer_leaves_out_is_asked_about_again() {
    let mut rig = Rig::in_transaction(1);
    drop([rig.append(0, "a"), rig.append(1, "b")]);
    rig.settle();
    let mut said = rig.said(0);
    said.others = vec![(1, None)];
    rig.say("AddPartitionsToTxn topic-0 topic-1", said);
    assert!(rig.received.is_empty());

    rig.advance(rig.config.retry_backoff);

    rig.grant("AddPartitionsToTxn topic-0 topic-1");
    assert_eq!(rig.received.len(), 2);
}

#[test]
fn partition_that_is_to_be_added_is_not_once_the_transaction_has_failed() {
    for code in [INVALID_RECORD, INVALID_PRODUCER_ID_MAPPING] {
        let (mut rig, refused) = before_a_refusal();
        let delivery = rig.send(0, "waits");
        rig.refuse("AddPartitionsToTxn topic-0", COORDINATOR_LOAD_IN_PROGRESS);
        rig.reply(&refused, &Reply::error(code));

        assert!(is_failed_with_its_transaction(&delivery), "{code}");
        rig.advance(millis(10_000));
        assert_eq!((rig.asked(), rig.received.len()), (Vec::new(), 0), "{code}");
    }
}

#[test]
fn partition_that_is_being_added_sends_nothing_once_the_transaction_has_failed() {
    for code in [INVALID_RECORD, INVALID_PRODUCER_ID_MAPPING] {
        let (mut rig, refused) = before_a_refusal();
        let delivery = rig.send(0, "waits");
        rig.reply(&refused, &Reply::error(code));
        assert!(is_failed_with_its_transaction(&delivery), "{code}");

        rig.grant("AddPartitionsToTxn topic-0");
        let late = rig.send(0, "late");

        assert!(is_failed_with_its_transaction(&late), "{code}");
        rig.advance(millis(10_000));
        assert!(rig.received.is_empty(), "{code}");
    }
}

#[test]
fn partition_that_was_added_sends_nothing_once_the_transaction_has_failed() {
    for code in [INVALID_RECORD, INVALID_PRODUCER_ID_MAPPING] {
        let (mut rig, refused) = before_a_refusal();
        rig.deliver(0, "first");
        rig.reply(&refused, &Reply::error(code));

        let late = rig.send(0, "late");

        assert!(is_failed_with_its_transaction(&late), "{code}");
        assert!(rig.received.is_empty(), "{code}");
    }
}

#[test]
fn record_that_would_be_sent_again_is_given_back_once_the_transaction_has_failed() {
    let (mut rig, refused) = before_a_refusal();
    let delivery = rig.send(0, "moved");
    rig.grant("AddPartitionsToTxn topic-0");
    let request = rig.request();
    rig.reply(&refused, &Reply::error(INVALID_RECORD));
    assert!(is_pending(&delivery));

    rig.reply(&request, &Reply::error(6));

    assert!(is_failed_with_its_transaction(&delivery));
    rig.advance(millis(10_000));
    assert!(rig.received.is_empty());
    let abort = rig.abort();
    rig.grant("EndTxn abort");
    assert!(is_done(&abort));
}
