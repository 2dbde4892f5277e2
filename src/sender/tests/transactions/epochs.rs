//! Which epoch and which numbers the records of a transaction have.

use crate::sender::tests::rig::{Config, Rig, is_done};
use crate::sender::tests::wire::{Identity, Reply};
use crate::sender::transactions::Wish;

/// Sends a record, and returns the identity of its batch.
fn identity_of_next(rig: &mut Rig, adds: bool) -> Identity {
    rig.put(0, "next");
    if adds {
        rig.grant("AddPartitionsToTxn topic-0");
    }
    let request = rig.request();
    rig.acknowledge(&request);
    request.batches[0].identity
}

fn end(rig: &mut Rig, is_commit: bool) {
    let end = if is_commit { rig.commit() } else { rig.abort() };
    rig.grant(if is_commit { "EndTxn commit" } else { "EndTxn abort" });
    assert!(is_done(&end));
}

/// Has all brokers say anew what is finalized.
fn reconnect(rig: &mut Rig) {
    for node in [1, 2] {
        if rig.connections.values().any(|other| *other == node) {
            rig.close(rig.connection_to(node), None);
        }
    }
    rig.advance(std::time::Duration::from_millis(200));
}

#[test]
fn version_1_goes_on_in_its_epoch() {
    for is_commit in [true, false] {
        let mut rig = Rig::in_transaction(1);
        assert_eq!(identity_of_next(&mut rig, true), Identity { id: 7, epoch: 0, sequence: 0 });
        end(&mut rig, is_commit);
        rig.begin();
        assert_eq!(identity_of_next(&mut rig, true), Identity { id: 7, epoch: 0, sequence: 1 });
    }
}

#[test]
fn version_2_takes_the_epoch_that_the_end_brings() {
    for is_commit in [true, false] {
        let mut rig = Rig::in_transaction(2);
        assert_eq!(identity_of_next(&mut rig, false), Identity { id: 7, epoch: 0, sequence: 0 });
        end(&mut rig, is_commit);
        rig.begin();
        assert_eq!(identity_of_next(&mut rig, false), Identity { id: 7, epoch: 1, sequence: 0 });
    }
}

#[test]
fn version_2_takes_the_id_that_the_end_brings_when_epochs_are_used_up() {
    let mut rig = Rig::in_transaction(2);
    rig.deliver(0, "a");
    let commit = rig.commit();
    let mut said = rig.said(0);
    said.producer = (8, 0);
    rig.say("EndTxn commit", said);
    assert!(is_done(&commit));

    rig.begin();

    assert_eq!(identity_of_next(&mut rig, false), Identity { id: 8, epoch: 0, sequence: 0 });
}

#[test]
fn version_1_asks_for_another_epoch_after_a_record_that_has_failed() {
    let mut rig = Rig::in_transaction(1);
    rig.deliver(0, "a");
    rig.put(0, "bad");
    let request = rig.request();
    rig.reply(&request, &Reply::error(29));
    end(&mut rig, false);
    rig.grant("InitProducerId 7/0");

    let begin = rig.call(Wish::Begin);
    rig.begun(&begin);

    assert_eq!(identity_of_next(&mut rig, true), Identity { id: 7, epoch: 1, sequence: 0 });
}

#[test]
fn version_1_keeps_its_epoch_after_an_abort_of_records_that_were_not_sent() {
    let mut rig = Rig::in_transaction(1);
    rig.deliver(0, "a");
    drop(rig.append(0, "unsent"));
    end(&mut rig, false);
    rig.begin();
    assert_eq!(identity_of_next(&mut rig, true), Identity { id: 7, epoch: 0, sequence: 1 });
}

#[test]
fn coordinator_that_has_forgotten_the_producer_gives_another_epoch() {
    let mut rig = Rig::in_transaction(1);
    rig.put(0, "a");
    rig.refuse("AddPartitionsToTxn topic-0", 59);
    let abort = rig.abort();
    rig.advance(rig.config.retry_backoff);
    rig.grant("EndTxn abort");
    assert!(is_done(&abort));

    let begin = rig.call(Wish::Begin);
    rig.grant("InitProducerId 7/0");
    rig.begun(&begin);
    assert_eq!(identity_of_next(&mut rig, true), Identity { id: 7, epoch: 1, sequence: 0 });
}

#[test]
fn transaction_ends_in_the_version_that_it_has_begun_with() {
    for (from, to) in [(1, 2), (2, 1)] {
        let mut rig = Rig::in_transaction(from);
        rig.deliver(0, "a");
        rig.finalize(to);
        reconnect(&mut rig);
        let commit = rig.commit();
        while rig.asked() != ["EndTxn commit"] {
            rig.grant("FindCoordinator payments");
            rig.advance(std::time::Duration::from_millis(200));
        }
        rig.grant("EndTxn commit");
        assert!(is_done(&commit));
        let asked = rig.coordination.versions.iter().rfind(|(text, _)| text == "EndTxn commit");
        let (_, version) = asked.expect("it was asked for");
        assert_eq!(*version >= 5, from == 2, "from {from} to {to}");

        rig.begin();
        let identity = identity_of_next(&mut rig, to == 1);
        assert_eq!((identity.epoch, identity.sequence), (1, 0), "from {from} to {to}");
        end(&mut rig, true);
    }
}

#[test]
fn clusters_without_the_feature_have_transactions_of_version_1() {
    for level in [None, Some(0), Some(1)] {
        // The brokers speak the requests of version 2 all the same.
        let mut rig = Rig::transactional_with(Config::transactional(), level);
        rig.begin();
        assert_eq!(identity_of_next(&mut rig, true), Identity { id: 7, epoch: 0, sequence: 0 });
        end(&mut rig, true);
        assert_eq!(rig.coordination.versions.last(), Some(&("EndTxn commit".to_owned(), 4)));
    }
}

#[test]
fn connection_that_breaks_does_not_change_who_counts_epochs() {
    for level in [1, 2] {
        let mut rig = Rig::in_transaction(level);
        rig.deliver(0, "a");
        reconnect(&mut rig);
        let abort = rig.abort();
        while rig.asked() != ["EndTxn abort"] {
            rig.grant("FindCoordinator payments");
            rig.advance(std::time::Duration::from_millis(200));
        }
        rig.grant("EndTxn abort");
        assert!(is_done(&abort));
        rig.begin();
        let identity = identity_of_next(&mut rig, level == 1);
        let expected = if level == 1 { (0, 1) } else { (1, 0) };
        assert_eq!((identity.epoch, identity.sequence), expected);
    }
}
