//! Offsets of consumer groups that producers commit in transactions, and the members that a test says there are.
//!
//! The rules are those of Kafka's `GroupCoordinator`, `ClassicGroup` and `ConsumerGroup` for TxnOffsetCommit.

use std::collections::BTreeMap;

use crate::error::code;
use crate::transactions::{Identity, Outcome};

/// Offsets by topic and partition.
pub(crate) type Offsets = BTreeMap<(String, i32), CommittedOffset>;

/// Where a consumer group goes on in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommittedOffset {
    /// Offset of the next record that the group reads.
    pub offset: i64,
    /// Leader epoch of the last record that it has read, -1 if it did not say.
    pub leader_epoch: i32,
    /// What the group wants to remember.
    pub metadata: Option<String>,
}

/// Who wants to commit offsets of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committer<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
    pub(crate) generation: i32,
    /// Whether the client knows the errors of KIP-1319.
    pub(crate) knows_newer_errors: bool,
}

/// How the members of a group agree on who reads what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum GroupProtocol {
    /// One of the members decides; the group has a generation.
    #[default]
    Classic,
    /// The coordinator decides; each member has an epoch (KIP-848).
    Consumer,
}

/// The members of a group, as a test wants them to be.
#[derive(Debug, Clone, Default)]
struct Membership {
    protocol: GroupProtocol,
    /// By member id: generation or epoch, and instance id.
    members: BTreeMap<String, (i32, Option<String>)>,
}

/// What a group keeps of a producer.
#[derive(Debug, Clone)]
struct GroupProducer {
    epoch: i16,
    /// Offsets of the open transaction, if one is.
    pending: Option<Offsets>,
}

/// One consumer group.
#[derive(Debug, Default)]
struct Group {
    /// `None`: all are let through.
    membership: Option<Membership>,
    committed: Offsets,
    producers: BTreeMap<i64, GroupProducer>,
}

/// All groups that a test or a client has named.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    by_id: BTreeMap<String, Group>,
}

impl Groups {
    /// From now on members are checked, and this is one of them.
    pub(crate) fn set_member(
        &mut self,
        group: &str,
        protocol: GroupProtocol,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) {
        let membership = self.group(group).membership.get_or_insert_default();
        membership.protocol = protocol;
        membership.members.insert(member_id.to_owned(), (generation, instance_id.map(str::to_owned)));
    }

    /// From now on members are checked, and this is none of them.
    pub(crate) fn remove_member(&mut self, group: &str, member_id: &str) {
        self.group(group).membership.get_or_insert_default().members.remove(member_id);
    }

    /// Whether the coordinator of transactions must be asked before a producer may add offsets. An epoch that is too old is refused.
    pub(crate) fn needs_verification(&self, group: &str, producer: Identity) -> Result<bool, i16> {
        let known = self.by_id.get(group).and_then(|group| group.producers.get(&producer.producer_id));
        match known {
            Some(known) if producer.epoch < known.epoch => Err(code::INVALID_PRODUCER_EPOCH),
            Some(known) => Ok(known.pending.is_none() || known.epoch != producer.epoch),
            None => Ok(true),
        }
    }

    /// Says whether the member may commit.
    pub(crate) fn check_member(&self, group: &str, by: Committer<'_>) -> Result<(), i16> {
        let membership = self.by_id.get(group).and_then(|group| group.membership.as_ref());
        let Some(membership) = membership else { return Ok(()) };
        let Membership { protocol, members } = membership;
        if members.is_empty() && by.generation >= 0 {
            return Err(if by.knows_newer_errors {
                code::GROUP_ID_NOT_FOUND
            } else {
                code::ILLEGAL_GENERATION
            });
        }
        // Producers before 2.5 say nothing of members (KIP-447).
        if by.generation < 0 && by.member_id.is_empty() && by.instance_id.is_none() {
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

    /// Keeps offsets until the transaction ends.
    pub(crate) fn add_pending(&mut self, group: &str, producer: Identity, offsets: Offsets) {
        let producers = &mut self.group(group).producers;
        let known = producers
            .entry(producer.producer_id)
            .or_insert_with(|| GroupProducer { epoch: producer.epoch, pending: None });
        known.epoch = producer.epoch;
        known.pending.get_or_insert_default().extend(offsets);
    }

    /// Takes in a marker: commits or forgets the offsets of the open transaction.
    pub(crate) fn end_transaction(&mut self, group: &str, producer: Identity, outcome: Outcome) {
        let group = self.group(group);
        let known = GroupProducer { epoch: producer.epoch, pending: None };
        let before = group.producers.insert(producer.producer_id, known);
        if outcome == Outcome::Commit {
            group.committed.extend(before.and_then(|before| before.pending).unwrap_or_default());
        }
    }

    pub(crate) fn committed(&self, group: &str) -> Offsets {
        self.by_id.get(group).map(|group| group.committed.clone()).unwrap_or_default()
    }

    fn group(&mut self, id: &str) -> &mut Group {
        self.by_id.entry(id.to_owned()).or_default()
    }
}
