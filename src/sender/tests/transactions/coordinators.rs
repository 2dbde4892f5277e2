//! Looking for coordinators, and what follows when they move, are busy, or refuse.

use crate::error::{Disposition, TransactionErrorKind};
use crate::sender::tests::rig::{Config, Rig, error, is_done, is_under_way, millis, reason};
use crate::sender::tests::wire::Question;
use crate::sender::transactions::Wish;

const FIND: &str = "FindCoordinator payments";
const INIT: &str = "InitProducerId -1/-1";
const ADD: &str = "AddPartitionsToTxn topic-0";
const END: &str = "EndTxn commit";
/// After which what failed is tried again, connections included.
const LATER: std::time::Duration = millis(200);

/// A rig whose next question is this one.
fn before(question: &str) -> Rig {
    let mut rig = Rig::transactional(1);
    let begin = rig.call(Wish::Begin);
    for earlier in [FIND, INIT] {
        if question == earlier {
            return rig;
        }
        rig.grant(earlier);
    }
    rig.begun(&begin);
    rig.put(0, "a");
    if question == ADD {
        return rig;
    }
    rig.grant(ADD);
    rig.acknowledge_all();
    drop(rig.commit());
    assert_eq!(question, END);
    rig
}

#[test]
fn codes_that_pass_are_asked_again() {
    for question in [FIND, INIT, ADD, END] {
        for code in [-1, 3, 7, 14, 51] {
            let mut rig = before(question);
            rig.refuse(question, code);
            assert_eq!(rig.asked(), [""; 0], "{question} {code}");

            rig.advance(rig.config.retry_backoff);

            assert_eq!(rig.asked(), [question], "{question} {code}");
            rig.grant(question);
        }
    }
}

#[test]
fn broker_that_does_not_coordinate_is_left_for_another() {
    for question in [INIT, ADD, END] {
        for code in [15, 16] {
            let mut rig = before(question);
            assert_eq!(rig.question().1, 2);
            rig.refuse(question, code);

            rig.coordination.nodes.0 = 1;
            rig.advance(rig.config.retry_backoff);
            rig.grant(FIND);

            assert_eq!(rig.asked(), [question], "{code}");
            assert_eq!(rig.question().1, 1, "{question} {code}");
        }
    }
}

#[test]
fn broker_that_knows_no_coordinator_yet_is_asked_again() {
    for code in [15, 16] {
        let mut rig = before(FIND);
        rig.refuse(FIND, code);
        assert_eq!(rig.asked(), [""; 0]);
        rig.advance(rig.config.retry_backoff);
        rig.grant(FIND);
        assert_eq!(rig.asked(), [INIT], "{code}");
    }
}

#[test]
fn lookup_that_is_not_answered_is_made_again() {
    let mut rig = before(FIND);
    rig.lose(FIND);
    rig.advance(LATER);
    rig.grant(FIND);
    assert_eq!(rig.asked(), [INIT]);
}

#[test]
fn coordinator_whose_connection_breaks_is_looked_for_again() {
    for question in [INIT, ADD, END] {
        let mut rig = before(question);
        rig.lose(question);
        rig.advance(LATER);
        rig.grant(FIND);
        rig.advance(LATER);
        assert_eq!(rig.asked(), [question]);
    }
}

#[test]
fn coordinator_that_cannot_be_connected_to_is_looked_for_again() {
    let mut rig = before(FIND);
    rig.down.insert(2);
    rig.grant(FIND);
    rig.advance(LATER);
    rig.coordination.nodes.0 = 1;
    rig.grant(FIND);
    assert_eq!(rig.asked(), [INIT]);
    assert_eq!(rig.question().1, 1);
}

#[test]
fn coordinator_that_metadata_does_not_name_is_asked_for_with_metadata() {
    let mut rig = before(FIND);
    rig.coordination.nodes.0 = 3;
    let metadata_requests = rig.metadata_requests.len();
    rig.grant(FIND);
    assert_eq!(rig.asked(), [""; 0]);
    rig.advance(LATER);
    assert_eq!(rig.metadata_requests.len(), metadata_requests + 1);

    rig.coordination.nodes.0 = 2;
    rig.grant(FIND);
    assert_eq!(rig.asked(), [INIT]);
}

#[test]
fn producer_that_may_not_have_its_id_can_try_again() {
    for (question, codes) in [(FIND, &[31, 53][..]), (INIT, &[31, 50, 53])] {
        for code in codes {
            let mut rig = Rig::transactional(1);
            let begin = rig.call(Wish::Begin);
            if question == INIT {
                rig.grant(FIND);
            }
            rig.refuse(question, *code);
            assert_eq!(error(&begin).disposition(), Disposition::FixConfiguration, "{question} {code}");

            rig.advance(LATER);
            assert_eq!(rig.asked(), [""; 0]);
            rig.begin();
        }
    }
}

#[test]
fn brokers_without_a_request_that_transactions_need_end_the_producer() {
    for (key, name) in [(10, "FindCoordinator"), (22, "InitProducerId")] {
        let mut rig = Rig::transactional_with(Config::transactional().with_version(key, -1), 1);
        let begin = rig.call(Wish::Begin);
        if key == 22 {
            rig.grant(FIND);
        }
        assert_eq!(reason(&begin), TransactionErrorKind::Unsupported(name));
        assert_eq!(error(&begin).disposition(), Disposition::NewProducer);

        let again = rig.call(Wish::Begin);
        assert_eq!(reason(&again), TransactionErrorKind::Unsupported(name));
    }
}

#[test]
fn coordinator_that_throttles_is_left_alone_and_other_brokers_are_not() {
    let mut rig = Rig::transactional(2);
    let begin = rig.call(Wish::Begin);
    rig.grant(FIND);
    let mut said = rig.said(0);
    said.throttle_time_ms = 1000;
    rig.say(INIT, said);
    rig.begun(&begin);
    rig.put(0, "a");
    assert_eq!(rig.request().node, 1);

    let abort = rig.abort();
    rig.close(rig.connection_to(1), None);
    rig.advance(millis(999));
    assert_eq!(rig.asked(), [""; 0]);
    rig.advance(millis(1));

    rig.grant("EndTxn abort");
    assert!(is_done(&abort));
}

#[test]
fn lookup_goes_on_after_the_transaction_has_failed() {
    let mut rig = before(ADD);
    rig.refuse(ADD, 16);
    rig.advance(rig.config.delivery_timeout);
    let commit = rig.commit();
    assert!(matches!(reason(&commit), TransactionErrorKind::RecordsFailed { .. }));

    let next = rig.call(Wish::Begin);
    assert_eq!(rig.asked(), [FIND]);
    rig.grant(FIND);
    rig.grant("EndTxn abort");
    assert!(is_done(&next));
}

#[test]
fn call_that_waits_for_its_coordinator_learns_of_the_end() {
    for question in [FIND, INIT] {
        let mut rig = Rig::transactional(1);
        let begin = rig.call(Wish::Begin);
        if question == INIT {
            rig.grant(FIND);
        }
        assert!(is_under_way(&begin));
        drop(rig);
        assert_eq!(reason(&begin), TransactionErrorKind::Closed);
    }
}

#[test]
fn producer_asks_with_its_id_once_it_has_one() {
    let rig = before(ADD);
    let (question, _) = rig.question();
    assert!(matches!(question, Question::AddPartitions { producer: (7, 0), .. }));
}
