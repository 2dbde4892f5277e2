//! Transactions from their beginning to their end.

use crate::error::TransactionErrorKind;
use crate::sender::tests::rig::{Config, ID, Rig, is_done, is_under_way, millis, offset, reason};
use crate::sender::tests::wire::{Identity, Reply};
use crate::sender::transactions::Wish;

#[test]
fn version_1_adds_partitions_and_groups_before_it_writes() {
    let mut rig = Rig::transactional(1);
    let begin = rig.call(Wish::Begin);
    rig.grant("FindCoordinator payments");
    assert!(is_under_way(&begin));
    rig.grant("InitProducerId -1/-1");
    rig.begun(&begin);

    let delivery = rig.send(0, "a");
    assert!(rig.received.is_empty());
    rig.grant("AddPartitionsToTxn topic-0");
    let request = rig.request();
    assert_eq!(request.transactional_id.as_deref(), Some(ID));
    assert!(request.batches[0].is_transactional());
    assert_eq!(request.batches[0].identity, Identity { id: 7, epoch: 0, sequence: 0 });
    rig.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(0));

    let offsets = rig.send_offsets(&[(2, 10)]);
    rig.grant("AddOffsetsToTxn readers");
    rig.grant("FindCoordinator group readers");
    assert!(is_under_way(&offsets));
    rig.grant("TxnOffsetCommit readers topic-2=10");
    assert!(is_done(&offsets));

    let commit = rig.commit();
    assert!(is_under_way(&commit));
    rig.grant("EndTxn commit");
    assert!(is_done(&commit));
    assert!(rig.is_clean());
    let bounded = [("EndTxn commit", 4), ("TxnOffsetCommit readers topic-2=10", 4)];
    for (question, last) in bounded {
        let said = rig.coordination.versions.iter().find(|(text, _)| text == question);
        assert_eq!(said.map(|(_, version)| *version), Some(last), "{question}");
    }
}

#[test]
fn version_2_writes_at_once_and_ends_with_one_request() {
    let mut rig = Rig::in_transaction(2);

    let delivery = rig.send(0, "a");
    assert_eq!(rig.asked(), [""; 0]);
    let request = rig.request();
    assert_eq!((request.head.version, request.transactional_id.as_deref()), (13, Some(ID)));
    assert_eq!(request.batches[0].identity, Identity { id: 7, epoch: 0, sequence: 0 });
    rig.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(0));

    let offsets = rig.send_offsets(&[(2, 10)]);
    rig.grant("FindCoordinator group readers");
    rig.grant("TxnOffsetCommit readers topic-2=10");
    assert!(is_done(&offsets));

    let commit = rig.commit();
    rig.grant("EndTxn commit");
    assert!(is_done(&commit));
    assert!(rig.is_clean());
}

#[test]
fn transaction_without_records_asks_for_nothing() {
    for level in [1, 2] {
        let mut rig = Rig::in_transaction(level);
        let commit = rig.commit();
        assert!(is_done(&commit));

        rig.begin();
        let abort = rig.abort();
        assert!(is_done(&abort));
        assert_eq!(rig.asked(), [""; 0]);
    }
}

#[test]
fn next_transaction_begins_when_the_one_before_has_ended() {
    for level in [1, 2] {
        let mut rig = Rig::in_transaction(level);
        rig.deliver(0, "a");
        let abort = rig.abort();
        let next = rig.call(Wish::Begin);
        assert!(is_under_way(&next));

        rig.grant("EndTxn abort");

        assert!(is_done(&abort));
        rig.begun(&next);
    }
}

#[test]
fn call_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut rig = Rig::transactional(1);
    for wish in [Wish::Abort, Wish::Commit { refused: None }] {
        let early = rig.call(wish);
        assert!(matches!(reason(&early), TransactionErrorKind::OutOfTurn(_)));
    }

    rig.begin();
    rig.deliver(0, "a");
    let commit = rig.commit();
    for wish in [Wish::Abort, Wish::Commit { refused: None }] {
        let late = rig.call(wish);
        assert!(matches!(reason(&late), TransactionErrorKind::OutOfTurn(_)));
    }
    let late = rig.send_offsets(&[(0, 1)]);
    assert!(matches!(reason(&late), TransactionErrorKind::OutOfTurn(_)));

    rig.grant("EndTxn commit");
    assert!(is_done(&commit));
    rig.begin();
}

#[test]
fn one_request_at_a_time_is_enough() {
    let config = Config { max_in_flight: 1, ..Config::transactional() };
    let mut rig = Rig::unconnected(config);
    rig.answers_metadata = false;
    rig.core.handle_topic_wanted(&crate::topic_partition::Topic::from("topic"), rig.now);
    let begin = rig.call(Wish::Begin);
    assert_eq!((rig.asked(), rig.metadata_requests.len()), (Vec::new(), 1));

    // The first answer never comes.
    rig.answers_metadata = true;
    rig.advance(rig.config.request_timeout + millis(1000));
    // Without metadata the coordinator has no address.
    rig.grant("FindCoordinator payments");
    rig.advance(millis(200));
    assert!(rig.metadata_requests.len() > 1);
    rig.grant("FindCoordinator payments");
    rig.grant("InitProducerId -1/-1");
    rig.begun(&begin);
    rig.deliver(1, "a");
    let commit = rig.commit();
    rig.grant("EndTxn commit");

    assert!(is_done(&commit));
}

#[test]
fn commit_ends_the_linger_and_the_next_transaction_lingers_again() {
    let linger = millis(50);
    for level in [1, 2] {
        let config = Config { linger, ..Config::transactional() };
        let mut rig = Rig::transactional_with(config, level);
        for _ in 0..2 {
            rig.begin();
            rig.put(0, "a");
            if level == 1 {
                rig.grant("AddPartitionsToTxn topic-0");
            }
            rig.advance(linger - millis(1));
            assert!(rig.received.is_empty());
            let commit = rig.commit();
            rig.acknowledge_all();
            rig.grant("EndTxn commit");
            assert!(is_done(&commit));
        }

        rig.begin();
        rig.put(0, "a");
        if level == 1 {
            rig.grant("AddPartitionsToTxn topic-0");
        }
        rig.advance(linger);
        assert_eq!(rig.received.len(), 1);
    }
}

#[test]
fn batch_that_is_too_large_is_cut_within_its_transaction() {
    for level in [1, 2] {
        let config = Config { linger: millis(5), ..Config::transactional() };
        let mut rig = Rig::transactional_with(config, level);
        rig.begin();
        let deliveries = [rig.append(0, "a"), rig.append(0, "b")];
        rig.settle();
        if level == 1 {
            rig.grant("AddPartitionsToTxn topic-0");
        }
        rig.advance(millis(5));
        let request = rig.request();
        assert_eq!(request.records(), ["a", "b"]);
        rig.reply(&request, &Reply::error(10));
        let commit = rig.commit();

        while let Some(request) = rig.received.pop_front() {
            assert!(request.batches[0].is_transactional());
            assert_eq!(request.batches[0].records.len(), 1);
            rig.acknowledge(&request);
        }
        rig.grant("EndTxn commit");

        assert!(is_done(&commit));
        assert_eq!([offset(&deliveries[0]), offset(&deliveries[1])], [Some(0), Some(1)]);
    }
}

#[test]
fn write_that_met_the_markers_of_the_transaction_before_makes_the_next_one_wait_for_them() {
    let mut rig = Rig::in_transaction(2);
    for answered_after in [1, 21] {
        rig.put(0, "a");
        let request = rig.request();
        rig.advance(millis(answered_after));
        rig.acknowledge(&request);
        let commit = rig.commit();
        rig.grant("EndTxn commit");
        assert!(is_done(&commit));
        rig.begin();
    }

    rig.put(0, "b");
    let commit = rig.commit();
    assert!(rig.received.is_empty());

    rig.advance(millis(1));

    let request = rig.request();
    assert_eq!(request.records(), ["b"]);
    rig.acknowledge(&request);
    rig.grant("EndTxn commit");
    assert!(is_done(&commit));
    assert!(rig.is_clean());
}
