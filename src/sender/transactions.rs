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
//! | `asking.rs` | what is asked next, and of whom |
//! | `call.rs` | what callers ask for, and how they learn what came of it |
//! | `coordinators.rs` | which brokers coordinate the transactional id and the groups |
//! | `ending.rs` | how a transaction ends |
//! | `outcomes.rs` | what follows from answers |
//! | `markers.rs` | how long the next transaction leaves the brokers to finish the one before |
//! | `members.rs` | the partitions and the offsets of the transaction that is open |
//! | `refusal.rs` | what it says of the producer that a leader refuses its records |
//! | `verdict.rs` | what an error code means |
//! | `version.rs` | which requests are for which version |

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::error::{DeliveryErrorKind, TransactionError, TransactionErrorKind};
use crate::planted::planted;
use crate::protocol::ApiKey;
use crate::protocol::messages::find_coordinator::CoordinatorType;
use crate::sender::effects::{Effect, Effects};
use crate::sender::line::{Line, News};
use crate::sender::nodes::Nodes;
use crate::sender::numbering::ProducerId;
use crate::sender::settings::TransactionalSettings;
use crate::sender::timer::{Timer, Wait};
use crate::topic_partition::{NodeId, TopicPartition};

mod asking;
mod call;
mod coordinators;
mod ending;
mod markers;
mod members;
mod outcomes;
mod refusal;
mod verdict;
mod version;

pub(crate) use self::call::{Answer, Call, CallReply, Wish};
use self::coordinators::{CoordinatorKey, Coordinators};
use self::ending::{Ending, EndingStep};
use self::markers::Markers;
use self::members::Members;
pub(crate) use self::members::{GroupOffsets, OffsetToCommit};
use self::refusal::{Refusal, refusal_of_producer};
pub(crate) use self::version::TransactionVersion;

/// The transactions of one producer, one after the other.
#[derive(Debug)]
pub(super) struct Transactions {
    /// `transactional.id`.
    id: Arc<str>,
    /// `transaction.timeout.ms`.
    timeout: Duration,
    /// `delivery.timeout.ms`: how long offsets may take, too.
    delivery_timeout: Duration,
    state: State,
    /// As the coordinator gave them last.
    producer: Option<ProducerId>,
    /// What the cluster has finalized, as far as brokers have said. It counts for the next transaction.
    finalized: TransactionVersion,
    /// Whether the next transaction needs another epoch than the one before. [`EpochNeed::None`] but while there is none.
    epoch_need: EpochNeed,
    coordinators: Coordinators,
    markers: Markers,
    /// The request that is under way, if any: there is one at a time.
    asked: Option<Asked>,
    next_question: u64,
    pause: Pause,
    retry_backoff: Backoff,
}

#[derive(Debug)]
enum State {
    Uninitialized,
    /// The coordinator is asked for a producer id, or for another epoch of it. `begin` waits for that, if a caller has called it.
    Initializing {
        begin: Option<Call>,
        haste: Haste,
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
    epoch_need: EpochNeed,
    /// When the sender first saw it, before it has told any broker of it.
    since: Option<Instant>,
}

/// When to ask for an epoch that no caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Haste {
    /// Now: a transaction has just ended, so the id is still this producer's, as far as can be known. Later it may be another's, of
    /// whose open transaction the coordinator would take the question for a reason to abort it.
    AtOnce,
    /// Not before a caller wants to go on: the id may be another producer's by now.
    Wanted,
}

/// Whether the coordinator must give another epoch before the next transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EpochNeed {
    None,
    /// A request of the transaction was lost, and may arrive while the next one is open: in its epoch it would count for that. Brokers
    /// before Kafka 2.5 give no other epoch, so the hole stays there.
    Wanted,
    /// A partition waits for a sequence number that will not come.
    Required,
}

/// What transactions are told of the rest of the sender.
pub(super) struct Surroundings<'a> {
    /// No record of the transaction is queued or under way.
    pub(super) are_records_settled: bool,
    /// Whether a request with records may still be with a broker, though all of its records have failed.
    pub(super) has_unanswered: &'a dyn Fn() -> bool,
    /// The producer is closed, or dropped.
    pub(super) is_closed: bool,
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

/// A coordinator that is still busy with the transaction before is done in a moment. Java's producer waits for 20 ms each time; this one
/// waits twice as long each time.
pub(super) const BUSY_BACKOFF: Duration = Duration::from_millis(2);

impl Transactions {
    pub(super) fn new(
        settings: &TransactionalSettings,
        delivery_timeout: Duration,
        retry_backoff: Backoff,
    ) -> Self {
        Self {
            coordinators: Coordinators::default(),
            markers: Markers::default(),
            id: Arc::clone(&settings.id),
            timeout: settings.timeout,
            delivery_timeout,
            state: State::Uninitialized,
            producer: None,
            finalized: TransactionVersion::default(),
            epoch_need: EpochNeed::None,
            asked: None,
            next_question: 0,
            pause: Pause::default(),
            retry_backoff,
        }
    }

    /// Takes in what a caller asks for.
    pub(super) fn handle_call(&mut self, call: Call, now: Instant, effects: &mut Effects) {
        match call.wish() {
            Wish::Begin => self.begin(call, effects),
            Wish::SendOffsets(offsets) => {
                let offsets = offsets.clone();
                self.send_offsets(call, offsets, now, effects);
            }
            Wish::Commit { refused } => {
                if let Some(refused) = refused.clone() {
                    self.fail_transaction(TransactionError::new(refused), effects);
                }
                self.end(call, effects);
            }
            Wish::Abort => self.end(call, effects),
        }
    }

    /// Takes in what the cluster has finalized. A transaction that is open ends as it has begun.
    pub(super) fn note_finalized(&mut self, version: TransactionVersion, effects: &mut Effects) {
        if self.finalized != version {
            let text = format!("the cluster has another version of transactions: {version:?}");
            effects.push(Effect::Tell(News::of_cluster("version of transactions", Line::info(text))));
            self.finalized = version;
            // A late record of a transaction must not count for one of the other version.
            self.need_epoch();
        }
    }

    /// The next transaction cannot have the epoch of the one before.
    fn need_epoch(&mut self) {
        match &mut self.state {
            State::Ready => {
                self.epoch_need = EpochNeed::Required;
                self.state = State::Initializing { begin: None, haste: Haste::Wanted };
            }
            _ => {
                if let Some(open) = self.open_mut() {
                    open.epoch_need = EpochNeed::Required;
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
    pub(super) fn may_send(&self, partition: &TopicPartition, now: Instant) -> bool {
        let open = match &self.state {
            State::Open(open) => open,
            State::Ending(ending) if ending.is_commit() => ending.transaction(),
            _ => return false,
        };
        let has = open.members.has(partition) || planted!(PartitionNotAdded);
        has && open.failure.is_none() && !self.markers.is_holding(now)
    }

    /// Returns what records of a partition that may not be sent wait for.
    pub(super) fn lack(&self) -> &'static str {
        match (&self.state, self.producer) {
            (State::Failed(_), _) => "the producer cannot go on with transactions",
            (_, None) => "the coordinator has given no producer id for transactional.id",
            (State::Ending(_), _) => "the transaction is ending",
            _ => "the coordinator has not taken the partition into the transaction",
        }
    }

    /// Whether a broker that speaks this version of Produce can have records of the transaction. If not, the transaction is given up: the
    /// broker would not add its partition.
    pub(super) fn suits(&mut self, produce: Option<i16>, effects: &mut Effects) -> bool {
        let Some(open) = self.open_mut() else { return true };
        if produce.is_none_or(|spoken| spoken >= open.version.first_produce()) {
            return true;
        }
        self.note_rolled_back(ApiKey::Produce, effects);
        false
    }

    /// A broker of an older release takes part in a transaction of version 2. The next transaction is one of version 1.
    fn note_rolled_back(&mut self, api_key: ApiKey, effects: &mut Effects) {
        self.finalized = TransactionVersion::One;
        let error = TransactionError::new(TransactionErrorKind::RolledBack(api_key.name()));
        self.fail_transaction(error, effects);
    }

    /// Takes in that records are sent. Returns the last version of Produce that is for the transaction.
    pub(super) fn note_sent(&mut self, now: Instant) -> i16 {
        self.markers.note_sent(now);
        let Some(open) = self.open_mut() else { return i16::MAX };
        open.members.note_sent();
        open.version.last_produce()
    }

    /// Takes in that a broker has answered records.
    pub(super) fn note_answered(&mut self, now: Instant) {
        self.markers.note_answered(now);
    }

    /// Takes in that records have failed. `was_numbered`: they have had sequence numbers, so the partition waits for these.
    pub(super) fn note_failed_records(
        &mut self,
        error: Option<TransactionError>,
        was_numbered: bool,
        effects: &mut Effects,
    ) {
        if was_numbered
            && !planted!(LateRecordCounts)
            && let Some(open) = self.open_mut()
        {
            open.epoch_need = EpochNeed::Required;
        }
        let Some(error) = error.filter(|_| !planted!(FailedRecordCommits)) else { return };
        match refusal_of_producer(error.kind()) {
            Some(Refusal::Final(kind)) => self.fail_for_good(TransactionError::new(kind), effects),
            Some(Refusal::OfEpoch(kind)) => self.fail_transaction(TransactionError::new(kind), effects),
            None => self.fail_transaction(error, effects),
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
            State::Initializing { begin, .. } => {
                self.state = State::Initializing { begin, haste: Haste::Wanted };
            }
            State::Open(mut open) => {
                open.members.fail_calls(&error(), effects);
                open.members.forget_coordinator();
                open.fail(error());
                self.state = State::Open(open);
            }
            State::Ending(ending) if planted!(EndingLeftBehind) => ending.give_up(&error(), effects),
            State::Ending(mut ending) => {
                ending.leave_cluster(&error(), effects);
                self.state = State::Ending(ending);
            }
        }
    }

    /// Asks for what is due. Returns whether to call again once the effects are done.
    pub(super) fn next_request(
        &mut self,
        nodes: &mut Nodes<'_>,
        around: &Surroundings<'_>,
        now: Instant,
        effects: &mut Effects,
    ) -> bool {
        if let Some(open) = self.open_mut() {
            open.since.get_or_insert(now);
        }
        self.give_up_what_is_late(around.is_closed, now, effects);
        if self.markers.take_over(now) {
            effects.push(Effect::LookAtActive);
        }
        let is_going_on = self.step(around, now, effects);
        if !is_going_on && self.asked.is_none() && self.pause.until.is_none_or(|until| now >= until) {
            self.ask_for_due(nodes, now, effects);
        }
        is_going_on
    }

    /// Says what the next request waits for, and until when what is under way may take.
    pub(super) fn timeouts(&self, now: Instant, see: &mut impl FnMut(Wait, Timer)) {
        if let State::Ending(ending) = &self.state
            && let Some(until) = ending.give_up_at()
        {
            see(Wait::Until(until), Timer::Transaction);
        }
        if let Some(until) = self.markers.until()
            && self.open().is_some_and(|open| open.members.has_any())
        {
            see(Wait::Until(until), Timer::Transaction);
        }
        if self.asked.is_some() {
            return;
        }
        if let Some(until) = self.open().and_then(|open| open.members.offsets_until()) {
            see(Wait::Until(until), Timer::Transaction);
        }
        let Some(due) = self.due() else { return };
        let wait = match self.pause.until {
            Some(until) if now < until => Wait::Until(until),
            _ => match self.coordinator_of(&due) {
                Some(node) => Wait::Node(node),
                None => Wait::AnyNode,
            },
        };
        see(wait, Timer::Transaction);
    }

    /// Gives up offsets that take too long, and the end of a transaction of a producer that is gone.
    fn give_up_what_is_late(&mut self, is_closed: bool, now: Instant, effects: &mut Effects) {
        if is_closed
            && let State::Ending(ending) = &mut self.state
            && ending.is_given_up(self.timeout, now)
        {
            let text = format!(
                "the end of the last transaction of \"{}\" is left to its coordinator; the producer is closed",
                self.id
            );
            effects.push(Effect::Tell(News::of_cluster("end of a transaction", Line::warn(text))));
            self.fail_for_good(TransactionError::new(TransactionErrorKind::Closed), effects);
        }
        if self.asked.is_none()
            && let Some(open) = self.open()
            && open.members.offsets_until().is_some_and(|until| until <= now)
            && let Some(kind) = open.members.late_offsets(self.delivery_timeout)
        {
            self.fail_transaction(TransactionError::new(kind), effects);
        }
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
                self.state = State::Initializing { begin: Some(call), haste: Haste::Wanted };
            }
            State::Initializing { begin, .. } => match begin {
                None => *begin = Some(call),
                Some(_) => call.refuse("another call of begin_transaction is under way", effects),
            },
            State::Ending(ending) => ending.begin_after(call, effects),
            State::Open(_) => call.refuse("a transaction is open", effects),
            State::Failed(error) => {
                let error = error.clone();
                call.fail(error, effects);
            }
        }
    }

    fn send_offsets(&mut self, call: Call, offsets: GroupOffsets, now: Instant, effects: &mut Effects) {
        let until = now.checked_add(self.delivery_timeout);
        match &mut self.state {
            State::Open(open) => match &open.failure {
                Some(failure) => {
                    let failure = failure.clone();
                    call.fail(failure, effects);
                }
                None => open.members.add_offsets(call, offsets, until),
            },
            State::Failed(error) => {
                let error = error.clone();
                call.fail(error, effects);
            }
            _ => call.refuse("no transaction is open", effects),
        }
    }

    /// The transaction that is open, or ends.
    fn open(&self) -> Option<&Open> {
        match &self.state {
            State::Open(open) => Some(open),
            State::Ending(ending) => Some(ending.transaction()),
            _ => None,
        }
    }

    fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.state {
            State::Open(open) => Some(open),
            State::Ending(ending) => Some(ending.transaction_mut()),
            _ => None,
        }
    }

    fn due(&self) -> Option<Due> {
        match &self.state {
            State::Initializing { begin, haste } => {
                (begin.is_some() || *haste == Haste::AtOnce).then_some(Due::ProducerId)
            }
            State::Open(open) if open.failure.is_none() => open.members.due(open.version),
            State::Ending(ending) => ending.due(),
            State::Failed(_) | State::Open(_) | State::Ready | State::Uninitialized => None,
        }
    }

    /// Takes the steps that need no request. Returns whether there may be more once the effects are done.
    fn step(&mut self, around: &Surroundings<'_>, now: Instant, effects: &mut Effects) -> bool {
        let is_queue_kept = planted!(QueueOutlivesAbort) && self.is_ending();
        if !around.are_records_settled
            && !is_queue_kept
            && let Some(kind) = self.refusal()
        {
            // That includes those that come back to be sent again. They may have been the last.
            effects.push(Effect::RefuseQueued(kind));
            return true;
        }
        let State::Ending(ending) = &mut self.state else { return false };
        match ending.step(around, effects) {
            EndingStep::Wait => false,
            EndingStep::GoOn => true,
            EndingStep::Ended => {
                self.finish(now, effects);
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
        self.coordinators.of(&self.coordinator_key(due))
    }

    /// Returns which coordinator is to be asked.
    fn coordinator_key(&self, due: &Due) -> CoordinatorKey {
        let (kind, id) = match due {
            Due::CommitOffsets(group) => (CoordinatorType::Group, group),
            _ => (CoordinatorType::Transaction, &self.id),
        };
        CoordinatorKey { kind, id: Arc::clone(id) }
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

impl Open {
    fn new(version: TransactionVersion) -> Self {
        Self { version, members: Members::default(), failure: None, epoch_need: EpochNeed::None, since: None }
    }

    /// Whether the coordinator cannot have aborted it for the time that it took.
    fn is_in_time(&self, timeout: Duration, now: Instant) -> bool {
        self.since.is_none_or(|since| now.saturating_duration_since(since) < timeout)
    }

    /// Notes why the transaction can only be aborted. The first reason counts: others follow from it.
    fn fail(&mut self, error: TransactionError) {
        self.failure.get_or_insert(error);
    }
}

#[cfg(test)]
mod tests;
