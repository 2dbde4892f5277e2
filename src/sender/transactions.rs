//! `Transactions`: the transactions of a transactional producer (KIP-98, KIP-360, KIP-890; Java: `TransactionManager`).
//!
//! ```text
//!                   begin                       begin          commit, abort, or the guard is dropped
//!  Uninitialized ─────────► Initializing ─► Ready ────► Open ──────────────────────────────► Ending
//!        ▲                      │  ▲          ▲                                               │
//!        └─────── refused ──────┘  │          └───────────────────────────── ended ───────────┤
//!                                  └──── ended, and the coordinator must give another epoch ──┘
//!
//!  any state ── fenced, or refused for good ──► Failed
//! ```
//!
//! A transaction is of one of two versions, as the cluster has it when the transaction begins. In version 1 the producer tells the
//! coordinator of each partition before it writes to it, and of each group before it commits offsets of it. In version 2 brokers
//! do that (KIP-890), and each transaction has an epoch of its own, which the coordinator gives out as it ends the one before.
//!
//! Partitions ask here before they send ([`Transactions::may_send`]), the settlement's failures are told here
//! ([`Transactions::note_failed_records`]): a transaction with a record that failed can only be aborted.
//!
//! | File | Has |
//! |---|---|
//! | `call.rs` | what callers ask for, and how they learn what came of it |
//! | `coordinators.rs` | which brokers coordinate the transactional id and the groups |
//! | `ending.rs` | how a transaction ends |
//! | `outcomes.rs` | what follows from answers |
//! | `members.rs` | the partitions and the offsets of the transaction that is open |
//! | `verdict.rs` | what an error code means |

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::error::{DeliveryErrorKind, TransactionError, TransactionErrorKind};
use crate::log;
use crate::protocol::messages::find_coordinator::CoordinatorType;
use crate::protocol::messages::init_producer_id::InitProducerIdRequest;
use crate::protocol::{ApiKey, ErrorCode};
use crate::sender::effects::{Effect, Effects};
use crate::sender::nodes::Nodes;
use crate::sender::numbering::ProducerId;
use crate::sender::request::{Body, Purpose};
use crate::sender::timer::{Timer, Wait};
use crate::topic_partition::{NodeId, TopicPartition};

mod call;
mod coordinators;
mod ending;
mod members;
mod outcomes;
mod verdict;

pub(crate) use self::call::{Answer, Call, CallReply, Wish};
use self::coordinators::{CoordinatorKey, Coordinators};
use self::ending::{Ending, EndingStep};
use self::members::Members;
pub(crate) use self::members::{GroupOffsets, OffsetToCommit};

/// The transactions of one producer, one after the other.
#[derive(Debug)]
pub(super) struct Transactions {
    /// `transactional.id`.
    id: Arc<str>,
    /// `transaction.timeout.ms`.
    timeout_ms: i32,
    state: State,
    /// As the coordinator gave them last.
    producer: Option<ProducerId>,
    /// What the cluster has finalized, as far as brokers have said. It counts for the next transaction.
    finalized: TransactionVersion,
    coordinators: Coordinators,
    /// The request that is under way, if any: there is one at a time.
    asked: Option<Asked>,
    next_question: u64,
    pause: Pause,
    retry_backoff: Backoff,
}

/// Version of the protocol of transactions: the feature `transaction.version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TransactionVersion {
    /// The feature at level 0 or 1, and brokers that do not have it.
    #[default]
    One,
    /// KIP-890.
    Two,
}

#[derive(Debug)]
enum State {
    Uninitialized,
    /// The coordinator is asked for a producer id, or for another epoch of it. `begin` waits for that, if a caller has called it.
    Initializing {
        begin: Option<Call>,
    },
    Ready,
    Open(Open),
    Ending(Box<Ending>),
    Failed(TransactionError),
}

/// A transaction that takes records.
#[derive(Debug)]
struct Open {
    version: TransactionVersion,
    members: Members,
    /// Why it can only be aborted.
    failure: Option<TransactionError>,
    /// The coordinator must give another epoch before the next transaction: a partition waits for a number that will not come, or
    /// something of this transaction may still be on its way.
    needs_epoch: bool,
}

/// Tells a request from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransactionQuestion(u64);

#[derive(Debug)]
struct Asked {
    question: TransactionQuestion,
    what: What,
}

#[derive(Debug)]
enum What {
    Coordinator(CoordinatorKey),
    Due(Due),
}

/// When to ask again after a request that did not succeed.
#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    attempts: u32,
}

/// What is to be asked next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Due {
    AddOffsets(Arc<str>),
    AddPartitions,
    CommitOffsets(Arc<str>),
    End { commit: bool },
    ProducerId,
}

/// The first version of InitProducerId that raises an epoch only for the producer that has it (KIP-360).
const FIRST_WITH_EPOCH: i16 = 3;

/// A coordinator that is still busy with the transaction before is done in a moment.
pub(super) const BUSY_BACKOFF: Duration = Duration::from_millis(20);

impl Transactions {
    pub(super) fn new(id: Arc<str>, timeout: Duration, retry_backoff: Backoff) -> Self {
        Self {
            coordinators: Coordinators::default(),
            id,
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            state: State::Uninitialized,
            producer: None,
            finalized: TransactionVersion::default(),
            asked: None,
            next_question: 0,
            pause: Pause::default(),
            retry_backoff,
        }
    }

    /// Takes in what a caller asks for.
    pub(super) fn handle_call(&mut self, call: Call, effects: &mut Effects) {
        match call.wish() {
            Wish::Begin => self.begin(call, effects),
            Wish::SendOffsets(offsets) => {
                let offsets = offsets.clone();
                self.send_offsets(call, offsets, effects);
            }
            Wish::Commit | Wish::Abort => self.end(call, effects),
        }
    }

    /// Takes in what the cluster has finalized. A transaction that is open ends as it has begun.
    pub(super) fn note_finalized(&mut self, version: TransactionVersion) {
        if self.finalized != version {
            log::info!(transactional_id = %self.id, ?version, "the cluster has another version of transactions");
            self.finalized = version;
            // A late record of a transaction must not count for one of the other version.
            self.need_epoch();
        }
    }

    /// The next transaction cannot have the epoch of the one before.
    fn need_epoch(&mut self) {
        match &mut self.state {
            State::Ready => self.state = State::Initializing { begin: None },
            _ => {
                if let Some(open) = self.open_mut() {
                    open.needs_epoch = true;
                }
            }
        }
    }

    /// Takes in that a partition has records to send.
    pub(super) fn want(&mut self, partition: &TopicPartition) {
        if let Some(open) = self.open_mut() {
            open.members.want(partition, open.version);
        }
    }

    /// Whether records of a partition may be sent.
    pub(super) fn may_send(&self, partition: &TopicPartition) -> bool {
        let open = match &self.state {
            State::Open(open) => open,
            State::Ending(ending) if ending.is_commit() => ending.transaction(),
            _ => return false,
        };
        open.failure.is_none() && open.members.has(partition)
    }

    /// Takes in that records are sent. Returns the last version of Produce that is for the transaction.
    pub(super) fn note_sent(&mut self) -> i16 {
        let Some(open) = self.open_mut() else { return i16::MAX };
        open.members.note_sent();
        open.version.last_produce()
    }

    /// Takes in that records have failed. `was_numbered`: they have had sequence numbers, so the partition waits for these.
    pub(super) fn note_failed_records(
        &mut self,
        kind: Option<TransactionErrorKind>,
        was_numbered: bool,
        effects: &mut Effects,
    ) {
        if let Some(open) = self.open_mut() {
            open.needs_epoch |= was_numbered;
        }
        match kind {
            Some(kind) if is_fenced(&kind) => self.fail_for_good(TransactionError::new(kind), effects),
            Some(kind) => self.fail_transaction(TransactionError::new(kind), effects),
            None => {}
        }
    }

    /// Takes in that a connection is gone, or that none could be made: its broker may coordinate no longer.
    pub(super) fn handle_lost_connection(&mut self, node: NodeId) {
        self.coordinators.forget_node(node);
    }

    /// Takes in that the producer has come to another cluster, which knows nothing of what is under way.
    pub(super) fn handle_other_cluster(&mut self, effects: &mut Effects) {
        self.coordinators.forget_all();
        self.asked = None;
        self.producer = None;
        self.finalized = TransactionVersion::default();
        let error = || TransactionError::new(TransactionErrorKind::ClusterLeft);
        match std::mem::replace(&mut self.state, State::Uninitialized) {
            State::Failed(error) => self.state = State::Failed(error),
            State::Uninitialized | State::Ready => {}
            State::Initializing { begin } => self.state = State::Initializing { begin },
            State::Open(mut open) => {
                open.members.fail_calls(&error(), effects);
                open.members.forget_coordinator();
                open.fail(error());
                self.state = State::Open(open);
            }
            State::Ending(mut ending) => {
                ending.leave_cluster(&error(), effects);
                self.state = State::Ending(ending);
            }
        }
    }

    /// Asks for what is due. `are_records_settled`: whether no record of the transaction is queued or under way. Returns whether to
    /// call again once the effects are done.
    pub(super) fn next_request(
        &mut self,
        nodes: &mut Nodes<'_>,
        are_records_settled: impl FnOnce() -> bool,
        now: Instant,
        effects: &mut Effects,
    ) -> bool {
        let is_going_on = self.step(are_records_settled, effects);
        if !is_going_on && self.asked.is_none() && self.pause.until.is_none_or(|until| now >= until) {
            self.ask_for_due(nodes, now, effects);
        }
        is_going_on
    }

    fn ask_for_due(&mut self, nodes: &mut Nodes<'_>, now: Instant, effects: &mut Effects) {
        let Some(due) = self.due() else { return };
        let key = match &due {
            Due::CommitOffsets(group) => {
                CoordinatorKey { kind: CoordinatorType::Group, id: Arc::clone(group) }
            }
            _ => CoordinatorKey { kind: CoordinatorType::Transaction, id: Arc::clone(&self.id) },
        };
        match self.coordinators.of(&key) {
            Some(node) if !nodes.knows(node) => {
                // Metadata names it soon; until then the coordinator may move.
                effects.push(Effect::RequestMetadata);
                self.coordinators.forget(&key);
                self.pause(self.retry_backoff, now);
            }
            Some(node) if nodes.can_send(node, now) => self.ask(node, due, nodes, effects),
            Some(node) => effects.push(Effect::Connect(node)),
            None => self.look_for_coordinator(key, nodes, now, effects),
        }
    }

    /// Returns what the next request waits for.
    pub(super) fn timeout(&self, now: Instant) -> Option<(Wait, Timer)> {
        if self.asked.is_some() {
            return None;
        }
        let due = self.due()?;
        let wait = match self.pause.until {
            Some(until) if now < until => Wait::Until(until),
            _ => match self.coordinator_of(&due) {
                Some(node) => Wait::Node(node),
                None => Wait::AnyNode,
            },
        };
        Some((wait, Timer::Transaction))
    }

    /// Whether records must not linger: the transaction is about to end.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.state, State::Ending(_))
    }

    fn begin(&mut self, call: Call, effects: &mut Effects) {
        match &mut self.state {
            State::Ready => {
                self.state = State::Open(Open::new(self.finalized));
                call.succeed(effects);
            }
            State::Uninitialized => {
                self.state = State::Initializing { begin: Some(call) };
            }
            State::Initializing { begin } => match begin {
                None => *begin = Some(call),
                Some(_) => call.refuse("another call of begin_transaction is under way", effects),
            },
            State::Ending(ending) => ending.begin_after(call, effects),
            // Its guard is gone without a word, as by `mem::forget`.
            State::Open(_) => {
                if let State::Open(open) = std::mem::replace(&mut self.state, State::Ready) {
                    self.state = State::Ending(Box::new(Ending::of_leaked(open, call, effects)));
                }
            }
            State::Failed(error) => {
                let error = error.clone();
                call.fail(error, effects);
            }
        }
    }

    fn send_offsets(&mut self, call: Call, offsets: GroupOffsets, effects: &mut Effects) {
        match &mut self.state {
            State::Open(open) => match &open.failure {
                Some(failure) => {
                    let failure = failure.clone();
                    call.fail(failure, effects);
                }
                None => open.members.add_offsets(call, offsets),
            },
            State::Failed(error) => {
                let error = error.clone();
                call.fail(error, effects);
            }
            _ => call.refuse("no transaction is open", effects),
        }
    }

    /// The transaction that is open, or ends.
    fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.state {
            State::Open(open) => Some(open),
            State::Ending(ending) => Some(ending.transaction_mut()),
            _ => None,
        }
    }

    fn due(&self) -> Option<Due> {
        match &self.state {
            // Not before a caller wants to go on: it may be another producer's by now.
            State::Initializing { begin } => begin.is_some().then_some(Due::ProducerId),
            State::Open(open) if open.failure.is_none() => open.members.due(open.version),
            State::Ending(ending) => ending.due(),
            State::Failed(_) | State::Open(_) | State::Ready | State::Uninitialized => None,
        }
    }

    /// Takes the steps that need no request. Returns whether there may be more once the effects are done.
    fn step(&mut self, are_records_settled: impl FnOnce() -> bool, effects: &mut Effects) -> bool {
        let are_settled = are_records_settled();
        if !are_settled && let Some(kind) = self.refusal() {
            // That includes those that come back to be sent again. They may have been the last.
            effects.push(Effect::RefuseQueued(kind));
            return true;
        }
        let State::Ending(ending) = &mut self.state else { return false };
        match ending.step(are_settled, effects) {
            EndingStep::Wait => false,
            EndingStep::GoOn => true,
            EndingStep::Ended => {
                self.finish(effects);
                true
            }
        }
    }

    /// Returns why records cannot be delivered any more, if so.
    fn refusal(&self) -> Option<DeliveryErrorKind> {
        match &self.state {
            State::Open(open) => open.failure.clone().map(DeliveryErrorKind::TransactionFailed),
            State::Ending(ending) => ending.refusal(),
            State::Failed(error) => Some(DeliveryErrorKind::TransactionFailed(error.clone())),
            State::Initializing { .. } | State::Ready | State::Uninitialized => None,
        }
    }

    fn coordinator_of(&self, due: &Due) -> Option<NodeId> {
        let (kind, id) = match due {
            Due::CommitOffsets(group) => (CoordinatorType::Group, group),
            _ => (CoordinatorType::Transaction, &self.id),
        };
        self.coordinators.of(&CoordinatorKey { kind, id: Arc::clone(id) })
    }

    fn look_for_coordinator(
        &mut self,
        key: CoordinatorKey,
        nodes: &mut Nodes<'_>,
        now: Instant,
        effects: &mut Effects,
    ) {
        let chosen = nodes.least_loaded(ApiKey::FindCoordinator, now);
        // That the bootstrap servers do not speak it says nothing: they may be controllers.
        if chosen.incapable.is_some_and(|node| node.0 >= 0) {
            let kind = TransactionErrorKind::Unsupported(ApiKey::FindCoordinator.name());
            return self.fail_for_good(TransactionError::new(kind), effects);
        }
        let Some(node) = chosen.node else { return };
        if !nodes.can_send(node, now) {
            return effects.push(Effect::Connect(node));
        }
        let body = Body::FindCoordinator(key.question());
        self.send(node, What::Coordinator(key), body, effects);
    }

    fn ask(&mut self, node: NodeId, due: Due, nodes: &Nodes<'_>, effects: &mut Effects) {
        if matches!(due, Due::ProducerId) {
            let version = nodes.version_for(node, ApiKey::InitProducerId);
            if self.producer.is_some() && version.is_some_and(|version| version < FIRST_WITH_EPOCH) {
                let error = TransactionError::new(TransactionErrorKind::EpochNotGiven);
                return self.fail_for_good(error, effects);
            }
            let body = Body::InitProducerId(self.init_producer_id());
            return self.send(node, What::Due(due), body, effects);
        }
        let (id, Some(producer)) = (Arc::clone(&self.id), self.producer) else { return };
        let Some(open) = self.open_mut() else { return };
        let version = open.version;
        let members = &mut open.members;
        let body = match &due {
            Due::AddOffsets(group) => Body::AddOffsetsToTxn(members.add_group(&id, producer, group)),
            Due::AddPartitions => Body::AddPartitionsToTxn(members.add_partitions(&id, producer)),
            Due::CommitOffsets(_) => {
                let spoken = nodes.version_for(node, ApiKey::TxnOffsetCommit);
                match members.commit_offsets(&id, producer, version, spoken) {
                    Some((request, max_version)) => Body::TxnOffsetCommit { request, max_version },
                    None => {
                        let error = TransactionError::new(TransactionErrorKind::GroupMetadataUnsupported);
                        return self.fail_transaction(error, effects);
                    }
                }
            }
            Due::End { commit } => {
                let max_version = version.last_end_txn();
                let request = members.end(&id, producer, *commit);
                if let State::Ending(ending) = &mut self.state {
                    ending.note_told();
                }
                Body::EndTxn { request, max_version }
            }
            Due::ProducerId => return,
        };
        self.send(node, What::Due(due), body, effects);
    }

    fn init_producer_id(&self) -> InitProducerIdRequest {
        let present = self.producer;
        InitProducerIdRequest {
            transactional_id: Some(self.id.to_string()),
            transaction_timeout_ms: self.timeout_ms,
            producer_id: present.map_or(-1, |producer| producer.id),
            producer_epoch: present.map_or(-1, |producer| producer.epoch),
        }
    }

    fn send(&mut self, node: NodeId, what: What, body: Body, effects: &mut Effects) {
        let question = TransactionQuestion(self.next_question);
        self.next_question += 1;
        self.asked = Some(Asked { question, what });
        effects.push(Effect::Send { node, purpose: Purpose::Transactions(question), body });
    }

    /// Notes that the open transaction can only be aborted, and lets callers know who wait for something of it.
    fn fail_transaction(&mut self, error: TransactionError, effects: &mut Effects) {
        if let Some(open) = self.open_mut() {
            open.members.fail_calls(&error, effects);
            open.fail(error);
        }
    }

    fn busy_backoff(&self) -> Backoff {
        Backoff::new(BUSY_BACKOFF, self.retry_backoff.max())
    }

    fn pause(&mut self, backoff: Backoff, now: Instant) {
        self.pause.until = now.checked_add(backoff.delay(self.pause.attempts, 0.5));
        self.pause.attempts = self.pause.attempts.saturating_add(1);
    }
}

/// Whether records were refused because the producer is not the one that has the id any more, or may not have it.
fn is_fenced(kind: &TransactionErrorKind) -> bool {
    let TransactionErrorKind::RecordsFailed { reason, .. } = kind else { return false };
    matches!(
        &**reason,
        DeliveryErrorKind::Broker {
            code: ErrorCode::InvalidProducerIdMapping
                | ErrorCode::ProducerFenced
                | ErrorCode::TransactionalIdAuthorizationFailed,
            ..
        }
    )
}

impl TransactionVersion {
    /// The version that a level of the feature `transaction.version` stands for.
    pub(super) fn of(level: i16) -> Self {
        if level >= 2 { Self::Two } else { Self::One }
    }

    /// The last version of EndTxn that is for transactions of this version. With a later one the epoch would change.
    fn last_end_txn(self) -> i16 {
        match self {
            Self::One => 4,
            Self::Two => i16::MAX,
        }
    }

    /// The last version of Produce. With a later one the broker adds the partition to the transaction.
    fn last_produce(self) -> i16 {
        match self {
            Self::One => 11,
            Self::Two => i16::MAX,
        }
    }

    /// The last version of TxnOffsetCommit. With a later one the broker adds the group to the transaction.
    fn last_offset_commit(self) -> i16 {
        match self {
            Self::One => 4,
            Self::Two => i16::MAX,
        }
    }
}

impl Open {
    fn new(version: TransactionVersion) -> Self {
        Self { version, members: Members::default(), failure: None, needs_epoch: false }
    }

    /// Notes why the transaction can only be aborted. The first reason counts: others follow from it.
    fn fail(&mut self, error: TransactionError) {
        self.failure.get_or_insert(error);
    }
}
