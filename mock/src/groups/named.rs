//! Members that a test says there are.
//!
//! The rules are those of Kafka's `ClassicGroup` and `ConsumerGroup` for TxnOffsetCommit.

use std::collections::BTreeMap;

use super::{Committer, GroupProtocol};
use crate::error::code;

/// The members of a group, as a test wants them to be.
#[derive(Debug, Clone, Default)]
pub(super) struct NamedMembers {
    protocol: GroupProtocol,
    /// By member id: generation or epoch, and instance id.
    members: BTreeMap<String, (i32, Option<String>)>,
}

impl NamedMembers {
    pub(super) fn set(
        &mut self,
        protocol: GroupProtocol,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) {
        self.protocol = protocol;
        self.members.insert(member_id.to_owned(), (generation, instance_id.map(str::to_owned)));
    }

    pub(super) fn remove(&mut self, member_id: &str) {
        self.members.remove(member_id);
    }

    /// Says whether the member may commit.
    pub(super) fn check(&self, by: Committer<'_>) -> Result<(), i16> {
        let Self { protocol, members } = self;
        if members.is_empty() && by.generation >= 0 {
            return Err(if by.knows_newer_errors {
                code::GROUP_ID_NOT_FOUND
            } else {
                code::ILLEGAL_GENERATION
            });
        }
        if by.says_nothing() && (by.is_transactional || members.is_empty()) {
            return Ok(());
        }
        if let Some(wanted) = by.instance_id {
            let holder = members.iter().find(|(_, (_, instance))| instance.as_deref() == Some(wanted));
            match holder {
                None => return Err(code::UNKNOWN_MEMBER_ID),
                Some((id, _)) if id != by.member_id => return Err(code::FENCED_INSTANCE_ID),
                Some(_) => {}
            }
        }
        match members.get(by.member_id) {
            None => Err(code::UNKNOWN_MEMBER_ID),
            Some((generation, _)) if *generation == by.generation => Ok(()),
            Some(_) if *protocol == GroupProtocol::Consumer && by.knows_newer_errors => {
                Err(code::STALE_MEMBER_EPOCH)
            }
            Some(_) => Err(code::ILLEGAL_GENERATION),
        }
    }
}
