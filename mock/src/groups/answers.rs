//! Answers that members of a group wait for.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Stands for a request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// What has become of JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinAnswer {
    pub(crate) error: i16,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: String,
    /// Whether the leader has nothing to decide.
    pub(crate) skips_assignment: bool,
    pub(crate) member_id: String,
    /// Only the leader is told of the others.
    pub(crate) members: Vec<JoinedMember>,
}

/// A member, as the leader is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) metadata: Bytes,
}

impl JoinAnswer {
    pub(crate) fn failed(error: i16, member_id: &str) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skips_assignment: false,
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }
}

/// What has become of SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyncAnswer {
    pub(crate) error: i16,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignment: Bytes,
}

impl SyncAnswer {
    pub(crate) fn failed(error: i16) -> Self {
        Self { error, protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}

/// Answers that are ready and not fetched yet.
#[derive(Debug)]
pub(crate) struct Answers<A> {
    last: u64,
    ready: BTreeMap<Ticket, A>,
}

impl<A> Answers<A> {
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.last += 1;
        Ticket(self.last)
    }

    pub(crate) fn put(&mut self, ticket: Ticket, answer: A) {
        self.ready.insert(ticket, answer);
    }

    pub(crate) fn take(&mut self, ticket: Ticket) -> Option<A> {
        self.ready.remove(&ticket)
    }
}

impl<A> Default for Answers<A> {
    fn default() -> Self {
        Self { last: 0, ready: BTreeMap::new() }
    }
}
