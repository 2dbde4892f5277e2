//! Consumer groups: their members and their offsets.
//!
//! Members that agree by the classic protocol are in `classic`. A test may also say that a group has members (`named`): these count for
//! commits in place of those that have joined. The rules for offsets are those of Kafka's `OffsetMetadataManager`.

mod answers;
mod classic;
mod member;
mod named;
mod snapshot;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::code;
use crate::transactions::{Identity, Outcome};

pub(crate) use answers::{JoinAnswer, SyncAnswer, Ticket};
pub(crate) use classic::{ClassicGroup, Join, Sync};
use named::NamedMembers;
pub use snapshot::{GroupState, MockGroup, MockGroupMember};

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
    pub(crate) is_transactional: bool,
    /// Whether the client knows GROUP_ID_NOT_FOUND and STALE_MEMBER_EPOCH.
    pub(crate) knows_newer_errors: bool,
}

impl Committer<'_> {
    /// So do those that are in no group, and producers before 2.5 (KIP-447).
    fn says_nothing(&self) -> bool {
        self.generation < 0 && self.member_id.is_empty() && self.instance_id.is_none()
    }
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
    classic: ClassicGroup,
    /// `None`: a test has said nothing of members.
    named: Option<NamedMembers>,
    committed: Offsets,
    producers: BTreeMap<i64, GroupProducer>,
}

/// All groups that a test or a client has named.
#[derive(Debug)]
pub(crate) struct Groups {
    by_id: BTreeMap<String, Group>,
    /// How long a group that had no members waits for more of them (`group.initial.rebalance.delay.ms`).
    pub(crate) initial_delay: Duration,
    /// `group.min.session.timeout.ms` to `group.max.session.timeout.ms`.
    pub(crate) session_timeouts: RangeInclusive<Duration>,
    /// Tells the members of this cluster from those of others.
    pub(crate) member_salt: u64,
    last_member: u64,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            initial_delay: Duration::ZERO,
            session_timeouts: Duration::from_secs(6)..=Duration::from_secs(1800),
            member_salt: 0,
            last_member: 0,
        }
    }
}

/// Members.
impl Groups {
    /// Returns the members of a group, after what was due up to now.
    pub(crate) fn classic(&mut self, group: &str, now: Duration) -> &mut ClassicGroup {
        let classic = &mut self.group(group).classic;
        classic.expire(now);
        classic
    }

    /// Makes an id for a member, from its instance id or its client id, which is the same in every run but for the salt.
    pub(crate) fn new_member_id(&mut self, name: &str) -> String {
        self.last_member += 1;
        format!("{name}-{:016x}-{:08x}", self.member_salt, self.last_member)
    }

    /// Whether anything has changed, since it was asked last, that members may wait for.
    pub(crate) fn take_news(&mut self) -> bool {
        let mut is_news = false;
        for group in self.by_id.values_mut() {
            is_news |= group.classic.take_news();
        }
        is_news
    }

    /// Another broker coordinates the group from now on.
    pub(crate) fn move_coordinator(&mut self, group: &str, now: Duration) {
        if let Some(group) = self.by_id.get_mut(group) {
            group.classic.expire(now);
            group.classic.move_coordinator(now);
        }
    }

    pub(crate) fn snapshots(&mut self, now: Duration) -> BTreeMap<String, MockGroup> {
        let snapshot = |(id, group): (&String, &mut Group)| {
            group.classic.expire(now);
            (id.clone(), MockGroup::new(&group.classic))
        };
        self.by_id.iter_mut().map(snapshot).collect()
    }

    /// From now on members are those that a test names, and this is one of them.
    pub(crate) fn set_member(
        &mut self,
        group: &str,
        protocol: GroupProtocol,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) {
        let named = self.group(group).named.get_or_insert_default();
        named.set(protocol, member_id, instance_id, generation);
    }

    /// From now on members are those that a test names, and this is none of them.
    pub(crate) fn remove_member(&mut self, group: &str, member_id: &str) {
        self.group(group).named.get_or_insert_default().remove(member_id);
    }

    /// Says whether the member may commit.
    pub(crate) fn check_member(&mut self, group: &str, by: Committer<'_>, now: Duration) -> Result<(), i16> {
        let Group { classic, named, .. } = self.group(group);
        if let Some(named) = named {
            return named.check(by);
        }
        classic.expire(now);
        if classic.was_used() {
            return classic.check_commit(by, now);
        }
        match by.generation {
            // The group of a producer need not have members in a test.
            0.. if by.is_transactional => Ok(()),
            0.. if by.knows_newer_errors => Err(code::GROUP_ID_NOT_FOUND),
            0.. => Err(code::ILLEGAL_GENERATION),
            _ => Ok(()),
        }
    }

    fn group(&mut self, id: &str) -> &mut Group {
        self.by_id.entry(id.to_owned()).or_default()
    }
}

/// Offsets.
impl Groups {
    /// Whether the coordinator of transactions must be asked before a producer may add offsets. An epoch that is too old is refused.
    pub(crate) fn needs_verification(&self, group: &str, producer: Identity) -> Result<bool, i16> {
        let known = self.by_id.get(group).and_then(|group| group.producers.get(&producer.producer_id));
        match known {
            Some(known) if producer.epoch < known.epoch => Err(code::INVALID_PRODUCER_EPOCH),
            Some(known) => Ok(known.pending.is_none() || known.epoch != producer.epoch),
            None => Ok(true),
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

    pub(crate) fn commit(&mut self, group: &str, offsets: Offsets) {
        self.group(group).committed.extend(offsets);
    }

    pub(crate) fn committed(&self, group: &str) -> Offsets {
        self.by_id.get(group).map(|group| group.committed.clone()).unwrap_or_default()
    }

    /// Whether an open transaction may commit an offset of the partition.
    pub(crate) fn is_unstable(&self, group: &str, partition: &(String, i32)) -> bool {
        let producers = self.by_id.get(group).into_iter().flat_map(|group| group.producers.values());
        producers
            .filter_map(|producer| producer.pending.as_ref())
            .any(|pending| pending.contains_key(partition))
    }
}
