//! The members of a group that agree by the classic protocol: one of them decides who reads what.
//!
//! The rules are those of Kafka's `GroupMetadataManager` and `ClassicGroup`. Time passes when a caller says so: [`ClassicGroup::expire`]
//! does what was due, in its order, and [`ClassicGroup::next_deadline`] says when to call it again.
//!
//! ```text
//!          join                      all have joined, or join_ends           the leader's sync
//!   Empty ─────► PreparingRebalance ─────────────────► CompletingRebalance ─────────────────► Stable
//!     ▲                │      ▲                                 │                               │
//!     └─ none is left ─┘      └── a member joins, leaves, changes, dies, or does not sync ──────┘
//! ```

mod ending;
mod joining;
mod rebalancing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::Committer;
use super::answers::{Answers, JoinAnswer, SyncAnswer, Ticket};
use super::member::{Awaited, Member};
use super::snapshot::GroupState;
use crate::error::code;

/// What a member says when it joins.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    /// Empty if it has none yet.
    pub(crate) member_id: String,
    /// The id that it gets if it has none yet.
    pub(crate) new_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Whether it must come again with the id that it is given (KIP-394).
    pub(crate) must_know_its_id: bool,
    /// Whether it can be told to decide nothing as the leader (KIP-814).
    pub(crate) can_skip_assignment: bool,
    /// How long the group waits for more members if it had none.
    pub(crate) initial_delay: Duration,
}

/// What a member says when it asks for its assignment.
#[derive(Debug, Clone)]
pub(crate) struct Sync {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    /// By member id; empty unless the leader sends it.
    pub(crate) assignments: BTreeMap<String, Bytes>,
}

/// Until when members may join.
#[derive(Debug, Clone, Copy)]
struct JoinPhase {
    ends: Duration,
    /// How much longer it may last because of members that come late; `None` unless the group was empty.
    extension: Option<Extension>,
}

#[derive(Debug, Clone, Copy)]
struct Extension {
    delay: Duration,
    remaining: Duration,
    has_new_member: bool,
}

/// The members of a group, and how far they are with agreeing.
#[derive(Debug, Default)]
pub(crate) struct ClassicGroup {
    pub(super) state: GroupState,
    /// One more whenever members have agreed on who they are.
    pub(super) generation: i32,
    /// Set by the first member; others must have the same.
    protocol_type: Option<String>,
    /// That of the present generation.
    pub(super) protocol: Option<String>,
    /// One of `members`, if there are any.
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Ids with which no member has come yet, and when they are forgotten.
    pending: BTreeMap<String, Duration>,
    /// In PreparingRebalance only.
    joining: Option<JoinPhase>,
    /// When members that owe a SyncGroup are removed.
    sync_ends: Option<Duration>,
    joins: Answers<JoinAnswer>,
    syncs: Answers<SyncAnswer>,
    /// Whether anything has changed that those who wait may want to know.
    has_news: bool,
}

impl ClassicGroup {
    /// Fetches the answer to JoinGroup, once it is there.
    pub(crate) fn take_join(&mut self, ticket: Ticket) -> Option<JoinAnswer> {
        self.joins.take(ticket)
    }

    /// Fetches the answer to SyncGroup, once it is there.
    pub(crate) fn take_sync(&mut self, ticket: Ticket) -> Option<SyncAnswer> {
        self.syncs.take(ticket)
    }

    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    pub(crate) fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Duration,
    ) -> Result<(), i16> {
        self.check_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(code::ILLEGAL_GENERATION);
        }
        self.heard_of(member_id, now);
        match self.state {
            GroupState::Empty => Err(code::UNKNOWN_MEMBER_ID),
            GroupState::PreparingRebalance => Err(code::REBALANCE_IN_PROGRESS),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// Says whether the member may commit, and takes a commit as a sign of life.
    pub(crate) fn check_commit(&mut self, by: Committer<'_>, now: Duration) -> Result<(), i16> {
        let is_simple = by.generation < 0 && self.state == GroupState::Empty;
        if is_simple || by.says_nothing() && by.is_transactional {
            return Ok(());
        }
        if by.says_nothing() {
            return Err(code::UNKNOWN_MEMBER_ID);
        }
        self.check_member(by.member_id, by.instance_id)?;
        if by.generation != self.generation {
            return Err(code::ILLEGAL_GENERATION);
        }
        if !by.is_transactional {
            if self.state == GroupState::CompletingRebalance {
                return Err(code::REBALANCE_IN_PROGRESS);
            }
            self.heard_of(by.member_id, now);
        }
        Ok(())
    }

    /// Another broker coordinates from now on: requests that wait are turned away, and members have as long as after a heartbeat.
    pub(crate) fn move_coordinator(&mut self, now: Duration) {
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            self.answer_join(&id, |_| JoinAnswer::failed(code::NOT_COORDINATOR, ""));
            self.answer_sync(&id, SyncAnswer::failed(code::NOT_COORDINATOR));
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
                member.heard_of(now);
            }
        }
        self.has_news = true;
    }

    /// When something happens by itself.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let members = self.members.values().filter_map(Member::deadline);
        let joining = self.joining.map(|joining| joining.ends);
        members.chain(self.pending.values().copied()).chain(joining).chain(self.sync_ends).min()
    }

    /// Whether a member has ever joined.
    pub(crate) fn was_used(&self) -> bool {
        self.generation > 0 || self.state != GroupState::Empty || !self.pending.is_empty()
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    fn heard_of(&mut self, member_id: &str, now: Duration) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.heard_of(now);
        }
    }

    fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), i16> {
        if let Some(instance_id) = instance_id {
            match self.holder_of(instance_id) {
                None => return Err(code::UNKNOWN_MEMBER_ID),
                Some(holder) if holder != member_id => return Err(code::FENCED_INSTANCE_ID),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(code::UNKNOWN_MEMBER_ID) }
    }

    /// The member with this `group.instance.id`.
    fn holder_of(&self, instance_id: &str) -> Option<&str> {
        let mut members = self.members.iter();
        let holder = members.find(|(_, member)| member.instance_id.as_deref() == Some(instance_id));
        holder.map(|(id, _)| id.as_str())
    }

    fn has_all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(Member::awaits_join)
    }

    /// The longest of all members.
    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    fn answer_join(&mut self, id: &str, answer: impl FnOnce(&Self) -> JoinAnswer) {
        let awaits = self.members.get(id).map(|member| member.awaits);
        if let Some(Awaited::Join(ticket)) = awaits {
            let answer = answer(self);
            self.joins.put(ticket, answer);
            self.await_nothing(id);
        }
    }

    /// Answers a member that waits for its assignment. Returns whether it did.
    fn answer_sync(&mut self, id: &str, answer: SyncAnswer) -> bool {
        let awaits = self.members.get(id).map(|member| member.awaits);
        let Some(Awaited::Sync(ticket)) = awaits else { return false };
        self.syncs.put(ticket, answer);
        self.await_nothing(id);
        true
    }

    fn await_nothing(&mut self, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.awaits = Awaited::Nothing;
        }
        self.has_news = true;
    }

    /// The present generation, as a member is told of it that has joined.
    fn joined(&self, id: &str) -> JoinAnswer {
        let protocol = self.protocol.clone().unwrap_or_default();
        let told = || self.members.iter().map(|(id, member)| member.told(id, &protocol)).collect();
        JoinAnswer {
            error: code::NONE,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skips_assignment: false,
            member_id: id.to_owned(),
            members: if self.is_leader(id) { told() } else { Vec::new() },
        }
    }
}
