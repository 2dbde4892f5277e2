//! Members that come, live, die and leave.

use std::time::Duration;

use super::{Rig, join, sync};
use crate::error::code;
use crate::groups::classic::Join;
use crate::groups::snapshot::GroupState;

fn newer() -> Join {
    Join { must_know_its_id: true, ..join("") }
}

#[test]
fn a_new_member_comes_again_with_the_id_that_it_is_given() {
    let mut rig = Rig::default();

    let first = rig.join(newer());
    assert_eq!((first.error, first.member_id.as_str()), (code::MEMBER_ID_REQUIRED, "m1"));
    assert_eq!(rig.state(), (GroupState::Empty, 0));
    let second = rig.join(Join { member_id: "m1".to_owned(), ..newer() });

    assert_eq!((second.error, second.generation, second.leader.as_str()), (0, 1, "m1"));
    assert_eq!(second.protocol.as_deref(), Some("range"));
    assert_eq!(second.members.len(), 1);
    assert_eq!(second.members[0].metadata, "topics for range");
    assert_eq!(rig.state(), (GroupState::CompletingRebalance, 1));
}

#[test]
fn an_old_client_is_a_member_at_once() {
    let mut rig = Rig::default();

    let joined = rig.join(join(""));

    assert_eq!((joined.error, joined.generation, joined.member_id.as_str()), (0, 1, "m1"));
}

#[test]
fn an_id_that_the_group_does_not_know_is_refused() {
    let mut rig = Rig::default();
    assert_eq!(rig.join(join("stranger")).error, code::UNKNOWN_MEMBER_ID);

    let mut rig = Rig::stable(1);
    assert_eq!(rig.join(join("stranger")).error, code::UNKNOWN_MEMBER_ID);
    assert_eq!(rig.state(), (GroupState::Stable, 1));
}

#[test]
fn only_the_leader_is_told_of_the_others() {
    let mut rig = Rig::default();
    let tickets = [(); 3].map(|()| rig.begin(Rig::waiting(3)("")));
    rig.pass(6);

    let answers = tickets.map(|ticket| rig.joined(ticket).unwrap());

    assert!(answers.iter().all(|answer| answer.leader == "m1" && answer.generation == 1));
    let told: Vec<_> = answers.iter().map(|answer| answer.members.len()).collect();
    assert_eq!(told, [3, 0, 0]);
}

#[test]
fn heartbeats_tell_how_the_group_is() {
    let mut rig = Rig::default();
    assert_eq!(rig.heartbeat("m1", 0), code::UNKNOWN_MEMBER_ID);
    rig.join(join(""));
    assert_eq!(rig.heartbeat("m1", 1), 0); // CompletingRebalance
    rig.sync(&sync("m1", 1, &[])).unwrap();

    assert_eq!(rig.heartbeat("m1", 1), 0);
    assert_eq!(rig.heartbeat("m1", 0), code::ILLEGAL_GENERATION);
    assert_eq!(rig.heartbeat("m1", 2), code::ILLEGAL_GENERATION);
    assert_eq!(rig.heartbeat("stranger", 1), code::UNKNOWN_MEMBER_ID);
    rig.begin(join(""));
    assert_eq!(rig.heartbeat("m1", 1), code::REBALANCE_IN_PROGRESS);
    assert_eq!(rig.state(), (GroupState::PreparingRebalance, 1));
}

#[test]
fn heartbeats_keep_a_member_and_silence_ends_it() {
    let mut rig = Rig::stable(2);
    for _ in 0..5 {
        rig.pass(9);
        assert_eq!((rig.heartbeat("m1", 1), rig.heartbeat("m2", 1)), (0, 0));
    }
    rig.pass(9);
    assert_eq!(rig.heartbeat("m2", 1), 0);

    rig.pass(1);

    assert_eq!(rig.ids(), ["m2"]);
    assert_eq!(rig.heartbeat("m2", 1), code::REBALANCE_IN_PROGRESS);
    assert_eq!(rig.heartbeat("m1", 1), code::UNKNOWN_MEMBER_ID);
    let joined = rig.join(join("m2"));
    assert_eq!((joined.generation, joined.leader.as_str()), (2, "m2"));
}

#[test]
fn a_group_whose_members_are_all_silent_is_empty_in_the_end() {
    let mut rig = Rig::stable(3);

    rig.pass(100);

    assert_eq!(rig.state(), (GroupState::Empty, 2));
    assert_eq!(rig.group.next_deadline(), None);
    let joined = rig.join(join(""));
    assert_eq!(joined.generation, 3);
}

#[test]
fn members_that_wait_for_others_do_not_die() {
    let mut rig = Rig::stable(2);
    let waiting = rig.begin(join("m1"));
    for _ in 0..3 {
        rig.pass(9);
        assert_eq!(rig.heartbeat("m2", 1), code::REBALANCE_IN_PROGRESS);
    }

    assert_eq!(rig.ids(), ["m1", "m2"]);
    assert_eq!(rig.joined(waiting), None);
}

#[test]
fn a_first_join_is_given_up_after_five_minutes() {
    let mut rig = Rig::stable(1);
    let slow = Join { rebalance_timeout: Duration::from_secs(3600), ..join("m1") };
    rig.begin(slow);
    rig.sync(&sync("m1", 2, &[]));
    let new = rig.begin(Join { rebalance_timeout: Duration::from_secs(3600), ..join("") });
    for _ in 0..33 {
        rig.pass(9);
        assert_eq!(rig.heartbeat("m1", 2), code::REBALANCE_IN_PROGRESS);
    }
    assert_eq!(rig.joined(new), None);

    rig.pass(3);

    assert_eq!(rig.joined(new).unwrap().error, code::UNKNOWN_MEMBER_ID);
    assert_eq!(rig.ids(), ["m1"]);
}

#[test]
fn the_group_waits_for_a_member_that_has_its_id_until_its_session_ends() {
    let mut rig = Rig::stable(1);
    rig.join(newer());
    assert_eq!(rig.state(), (GroupState::Stable, 1));
    let leader = rig.begin(join("m1"));
    assert_eq!(rig.joined(leader), None);

    rig.pass(10);

    assert_eq!(rig.joined(leader).unwrap().generation, 2);
    assert_eq!(rig.join(join("m2")).error, code::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_member_that_leaves_has_the_others_join_anew() {
    let mut rig = Rig::stable(2);

    assert_eq!(rig.leave("m1"), 0);

    assert_eq!(rig.state(), (GroupState::PreparingRebalance, 1));
    assert_eq!(rig.leave("m1"), code::UNKNOWN_MEMBER_ID);
    assert_eq!(rig.join(join("m2")).leader, "m2");
    assert_eq!(rig.leave("m2"), 0);
    assert_eq!(rig.state(), (GroupState::Empty, 3));
}

#[test]
fn a_member_that_leaves_while_others_wait_lets_them_go_on() {
    let mut rig = Rig::stable(2);
    let waiting = rig.begin(join("m1"));
    assert_eq!(rig.joined(waiting), None);

    assert_eq!(rig.leave("m2"), 0);

    assert_eq!(rig.joined(waiting).unwrap().generation, 2);
}

#[test]
fn a_member_that_leaves_before_it_has_come_changes_nothing() {
    let mut rig = Rig::stable(1);
    rig.join(newer());

    assert_eq!(rig.leave("m2"), 0);

    assert_eq!(rig.state(), (GroupState::Stable, 1));
    assert_eq!(rig.join(join("m2")).error, code::UNKNOWN_MEMBER_ID);
}

#[test]
fn members_learn_of_another_coordinator_and_stay() {
    let mut rig = Rig::stable(2);
    let waiting = rig.begin(join("m1"));

    rig.group.move_coordinator(rig.now);

    assert_eq!(rig.joined(waiting).unwrap().error, code::NOT_COORDINATOR);
    let (first, second) = (rig.begin(join("m1")), rig.begin(join("m2")));
    assert_eq!(rig.joined(first).unwrap().generation, 2);
    assert_eq!(rig.joined(second).unwrap().generation, 2);
    let waiting = rig.begin_sync(&sync("m2", 2, &[]));
    rig.group.move_coordinator(rig.now);
    assert_eq!(rig.synced(waiting).unwrap().error, code::NOT_COORDINATOR);
}
