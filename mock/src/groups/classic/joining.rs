//! JoinGroup.

use std::time::Duration;

use bytes::Bytes;

use super::{ClassicGroup, Extension, Join, JoinPhase};
use crate::error::code;
use crate::groups::answers::{JoinAnswer, SyncAnswer, Ticket};
use crate::groups::member::{Awaited, Member};
use crate::groups::snapshot::GroupState;

impl ClassicGroup {
    /// Lets a member join. The answer is there at once, or once the others have joined.
    pub(crate) fn join(&mut self, join: &Join, now: Duration) -> Ticket {
        let ticket = self.joins.ticket();
        self.has_news = true;
        let answer = if join.member_id.is_empty() {
            self.join_as_new(join, ticket, now)
        } else {
            self.join_again(join, ticket, now)
        };
        if let Some(answer) = answer {
            self.joins.put(ticket, answer);
        }
        ticket
    }

    fn join_as_new(&mut self, join: &Join, ticket: Ticket, now: Duration) -> Option<JoinAnswer> {
        if !self.can_agree_with(join) {
            return Some(JoinAnswer::failed(code::INCONSISTENT_GROUP_PROTOCOL, ""));
        }
        let holder = join.instance_id.as_deref().and_then(|instance| self.holder_of(instance));
        if let Some(old_id) = holder.map(str::to_owned) {
            return self.replace(&old_id, join, ticket, now);
        }
        if join.must_know_its_id && join.instance_id.is_none() {
            self.pending.insert(join.new_id.clone(), now + join.session_timeout);
            return Some(JoinAnswer::failed(code::MEMBER_ID_REQUIRED, &join.new_id));
        }
        self.add(&join.new_id, join, ticket, now);
        None
    }

    fn join_again(&mut self, join: &Join, ticket: Ticket, now: Duration) -> Option<JoinAnswer> {
        let id = &join.member_id;
        let failed = |error| Some(JoinAnswer::failed(error, id));
        if !self.can_agree_with(join) {
            return failed(code::INCONSISTENT_GROUP_PROTOCOL);
        }
        if self.pending.contains_key(id) {
            if join.instance_id.is_some() {
                return failed(code::UNKNOWN_MEMBER_ID);
            }
            self.add(id, join, ticket, now);
            return None;
        }
        if let Err(error) = self.check_member(id, join.instance_id.as_deref()) {
            return failed(error);
        }
        let has_changed = self.members.get(id).is_some_and(|member| member.protocols != join.protocols);
        let needs_rebalance = match self.state {
            GroupState::CompletingRebalance => has_changed,
            // The leader asks for a rebalance in this way if it sees that partitions were added.
            GroupState::Stable => has_changed || self.is_leader(id),
            GroupState::Empty | GroupState::PreparingRebalance => true,
        };
        if !needs_rebalance {
            return Some(self.joined(id));
        }
        self.update(id, join, ticket);
        self.rebalance(join.initial_delay, now);
        None
    }

    /// Whether all members could use one of its protocols.
    fn can_agree_with(&self, join: &Join) -> bool {
        if self.state == GroupState::Empty {
            return !join.protocol_type.is_empty() && !join.protocols.is_empty();
        }
        let is_common = |name: &str| self.members.values().all(|member| member.supports(name));
        self.protocol_type.as_ref() == Some(&join.protocol_type)
            && join.protocols.iter().any(|(name, _)| is_common(name))
    }

    fn add(&mut self, id: &str, join: &Join, ticket: Ticket, now: Duration) {
        self.pending.remove(id);
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        let member = Member {
            instance_id: join.instance_id.clone(),
            client_id: join.client_id.clone(),
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: join.protocols.clone(),
            assignment: Bytes::new(),
            expires_at: now + NEW_MEMBER_TIMEOUT,
            awaits: Awaited::Join(ticket),
            is_new: true,
            owes_sync: false,
        };
        self.members.insert(id.to_owned(), member);
        self.leader.get_or_insert_with(|| id.to_owned());
        if let Some(JoinPhase { extension: Some(extension), .. }) = &mut self.joining {
            extension.has_new_member = true;
        }
        self.rebalance(join.initial_delay, now);
    }

    /// Takes in what a member says of itself, and has it wait.
    fn update(&mut self, id: &str, join: &Join, ticket: Ticket) {
        // What it asked for before has no reader any more.
        self.answer_join(id, |_| JoinAnswer::failed(code::REBALANCE_IN_PROGRESS, id));
        self.answer_sync(id, SyncAnswer::failed(code::REBALANCE_IN_PROGRESS));
        if let Some(member) = self.members.get_mut(id) {
            member.protocols = join.protocols.clone();
            member.rebalance_timeout = join.rebalance_timeout;
            member.session_timeout = join.session_timeout;
            member.awaits = Awaited::Join(ticket);
        }
    }

    /// A static member has come back without its id (KIP-345): it takes the place of the one that it was, which is fenced.
    fn replace(&mut self, old_id: &str, join: &Join, ticket: Ticket, now: Duration) -> Option<JoinAnswer> {
        let old_leader = self.leader.clone().unwrap_or_default();
        self.answer_join(old_id, |_| JoinAnswer::failed(code::FENCED_INSTANCE_ID, old_id));
        self.answer_sync(old_id, SyncAnswer::failed(code::FENCED_INSTANCE_ID));
        let id = &join.new_id;
        let mut member = self.members.remove(old_id)?;
        member.is_new = false;
        member.heard_of(now);
        self.members.insert(id.clone(), member);
        if old_leader == old_id {
            self.leader = Some(id.clone());
        }
        self.update(id, join, ticket);
        match self.state {
            GroupState::Stable if self.select_protocol() == self.protocol => {
                self.await_nothing(id);
                Some(self.rejoined(id, join.can_skip_assignment, old_leader))
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.prepare(join.initial_delay, now);
                None
            }
            GroupState::Empty | GroupState::PreparingRebalance => {
                self.complete_if_all_joined(now);
                None
            }
        }
    }

    /// What a static member is told that goes on in the present generation. One that does not know how to decide nothing is told that
    /// the one that it was leads, so that it does not decide.
    fn rejoined(&self, id: &str, can_skip_assignment: bool, old_leader: String) -> JoinAnswer {
        let joined = self.joined(id);
        if can_skip_assignment {
            return JoinAnswer { skips_assignment: self.is_leader(id), ..joined };
        }
        JoinAnswer { leader: old_leader, members: Vec::new(), ..joined }
    }

    /// Has members join anew, unless that is under way already.
    pub(super) fn rebalance(&mut self, initial_delay: Duration, now: Duration) {
        match self.state {
            GroupState::PreparingRebalance => self.complete_if_all_joined(now),
            GroupState::Empty | GroupState::CompletingRebalance | GroupState::Stable => {
                self.prepare(initial_delay, now);
            }
        }
    }

    /// Ends the phase in which members join, unless some are still expected. A group that was empty always waits for its time.
    pub(super) fn complete_if_all_joined(&mut self, now: Duration) {
        let may_end_early = self.joining.is_some_and(|joining| joining.extension.is_none());
        if may_end_early && self.has_all_joined() {
            self.complete(now);
        }
    }

    fn prepare(&mut self, initial_delay: Duration, now: Duration) {
        self.refuse_syncs(now);
        self.sync_ends = None;
        self.members.values_mut().for_each(|member| member.owes_sync = false);
        let was_empty = self.state == GroupState::Empty;
        self.state = GroupState::PreparingRebalance;
        let timeout = self.rebalance_timeout();
        if was_empty {
            let remaining = timeout.saturating_sub(initial_delay);
            let extension = Extension { delay: initial_delay, remaining, has_new_member: false };
            self.joining = Some(JoinPhase { ends: now + initial_delay, extension: Some(extension) });
            return;
        }
        self.joining = Some(JoinPhase { ends: now + timeout, extension: None });
        self.complete_if_all_joined(now);
    }
}

/// `CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`.
const NEW_MEMBER_TIMEOUT: Duration = Duration::from_secs(300);
