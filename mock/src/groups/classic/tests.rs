//! What Kafka's `GroupMetadataManagerTest` and `ClassicGroupTest` say of groups of the classic protocol.

mod commits;
mod members;
mod properties;
mod rebalances;
mod static_members;

use std::time::Duration;

use bytes::Bytes;

use super::{ClassicGroup, Join, Sync};
use crate::groups::answers::{JoinAnswer, SyncAnswer, Ticket};
use crate::groups::snapshot::GroupState;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(30);

/// A group, and what time it is.
#[derive(Default)]
struct Rig {
    group: ClassicGroup,
    now: Duration,
    /// Ids of members that have had none so far.
    new_ids: u32,
}

/// What a client says that knows no ids ahead of its first answer, as all did before version 4.
fn join(member_id: &str) -> Join {
    Join {
        member_id: member_id.to_owned(),
        new_id: String::new(),
        instance_id: None,
        client_id: "client".to_owned(),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: "consumer".to_owned(),
        protocols: protocols(&["range"]),
        must_know_its_id: false,
        can_skip_assignment: false,
        initial_delay: Duration::ZERO,
    }
}

fn protocols(names: &[&str]) -> Vec<(String, Bytes)> {
    let protocol = |name: &&str| ((*name).to_owned(), Bytes::from(format!("topics for {name}")));
    names.iter().map(protocol).collect()
}

fn sync(member_id: &str, generation: i32, assignments: &[(&str, &str)]) -> Sync {
    let given = |(id, what): &(&str, &str)| ((*id).to_owned(), Bytes::copy_from_slice(what.as_bytes()));
    Sync {
        member_id: member_id.to_owned(),
        instance_id: None,
        generation,
        protocol_type: None,
        protocol: None,
        assignments: assignments.iter().map(given).collect(),
    }
}

impl Rig {
    /// A group that waits for more members when it was empty.
    fn waiting(delay: u64) -> impl Fn(&str) -> Join {
        move |id| Join { initial_delay: Duration::from_secs(delay), ..join(id) }
    }

    fn begin(&mut self, mut join: Join) -> Ticket {
        self.new_ids += 1;
        join.new_id = format!("m{}", self.new_ids);
        self.group.expire(self.now);
        let ticket = self.group.join(&join, self.now);
        self.group.expire(self.now);
        ticket
    }

    fn join(&mut self, join: Join) -> JoinAnswer {
        let ticket = self.begin(join);
        self.joined(ticket).expect("answered at once")
    }

    fn joined(&mut self, ticket: Ticket) -> Option<JoinAnswer> {
        self.group.take_join(ticket)
    }

    fn sync(&mut self, sync: &Sync) -> Option<SyncAnswer> {
        let ticket = self.begin_sync(sync);
        self.synced(ticket)
    }

    fn begin_sync(&mut self, sync: &Sync) -> Ticket {
        self.group.expire(self.now);
        self.group.sync(sync, self.now)
    }

    fn synced(&mut self, ticket: Ticket) -> Option<SyncAnswer> {
        self.group.take_sync(ticket)
    }

    fn sync_error(&mut self, sync: &Sync) -> i16 {
        self.sync(sync).expect("answered at once").error
    }

    fn heartbeat(&mut self, member_id: &str, generation: i32) -> i16 {
        self.group.expire(self.now);
        self.group.heartbeat(member_id, None, generation, self.now).err().unwrap_or(0)
    }

    fn leave(&mut self, member_id: &str) -> i16 {
        self.group.leave(member_id, None, self.now).err().unwrap_or(0)
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.group.expire(self.now);
    }

    /// Members m1, m2 and so on, of which the first leads, each with an assignment of its own name.
    fn stable(members: usize) -> Self {
        let mut rig = Self::default();
        let tickets: Vec<_> = (0..members).map(|_| rig.begin(Self::waiting(3)(""))).collect();
        rig.pass(6);
        let ids: Vec<_> =
            tickets.into_iter().map(|ticket| rig.joined(ticket).expect("joined").member_id).collect();
        let all: Vec<_> = ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
        for id in &ids {
            let given = if id == "m1" { all.as_slice() } else { &[] };
            assert_eq!(rig.sync(&sync(id, 1, given)).expect("synced").assignment, *id);
        }
        assert_eq!(rig.state(), (GroupState::Stable, 1));
        rig
    }

    fn state(&self) -> (GroupState, i32) {
        (self.group.state, self.group.generation)
    }

    fn ids(&self) -> Vec<&str> {
        self.group.members.keys().map(String::as_str).collect()
    }
}
