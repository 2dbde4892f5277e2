//! What holds whatever clients do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::{Rig, join};
use crate::groups::Committer;
use crate::groups::answers::Ticket;
use crate::groups::classic::{Join, Sync};
use crate::groups::snapshot::GroupState;

/// What some client does; members are chosen by number.
#[derive(Debug, Clone)]
enum Act {
    Commit(usize, i32),
    Heartbeat(usize, i32),
    JoinAgain(usize, bool),
    JoinAsNew { is_newer: bool, instance: Option<u8> },
    Leave(usize),
    Move,
    Pass(u64),
    Sync(usize, i32),
}

fn act() -> impl Strategy<Value = Act> {
    let who = any::<usize>;
    let lag = || prop_oneof![4 => proptest::strategy::Just(0), 1 => -2..2_i32];
    let instance = || proptest::option::weighted(0.2, 0..3_u8);
    prop_oneof![
        2 => (who(), lag()).prop_map(|(who, lag)| Act::Commit(who, lag)),
        4 => (who(), lag()).prop_map(|(who, lag)| Act::Heartbeat(who, lag)),
        6 => (who(), any::<bool>()).prop_map(|(who, is_changed)| Act::JoinAgain(who, is_changed)),
        4 => (any::<bool>(), instance()).prop_map(|(is_newer, instance)| Act::JoinAsNew { is_newer, instance }),
        1 => who().prop_map(Act::Leave),
        1 => proptest::strategy::Just(Act::Move),
        3 => (0..20_u64).prop_map(Act::Pass),
        6 => (who(), lag()).prop_map(|(who, lag)| Act::Sync(who, lag)),
    ]
}

/// A group, its clients, and what they were told.
#[derive(Default)]
struct World {
    rig: Rig,
    /// Ids that were given out, with instance ids.
    ids: Vec<(String, Option<String>)>,
    joins: BTreeSet<Ticket>,
    syncs: BTreeMap<Ticket, (String, i32)>,
    /// Who was told to read what, by generation.
    owners: BTreeMap<(i32, Bytes), String>,
}

impl World {
    fn member(&self, who: usize) -> Option<(String, Option<String>)> {
        self.ids.get(who.checked_rem(self.ids.len())?).cloned()
    }

    fn join(&mut self, join: Join) {
        let instance = join.instance_id.clone();
        let ticket = self.rig.begin(join);
        self.ids.push((format!("m{}", self.rig.new_ids), instance));
        self.joins.insert(ticket);
    }

    fn sync(&mut self, id: String, instance_id: Option<String>, generation: i32) -> Result<(), TestError> {
        let is_stale = generation != self.rig.group.generation;
        // What is assigned names the generation and the member.
        let told = self.rig.group.members.keys();
        let assignments = told.map(|id| (id.clone(), Bytes::from(format!("{generation} {id}")))).collect();
        let sync = Sync {
            member_id: id.clone(),
            instance_id,
            generation,
            protocol_type: None,
            protocol: None,
            assignments,
        };
        let ticket = self.rig.begin_sync(&sync);
        if is_stale {
            let answer = self.rig.synced(ticket);
            prop_assert!(answer.is_some_and(|answer| answer.error != 0), "stale sync of {id}");
        } else {
            self.syncs.insert(ticket, (id, generation));
        }
        Ok(())
    }

    fn act(&mut self, act: Act) -> Result<(), TestError> {
        let now = self.rig.now;
        match act {
            Act::JoinAsNew { is_newer, instance } => self.join(Join {
                must_know_its_id: is_newer,
                can_skip_assignment: is_newer,
                instance_id: instance.map(|instance| format!("i{instance}")),
                initial_delay: Duration::from_secs(if is_newer { 3 } else { 0 }),
                ..join("")
            }),
            Act::Pass(seconds) => self.rig.pass(seconds),
            Act::Move => self.rig.group.move_coordinator(now),
            Act::Commit(who, lag) => {
                let Some((id, instance)) = self.member(who) else { return Ok(()) };
                let by = Committer {
                    member_id: &id,
                    instance_id: instance.as_deref(),
                    generation: self.rig.group.generation + lag,
                    is_transactional: false,
                    knows_newer_errors: true,
                };
                let taken = self.rig.group.check_commit(by, now).is_ok();
                prop_assert!(!taken || lag == 0 || by.generation < 0, "stale commit of {id}");
            }
            Act::Heartbeat(who, lag) => {
                let Some((id, instance)) = self.member(who) else { return Ok(()) };
                let generation = self.rig.group.generation + lag;
                let taken = self.rig.group.heartbeat(&id, instance.as_deref(), generation, now).is_ok();
                prop_assert!(!taken || lag == 0, "stale heartbeat of {id}");
            }
            Act::JoinAgain(who, is_changed) => {
                let Some((id, instance_id)) = self.member(who) else { return Ok(()) };
                let protocols = super::protocols(if is_changed { &["range", "other"] } else { &["range"] });
                self.join(Join { instance_id, protocols, ..join(&id) });
                self.ids.pop();
            }
            Act::Leave(who) => {
                let Some((id, _)) = self.member(who) else { return Ok(()) };
                self.rig.leave(&id);
            }
            Act::Sync(who, lag) => {
                let Some((id, instance)) = self.member(who) else { return Ok(()) };
                self.sync(id, instance, self.rig.group.generation + lag)?;
            }
        }
        Ok(())
    }

    /// Fetches the answers that are ready, and looks at the group.
    fn look(&mut self, generation_before: i32) -> Result<(), TestError> {
        let rig = &mut self.rig;
        rig.group.expire(rig.now);
        let mut joined = Vec::new();
        self.joins.retain(|ticket| match rig.joined(*ticket) {
            Some(answer) => {
                joined.push(answer);
                false
            }
            None => true,
        });
        for answer in joined.iter().filter(|answer| answer.error == 0) {
            prop_assert!(answer.generation >= generation_before, "a generation that is over");
        }
        let mut synced = Vec::new();
        self.syncs.retain(|ticket, asked| match rig.synced(*ticket) {
            Some(answer) => {
                synced.push((asked.clone(), answer));
                false
            }
            None => true,
        });
        for ((id, generation), answer) in synced {
            if answer.error != 0 || answer.assignment.is_empty() {
                continue;
            }
            let owner = self.owners.entry((generation, answer.assignment)).or_insert_with(|| id.clone());
            let heir = format!("of the same instance as {owner}");
            let is_heir = self.ids.iter().any(|(known, instance)| known == owner && instance.is_some());
            prop_assert!(*owner == id || is_heir, "{id} owns what {owner} owns, and is not {heir}");
        }
        let group = &self.rig.group;
        prop_assert!(group.generation >= generation_before);
        prop_assert_eq!(group.members.is_empty(), group.leader.is_none());
        prop_assert!(group.leader.as_ref().is_none_or(|leader| group.members.contains_key(leader)));
        prop_assert!(group.members.is_empty() || group.state != GroupState::Empty);
        prop_assert!(group.next_deadline().is_none_or(|deadline| deadline > self.rig.now));
        Ok(())
    }
}

type TestError = proptest::test_runner::TestCaseError;

proptest! {
    #[test]
    fn a_group_keeps_its_promises(acts in vec(act(), 1..80)) {
        let mut world = World::default();
        for act in acts {
            let before = world.rig.group.generation;
            world.act(act)?;
            world.look(before)?;
        }

        // Nothing is heard of any of them any more.
        let before = world.rig.group.generation;
        world.rig.pass(100_000);
        world.look(before)?;
        prop_assert_eq!(world.rig.group.state, GroupState::Empty);
        prop_assert!(world.joins.is_empty() && world.syncs.is_empty(), "some wait for ever");
        prop_assert_eq!(world.rig.group.next_deadline(), None);
    }

    #[test]
    fn a_member_that_dies_leads_to_a_rebalance(members in 2..6_usize, dead in any::<usize>()) {
        let mut rig = Rig::stable(members);
        let dead = format!("m{}", dead % members + 1);
        let living: Vec<_> = rig.ids().into_iter().filter(|id| *id != dead).map(str::to_owned).collect();
        for _ in 0..2 {
            rig.pass(5);
            for id in &living {
                rig.heartbeat(id, 1);
            }
        }

        prop_assert_eq!(rig.state(), (GroupState::PreparingRebalance, 1));
        let tickets: Vec<_> = living.iter().map(|id| rig.begin(join(id))).collect();
        for ticket in tickets {
            let answer = rig.joined(ticket);
            prop_assert!(answer.is_some_and(|answer| answer.generation == 2 && answer.leader != dead));
        }
    }
}
