//! Members that leave, or are heard of no longer.

use std::time::Duration;

use super::ClassicGroup;
use crate::error::code;
use crate::groups::answers::{JoinAnswer, SyncAnswer};
use crate::groups::snapshot::GroupState;

/// What is due.
enum Due {
    JoinPhase,
    Member(String),
    Pending(String),
    Sync,
}

impl ClassicGroup {
    /// LeaveGroup for one member. A client that administers the group may name a static member by its instance id alone.
    pub(crate) fn leave(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        now: Duration,
    ) -> Result<(), i16> {
        let id = match instance_id {
            Some(instance_id) if member_id.is_empty() => {
                self.holder_of(instance_id).ok_or(code::UNKNOWN_MEMBER_ID)?.to_owned()
            }
            _ => member_id.to_owned(),
        };
        if self.pending.contains_key(&id) {
            self.forget_pending(&id, now);
            return Ok(());
        }
        self.check_member(&id, instance_id)?;
        self.dismiss(&id, now);
        Ok(())
    }

    /// Does what was due up to now, in its order.
    pub(crate) fn expire(&mut self, now: Duration) {
        while let Some((at, due)) = self.due(now) {
            self.has_news = true;
            match due {
                Due::JoinPhase => self.end_join_phase(at),
                Due::Member(id) => self.dismiss(&id, at),
                Due::Pending(id) => self.forget_pending(&id, at),
                Due::Sync => self.expel_those_who_owe_sync(at),
            }
        }
    }

    /// What is due next, and since when.
    fn due(&self, now: Duration) -> Option<(Duration, Due)> {
        let at = self.next_deadline().filter(|at| *at <= now)?;
        if let Some((id, _)) = self.members.iter().find(|(_, member)| member.deadline() == Some(at)) {
            return Some((at, Due::Member(id.clone())));
        }
        if let Some((id, _)) = self.pending.iter().find(|(_, deadline)| **deadline == at) {
            return Some((at, Due::Pending(id.clone())));
        }
        let due = if self.sync_ends == Some(at) { Due::Sync } else { Due::JoinPhase };
        Some((at, due))
    }

    fn expel_those_who_owe_sync(&mut self, now: Duration) {
        self.sync_ends = None;
        let owing: Vec<_> =
            self.members.iter().filter(|(_, member)| member.owes_sync).map(|(id, _)| id.clone()).collect();
        if !owing.is_empty() {
            owing.iter().for_each(|id| self.remove(id));
            self.rebalance(Duration::ZERO, now);
        }
    }

    /// Removes a member, which is turned away if it waits. The others join anew.
    fn dismiss(&mut self, id: &str, now: Duration) {
        self.answer_join(id, |_| JoinAnswer::failed(code::UNKNOWN_MEMBER_ID, ""));
        self.answer_sync(id, SyncAnswer::failed(code::UNKNOWN_MEMBER_ID));
        self.remove(id);
        self.rebalance(Duration::ZERO, now);
    }

    /// Expects no member with this id any more.
    fn forget_pending(&mut self, id: &str, now: Duration) {
        self.pending.remove(id);
        self.has_news = true;
        if self.state == GroupState::PreparingRebalance {
            self.complete_if_all_joined(now);
        }
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.members.remove(id);
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.has_news = true;
    }
}
