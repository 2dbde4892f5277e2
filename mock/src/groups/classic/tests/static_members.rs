//! Members with a `group.instance.id` (KIP-345).

use super::{Rig, join, protocols, sync};
use crate::error::code;
use crate::groups::classic::Join;
use crate::groups::snapshot::GroupState;

fn fixed(member_id: &str) -> Join {
    Join {
        instance_id: Some("instance".to_owned()),
        must_know_its_id: true,
        can_skip_assignment: true,
        ..join(member_id)
    }
}

/// A static member, `m1`, which leads, and another one.
fn rig() -> Rig {
    let mut rig = Rig::default();
    let delay = Rig::waiting(3)("").initial_delay;
    rig.begin(Join { initial_delay: delay, ..fixed("") });
    rig.begin(Rig::waiting(3)(""));
    rig.pass(6);
    rig.sync(&sync("m1", 1, &[("m1", "left"), ("m2", "right")])).unwrap();
    rig.sync(&sync("m2", 1, &[])).unwrap();
    rig
}

#[test]
fn a_static_member_that_is_back_goes_on_without_a_rebalance() {
    for can_skip_assignment in [true, false] {
        let mut rig = rig();

        let back = rig.join(Join { can_skip_assignment, ..fixed("") });

        assert_eq!((back.error, back.generation, back.member_id.as_str()), (0, 1, "m3"));
        assert_eq!(rig.state(), (GroupState::Stable, 1));
        // It does not decide again: it is told so, or that another leads.
        assert_eq!(back.skips_assignment, can_skip_assignment);
        assert_eq!(back.leader, if can_skip_assignment { "m3" } else { "m1" });
        assert_eq!(rig.sync(&sync("m3", 1, &[])).unwrap().assignment, "left");
    }
}

#[test]
fn the_one_that_it_was_is_fenced() {
    let mut rig = rig();
    let waiting = rig.begin(fixed("m1"));

    rig.begin(fixed(""));

    assert_eq!(rig.joined(waiting).unwrap().error, code::FENCED_INSTANCE_ID);
    let beat = |rig: &mut Rig, id, instance| rig.group.heartbeat(id, Some(instance), 1, rig.now);
    assert_eq!(beat(&mut rig, "m1", "instance"), Err(code::FENCED_INSTANCE_ID));
    assert_eq!(beat(&mut rig, "m3", "other"), Err(code::UNKNOWN_MEMBER_ID));
    assert_eq!(rig.join(fixed("m1")).error, code::FENCED_INSTANCE_ID);
}

#[test]
fn a_static_member_that_is_back_with_another_protocol_has_all_join_anew() {
    let mut rig = Rig::default();
    rig.join(fixed(""));
    rig.sync(&sync("m1", 1, &[])).unwrap();

    let back = rig.begin(Join { protocols: protocols(&["sticky", "range"]), ..fixed("") });

    let back = rig.joined(back).unwrap();
    assert_eq!((back.generation, back.protocol.as_deref()), (2, Some("sticky")));
}

#[test]
fn a_static_member_that_is_back_before_the_leader_has_decided_has_all_join_anew() {
    let mut rig = rig();
    rig.begin(fixed("m1"));
    rig.begin(join("m2"));
    assert_eq!(rig.state(), (GroupState::CompletingRebalance, 2));

    let back = rig.begin(fixed(""));

    assert_eq!(rig.state(), (GroupState::PreparingRebalance, 2));
    rig.begin(join("m2"));
    assert_eq!(rig.joined(back).unwrap().generation, 3);
}

#[test]
fn a_static_member_that_does_not_join_in_time_stays_until_its_session_ends() {
    let mut rig = rig();
    let other = rig.begin(Join { protocols: protocols(&["range", "other"]), ..join("m2") });
    for _ in 0..3 {
        rig.pass(9);
        let beat = rig.group.heartbeat("m1", Some("instance"), 1, rig.now);
        assert_eq!(beat, Err(code::REBALANCE_IN_PROGRESS));
    }

    rig.pass(3);
    assert_eq!((rig.joined(other).unwrap().leader.as_str(), rig.ids().len()), ("m2", 2));
    rig.sync(&sync("m2", 2, &[])).unwrap();
    rig.pass(9);
    assert_eq!(rig.heartbeat("m2", 2), 0);
    rig.pass(1);

    assert_eq!(rig.ids(), ["m2"]);
    assert_eq!(rig.state(), (GroupState::PreparingRebalance, 2));
}

#[test]
fn static_members_are_removed_by_their_instance() {
    let mut rig = rig();
    assert_eq!(rig.group.leave("", Some("other"), rig.now), Err(code::UNKNOWN_MEMBER_ID));
    assert_eq!(rig.group.leave("m2", Some("instance"), rig.now), Err(code::FENCED_INSTANCE_ID));

    assert_eq!(rig.group.leave("", Some("instance"), rig.now), Ok(()));

    assert_eq!(rig.ids(), ["m2"]);
}
