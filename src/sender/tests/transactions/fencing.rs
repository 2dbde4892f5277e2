//! Producers that have lost their id, and answers after which none can go on.

use crate::error::{DeliveryErrorKind, Disposition, TransactionErrorKind};
use crate::protocol::ErrorCode;
use crate::sender::tests::rig::{Rig, TRANSACTION_TIMEOUT, error, failure, millis, reason};
use crate::sender::tests::wire::Reply;
use crate::sender::transactions::{CallReply, Wish};

const FENCING: [i16; 2] = [47, 90];

/// Every call of a producer that cannot go on says why. Records are given back with the same, and nothing is asked.
fn assert_over(mut rig: Rig, first: &CallReply) {
    let error = error(first);
    let offsets = rig.send_offsets(&[(0, 1)]);
    let delivery = (rig.coordination.transaction != 0).then(|| rig.send(0, "late"));
    let commit = rig.commit();
    let abort = rig.abort();
    let next = rig.call(Wish::Begin);
    for reply in [offsets, commit, abort, next] {
        assert_eq!(reply.outcome(), Some(Err(error.clone())));
    }
    if let Some(delivery) = delivery {
        assert_eq!(failure(&delivery).kind(), DeliveryErrorKind::TransactionFailed(error));
    }
    assert_eq!((rig.asked(), rig.received.len()), (Vec::new(), 0));
    assert!(rig.is_clean());
}

fn assert_fenced(reply: &CallReply, code: i16, call: &'static str) {
    assert_eq!(reason(reply), TransactionErrorKind::Fenced { code: ErrorCode::from(code), call });
    assert_eq!(error(reply).disposition(), Disposition::NewProducer);
}

#[test]
fn begin_is_fenced() {
    for code in FENCING {
        let mut rig = Rig::transactional(1);
        let begin = rig.call(Wish::Begin);
        rig.grant("FindCoordinator payments");
        rig.refuse("InitProducerId -1/-1", code);
        assert_fenced(&begin, code, "InitProducerId");
        assert_over(rig, &begin);
    }
}

#[test]
fn adding_a_partition_is_fenced() {
    for code in FENCING {
        let mut rig = Rig::in_transaction(1);
        let delivery = rig.send(0, "a");
        rig.refuse("AddPartitionsToTxn topic-0", code);

        let commit = rig.commit();
        assert_fenced(&commit, code, "AddPartitionsToTxn");
        assert_eq!(failure(&delivery).kind(), DeliveryErrorKind::TransactionFailed(error(&commit)));
        assert_over(rig, &commit);
    }
}

#[test]
fn offsets_are_fenced() {
    for code in FENCING {
        for call in ["AddOffsetsToTxn", "TxnOffsetCommit"] {
            let mut rig = Rig::in_transaction(1);
            let offsets = rig.send_offsets(&[(0, 1)]);
            if call == "TxnOffsetCommit" {
                rig.grant("AddOffsetsToTxn readers");
                rig.grant("FindCoordinator group readers");
            }
            let delivery = rig.append(0, "a");
            let question = rig.asked()[0].clone();
            rig.refuse(&question, code);

            assert_fenced(&offsets, code, call);
            assert_eq!(failure(&delivery).kind(), DeliveryErrorKind::TransactionFailed(error(&offsets)));
            assert_over(rig, &offsets);
        }
    }
}

#[test]
fn commit_is_fenced() {
    for level in [1, 2] {
        for code in FENCING {
            let mut rig = Rig::in_transaction(level);
            rig.deliver(0, "a");
            let commit = rig.commit();
            rig.refuse("EndTxn commit", code);
            assert_fenced(&commit, code, "EndTxn");
            assert_over(rig, &commit);
        }
    }
}

#[test]
fn commit_is_fenced_by_the_answer_to_the_abort_that_an_old_epoch_calls_for() {
    for level in [1, 2] {
        for code in FENCING {
            let mut rig = Rig::in_transaction(level);
            rig.deliver(0, "first");
            rig.put(0, "a");
            let request = rig.request();
            rig.reply(&request, &Reply::error(47));
            let commit = rig.commit();
            assert_eq!(commit.outcome(), None);
            rig.advance(rig.config.retry_backoff);
            rig.refuse("EndTxn abort", code);
            assert_fenced(&commit, code, "EndTxn");
            assert_over(rig, &commit);
        }
    }
}

#[test]
fn records_tell_that_the_id_belongs_to_another() {
    for level in [1, 2] {
        for code in [49, 53, 90] {
            let mut rig = Rig::in_transaction(level);
            rig.deliver(0, "first");
            let delivery = rig.send(0, "a");
            let request = rig.request();
            rig.reply(&request, &Reply::error(code));

            assert!(matches!(failure(&delivery).kind(), DeliveryErrorKind::Broker { code: said, .. }
                if said.code() == code));
            let commit = rig.commit();
            assert_over(rig, &commit);
        }
    }
}

#[test]
fn refusals_of_partitions_after_which_no_transaction_can_be_ended() {
    for code in [48, 49, 53] {
        let mut rig = Rig::in_transaction(1);
        rig.put(0, "a");
        rig.refuse("AddPartitionsToTxn topic-0", code);
        let commit = rig.commit();
        assert!(matches!(reason(&commit), TransactionErrorKind::Broker { code: said, is_final: true, .. }
                if said.code() == code));
        assert_over(rig, &commit);
    }
}

/// A producer that goes on whenever its transaction is given up would take the id back before its successor has it.
#[test]
fn transaction_of_version_2_that_is_given_up_before_its_time_is_over_is_fenced() {
    let mut rig = Rig::in_transaction(2);
    rig.deliver(0, "a");
    rig.advance(TRANSACTION_TIMEOUT - millis(1));
    let commit = rig.commit();
    rig.refuse("EndTxn commit", 48);
    assert_fenced(&commit, 48, "EndTxn");
    assert_over(rig, &commit);

    let mut rig = Rig::in_transaction(2);
    rig.deliver(0, "a");
    rig.advance(TRANSACTION_TIMEOUT);
    let commit = rig.commit();
    rig.refuse("EndTxn commit", 48);
    rig.advance(millis(200));
    assert_eq!(reason(&commit), TransactionErrorKind::GivenUp);
    rig.grant("EndTxn abort");
    rig.begin();
}

#[test]
fn old_epoch_at_the_leader_before_the_time_is_over_is_fencing_in_version_2() {
    for is_commit in [true, false] {
        let mut rig = Rig::in_transaction(2);
        rig.deliver(0, "first");
        rig.put(0, "a");
        let request = rig.request();
        rig.reply(&request, &Reply::error(47));
        let end = if is_commit { rig.commit() } else { rig.abort() };
        rig.advance(rig.config.retry_backoff);
        rig.grant("EndTxn abort");
        assert_fenced(&end, 47, "Produce");
        assert_over(rig, &end);
    }
}

/// The coordinator has given the transaction up, or another producer has the id: the answer to the abort tells.
#[test]
fn old_epoch_at_the_coordinator_of_a_group_leaves_a_transaction_of_version_2_to_be_aborted() {
    for is_in_time in [true, false] {
        let mut rig = Rig::in_transaction(2);
        rig.deliver(0, "a");
        if !is_in_time {
            rig.advance(TRANSACTION_TIMEOUT);
        }
        let offsets = rig.send_offsets(&[(0, 1)]);
        rig.grant("FindCoordinator group readers");
        rig.refuse("TxnOffsetCommit readers topic-0=1", 47);
        assert_eq!(error(&offsets).disposition(), Disposition::AbortTransaction);
        let commit = rig.commit();
        assert_eq!(commit.outcome(), None);
        rig.advance(rig.config.retry_backoff);
        rig.grant("EndTxn abort");

        if is_in_time {
            assert_fenced(&commit, 47, "TxnOffsetCommit");
            assert_over(rig, &commit);
        } else {
            assert_eq!(reason(&commit), TransactionErrorKind::GivenUp);
            rig.begin();
        }
    }
}

/// The coordinator answers a question that comes late by the abort of the transaction that a successor has open then.
#[test]
fn another_epoch_is_asked_for_when_the_transaction_has_ended() {
    let mut rig = Rig::in_transaction(1);
    rig.deliver(0, "a");
    rig.put(0, "b");
    let request = rig.request();
    rig.reply(&request, &Reply::error(87));
    let commit = rig.commit();
    rig.advance(rig.config.retry_backoff);
    rig.grant("EndTxn abort");
    assert!(commit.outcome().is_some());

    assert_eq!(rig.asked(), ["InitProducerId 7/0"]);
    rig.grant("InitProducerId 7/0");
    rig.advance(TRANSACTION_TIMEOUT);
    let begin = rig.call(Wish::Begin);
    rig.begun(&begin);
    assert_eq!(rig.asked(), [""; 0]);
}
