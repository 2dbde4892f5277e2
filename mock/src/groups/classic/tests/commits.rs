//! Who may commit offsets.

use std::time::Duration;

use super::{Rig, join};
use crate::error::code;
use crate::groups::{Committer, Groups};

const GROUP: &str = "group";

fn by(member_id: &str, generation: i32) -> Committer<'_> {
    Committer { member_id, instance_id: None, generation, is_transactional: false, knows_newer_errors: false }
}

fn check(rig: &mut Rig, member_id: &str, generation: i32) -> [i16; 2] {
    [false, true].map(|is_transactional| {
        let by = Committer { is_transactional, ..by(member_id, generation) };
        rig.group.check_commit(by, rig.now).err().unwrap_or(0)
    })
}

#[test]
fn members_commit_in_their_generation() {
    let mut rig = Rig::stable(1);
    let unknown = code::UNKNOWN_MEMBER_ID;

    assert_eq!(check(&mut rig, "m1", 1), [0, 0]);
    assert_eq!(check(&mut rig, "m1", 0), [code::ILLEGAL_GENERATION; 2]);
    assert_eq!(check(&mut rig, "m1", 2), [code::ILLEGAL_GENERATION; 2]);
    assert_eq!(check(&mut rig, "m1", -1), [code::ILLEGAL_GENERATION; 2]);
    assert_eq!(check(&mut rig, "stranger", 1), [unknown; 2]);
    // Those that say nothing: only old producers may.
    assert_eq!(check(&mut rig, "", -1), [unknown, 0]);
}

#[test]
fn members_commit_while_others_join_but_not_while_the_leader_decides() {
    let mut rig = Rig::stable(1);
    rig.begin(join(""));
    assert_eq!(check(&mut rig, "m1", 1), [0, 0]);

    rig.begin(join("m1"));

    assert_eq!(check(&mut rig, "m1", 2), [code::REBALANCE_IN_PROGRESS, 0]);
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut rig = Rig::stable(1);
    for _ in 0..4 {
        rig.pass(9);
        assert_eq!(check(&mut rig, "m1", 1), [0, 0]);
    }
    assert_eq!(rig.ids(), ["m1"]);
}

#[test]
fn a_group_that_all_have_left_takes_offsets_of_those_in_no_group() {
    let mut rig = Rig::stable(1);
    rig.leave("m1");

    assert_eq!(check(&mut rig, "", -1), [0, 0]);
    assert_eq!(check(&mut rig, "m1", 1), [code::UNKNOWN_MEMBER_ID; 2]);
}

#[test]
fn a_group_that_no_member_has_joined_has_no_generation() {
    let mut groups = Groups::default();
    let mut check = |by| groups.check_member(GROUP, by, Duration::ZERO).err().unwrap_or(0);

    assert_eq!(check(by("", -1)), 0);
    assert_eq!(check(by("m1", 1)), code::ILLEGAL_GENERATION);
    assert_eq!(check(Committer { knows_newer_errors: true, ..by("m1", 1) }), code::GROUP_ID_NOT_FOUND);
    assert_eq!(check(Committer { is_transactional: true, ..by("m1", 1) }), 0);
}
