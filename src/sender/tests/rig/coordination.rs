//! What the rig does for transactions: it keeps what coordinators are asked until the test answers, and calls as callers do.

use std::collections::VecDeque;

use super::{Config, Rig};
use crate::accumulator::NO_TRANSACTION;
use crate::error::{TransactionError, TransactionErrorKind};
use crate::network::ConnectionId;
use crate::protocol::messages::txn_offset_commit::GroupMember;
use crate::sender::tests::wire::{Head, Question, Said};
use crate::sender::tests::world::TOPIC;
use crate::sender::transactions::{Call, CallReply, GroupOffsets, OffsetToCommit, Wish};
use crate::topic_partition::Topic;
use crate::wire::Uuid;

pub(in super::super) const ID: &str = "payments";
pub(in super::super) const GROUP: &str = "readers";

/// Coordinators, and the transaction that callers send into.
#[derive(Debug)]
pub(in super::super) struct Coordination {
    /// What is not answered, oldest first.
    asked: VecDeque<Asked>,
    /// Which nodes coordinate the transactional id and the group.
    pub(in super::super) nodes: (i32, i32),
    /// As it was given out last.
    pub(in super::super) producer: (i64, i16),
    /// The transaction whose records are appended.
    pub(in super::super) transaction: u64,
    last_transaction: u64,
    /// The finalized level of `transaction.version`, and the epoch of the features.
    level: Option<i16>,
    features_epoch: i64,
    /// The versions of all requests so far, by their texts.
    pub(in super::super) versions: Vec<(String, i16)>,
}

#[derive(Debug)]
struct Asked {
    connection: ConnectionId,
    node: i32,
    head: Head,
    question: Question,
}

impl Default for Coordination {
    fn default() -> Self {
        Self {
            asked: VecDeque::new(),
            nodes: (2, 1),
            producer: (7, -1),
            transaction: NO_TRANSACTION,
            last_transaction: NO_TRANSACTION,
            level: None,
            features_epoch: 0,
            versions: Vec::new(),
        }
    }
}

impl Coordination {
    pub(super) fn features(&self) -> Option<(i64, i16)> {
        self.level.map(|level| (self.features_epoch, level))
    }

    pub(super) fn note(&mut self, connection: ConnectionId, node: i32, head: Head, question: Question) {
        if let Some(producer) = question.producer() {
            assert_eq!(producer, self.producer, "{question}");
        }
        self.versions.push((question.to_string(), head.version));
        self.asked.push_back(Asked { connection, node, head, question });
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.asked.retain(|asked| asked.connection != connection);
    }
}

impl Rig {
    /// The sender of a transactional producer that knows the cluster, where `transaction.version` has this level.
    pub(in super::super) fn transactional(level: i16) -> Self {
        Self::transactional_with(Config::transactional(), level)
    }

    /// `None` if brokers do not have the feature.
    pub(in super::super) fn transactional_with(config: Config, level: impl Into<Option<i16>>) -> Self {
        let mut rig = Self::unconnected(config);
        rig.coordination.level = level.into();
        rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
        rig.settle();
        rig
    }

    /// The same with an open transaction.
    pub(in super::super) fn in_transaction(level: i16) -> Self {
        let mut rig = Self::transactional(level);
        rig.begin();
        rig
    }

    /// Finalizes another level. Brokers say so when they are connected to.
    pub(in super::super) fn finalize(&mut self, level: i16) {
        self.coordination.level = Some(level);
        self.coordination.features_epoch += 1;
    }

    /// Asks for something, as a caller does.
    pub(in super::super) fn call(&mut self, wish: Wish) -> CallReply {
        let (call, reply) = Call::new(wish);
        self.core.handle_transaction_call(call, self.now);
        self.settle();
        reply
    }

    /// Begins a transaction. Answers what is asked for that.
    pub(in super::super) fn begin(&mut self) {
        let reply = self.call(Wish::Begin);
        while reply.outcome().is_none() {
            let asked = self.asked();
            assert_eq!(asked.len(), 1, "{asked:?}");
            self.grant(&asked[0]);
        }
        self.begun(&reply);
    }

    /// A call of `begin_transaction` has succeeded: its caller sends into the transaction from now on.
    pub(in super::super) fn begun(&mut self, reply: &CallReply) {
        assert_eq!(reply.outcome(), Some(Ok(())));
        self.coordination.last_transaction += 1;
        self.take_records_of(self.coordination.last_transaction);
    }

    pub(in super::super) fn commit(&mut self) -> CallReply {
        self.take_records_of(NO_TRANSACTION);
        self.call(Wish::Commit { refused: None })
    }

    pub(in super::super) fn abort(&mut self) -> CallReply {
        self.take_records_of(NO_TRANSACTION);
        self.call(Wish::Abort)
    }

    /// Sends offsets of [`TOPIC`]'s partitions.
    pub(in super::super) fn send_offsets(&mut self, offsets: &[(i32, i64)]) -> CallReply {
        self.send_offsets_of(GroupMember::NONE, offsets)
    }

    pub(in super::super) fn send_offsets_of(
        &mut self,
        member: GroupMember,
        offsets: &[(i32, i64)],
    ) -> CallReply {
        let offsets = offsets.iter().map(|(partition, offset)| OffsetToCommit {
            partition: *partition,
            offset: *offset,
            leader_epoch: -1,
            metadata: Some(String::new()),
        });
        let topics = [(Topic::from(TOPIC), (Uuid::ZERO, offsets.collect()))].into();
        self.call(Wish::SendOffsets(GroupOffsets { group: GROUP.into(), member, topics }))
    }

    fn take_records_of(&mut self, transaction: u64) {
        self.coordination.transaction = transaction;
        self.accumulator.set_transaction(transaction);
    }

    /// Returns what coordinators are asked and have not answered.
    pub(in super::super) fn asked(&self) -> Vec<String> {
        self.coordination.asked.iter().map(|asked| asked.question.to_string()).collect()
    }

    /// Returns the question that is open, and the node that is asked.
    pub(in super::super) fn question(&self) -> (&Question, i32) {
        let asked = self.coordination.asked.front().expect("something is asked");
        (&asked.question, asked.node)
    }

    /// A coordinator does what it is asked.
    pub(in super::super) fn grant(&mut self, question: &str) {
        self.refuse(question, 0);
    }

    /// A coordinator answers with a code.
    pub(in super::super) fn refuse(&mut self, question: &str, code: i16) {
        let said = self.said(code);
        self.say(question, said);
    }

    /// What a coordinator says if it says this code.
    pub(in super::super) fn said(&self, code: i16) -> Said {
        let (of_transactions, of_groups) = self.coordination.nodes;
        let is_of_group = matches!(self.question().0, Question::FindCoordinator { is_of_group: true, .. });
        let (id, epoch) = self.coordination.producer;
        Said {
            code,
            others: Vec::new(),
            throttle_time_ms: 0,
            node: if is_of_group { of_groups } else { of_transactions },
            producer: (id, epoch + 1),
        }
    }

    /// A coordinator answers the only question, which is this one.
    pub(in super::super) fn say(&mut self, question: &str, said: Said) {
        assert_eq!(self.asked(), [question]);
        let asked = self.coordination.asked.pop_front().unwrap();
        let gives_epoch = match asked.question {
            Question::End { .. } => asked.head.version >= 5,
            Question::InitProducerId { .. } => true,
            _ => false,
        };
        if gives_epoch && said.code == 0 {
            self.coordination.producer = said.producer;
        }
        let first = self.unanswered[&asked.connection].front().map(|(correlation_id, _)| *correlation_id);
        assert_eq!(
            first,
            Some(asked.head.correlation_id),
            "{question} waits for other answers of its broker"
        );
        let answer = asked.question.answer(asked.head, &said);
        self.answer(asked.connection, asked.head, answer);
        self.settle();
    }

    /// The connection breaks over which this was asked, so that no answer comes.
    pub(in super::super) fn lose(&mut self, question: &str) {
        assert_eq!(self.asked(), [question]);
        let connection = self.coordination.asked[0].connection;
        self.close(connection, None);
    }

    /// Has a record acknowledged, after its partition was added if the version of transactions wants that.
    pub(in super::super) fn deliver(&mut self, partition: i32, value: &str) {
        let delivery = self.send(partition, value);
        if !self.asked().is_empty() {
            self.grant(&format!("AddPartitionsToTxn {TOPIC}-{partition}"));
        }
        self.acknowledge_all();
        assert!(matches!(delivery.try_result(), Some(Ok(_))), "{:?}", delivery.try_result());
    }
}

impl Config {
    pub(in super::super) fn transactional() -> Self {
        Self { transactional_id: Some(ID), is_idempotent: true, max_outstanding: 5, ..Self::default() }
    }

    /// Brokers speak a request up to this version. -1: they do not.
    pub(in super::super) fn with_version(mut self, key: i16, max: i16) -> Self {
        self.coordinator_versions.retain(|(other, _)| *other != key);
        self.coordinator_versions.extend(Some((key, max)).filter(|_| max >= 0));
        self
    }
}

/// Why a call has failed.
pub(in super::super) fn reason(reply: &CallReply) -> TransactionErrorKind {
    error(reply).kind().clone()
}

pub(in super::super) fn error(reply: &CallReply) -> TransactionError {
    match reply.outcome() {
        Some(Err(error)) => error,
        other => panic!("{other:?}"),
    }
}

pub(in super::super) fn is_done(reply: &CallReply) -> bool {
    reply.outcome() == Some(Ok(()))
}

pub(in super::super) fn is_under_way(reply: &CallReply) -> bool {
    reply.outcome().is_none()
}
