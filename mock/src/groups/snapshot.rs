//! Consumer groups as a test sees them.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};

use super::classic::ClassicGroup;

/// How far the members of a group are with agreeing on who reads what, as in Kafka's `ClassicGroupState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum GroupState {
    /// There are no members.
    #[default]
    Empty,
    /// Members are to join.
    PreparingRebalance,
    /// Members have joined, and the leader has to say who reads what.
    CompletingRebalance,
    /// Each member knows what it reads.
    Stable,
}

/// A consumer group whose members use the classic protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MockGroup {
    /// How far the members are with agreeing.
    pub state: GroupState,
    /// 0 until members have joined for the first time, then one more each time.
    pub generation: i32,
    /// The protocol that members have agreed on, such as `range`.
    pub protocol: Option<String>,
    /// By member id.
    pub members: BTreeMap<String, MockGroupMember>,
}

/// A member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MockGroupMember {
    /// Its `client.id`.
    pub client_id: String,
    /// Its `group.instance.id`, if it is a static member.
    pub instance_id: Option<String>,
    /// Whether it decides who reads what.
    pub is_leader: bool,
    /// What it reads, as the leader has encoded it; empty until the leader has decided.
    pub assignment: Bytes,
}

impl MockGroupMember {
    /// Returns what it reads, by topic; nothing if the assignment is not one of the protocol type `consumer`.
    pub fn partitions(&self) -> BTreeMap<String, Vec<i32>> {
        partitions(self.assignment.clone()).unwrap_or_default()
    }
}

impl MockGroup {
    pub(super) fn new(group: &ClassicGroup) -> Self {
        let members = group.members.iter().map(|(id, member)| {
            let member = MockGroupMember {
                client_id: member.client_id.clone(),
                instance_id: member.instance_id.clone(),
                is_leader: group.is_leader(id),
                assignment: member.assignment.clone(),
            };
            (id.clone(), member)
        });
        Self {
            state: group.state,
            generation: group.generation,
            protocol: group.protocol.clone(),
            members: members.collect(),
        }
    }
}

/// `ConsumerProtocolAssignment`: a version, and partitions by topic.
fn partitions(mut bytes: Bytes) -> Option<BTreeMap<String, Vec<i32>>> {
    bytes.try_get_i16().ok()?;
    let mut topics = BTreeMap::new();
    for _ in 0..bytes.try_get_i32().ok()? {
        let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        if length > bytes.len() {
            return None;
        }
        let name = String::from_utf8(bytes.split_to(length).to_vec()).ok()?;
        let count = bytes.try_get_i32().ok()?;
        let partitions = (0..count).map(|_| bytes.try_get_i32().ok()).collect::<Option<Vec<_>>>()?;
        topics.insert(name, partitions);
    }
    Some(topics)
}
