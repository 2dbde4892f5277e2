//! From the first member that joins to the assignment of each.

use std::time::Duration;

use super::{Rig, join, protocols, sync};
use crate::error::code;
use crate::groups::classic::{Join, Sync};
use crate::groups::snapshot::GroupState;

#[test]
fn a_group_that_was_empty_waits_for_more_members() {
    let mut rig = Rig::default();
    let first = rig.begin(Rig::waiting(3)(""));
    rig.pass(2);
    let second = rig.begin(Rig::waiting(3)(""));
    rig.pass(1);
    // Another delay, because of the second member.
    assert_eq!(rig.joined(first), None);
    rig.pass(2);
    assert_eq!(rig.joined(first), None);

    rig.pass(1);

    assert_eq!(rig.joined(first).unwrap().members.len(), 2);
    assert_eq!(rig.joined(second).unwrap().generation, 1);
}

#[test]
fn a_group_that_was_empty_waits_no_longer_than_members_have_time_for() {
    let mut rig = Rig::default();
    let first = rig.begin(Rig::waiting(20)(""));
    for _ in 0..29 {
        rig.pass(1);
        rig.begin(Rig::waiting(20)(""));
    }
    assert_eq!(rig.joined(first), None);

    rig.pass(1);

    assert_eq!(rig.joined(first).unwrap().members.len(), 30);
}

#[test]
fn a_rebalance_ends_when_all_have_joined() {
    let mut rig = Rig::stable(2);
    let third = rig.begin(join(""));
    let first = rig.begin(join("m1"));
    assert_eq!((rig.joined(third), rig.joined(first)), (None, None));

    let second = rig.join(join("m2"));

    assert_eq!((second.generation, second.leader.as_str()), (2, "m1"));
    assert_eq!(rig.joined(first).unwrap().members.len(), 3);
    assert_eq!(rig.joined(third).unwrap().generation, 2);
}

#[test]
fn members_that_do_not_join_in_time_are_removed_and_another_leads() {
    let mut rig = Rig::stable(2);
    let second = rig.begin(Join { protocols: protocols(&["range", "other"]), ..join("m2") });
    for _ in 0..3 {
        rig.pass(9);
        assert_eq!(rig.heartbeat("m1", 1), code::REBALANCE_IN_PROGRESS);
    }

    rig.pass(3);

    let joined = rig.joined(second).unwrap();
    assert_eq!((joined.generation, joined.leader.as_str()), (2, "m2"));
    assert_eq!(rig.ids(), ["m2"]);
}

#[test]
fn each_member_gets_what_the_leader_has_decided() {
    let mut rig = Rig::stable(3);
    let leader = rig.begin(join("m1"));
    rig.begin(join("m2"));
    rig.begin(join("m3"));
    assert_eq!(rig.joined(leader).unwrap().generation, 2);
    let early = rig.begin_sync(&sync("m2", 2, &[]));
    assert_eq!(rig.synced(early), None);

    let own = rig.sync(&sync("m1", 2, &[("m1", "left"), ("m2", "right")])).unwrap();

    assert_eq!((own.error, own.assignment.as_ref()), (0, &b"left"[..]));
    assert_eq!(own.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(own.protocol.as_deref(), Some("range"));
    assert_eq!(rig.synced(early).unwrap().assignment, "right");
    let late = rig.sync(&sync("m3", 2, &[("m3", "no leader")])).unwrap();
    assert_eq!((late.error, late.assignment.len()), (0, 0));
    assert_eq!(rig.state(), (GroupState::Stable, 2));
}

#[test]
fn a_member_that_comes_before_the_leader_has_decided_has_all_join_anew() {
    let mut rig = Rig::stable(2);
    rig.begin(join("m1"));
    rig.begin(join("m2"));
    let waiting = rig.begin_sync(&sync("m2", 2, &[]));

    rig.begin(join(""));

    assert_eq!(rig.synced(waiting).unwrap().error, code::REBALANCE_IN_PROGRESS);
    assert_eq!(rig.state(), (GroupState::PreparingRebalance, 2));
    assert_eq!(rig.sync_error(&sync("m1", 2, &[])), code::REBALANCE_IN_PROGRESS);
}

#[test]
fn a_wrong_sync_is_refused() {
    let mut rig = Rig::default();
    assert_eq!(rig.sync_error(&sync("m1", 0, &[])), code::UNKNOWN_MEMBER_ID);

    let mut rig = Rig::stable(1);
    assert_eq!(rig.sync_error(&sync("stranger", 1, &[])), code::UNKNOWN_MEMBER_ID);
    assert_eq!(rig.sync_error(&sync("m1", 0, &[])), code::ILLEGAL_GENERATION);
    assert_eq!(rig.sync_error(&sync("m1", 2, &[])), code::ILLEGAL_GENERATION);
    for (protocol_type, protocol, expected) in [
        (Some("consumer"), Some("range"), 0),
        (Some("connect"), Some("range"), code::INCONSISTENT_GROUP_PROTOCOL),
        (Some("consumer"), Some("sticky"), code::INCONSISTENT_GROUP_PROTOCOL),
    ] {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let said =
            Sync { protocol_type: text(protocol_type), protocol: text(protocol), ..sync("m1", 1, &[]) };
        assert_eq!(rig.sync_error(&said), expected, "{protocol_type:?} {protocol:?}");
    }
}

#[test]
fn members_that_do_not_ask_for_their_assignment_are_removed() {
    let mut rig = Rig::stable(2);
    rig.begin(join("m1"));
    rig.begin(join("m2"));
    rig.sync(&sync("m1", 2, &[])).unwrap();
    for _ in 0..3 {
        rig.pass(9);
        assert_eq!((rig.heartbeat("m1", 2), rig.heartbeat("m2", 2)), (0, 0));
    }

    rig.pass(3);

    assert_eq!(rig.ids(), ["m1"]);
    assert_eq!(rig.state(), (GroupState::PreparingRebalance, 2));
}

#[test]
fn a_join_without_need_changes_nothing() {
    let mut rig = Rig::stable(2);
    let follower = rig.join(join("m2"));
    assert_eq!((follower.generation, follower.leader.as_str(), follower.members.len()), (1, "m1", 0));
    assert_eq!(rig.state(), (GroupState::Stable, 1));

    rig.begin(join("m1"));
    rig.begin(join("m2"));
    // The answer was lost.
    let leader = rig.join(join("m1"));
    assert_eq!((leader.generation, leader.members.len()), (2, 2));
    assert_eq!(rig.state(), (GroupState::CompletingRebalance, 2));
}

#[test]
fn a_join_with_need_has_all_join_anew() {
    // The leader, because partitions were added.
    let mut rig = Rig::stable(2);
    rig.begin(join("m1"));
    assert_eq!(rig.state(), (GroupState::PreparingRebalance, 1));
    // A member that reads other topics now.
    let changed = || Join { protocols: protocols(&["range", "other"]), ..join("m2") };
    let mut rig = Rig::stable(2);
    rig.begin(changed());
    assert_eq!(rig.state(), (GroupState::PreparingRebalance, 1));
    let mut rig = Rig::stable(2);
    rig.begin(join("m1"));
    rig.begin(join("m2"));
    rig.begin(changed());
    assert_eq!(rig.state(), (GroupState::PreparingRebalance, 2));
}

#[test]
fn members_vote_for_a_protocol_that_all_of_them_know() {
    for (votes, expected) in [
        (vec![vec!["range"]], "range"),
        (vec![vec!["sticky", "range"], vec!["range", "sticky"], vec!["range", "sticky"]], "range"),
        (vec![vec!["sticky", "range"], vec!["range"], vec!["sticky", "range"]], "range"),
        (vec![vec!["b", "a"], vec!["a", "b"]], "a"),
    ] {
        let mut rig = Rig::default();
        for names in &votes {
            rig.begin(Join { protocols: protocols(names), ..Rig::waiting(3)("") });
        }
        rig.pass(6);
        assert_eq!(rig.group.protocol.as_deref(), Some(expected), "{votes:?}");
        let metadata = rig.group.members["m1"].told("m1", expected).metadata;
        assert_eq!(metadata, format!("topics for {expected}"));
    }
}

#[test]
fn a_member_with_which_the_others_cannot_agree_is_refused() {
    let mut rig = Rig::stable(1);
    let other_type = Join { protocol_type: "connect".to_owned(), ..join("") };
    let other_protocol = Join { protocols: protocols(&["sticky"]), ..join("") };
    for wrong in [other_type, other_protocol] {
        assert_eq!(rig.join(wrong).error, code::INCONSISTENT_GROUP_PROTOCOL);
    }
    let again = Join { protocol_type: "connect".to_owned(), ..join("m1") };
    assert_eq!(rig.join(again).error, code::INCONSISTENT_GROUP_PROTOCOL);
    assert_eq!(rig.state(), (GroupState::Stable, 1));

    let mut rig = Rig::default();
    let nothing = Join { protocols: Vec::new(), ..join("") };
    assert_eq!(rig.join(nothing).error, code::INCONSISTENT_GROUP_PROTOCOL);
    let no_type = Join { protocol_type: String::new(), ..join("") };
    assert_eq!(rig.join(no_type).error, code::INCONSISTENT_GROUP_PROTOCOL);
}

#[test]
fn a_request_that_is_sent_again_takes_the_place_of_the_first() {
    let mut rig = Rig::stable(2);
    let (lost, again) = (rig.begin(join("m1")), rig.begin(join("m1")));
    assert_eq!(rig.joined(lost).unwrap().error, code::REBALANCE_IN_PROGRESS);
    rig.begin(join("m2"));
    assert_eq!(rig.joined(again).unwrap().generation, 2);

    let (lost, again) = (rig.begin_sync(&sync("m2", 2, &[])), rig.begin_sync(&sync("m2", 2, &[])));
    assert_eq!(rig.synced(lost).unwrap().error, code::REBALANCE_IN_PROGRESS);
    rig.sync(&sync("m1", 2, &[("m2", "right")])).unwrap();
    assert_eq!(rig.synced(again).unwrap().assignment, "right");
}

#[test]
fn what_was_due_long_ago_is_done_as_if_it_had_been_looked_at_in_time() {
    let mut rig = Rig::stable(2);
    let waiting = rig.begin(join("m1"));

    rig.pass(10_000);

    let joined = rig.joined(waiting).unwrap();
    // m2 died after 10 s, so the first generation without it began then, and m1 has died since.
    assert_eq!((joined.generation, joined.error), (2, 0));
    assert_eq!(rig.state(), (GroupState::Empty, 3));
    assert_eq!(rig.group.next_deadline(), None::<Duration>);
}
