//! What goes before the word to the coordinator, and what follows from its answer.

use crate::error::{DeliveryErrorKind, Disposition, TransactionErrorKind};
use crate::sender::tests::rig::{
    Rig, TRANSACTION_TIMEOUT, error, failure, is_done, is_pending, is_under_way, millis, offset, reason,
};
use crate::sender::tests::wire::Reply;
use crate::sender::transactions::Wish;

const INVALID_TXN_STATE: i16 = 48;
const TRANSACTION_ABORTABLE: i16 = 120;

fn is_aborted(kind: &DeliveryErrorKind) -> bool {
    matches!(kind, DeliveryErrorKind::TransactionAborted)
}

#[test]
fn commit_adds_partitions_then_writes_then_ends() {
    let mut rig = Rig::in_transaction(1);
    let delivery = rig.send(0, "a");
    let commit = rig.commit();
    assert_eq!(rig.asked(), ["AddPartitionsToTxn topic-0"]);
    rig.grant("AddPartitionsToTxn topic-0");
    assert_eq!(rig.asked(), [""; 0]);

    let request = rig.request();
    rig.advance(millis(1000));
    assert_eq!(rig.asked(), [""; 0]);
    assert!(is_pending(&delivery) && is_under_way(&commit));
    rig.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(0));

    assert!(is_under_way(&commit));
    rig.grant("EndTxn commit");
    assert!(is_done(&commit));
}

#[test]
fn commit_sends_what_is_queued_and_waits_for_what_is_under_way() {
    for level in [1, 2] {
        let mut rig = Rig::in_transaction(level);
        rig.deliver(0, "first");
        let under_way = rig.send(0, "under way");
        let queued = rig.append(0, "queued");
        let commit = rig.commit();

        let requests: Vec<_> = rig.received.drain(..).collect();
        assert_eq!(
            requests.iter().flat_map(|request| request.records()).collect::<Vec<_>>(),
            ["under way", "queued"]
        );
        for request in &requests {
            assert_eq!(rig.asked(), [""; 0]);
            rig.acknowledge(request);
        }
        assert_eq!([offset(&under_way), offset(&queued)], [Some(1), Some(2)]);
        rig.grant("EndTxn commit");
        assert!(is_done(&commit));
    }
}

#[test]
fn abort_gives_back_what_was_not_sent_and_asks_for_nothing() {
    let mut rig = Rig::in_transaction(1);
    rig.answers_metadata = false;
    rig.world.lead(0, -1);
    let delivery = rig.append(0, "a");

    let abort = rig.abort();

    assert!(is_aborted(&failure(&delivery).kind()));
    assert!(is_done(&abort));
    assert_eq!(rig.asked(), [""; 0]);
    rig.begin();
}

#[test]
fn abort_gives_back_queued_records_of_partitions_that_were_added() {
    let mut rig = Rig::in_transaction(1);
    rig.deliver(0, "a");
    let delivery = rig.append(0, "b");

    let abort = rig.abort();

    assert!(is_aborted(&failure(&delivery).kind()));
    assert!(rig.received.is_empty());
    rig.grant("EndTxn abort");
    assert!(is_done(&abort));
}

#[test]
fn abort_drops_a_partition_that_was_refused_for_now() {
    let mut rig = Rig::in_transaction(1);
    let delivery = rig.send(0, "a");
    rig.refuse("AddPartitionsToTxn topic-0", 3);

    let abort = rig.abort();
    assert!(is_aborted(&failure(&delivery).kind()));
    rig.advance(rig.config.retry_backoff);

    rig.grant("EndTxn abort");
    assert!(is_done(&abort));
}

#[test]
fn abort_waits_for_the_answer_about_a_partition_that_is_being_added() {
    let mut rig = Rig::in_transaction(1);
    rig.put(0, "a");
    let abort = rig.abort();
    assert_eq!(rig.asked(), ["AddPartitionsToTxn topic-0"]);
    rig.grant("AddPartitionsToTxn topic-0");

    assert!(rig.received.is_empty());
    rig.grant("EndTxn abort");
    assert!(is_done(&abort));
}

#[test]
fn abort_gives_back_a_record_that_would_be_sent_again() {
    for level in [1, 2] {
        let mut rig = Rig::in_transaction(level);
        rig.deliver(0, "a");
        let delivery = rig.send(0, "b");
        let request = rig.request();
        let abort = rig.abort();
        assert_eq!(rig.asked(), [""; 0]);

        rig.reply(&request, &Reply::error(7));

        assert!(is_aborted(&failure(&delivery).kind()));
        assert!(rig.received.is_empty());
        rig.grant("EndTxn abort");
        assert!(is_done(&abort));
    }
}

#[test]
fn record_that_fails_while_the_transaction_is_aborted_does_not_fail_the_abort() {
    for level in [1, 2] {
        for code in [45, 87] {
            let mut rig = Rig::in_transaction(level);
            rig.deliver(0, "a");
            rig.put(0, "b");
            let request = rig.request();
            let abort = rig.abort();
            rig.reply(&request, &Reply::error(code));
            rig.grant("EndTxn abort");
            assert!(is_done(&abort), "{level} {code}");
            rig.begin();
        }
    }
}

#[test]
fn abort_of_which_the_coordinator_knows_nothing_is_done() {
    for code in [29, 3] {
        let mut rig = Rig::in_transaction(1);
        rig.put(0, "a");
        rig.refuse("AddPartitionsToTxn topic-0", code);
        let abort = rig.abort();
        rig.advance(rig.config.retry_backoff);
        rig.refuse("EndTxn abort", INVALID_TXN_STATE);

        assert!(is_done(&abort));
        rig.begin();
        rig.deliver(1, "b");
        let commit = rig.commit();
        rig.grant("EndTxn commit");
        assert!(is_done(&commit));
    }
}

#[test]
fn abort_after_a_group_was_refused_is_done() {
    let mut rig = Rig::in_transaction(1);
    let offsets = rig.send_offsets(&[(1, 1)]);
    let abort = rig.abort();
    assert_eq!(reason(&offsets), TransactionErrorKind::Aborted);
    rig.refuse("AddOffsetsToTxn readers", 30);
    rig.advance(rig.config.retry_backoff);
    rig.refuse("EndTxn abort", INVALID_TXN_STATE);

    assert!(is_done(&abort));
    rig.begin();
}

#[test]
fn abort_fails_if_the_producer_cannot_go_on() {
    let mut rig = Rig::in_transaction(1);
    drop(rig.send_offsets(&[(1, 1)]));
    let abort = rig.abort();
    rig.refuse("AddOffsetsToTxn readers", INVALID_TXN_STATE);

    assert_eq!(error(&abort).disposition(), Disposition::NewProducer);
    let next = rig.call(Wish::Begin);
    assert_eq!(error(&next), error(&abort));
}

#[test]
fn end_whose_answer_is_lost_is_asked_for_again() {
    for level in [1, 2] {
        for is_commit in [true, false] {
            let mut rig = Rig::in_transaction(level);
            rig.deliver(0, "a");
            let end = if is_commit { rig.commit() } else { rig.abort() };
            let question = if is_commit { "EndTxn commit" } else { "EndTxn abort" };
            rig.lose(question);
            rig.advance(millis(200));
            assert!(is_under_way(&end));
            rig.grant("FindCoordinator payments");
            rig.advance(millis(200));
            rig.grant(question);
            assert!(is_done(&end));
            rig.begin();
        }
    }
}

#[test]
fn commit_that_the_coordinator_wants_aborted_fails_and_an_abort_like_that_ends_the_producer() {
    for level in [1, 2] {
        let mut rig = Rig::in_transaction(level);
        rig.deliver(0, "a");
        let commit = rig.commit();
        rig.refuse("EndTxn commit", TRANSACTION_ABORTABLE);
        assert_eq!(error(&commit).disposition(), Disposition::AbortTransaction);

        let next = rig.call(Wish::Begin);
        rig.advance(rig.config.retry_backoff);
        rig.refuse("EndTxn abort", TRANSACTION_ABORTABLE);

        assert_eq!(error(&next).disposition(), Disposition::NewProducer);
        let again = rig.call(Wish::Begin);
        assert_eq!(error(&again), error(&next));
    }
}

#[test]
fn call_that_waits_learns_of_the_end_of_the_sender() {
    let mut rig = Rig::in_transaction(1);
    rig.put(0, "a");
    let commit = rig.commit();
    drop(rig);
    assert_eq!(reason(&commit), TransactionErrorKind::Closed);

    let mut rig = Rig::in_transaction(1);
    let offsets = rig.send_offsets(&[(0, 1)]);
    drop(rig);
    assert_eq!(reason(&offsets), TransactionErrorKind::Closed);
}

#[test]
fn commit_that_was_asked_for_is_in_doubt_at_the_end_of_the_sender() {
    let mut rig = Rig::in_transaction(1);
    rig.deliver(0, "a");
    let commit = rig.commit();
    assert_eq!(rig.asked(), ["EndTxn commit"]);
    drop(rig);

    assert!(matches!(reason(&commit), TransactionErrorKind::CommitInDoubt { .. }));
    assert_eq!(error(&commit).disposition(), Disposition::FindOutcome);
}

/// The coordinator says these also after it has written that it commits: it cannot know whether its log has that, or has lost the log.
const MAYBE_WRITTEN: [i16; 6] = [14, 15, 16, 7, 19, -1];

#[test]
fn commit_is_in_doubt_after_an_answer_that_can_follow_the_write() {
    for level in [1, 2] {
        for code in MAYBE_WRITTEN {
            let mut rig = Rig::in_transaction(level);
            rig.deliver(0, "a");
            let commit = rig.commit();
            rig.refuse("EndTxn commit", code);
            assert!(is_under_way(&commit), "{level} {code}");
            drop(rig);
            assert_eq!(error(&commit).disposition(), Disposition::FindOutcome, "{level} {code}");
        }
    }
}

#[test]
fn commit_is_not_in_doubt_before_the_coordinator_takes_it() {
    for level in [1, 2] {
        let mut rig = Rig::in_transaction(level);
        rig.deliver(0, "a");
        let commit = rig.commit();
        rig.refuse("EndTxn commit", 51);
        drop(rig);
        assert_eq!(reason(&commit), TransactionErrorKind::Closed);
    }
}

#[test]
fn code_that_is_not_known_leaves_the_commit_in_doubt() {
    for level in [1, 2] {
        let mut rig = Rig::in_transaction(level);
        rig.deliver(0, "a");
        let commit = rig.commit();
        rig.refuse("EndTxn commit", 999);
        assert_eq!(error(&commit).disposition(), Disposition::FindOutcome);
    }
}

#[test]
fn refusal_of_another_attempt_does_not_say_that_the_first_has_not_committed() {
    for level in [1, 2] {
        for code in [47, 49, 53, 90, TRANSACTION_ABORTABLE, 59] {
            let mut rig = Rig::in_transaction(level);
            rig.deliver(0, "a");
            let commit = rig.commit();
            rig.refuse("EndTxn commit", 7);
            rig.advance(millis(200));
            rig.refuse("EndTxn commit", code);
            assert_eq!(error(&commit).disposition(), Disposition::FindOutcome, "{level} {code}");
        }
    }
}

#[test]
fn coordinator_of_version_2_that_says_there_is_nothing_to_commit_ends_the_doubt() {
    let mut rig = Rig::in_transaction(2);
    rig.deliver(0, "a");
    rig.advance(TRANSACTION_TIMEOUT);
    let commit = rig.commit();
    rig.refuse("EndTxn commit", 7);
    rig.advance(millis(200));
    rig.refuse("EndTxn commit", INVALID_TXN_STATE);
    assert_eq!(reason(&commit), TransactionErrorKind::GivenUp);
}

#[test]
fn lost_answer_to_an_abort_puts_no_commit_in_doubt() {
    for level in [1, 2] {
        for is_closed in [false, true] {
            let mut rig = Rig::in_transaction(level);
            rig.deliver(0, "first");
            rig.advance(TRANSACTION_TIMEOUT);
            rig.put(0, "a");
            let request = rig.request();
            rig.reply(&request, &Reply::error(47));
            let commit = rig.commit();
            rig.advance(rig.config.retry_backoff);
            rig.lose("EndTxn abort");
            if !is_closed {
                rig.advance(millis(200));
                rig.grant("FindCoordinator payments");
                rig.advance(millis(200));
                rig.grant("EndTxn abort");
                assert_eq!(reason(&commit), TransactionErrorKind::GivenUp);
            }
            drop(rig);
            assert_ne!(error(&commit).disposition(), Disposition::FindOutcome, "{level} {is_closed}");
        }
    }
}
