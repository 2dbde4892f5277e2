//! Offsets of a consumer group that are committed with a transaction.

use crate::error::{Disposition, TransactionErrorKind};
use crate::protocol::messages::txn_offset_commit::GroupMember;
use crate::sender::tests::rig::{Config, GROUP, Rig, error, is_done, is_under_way, millis, reason};
use crate::sender::tests::wire::Question;
use crate::sender::transactions::{CallReply, Wish};

const ADD: &str = "AddOffsetsToTxn readers";
const FIND: &str = "FindCoordinator group readers";
const COMMIT: &str = "TxnOffsetCommit readers topic-0=1 topic-1=2";

fn member() -> GroupMember {
    GroupMember {
        member_id: "member-1".into(),
        generation_id_or_member_epoch: 7,
        group_instance_id: Some("instance-1".into()),
    }
}

/// Offsets whose next question is this one.
fn before(question: &str) -> (Rig, CallReply) {
    let mut rig = Rig::in_transaction(1);
    let offsets = rig.send_offsets(&[(0, 1), (1, 2)]);
    for earlier in [ADD, FIND] {
        if question == earlier {
            break;
        }
        rig.grant(earlier);
    }
    assert_eq!(rig.asked(), [question]);
    (rig, offsets)
}

/// The transaction can be aborted, and the producer goes on. The commit says the same as the offsets.
fn assert_abortable(mut rig: Rig, offsets: &CallReply) {
    let error = error(offsets);
    assert_eq!(error.disposition(), Disposition::AbortTransaction, "{error}");
    let commit = rig.commit();
    assert_eq!(commit.outcome(), Some(Err(error)));
    rig.advance(rig.config.retry_backoff);
    rig.grant("EndTxn abort");
    rig.begin();
}

/// The producer does not go on. All later calls say the same as the offsets.
fn assert_fatal(mut rig: Rig, offsets: &CallReply) {
    let error = error(offsets);
    assert_ne!(error.disposition(), Disposition::AbortTransaction, "{error}");
    let more = rig.send_offsets(&[(0, 2)]);
    assert_eq!(more.outcome(), Some(Err(error.clone())));
    let commit = rig.commit();
    assert_eq!(commit.outcome(), Some(Err(error.clone())));
    let next = rig.call(Wish::Begin);
    assert_eq!(next.outcome(), Some(Err(error)));
    assert_eq!(rig.asked(), [""; 0]);
}

#[test]
fn request_names_the_member_of_the_group() {
    for level in [1, 2] {
        let mut rig = Rig::in_transaction(level);
        let offsets = rig.send_offsets_of(member(), &[(0, 1), (1, 2)]);
        if level == 1 {
            rig.grant(ADD);
        }
        rig.grant(FIND);
        let (question, node) = rig.question();
        let Question::CommitOffsets { member, .. } = question else { panic!("{question}") };
        assert_eq!((member.as_str(), node), ("member-1/7/instance-1", 1));
        rig.grant(COMMIT);
        assert!(is_done(&offsets));
    }
}

#[test]
fn coordinator_that_cannot_check_the_member_leaves_the_transaction_to_be_aborted() {
    let old = Config::transactional().with_version(28, 2);
    let mut rig = Rig::transactional_with(old, 1);
    rig.begin();
    let offsets = rig.send_offsets_of(member(), &[(0, 1)]);
    rig.grant(ADD);
    rig.grant(FIND);
    assert_eq!(reason(&offsets), TransactionErrorKind::GroupMetadataUnsupported);
    assert_eq!(rig.asked(), [""; 0]);
    let abort = rig.abort();
    rig.grant("EndTxn abort");
    assert!(is_done(&abort));

    rig.begin();
    let offsets = rig.send_offsets(&[(0, 1), (1, 2)]);
    rig.grant(ADD);
    rig.grant(COMMIT);
    assert!(is_done(&offsets));
}

#[test]
fn offsets_that_are_refused_in_part_for_now_are_sent_again() {
    for code in [3, 14, 51] {
        let (mut rig, offsets) = before(COMMIT);
        let mut said = rig.said(0);
        said.others = vec![(1, Some(code))];
        rig.say(COMMIT, said);
        assert!(is_under_way(&offsets));
        assert_eq!(rig.asked(), [""; 0]);

        rig.advance(rig.config.retry_backoff);
        rig.grant(COMMIT);

        assert!(is_done(&offsets), "{code}");
    }
}

#[test]
fn offsets_that_an_answer_leaves_out_are_sent_again() {
    let (mut rig, offsets) = before(COMMIT);
    let mut said = rig.said(0);
    said.others = vec![(1, None)];
    rig.say(COMMIT, said);
    assert!(is_under_way(&offsets));

    rig.advance(rig.config.retry_backoff);
    rig.grant(COMMIT);

    assert!(is_done(&offsets));
}

#[test]
fn group_is_added_once() {
    let (mut rig, first) = before(COMMIT);
    rig.grant(COMMIT);
    assert!(is_done(&first));

    let second = rig.send_offsets(&[(2, 3)]);
    rig.grant("TxnOffsetCommit readers topic-2=3");

    assert!(is_done(&second));
}

#[test]
fn coordinator_of_the_group_is_looked_for_again_when_it_moves_or_is_lost() {
    for code in [7, 15, 16] {
        let (mut rig, offsets) = before(COMMIT);
        rig.refuse(COMMIT, code);
        rig.advance(rig.config.retry_backoff);
        rig.grant(FIND);
        rig.grant(COMMIT);
        assert!(is_done(&offsets), "{code}");
    }
    let (mut rig, offsets) = before(COMMIT);
    rig.lose(COMMIT);
    rig.advance(millis(200));
    rig.grant(FIND);
    rig.advance(millis(200));
    rig.grant(COMMIT);
    assert!(is_done(&offsets));
}

#[test]
fn codes_that_leave_the_transaction_to_be_aborted() {
    let codes =
        [(ADD, &[30, 59, 120][..]), (FIND, &[30, 120]), (COMMIT, &[12, 22, 25, 29, 30, 69, 82, 113, 120])];
    for (question, codes) in codes {
        for code in codes {
            let (mut rig, offsets) = before(question);
            rig.refuse(question, *code);
            assert!(
                matches!(reason(&offsets), TransactionErrorKind::Broker { code: said, is_final: false, .. }
                    if said.code() == *code),
                "{question} {code}"
            );
            assert_abortable(rig, &offsets);
        }
    }
}

#[test]
fn codes_that_end_the_producer() {
    let codes = [(ADD, &[48, 49, 53][..]), (FIND, &[43]), (COMMIT, &[43, 48, 49, 53])];
    for (question, codes) in codes {
        for code in codes {
            let (mut rig, offsets) = before(question);
            rig.refuse(question, *code);
            assert!(
                matches!(reason(&offsets), TransactionErrorKind::Broker { code: said, is_final: true, .. }
                    if said.code() == *code),
                "{question} {code}"
            );
            assert_fatal(rig, &offsets);
        }
    }
}

#[test]
fn one_code_of_several_decides() {
    let (mut rig, offsets) = before(COMMIT);
    let mut said = rig.said(0);
    said.others = vec![(1, Some(53))];
    rig.say(COMMIT, said);
    assert_fatal(rig, &offsets);
}

#[test]
fn refusal_for_the_rights_on_a_group_names_the_group() {
    for question in [ADD, FIND, COMMIT] {
        let (mut rig, offsets) = before(question);
        rig.refuse(question, 30);
        let text = error(&offsets).to_string();
        assert!(text.contains(GROUP), "{text}");
    }
}

#[test]
fn producer_that_the_coordinator_has_forgotten_gets_another_epoch() {
    let (mut rig, offsets) = before(ADD);
    rig.refuse(ADD, 59);
    assert_eq!(error(&offsets).disposition(), Disposition::AbortTransaction);
    let abort = rig.abort();
    rig.advance(rig.config.retry_backoff);
    rig.grant("EndTxn abort");
    assert!(is_done(&abort));

    let next = rig.call(Wish::Begin);
    rig.grant("InitProducerId 7/0");
    assert!(is_done(&next));
}

#[test]
fn commit_waits_for_offsets() {
    let mut rig = Rig::in_transaction(1);
    let offsets = rig.send_offsets(&[(0, 1), (1, 2)]);
    let commit = rig.commit();
    rig.grant(ADD);
    rig.grant(FIND);
    rig.grant(COMMIT);
    assert!(is_done(&offsets) && is_under_way(&commit));
    rig.grant("EndTxn commit");
    assert!(is_done(&commit));
}

#[test]
fn record_that_fails_fails_the_offsets_that_wait() {
    let mut rig = Rig::in_transaction(1);
    rig.deliver(0, "a");
    rig.put(0, "bad");
    let request = rig.request();
    let under_way = rig.send_offsets(&[(0, 1)]);
    let waits = rig.send_offsets(&[(1, 1)]);

    rig.reply(&request, &crate::sender::tests::wire::Reply::error(87));

    for offsets in [under_way, waits] {
        assert!(matches!(reason(&offsets), TransactionErrorKind::RecordsFailed { .. }));
    }
}
