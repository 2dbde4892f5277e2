//! From the last member that joins to the assignment of each: SyncGroup.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::{ClassicGroup, Extension, JoinPhase, Sync};
use crate::error::code;
use crate::groups::answers::{SyncAnswer, Ticket};
use crate::groups::member::{Awaited, Member};
use crate::groups::snapshot::GroupState;

impl ClassicGroup {
    /// Takes in SyncGroup. The answer is there at once, or once the leader has decided.
    pub(crate) fn sync(&mut self, sync: &Sync, now: Duration) -> Ticket {
        let ticket = self.syncs.ticket();
        if let Err(error) = self.check_sync(sync) {
            self.syncs.put(ticket, SyncAnswer::failed(error));
            return ticket;
        }
        // What it asked for before has no reader any more.
        self.answer_sync(&sync.member_id, SyncAnswer::failed(code::REBALANCE_IN_PROGRESS));
        let Some(member) = self.members.get_mut(&sync.member_id) else { return ticket };
        member.awaits = Awaited::Sync(ticket);
        member.owes_sync = false;
        self.has_news = true;
        if self.state == GroupState::Stable {
            let answer = self.assigned(&sync.member_id);
            self.answer_sync(&sync.member_id, answer);
        } else if self.is_leader(&sync.member_id) {
            self.assign(&sync.assignments, now);
        }
        ticket
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), i16> {
        self.check_member(&sync.member_id, sync.instance_id.as_deref())?;
        if sync.generation != self.generation {
            return Err(code::ILLEGAL_GENERATION);
        }
        let differs = |said: &Option<String>, is: &Option<String>| said.is_some() && said != is;
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            return Err(code::INCONSISTENT_GROUP_PROTOCOL);
        }
        match self.state {
            GroupState::Empty => Err(code::UNKNOWN_MEMBER_ID),
            GroupState::PreparingRebalance => Err(code::REBALANCE_IN_PROGRESS),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// The leader has decided. Members that it has left out read nothing.
    fn assign(&mut self, assignments: &BTreeMap<String, Bytes>, now: Duration) {
        self.state = GroupState::Stable;
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignments.get(&id).cloned().unwrap_or_default();
            }
            let answer = self.assigned(&id);
            if self.answer_sync(&id, answer) {
                self.heard_of(&id, now);
            }
        }
    }

    fn assigned(&self, id: &str) -> SyncAnswer {
        SyncAnswer {
            error: code::NONE,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(id).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }

    /// Turns away those who wait for an assignment that will not come.
    pub(super) fn refuse_syncs(&mut self, now: Duration) {
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            if self.answer_sync(&id, SyncAnswer::failed(code::REBALANCE_IN_PROGRESS)) {
                self.heard_of(&id, now);
            }
        }
    }

    /// The time for joining is over, unless a group that was empty waits for more members.
    pub(super) fn end_join_phase(&mut self, now: Duration) {
        match self.joining {
            Some(JoinPhase { extension: Some(extension), .. })
                if extension.has_new_member && !extension.remaining.is_zero() =>
            {
                let Extension { delay, remaining, .. } = extension;
                let delay = delay.min(remaining);
                let remaining = remaining.saturating_sub(extension.delay);
                let extension = Extension { delay, remaining, has_new_member: false };
                self.joining = Some(JoinPhase { ends: now + delay, extension: Some(extension) });
            }
            _ => self.complete(now),
        }
    }

    /// Begins a generation with those who have joined.
    pub(super) fn complete(&mut self, now: Duration) {
        self.joining = None;
        self.has_news = true;
        let is_late = |member: &Member| !member.awaits_join() && member.instance_id.is_none();
        let late = self.members.iter().filter(|(_, member)| is_late(member));
        let late: Vec<_> = late.map(|(id, _)| id.clone()).collect();
        late.iter().for_each(|id| self.remove(id));
        if !self.elect_leader() && !self.members.is_empty() {
            // Static members alone are left. They have until their sessions end.
            let pause = self.rebalance_timeout().max(SHORTEST_PAUSE);
            self.joining = Some(JoinPhase { ends: now + pause, extension: None });
            return;
        }
        self.generation += 1;
        self.protocol = self.select_protocol();
        if self.members.is_empty() {
            self.state = GroupState::Empty;
            return;
        }
        self.state = GroupState::CompletingRebalance;
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            self.answer_join(&id, |group| group.joined(&id));
            if let Some(member) = self.members.get_mut(&id) {
                member.heard_of(now);
                member.is_new = false;
                member.owes_sync = true;
                member.assignment = Bytes::new();
            }
        }
        self.sync_ends = Some(now + self.rebalance_timeout());
    }

    /// Makes a member the leader that has joined. Returns whether there is one.
    fn elect_leader(&mut self) -> bool {
        let has_joined = |id: &String| self.members.get(id).is_some_and(|member| member.awaits_join());
        if !self.leader.as_ref().is_some_and(has_joined) {
            let joined = self.members.keys().find(|id| has_joined(id)).cloned();
            if joined.is_some() {
                self.leader = joined;
                return true;
            }
            return false;
        }
        true
    }

    /// The protocol for which most members vote, of those that all of them know; the first by name of several.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let names = self.members.values().flat_map(|member| &member.protocols).map(|(name, _)| name);
        let common: BTreeSet<_> =
            names.filter(|name| self.members.values().all(|member| member.supports(name))).collect();
        let mut votes: BTreeMap<&String, usize> = BTreeMap::new();
        for member in self.members.values() {
            let favourite = member.protocols.iter().map(|(name, _)| name).find(|name| common.contains(name));
            if let Some(favourite) = favourite {
                *votes.entry(favourite).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }
}

/// So that a group whose members allow no time for joining is not looked at without end.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
