//! Every answer to every request: what callers are told to do fits what the producer can do then.

use std::time::{Duration, Instant};

use super::verdict::tests::{REQUESTS, TABLE};
use super::*;
use crate::clock;
use crate::error::Disposition;
use crate::network::FailureReason;
use crate::protocol::messages::txn_offset_commit::GroupMember;
use crate::sender::request::RequestOutcome;
use crate::topic_partition::Topic;
use crate::wire::Uuid;

mod leftovers;

const NODE: NodeId = NodeId(1);
const TOPIC: &str = "orders";
const GROUP: &str = "readers";

impl Transactions {
    /// Opens a transaction of version 1 that the coordinator may know of.
    pub(in crate::sender) fn open_at_once(&mut self) {
        self.producer = Some(ProducerId { id: 7, epoch: 0, is_transactional: true });
        let mut open = Open::new(TransactionVersion::One);
        open.members.note_sent();
        self.state = State::Open(open);
    }
}

/// A machine that has asked something, and the call that waits for what comes of it.
struct Rig {
    transactions: Transactions,
    /// `None` before a caller wants to know.
    reply: Option<CallReply>,
    effects: Effects,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let settings =
            TransactionalSettings { id: Arc::from("payments-1"), timeout: Duration::from_secs(60) };
        let transactions = Transactions::new(&settings, Duration::from_secs(120), backoff);
        Self { transactions, reply: None, effects: Effects::default(), now: clock::now() }
    }

    /// A transaction of version 1 that the coordinator may know of.
    fn open() -> Self {
        let mut rig = Self::new();
        rig.transactions.producer = Some(ProducerId { id: 7, epoch: 0, is_transactional: true });
        rig.transactions.state = State::Open(Open::new(TransactionVersion::One));
        rig
    }

    fn begun_by_a_caller() -> Self {
        let mut rig = Self::new();
        rig.call(Wish::Begin);
        rig
    }

    fn call(&mut self, wish: Wish) {
        let (call, reply) = Call::new(wish);
        self.transactions.handle_call(call, self.now, &mut self.effects);
        self.reply = Some(reply);
        self.settle();
    }

    /// Carries the effects out that callers see.
    fn settle(&mut self) {
        while let Some(effect) = self.effects.pop() {
            drop(effect);
        }
    }

    fn ask(&mut self, what: What) {
        self.transactions.asked = Some(Asked { question: TransactionQuestion(0), what });
    }

    fn with_offsets() -> Self {
        Self::with_offsets_of(Uuid::ZERO)
    }

    /// The topic has this id.
    fn with_offsets_of(topic_id: Uuid) -> Self {
        let mut rig = Self::open();
        let offset = OffsetToCommit { partition: 0, offset: 5, leader_epoch: -1, metadata: None };
        let topics = [(Topic::from(TOPIC), (topic_id, vec![offset]))].into();
        rig.call(Wish::SendOffsets(GroupOffsets {
            group: Arc::from(GROUP),
            member: GroupMember::NONE,
            topics,
        }));
        rig
    }

    fn with_records() -> Self {
        let mut rig = Self::open();
        if let State::Open(open) = &mut rig.transactions.state {
            open.members.want(&TopicPartition::new(TOPIC, 0), TransactionVersion::One);
            let producer = ProducerId { id: 7, epoch: 0, is_transactional: true };
            drop(open.members.add_partitions("payments-1", producer));
        }
        rig
    }

    /// The request is under way that `api` names. `is_abort`: if it ends a transaction.
    fn of(api: ApiKey, is_abort: bool) -> Self {
        let group = || Arc::from(GROUP);
        match api {
            ApiKey::FindCoordinator => {
                let mut rig = Self::begun_by_a_caller();
                let id = Arc::clone(&rig.transactions.id);
                rig.ask(What::Coordinator(CoordinatorKey { kind: CoordinatorType::Transaction, id }));
                rig
            }
            ApiKey::InitProducerId => {
                let mut rig = Self::begun_by_a_caller();
                rig.ask(What::Due(Due::ProducerId));
                rig
            }
            ApiKey::AddPartitionsToTxn => {
                let mut rig = Self::with_records();
                rig.ask(What::Due(Due::AddPartitions));
                rig
            }
            ApiKey::AddOffsetsToTxn => {
                let mut rig = Self::with_offsets();
                rig.ask(What::Due(Due::AddOffsets(group())));
                rig
            }
            ApiKey::TxnOffsetCommit => {
                let mut rig = Self::with_offsets();
                rig.ask(What::Due(Due::CommitOffsets(group())));
                rig
            }
            _ => {
                let mut rig = Self::open();
                if let State::Open(open) = &mut rig.transactions.state {
                    open.members.note_sent();
                }
                rig.call(if is_abort { Wish::Abort } else { Wish::Commit { refused: None } });
                rig.step();
                if let State::Ending(ending) = &mut rig.transactions.state {
                    ending.note_told();
                }
                rig.ask(What::Due(Due::End { commit: !is_abort }));
                rig
            }
        }
    }

    fn step(&mut self) {
        let around = Surroundings { are_records_settled: true, has_unanswered: &|| false, is_closed: false };
        while self.transactions.step(&around, self.now, &mut self.effects) {
            self.settle();
        }
        self.settle();
    }

    fn answer(&mut self, api: ApiKey, code: i16) {
        let outcome = RequestOutcome::Answered { version: 0, body: body(api, code).into() };
        let question = TransactionQuestion(0);
        self.transactions.handle_outcome(question, NODE, outcome, self.now, &mut self.effects);
        self.settle();
    }

    /// What the caller knows in the end. One that has asked for nothing so far commits.
    fn outcome(&mut self) -> Option<Result<(), TransactionError>> {
        if self.reply.is_none() {
            self.call(Wish::Commit { refused: None });
        }
        self.step();
        self.reply.as_ref().and_then(CallReply::outcome)
    }
}

/// An answer in version 0.
fn body(api: ApiKey, code: i16) -> Vec<u8> {
    let mut body = Vec::new();
    if api != ApiKey::FindCoordinator {
        body.extend(0_i32.to_be_bytes());
    }
    match api {
        ApiKey::AddPartitionsToTxn | ApiKey::TxnOffsetCommit => {
            body.extend(1_i32.to_be_bytes());
            body.extend(6_i16.to_be_bytes());
            body.extend(TOPIC.as_bytes());
            body.extend(1_i32.to_be_bytes());
            body.extend(0_i32.to_be_bytes());
            body.extend(code.to_be_bytes());
        }
        ApiKey::FindCoordinator => {
            body.extend(code.to_be_bytes());
            body.extend(1_i32.to_be_bytes());
            body.extend(1_i16.to_be_bytes());
            body.extend(b"h");
            body.extend(9092_i32.to_be_bytes());
        }
        ApiKey::InitProducerId => {
            body.extend(code.to_be_bytes());
            body.extend(7_i64.to_be_bytes());
            body.extend(0_i16.to_be_bytes());
        }
        _ => body.extend(code.to_be_bytes()),
    }
    body
}

#[test]
fn every_answer_leads_to_one_disposition_that_the_producer_agrees_with() {
    for api in REQUESTS {
        for code in -1..=140 {
            for is_abort in [false, true] {
                let mut rig = Rig::of(api, is_abort);
                rig.answer(api, code);
                check(&mut rig, &format!("{api:?} {code} abort: {is_abort}"));
            }
        }
    }
}

fn check(rig: &mut Rig, case: &str) {
    let outcome = rig.outcome();
    let state = &rig.transactions.state;
    match outcome {
        // It is asked again, or another request follows.
        None => assert!(rig.transactions.due().is_some(), "{case}: {state:?}"),
        Some(Ok(())) => {
            let is_usable = matches!(state, State::Open(_) | State::Ready | State::Initializing { .. });
            assert!(is_usable, "{case}: {state:?}");
        }
        Some(Err(error)) => {
            let disposition = error.disposition();
            match state {
                State::Failed(_) => {
                    let is_final = matches!(
                        disposition,
                        Disposition::Bug | Disposition::FindOutcome | Disposition::NewProducer
                    );
                    assert!(is_final, "{case}: {error}: {disposition:?}");
                }
                State::Uninitialized => {
                    assert_eq!(disposition, Disposition::FixConfiguration, "{case}: {error}");
                }
                State::Ending(ending) => {
                    assert_eq!(disposition, Disposition::AbortTransaction, "{case}: {error}");
                    assert!(!ending.is_commit(), "{case}");
                }
                State::Open(open) => {
                    assert_eq!(disposition, Disposition::AbortTransaction, "{case}: {error}");
                    assert!(open.failure.is_some(), "{case}");
                }
                // What failed had nothing that the coordinator would have to abort.
                State::Ready | State::Initializing { .. } => {
                    assert_eq!(disposition, Disposition::AbortTransaction, "{case}: {error}");
                }
            }
        }
    }
}

/// The table of Kafka's handlers has a letter for each; here is what callers are told to do.
#[test]
fn codes_of_kafka_s_table_lead_to_these_dispositions() {
    for (code, verdicts) in TABLE {
        for (api, verdict) in REQUESTS.into_iter().zip(verdicts.chars()) {
            let mut rig = Rig::of(api, false);
            rig.answer(api, code);
            let disposition = rig.outcome().and_then(Result::err).map(|error| error.disposition());
            let is_begun = !matches!(api, ApiKey::FindCoordinator | ApiKey::InitProducerId);
            let expected = match verdict {
                'A' if is_begun => Some(Disposition::AbortTransaction),
                // There is nothing to abort.
                'A' | 'B' | 'C' | 'R' => None,
                'F' | 'X' => Some(Disposition::NewProducer),
                'Z' => Some(Disposition::FixConfiguration),
                _ => continue,
            };
            assert_eq!(disposition, expected, "{api:?} {code}");
        }
    }
}

#[test]
fn commit_whose_answer_was_lost_is_in_doubt_when_the_producer_is_fenced() {
    let mut rig = Rig::of(ApiKey::EndTxn, false);
    let lost = RequestOutcome::Failed { reason: FailureReason::TimedOut, on_wire: true };
    rig.transactions.handle_outcome(TransactionQuestion(0), NODE, lost, rig.now, &mut rig.effects);
    rig.ask(What::Due(Due::End { commit: true }));

    rig.answer(ApiKey::EndTxn, 90);

    let error = rig.outcome().unwrap().unwrap_err();
    assert_eq!(error.disposition(), Disposition::FindOutcome, "{error}");
}

#[test]
fn abort_of_version_1_waits_until_no_request_with_records_is_under_way() {
    let mut rig = Rig::open();
    if let State::Open(open) = &mut rig.transactions.state {
        open.members.note_sent();
    }
    rig.call(Wish::Abort);

    for (has_unanswered, expected) in [(true, None), (false, Some(Due::End { commit: false }))] {
        let around =
            Surroundings { are_records_settled: true, has_unanswered: &|| has_unanswered, is_closed: false };
        rig.transactions.step(&around, rig.now, &mut rig.effects);
        assert_eq!(rig.transactions.due(), expected);
    }
}

#[test]
fn lost_request_of_version_1_has_the_next_transaction_ask_for_another_epoch() {
    for api in [ApiKey::AddPartitionsToTxn, ApiKey::AddOffsetsToTxn, ApiKey::TxnOffsetCommit, ApiKey::EndTxn]
    {
        let mut rig = Rig::of(api, false);
        let lost = RequestOutcome::Failed { reason: FailureReason::TimedOut, on_wire: true };
        rig.transactions.handle_outcome(TransactionQuestion(0), NODE, lost, rig.now, &mut rig.effects);

        assert_eq!(rig.transactions.open().map(|open| open.epoch_need), Some(EpochNeed::Wanted), "{api:?}");
    }
}

#[test]
fn end_of_the_last_transaction_is_left_to_the_coordinator_when_the_producer_is_gone() {
    let mut rig = Rig::of(ApiKey::EndTxn, true);
    let timeout = Duration::from_secs(60);

    rig.transactions.give_up_what_is_late(true, rig.now, &mut rig.effects);
    assert!(rig.transactions.is_ending());
    let mut waits = Vec::new();
    rig.transactions.timeouts(rig.now, &mut |wait, _| waits.push(wait));
    assert_eq!(waits, [Wait::Until(rig.now + timeout)]);
    rig.transactions.give_up_what_is_late(true, rig.now + timeout, &mut rig.effects);

    assert!(!rig.transactions.is_ending());
}

#[test]
fn offsets_that_take_too_long_fail_the_transaction() {
    let mut rig = Rig::with_offsets();
    rig.ask(What::Due(Due::CommitOffsets(Arc::from(GROUP))));
    rig.answer(ApiKey::TxnOffsetCommit, 3);

    rig.transactions.give_up_what_is_late(false, rig.now + Duration::from_secs(119), &mut rig.effects);
    assert_eq!(rig.outcome(), None);
    rig.transactions.give_up_what_is_late(false, rig.now + Duration::from_secs(120), &mut rig.effects);
    rig.settle();

    let error = rig.outcome().unwrap().unwrap_err();
    assert_eq!(
        error.kind().to_string(),
        "offsets of group \"readers\" were not committed within 120 s (delivery.timeout.ms): \
         UNKNOWN_TOPIC_OR_PARTITION (3) for orders-0"
    );
    assert_eq!(error.disposition(), Disposition::AbortTransaction);
}

#[test]
fn broker_that_was_rolled_back_ends_a_transaction_of_version_2() {
    let mut rig = Rig::open();
    rig.transactions.finalized = TransactionVersion::Two;
    rig.transactions.state = State::Open(Open::new(TransactionVersion::Two));

    assert!(rig.transactions.suits(Some(12), &mut rig.effects));
    assert!(!rig.transactions.suits(Some(11), &mut rig.effects));

    let error = rig.outcome().unwrap().unwrap_err();
    assert_eq!(error.kind(), &TransactionErrorKind::RolledBack("Produce"));
    assert_eq!(rig.transactions.finalized, TransactionVersion::One);
}

/// In version 2 a request of the transaction may still arrive when it has ended. Only the next epoch keeps it out of the next one.
#[test]
fn transaction_of_version_2_whose_end_brings_no_epoch_has_the_next_one_ask_for_it() {
    for (is_abort, code) in [(true, 48), (true, 0), (false, 0)] {
        let mut rig = Rig::of(ApiKey::EndTxn, is_abort);
        rig.transactions.finalized = TransactionVersion::Two;
        if let Some(open) = rig.transactions.open_mut() {
            open.version = TransactionVersion::Two;
        }

        rig.answer(ApiKey::EndTxn, code);

        assert_eq!(rig.outcome(), Some(Ok(())), "{is_abort} {code}");
        assert_eq!(rig.transactions.due(), Some(Due::ProducerId), "{is_abort} {code}");
    }
}

#[test]
fn refusal_of_offsets_by_topic_id_names_the_topic() {
    let id = Uuid([3; 16]);
    let mut rig = Rig::with_offsets_of(id);
    rig.ask(What::Due(Due::CommitOffsets(Arc::from(GROUP))));
    let mut body = vec![0; 4];
    body.push(2);
    body.extend(id.0);
    body.extend([2, 0, 0, 0, 0, 0, 29, 0, 0, 0]);

    let outcome = RequestOutcome::Answered { version: 6, body: body.into() };
    rig.transactions.handle_outcome(TransactionQuestion(0), NODE, outcome, rig.now, &mut rig.effects);
    rig.settle();

    let error = rig.outcome().unwrap().unwrap_err().to_string();
    assert!(error.contains("group readers: orders-0"), "{error}");
}

#[test]
fn answer_without_a_producer_id_is_none() {
    for (id, epoch) in [(-1, 0), (7, -1), (-1, -1)] {
        let mut rig = Rig::of(ApiKey::InitProducerId, false);
        let mut body = vec![0; 6];
        body.extend(i64::to_be_bytes(id));
        body.extend(i16::to_be_bytes(epoch));

        let outcome = RequestOutcome::Answered { version: 0, body: body.into() };
        rig.transactions.handle_outcome(TransactionQuestion(0), NODE, outcome, rig.now, &mut rig.effects);
        rig.settle();

        assert_eq!(rig.transactions.producer, None);
        assert_eq!(rig.transactions.due(), Some(Due::ProducerId));
    }
}

/// It may belong to another producer there.
#[test]
fn id_is_not_taken_in_another_cluster_before_a_caller_wants_to_begin() {
    let mut rig = Rig::with_records();
    rig.transactions.note_failed_records(None, true, &mut rig.effects);
    rig.transactions.handle_other_cluster(&mut rig.effects);

    let error = rig.outcome().unwrap().unwrap_err();
    assert_eq!(error.kind(), &TransactionErrorKind::ClusterLeft);
    assert_eq!(rig.transactions.due(), None);

    rig.call(Wish::Begin);
    assert_eq!(rig.transactions.due(), Some(Due::ProducerId));
}
