//! What the open transaction consists of: the partitions that it writes to, and the offsets that are to be committed with it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::Call;
use super::{Due, TransactionVersion};
use crate::error::{TransactionError, TransactionErrorKind};
use crate::protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use crate::protocol::messages::add_partitions_to_txn::AddPartitionsToTxnRequest;
use crate::protocol::messages::end_txn::EndTxnRequest;
use crate::protocol::messages::txn_offset_commit::{
    CommittedPartition, CommittedTopic, GroupMember, TxnOffsetCommitRequest,
};
use crate::sender::effects::Effects;
use crate::sender::numbering::ProducerId;
use crate::topic_partition::{Topic, TopicPartition};
use crate::wire::Uuid;

/// Partitions and offsets of the transaction that is open.
#[derive(Debug, Default)]
pub(super) struct Members {
    partitions: HashMap<TopicPartition, Stage>,
    /// How many of them are wanted.
    wanted: usize,
    /// Calls of `send_offsets` whose offsets are not committed so far, oldest first.
    offsets: VecDeque<PendingOffsets>,
    /// Groups that the coordinator knows to be part of the transaction.
    groups: BTreeSet<Arc<str>>,
    /// The coordinator may know of the transaction, so it must be told how it ends.
    is_started: bool,
}

/// How far a partition has come on its way into the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Wanted,
    /// A request is under way.
    Asked,
    Added,
}

#[derive(Debug)]
struct PendingOffsets {
    call: Call,
    offsets: GroupOffsets,
    /// When they are given up.
    until: Option<Instant>,
    /// What the coordinator said last.
    said: Option<String>,
    /// The broker does not know a topic by its id: go by names.
    by_name: bool,
}

/// Offsets of a consumer group that are committed with a transaction.
#[derive(Debug, Clone)]
pub(crate) struct GroupOffsets {
    pub(crate) group: Arc<str>,
    pub(crate) member: GroupMember,
    /// By topic, with its id as far as metadata has it.
    pub(crate) topics: BTreeMap<Topic, (Uuid, Vec<OffsetToCommit>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetToCommit {
    pub(crate) partition: i32,
    /// Of the next record to read.
    pub(crate) offset: i64,
    /// -1 if it is not known.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<String>,
}

impl GroupOffsets {
    /// Whether these are the same offsets of the same member. What metadata says of the topics does not matter.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let offsets = |of: &Self| {
            of.topics.iter().map(|(topic, (_, offsets))| (topic.clone(), offsets.clone())).collect::<Vec<_>>()
        };
        self.group == other.group && self.member == other.member && offsets(self) == offsets(other)
    }
}

impl Members {
    /// A partition has records.
    pub(super) fn want(&mut self, partition: &TopicPartition, version: TransactionVersion) {
        if self.partitions.contains_key(partition) {
            return;
        }
        let stage = match version {
            TransactionVersion::One => Stage::Wanted,
            // The broker adds it when the first batch comes.
            TransactionVersion::Two => Stage::Added,
        };
        self.wanted += usize::from(stage == Stage::Wanted);
        self.partitions.insert(partition.clone(), stage);
    }

    /// Whether a partition is part of the transaction.
    pub(super) fn has(&self, partition: &TopicPartition) -> bool {
        self.partitions.get(partition) == Some(&Stage::Added)
    }

    /// Whether any partition has records.
    pub(super) fn has_any(&self) -> bool {
        !self.partitions.is_empty()
    }

    /// Records are sent.
    pub(super) fn note_sent(&mut self) {
        self.is_started = true;
    }

    /// Whether the coordinator must be told how the transaction ends.
    pub(super) fn is_started(&self) -> bool {
        self.is_started
    }

    pub(super) fn add_offsets(&mut self, call: Call, offsets: GroupOffsets, until: Option<Instant>) {
        self.offsets.push_back(PendingOffsets { call, offsets, until, said: None, by_name: false });
    }

    /// Whether offsets of a group are to be committed.
    pub(super) fn has_offsets_of(&self, group: &str) -> bool {
        self.offsets.iter().any(|pending| *pending.offsets.group == *group)
    }

    /// Returns the topic with this id, if the oldest offsets are of one.
    pub(super) fn topic(&self, id: Uuid) -> Option<&Topic> {
        let topics = &self.offsets.front()?.offsets.topics;
        topics.iter().find(|(_, (other, _))| *other == id).map(|(topic, _)| topic)
    }

    /// Returns when the oldest offsets are given up.
    pub(super) fn offsets_until(&self) -> Option<Instant> {
        self.offsets.front()?.until
    }

    /// Takes in why the oldest offsets are not committed so far.
    pub(super) fn note_said(&mut self, said: String) {
        if let Some(pending) = self.offsets.front_mut() {
            pending.said = Some(said);
        }
    }

    /// Returns the error for offsets that took too long.
    pub(super) fn late_offsets(&self, waited: Duration) -> Option<TransactionErrorKind> {
        let pending = self.offsets.front()?;
        let group = pending.offsets.group.to_string();
        Some(TransactionErrorKind::OffsetsTimedOut { group, waited, reason: pending.said.clone() })
    }

    /// Returns what is to be asked next.
    pub(super) fn due(&self, version: TransactionVersion) -> Option<Due> {
        if self.wanted > 0 {
            return Some(Due::AddPartitions);
        }
        let group = &self.offsets.front()?.offsets.group;
        if version == TransactionVersion::One && !self.groups.contains(group) {
            return Some(Due::AddOffsets(Arc::clone(group)));
        }
        Some(Due::CommitOffsets(Arc::clone(group)))
    }

    /// Returns the request that adds all partitions that are wanted.
    pub(super) fn add_partitions(&mut self, id: &str, producer: ProducerId) -> AddPartitionsToTxnRequest {
        let mut topics = BTreeMap::<Topic, Vec<i32>>::new();
        for (partition, stage) in &mut self.partitions {
            if *stage == Stage::Wanted {
                *stage = Stage::Asked;
                topics.entry(partition.topic.clone()).or_default().push(partition.partition);
            }
        }
        topics.values_mut().for_each(|partitions| partitions.sort_unstable());
        self.wanted = 0;
        self.is_started = true;
        AddPartitionsToTxnRequest {
            transactional_id: id.to_owned(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            topics: topics.into_iter().collect(),
        }
    }

    /// Returns how many partitions the request is about that is under way.
    pub(super) fn adding(&self) -> usize {
        self.partitions.values().filter(|stage| **stage == Stage::Asked).count()
    }

    /// Returns how many offsets the request is about that is under way.
    pub(super) fn committing(&self) -> usize {
        let topics = self.offsets.front().map(|pending| &pending.offsets.topics);
        topics.map_or(0, |topics| topics.values().map(|(_, offsets)| offsets.len()).sum())
    }

    /// The partitions that were asked about are part of the transaction now, or are to be asked about again.
    pub(super) fn note_added(&mut self, are_added: bool) {
        let next = if are_added { Stage::Added } else { Stage::Wanted };
        for stage in self.partitions.values_mut().filter(|stage| **stage == Stage::Asked) {
            *stage = next;
            self.wanted += usize::from(!are_added);
        }
    }

    /// Returns the request that adds a group.
    pub(super) fn add_group(
        &mut self,
        id: &str,
        producer: ProducerId,
        group: &str,
    ) -> AddOffsetsToTxnRequest {
        self.is_started = true;
        AddOffsetsToTxnRequest {
            transactional_id: id.to_owned(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            group_id: group.to_owned(),
        }
    }

    pub(super) fn note_group_added(&mut self, group: Arc<str>) {
        self.groups.insert(group);
    }

    /// Returns the request that commits the oldest offsets, and the last version in which it may be sent. `spoken`: the version
    /// that the broker speaks. None if that has no place for the member of the group.
    pub(super) fn commit_offsets(
        &mut self,
        id: &str,
        producer: ProducerId,
        version: TransactionVersion,
        spoken: Option<i16>,
    ) -> Option<(TxnOffsetCommitRequest, i16)> {
        let pending = self.offsets.front()?;
        let offsets = &pending.offsets;
        let has_member = offsets.member != GroupMember::NONE;
        if has_member && spoken.is_some_and(|spoken| spoken < FIRST_WITH_MEMBER) {
            return None;
        }
        self.is_started = true;
        let has_ids = !pending.by_name && offsets.topics.values().all(|(id, _)| *id != Uuid::ZERO);
        let last = if has_ids { i16::MAX } else { LAST_BY_NAME };
        let request = TxnOffsetCommitRequest {
            transactional_id: id.to_owned(),
            group_id: offsets.group.to_string(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            member: offsets.member.clone(),
            topics: offsets.topics.iter().map(committed).collect(),
        };
        Some((request, last.min(version.last_offset_commit())))
    }

    /// The oldest offsets are with the group's coordinator.
    pub(super) fn note_offsets_committed(&mut self, effects: &mut Effects) {
        if let Some(pending) = self.offsets.pop_front() {
            pending.call.succeed(effects);
        }
    }

    /// The broker does not know a topic by its id. Returns whether to ask by names.
    pub(super) fn go_by_names(&mut self) -> bool {
        self.offsets.front_mut().is_some_and(|pending| !std::mem::replace(&mut pending.by_name, true))
    }

    /// Lets the callers know whose offsets are not committed.
    pub(super) fn fail_calls(&mut self, error: &TransactionError, effects: &mut Effects) {
        for pending in self.offsets.drain(..) {
            pending.call.fail(error.clone(), effects);
        }
    }

    /// Nothing more goes into the transaction.
    pub(super) fn stop(&mut self, error: &TransactionError, effects: &mut Effects) {
        self.fail_calls(error, effects);
        self.partitions.retain(|_, stage| *stage != Stage::Wanted);
        self.wanted = 0;
    }

    /// The coordinator that knew of the transaction is of another cluster.
    pub(super) fn forget_coordinator(&mut self) {
        self.is_started = false;
    }

    pub(super) fn end(&self, id: &str, producer: ProducerId, committed: bool) -> EndTxnRequest {
        EndTxnRequest {
            transactional_id: id.to_owned(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            committed,
        }
    }
}

fn committed((name, (topic_id, offsets)): (&Topic, &(Uuid, Vec<OffsetToCommit>))) -> CommittedTopic {
    let partitions = offsets.iter().map(|offset| CommittedPartition {
        index: offset.partition,
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata.clone(),
    });
    CommittedTopic { name: name.clone(), topic_id: *topic_id, partitions: partitions.collect() }
}

/// The first version of TxnOffsetCommit that has a place for the member of a group (KIP-447).
const FIRST_WITH_MEMBER: i16 = 3;

/// The last version that names topics (KIP-1319).
const LAST_BY_NAME: i16 = 5;
