//! How the producer gets its id: answers, refusals, forgotten partitions, and epochs that are used up.

use super::*;
use crate::clock;

const ASKED: NumberingQuestion = NumberingQuestion(7);

fn numbering(state: State) -> Numbering {
    let backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(100));
    Numbering { state, ..Numbering::new(true, backoff) }
}

/// An answer in version 0, as KIP-98 lays it out: throttle time, error code, id, epoch.
fn answer(error_code: i16, id: i64, epoch: i16) -> Vec<u8> {
    let (code, id, epoch) = (error_code.to_be_bytes(), id.to_be_bytes(), epoch.to_be_bytes());
    [&[0; 4][..], &code, &id, &epoch].concat()
}

fn answered(numbering: &mut Numbering, question: NumberingQuestion, body: &[u8]) -> Vec<Effect> {
    let mut effects = Effects::default();
    numbering.handle_answer(question, NodeId(1), 0, body, clock::now(), &mut effects);
    std::iter::from_fn(|| effects.pop()).collect()
}

#[test]
fn answer_gives_the_id_and_has_partitions_looked_at() {
    let mut numbering = numbering(State::Requested(ASKED));

    let effects = answered(&mut numbering, ASKED, &answer(0, 4000, 3));

    assert_eq!(
        numbering.numbers(),
        Numbers::With(ProducerId { id: 4000, epoch: 3, is_transactional: false })
    );
    assert!(matches!(effects[..], [Effect::LookAtActive]), "{effects:?}");
}

#[test]
fn answer_to_a_question_before_is_not_taken_for_one_to_the_last() {
    let mut numbering = numbering(State::Requested(ASKED));

    assert!(answered(&mut numbering, NumberingQuestion(6), &answer(0, 4000, 3)).is_empty());

    assert_eq!(numbering.numbers(), Numbers::Awaited);
    assert_eq!(numbering.state, State::Requested(ASKED));
}

#[test]
fn refusal_fails_what_is_queued_and_waits_until_a_record_needs_an_id() {
    let mut numbering = numbering(State::Requested(ASKED));
    let now = clock::now();

    let effects = answered(&mut numbering, ASKED, &answer(31, -1, -1));

    assert!(matches!(effects[..], [Effect::RefuseQueued(_)]), "{effects:?}");
    assert!(numbering.timeout(|| true, now).is_some_and(|(wait, _)| matches!(wait, Wait::Until(_))));
    let later = now + Duration::from_secs(60);
    assert_eq!(numbering.timeout(|| false, later), None);
    assert_eq!(numbering.timeout(|| true, later), Some((Wait::AnyNode, Timer::ProducerId)));
}

#[test]
fn epochs_go_on_until_an_id_has_no_more_and_another_is_asked_for() {
    let first = ProducerId { id: 4000, epoch: i16::MAX - 1, is_transactional: false };
    let mut numbering = numbering(State::Known(first));

    let last = numbering.next_epoch(first).unwrap();
    assert_eq!(last, ProducerId { id: 4000, epoch: i16::MAX, is_transactional: false });
    assert_eq!(numbering.numbers(), Numbers::With(first), "other partitions go on in theirs");
    assert_eq!(numbering.next_epoch(last), None);

    assert_eq!(numbering.numbers(), Numbers::Awaited);
    assert_eq!(numbering.timeout(|| false, clock::now()), Some((Wait::AnyNode, Timer::ProducerId)));
}

#[test]
fn forgotten_partition_moves_the_first_epoch_behind_its_own() {
    let mut numbering = numbering(State::Known(ProducerId { id: 4000, epoch: 2, is_transactional: false }));

    numbering.handle_forgotten(|_| Some(1));
    numbering.handle_forgotten(|_| None);
    assert_eq!(
        numbering.numbers(),
        Numbers::With(ProducerId { id: 4000, epoch: 2, is_transactional: false })
    );
    numbering.handle_forgotten(|_| Some(2));

    assert_eq!(
        numbering.numbers(),
        Numbers::With(ProducerId { id: 4000, epoch: 3, is_transactional: false })
    );
}

#[test]
fn another_cluster_needs_another_id_if_one_is_needed_at_all() {
    let mut with = numbering(State::Known(ProducerId { id: 4000, epoch: 0, is_transactional: false }));
    let mut without = numbering(State::NotNeeded);

    with.handle_other_cluster();
    without.handle_other_cluster();

    assert_eq!((with.numbers(), without.numbers()), (Numbers::Awaited, Numbers::None));
}
