//! What follows from answers.

use std::time::Instant;

use super::call::Call;
use super::coordinators::CoordinatorKey;
use super::verdict::{Attempt, Verdict};
use super::{
    Asked, Due, EpochNeed, Open, Pause, State, TransactionQuestion, TransactionVersion, Transactions, What,
};
use crate::error::{TransactionError, TransactionErrorKind};
use crate::log;
use crate::network::FailureReason;
use crate::planted::planted;
use crate::protocol::messages::add_offsets_to_txn::AddOffsetsToTxnResponse;
use crate::protocol::messages::add_partitions_to_txn::AddPartitionsToTxnResponse;
use crate::protocol::messages::end_txn::EndTxnResponse;
use crate::protocol::messages::find_coordinator::{CoordinatorType, FindCoordinatorResponse};
use crate::protocol::messages::init_producer_id::InitProducerIdResponse;
use crate::protocol::messages::txn_offset_commit::TxnOffsetCommitResponse;
use crate::protocol::{ApiKey, ErrorCode};
use crate::sender::effects::{Effect, Effects};
use crate::sender::numbering::ProducerId;
use crate::sender::request::RequestOutcome;
use crate::sender::throttling;
use crate::topic_partition::NodeId;
use crate::wire::{DecodeError, Reader, Uuid};

/// What an answer says.
#[derive(Debug)]
struct Said {
    throttle_time_ms: i32,
    verdict: Verdict,
    /// The code that the verdict is from.
    code: ErrorCode,
    /// What the code is about, or the broker's own words.
    about: Option<String>,
    /// How many partitions the answer tells of.
    told: usize,
    news: News,
}

#[derive(Debug)]
enum News {
    None,
    Coordinator(NodeId),
    Producer(ProducerId),
}

impl Transactions {
    /// Takes in what has become of a request.
    pub(in crate::sender) fn handle_outcome(
        &mut self,
        question: TransactionQuestion,
        node: NodeId,
        outcome: RequestOutcome,
        now: Instant,
        effects: &mut Effects,
    ) {
        // An answer may come from a cluster that was left meanwhile.
        let Some(Asked { what, .. }) = self.asked.take_if(|asked| asked.question == question) else { return };
        let is_lost = matches!(outcome, RequestOutcome::Failed { on_wire: true, .. });
        if is_lost {
            self.note_lost(&what);
        }
        let is_answered = matches!(outcome, RequestOutcome::Answered { .. });
        if !is_answered {
            self.note_attempt(&what, if is_lost { Attempt::Unknown } else { Attempt::NotWritten });
        }
        match outcome {
            RequestOutcome::Answered { version, body } => match self.read(&what, version, &body) {
                Ok(said) => {
                    let attempt = Attempt::of(said.code, self.is_of_version_two());
                    self.note_attempt(&what, attempt);
                    let wish = throttling::wish(what.api_key(), version, said.throttle_time_ms);
                    effects.extend(wish.map(|wish| Effect::Throttle { node, wish }));
                    self.act_on(what, said, now, effects);
                }
                Err(error) => {
                    self.note_attempt(&what, Attempt::Unknown);
                    effects.push(Effect::Unreadable { node, api_key: what.api_key(), version, error });
                    self.ask_again(&what, now);
                }
            },
            RequestOutcome::Failed { .. } if !self.is_asked_for(&what) => self.forget_coordinator_of(&what),
            RequestOutcome::Failed { reason: FailureReason::UnsupportedVersion(api_key), .. } => {
                self.fail_for_good(
                    TransactionError::new(TransactionErrorKind::Unsupported(api_key.name())),
                    effects,
                );
            }
            RequestOutcome::Failed { reason: FailureReason::Unencodable(error), .. } => {
                let error = TransactionError::new(TransactionErrorKind::Unsendable(error.to_string()));
                self.note_not_done(&what);
                self.abort_only(&what, error, effects);
                self.pause(self.retry_backoff, now);
            }
            RequestOutcome::Failed { .. } | RequestOutcome::Written => {
                self.forget_coordinator_of(&what);
                self.ask_again(&what, now);
            }
        }
    }

    fn read(&self, what: &What, version: i16, body: &[u8]) -> Result<Said, DecodeError> {
        read(what, version, body, |topic_id| {
            let topic = self.open().and_then(|open| open.members.topic(topic_id));
            topic.map(ToString::to_string).unwrap_or_default()
        })
    }

    fn note_attempt(&mut self, what: &What, attempt: Attempt) {
        if let (What::Due(Due::End { .. }), State::Ending(ending)) = (what, &mut self.state) {
            ending.note_attempt(attempt);
        }
    }

    /// Whether something still asks for what was asked. The transaction that has asked may be over by now, and another may be open.
    fn is_asked_for(&self, what: &What) -> bool {
        match what {
            What::Coordinator(CoordinatorKey { kind: CoordinatorType::Group, id: group })
            | What::Due(Due::CommitOffsets(group)) => {
                self.open().is_some_and(|open| open.members.has_offsets_of(group))
            }
            What::Coordinator(key) => self.due().is_some_and(|due| self.coordinator_key(&due) == *key),
            // The transaction does not end before these are answered.
            What::Due(_) => !matches!(self.state, State::Failed(_)),
        }
    }

    /// Acts on an answer that nothing waits for any more. It says where a coordinator is, and that another producer has the id. If it
    /// says that the producer cannot go on, the coordinator says so again to what is asked next.
    fn act_on_leftover(&mut self, what: What, said: Said, effects: &mut Effects) {
        match said.verdict {
            Verdict::Done => {
                if let (What::Coordinator(key), News::Coordinator(node)) = (what, said.news) {
                    self.coordinators.note(key, node);
                }
            }
            Verdict::Fenced => self.act_on_fencing(&what, said, effects),
            Verdict::OtherCoordinator => self.forget_coordinator_of(&what),
            Verdict::Abort | Verdict::Busy | Verdict::Fatal | Verdict::Refused | Verdict::Retry => {}
        }
    }

    fn act_on(&mut self, what: What, said: Said, now: Instant, effects: &mut Effects) {
        if !self.is_asked_for(&what) {
            return self.act_on_leftover(what, said, effects);
        }
        match said.verdict {
            // What it leaves out is not known to be done.
            Verdict::Done if said.told < self.asked_about(&what) => self.ask_again(&what, now),
            Verdict::Done => {
                self.pause = Pause::default();
                self.note_done(what, said.news, now, effects);
            }
            Verdict::Busy => {
                self.note_not_done(&what);
                self.pause(self.busy_backoff(), now);
            }
            Verdict::Retry => {
                self.note_said(&what, &said);
                self.ask_again(&what, now);
            }
            Verdict::OtherCoordinator => {
                if !planted!(CoordinatorKept) {
                    self.forget_coordinator_of(&what);
                }
                self.ask_again(&what, now);
            }
            Verdict::Abort if said.code == ErrorCode::UnknownTopicId && self.go_by_names() => {}
            // It has never heard of the transaction: there is nothing to abort.
            Verdict::Fatal
                if said.code == ErrorCode::InvalidTxnState
                    && matches!(what, What::Due(Due::End { commit: false }))
                    && !planted!(UnknownAbortIsFatal) =>
            {
                self.note_ended(None, now, effects);
            }
            // The coordinator has aborted it, because it took longer than `transaction.timeout.ms`, or because another producer takes the
            // id. In the first case the producer goes on: the coordinator tells the epoch in answer to an abort.
            Verdict::Fatal
                if said.code == ErrorCode::InvalidTxnState
                    && matches!(what, What::Due(Due::End { commit: true }))
                    && self.is_of_version_two() =>
            {
                if self.open().is_some_and(|open| open.is_in_time(self.timeout, now)) {
                    return self.fence(&what, said.code, effects);
                }
                self.abort_only(&what, TransactionError::new(TransactionErrorKind::GivenUp), effects);
            }
            // No transaction is open: what is to be aborted is the coordinator's affair.
            Verdict::Abort if matches!(self.state, State::Initializing { .. }) => self.ask_again(&what, now),
            Verdict::Abort => {
                if said.code == ErrorCode::UnknownProducerId {
                    self.need_epoch();
                }
                self.abort_only(&what, said.into_error(&what), effects);
                self.pause(self.retry_backoff, now);
            }
            Verdict::Refused => self.refuse_begin(said.into_refusal(&what), effects),
            Verdict::Fenced => self.act_on_fencing(&what, said, effects),
            Verdict::Fatal => self.fail_for_good(said.into_error(&what), effects),
        }
    }

    /// The producer's epoch is an old one.
    fn act_on_fencing(&mut self, what: &What, said: Said, effects: &mut Effects) {
        let is_of_group = matches!(what, What::Due(Due::CommitOffsets(_)));
        if is_of_group && said.code == ErrorCode::InvalidProducerEpoch && self.is_of_version_two() {
            // The coordinator may have given the transaction up. Its answer to the abort tells, as with records.
            return self.fail_transaction(said.into_error(what), effects);
        }
        self.fence(what, said.code, effects);
    }

    /// Another producer has the id, or is about to have it.
    fn fence(&mut self, what: &What, code: ErrorCode, effects: &mut Effects) {
        let kind = TransactionErrorKind::Fenced { code, call: what.api_key().name() };
        self.fail_for_good(TransactionError::new(kind), effects);
    }

    fn note_done(&mut self, what: What, news: News, now: Instant, effects: &mut Effects) {
        match (what, news) {
            (What::Coordinator(key), News::Coordinator(node)) => {
                log::debug!(id = %key.id, kind = ?key.kind, %node, "coordinator");
                self.coordinators.note(key, node);
            }
            (What::Coordinator(_), _) => {}
            (What::Due(Due::ProducerId), News::Producer(producer)) => {
                self.adopt(producer, effects);
                self.begin_first(effects);
            }
            (What::Due(Due::ProducerId), _) => {}
            (What::Due(Due::AddPartitions), _) => {
                if let Some(open) = self.open_mut() {
                    open.members.note_added(true);
                    effects.push(Effect::LookAtActive);
                }
            }
            (What::Due(Due::AddOffsets(group)), _) => {
                if let Some(open) = self.open_mut() {
                    open.members.note_group_added(group);
                }
            }
            (What::Due(Due::CommitOffsets(_)), _) => {
                if let Some(open) = self.open_mut() {
                    open.members.note_offsets_committed(effects);
                }
            }
            (What::Due(Due::End { .. }), News::Producer(producer)) => {
                self.note_ended(Some(producer), now, effects);
            }
            (What::Due(Due::End { .. }), _) => self.note_ended(None, now, effects),
        }
    }

    /// The transaction has ended at the coordinator, which may have given the epoch of the next one.
    fn note_ended(&mut self, given: Option<ProducerId>, now: Instant, effects: &mut Effects) {
        if !planted!(EpochOfEndIgnored) {
            self.note_next_epoch(given, effects);
        }
        self.finish(now, effects);
    }

    fn note_next_epoch(&mut self, given: Option<ProducerId>, effects: &mut Effects) {
        if let Some(producer) = given {
            self.adopt(producer, effects);
        }
        let Some(open) = self.open_mut() else { return };
        match (given, open.version) {
            (Some(_), _) => open.epoch_need = EpochNeed::None,
            // In the same epoch, what is still under way of the transaction would count for the next one.
            (None, TransactionVersion::Two) => open.epoch_need = EpochNeed::Required,
            (None, TransactionVersion::One) => {}
        }
    }

    /// The producer has its id: the caller who waits for it has a transaction.
    pub(super) fn begin_first(&mut self, effects: &mut Effects) {
        let State::Initializing { begin, .. } = std::mem::replace(&mut self.state, State::Ready) else {
            return;
        };
        self.epoch_need = EpochNeed::None;
        if let Some(begin) = begin {
            self.state = State::Open(Open::new(self.finalized));
            begin.succeed(effects);
        }
    }

    /// A request was lost. It may arrive after the transaction has ended, and count for the next one if that has the same epoch.
    fn note_lost(&mut self, what: &What) {
        if let What::Due(due) = what
            && *due != Due::ProducerId
            && let Some(open) = self.open_mut()
            && open.version == TransactionVersion::One
        {
            open.epoch_need = open.epoch_need.max(EpochNeed::Wanted);
        }
    }

    fn note_said(&mut self, what: &What, said: &Said) {
        if let (What::Due(Due::CommitOffsets(_)), Some(open)) = (what, self.open_mut()) {
            let about = said.about.as_deref().unwrap_or_default();
            open.members.note_said(format!("{} for {about}", said.code));
        }
    }

    fn adopt(&mut self, producer: ProducerId, effects: &mut Effects) {
        self.producer = Some(producer);
        effects.push(Effect::AdoptProducerId(producer));
    }

    /// Returns of how many partitions an answer must tell.
    fn asked_about(&mut self, what: &What) -> usize {
        let What::Due(due) = what else { return 0 };
        let Some(open) = self.open_mut() else { return 0 };
        match due {
            Due::AddPartitions => open.members.adding(),
            Due::CommitOffsets(_) => open.members.committing(),
            Due::AddOffsets(_) | Due::End { .. } | Due::ProducerId => 0,
        }
    }

    fn ask_again(&mut self, what: &What, now: Instant) {
        self.note_not_done(what);
        if self.is_asked_for(what) {
            self.pause(self.retry_backoff, now);
        }
    }

    fn note_not_done(&mut self, what: &What) {
        if let (What::Due(Due::AddPartitions), Some(open)) = (what, self.open_mut()) {
            open.members.note_added(false);
        }
    }

    fn forget_coordinator_of(&mut self, what: &What) {
        if let What::Due(due) = what {
            let key = self.coordinator_key(due);
            self.coordinators.forget(&key);
        }
    }

    fn is_of_version_two(&mut self) -> bool {
        self.open_mut().is_some_and(|open| open.version == TransactionVersion::Two)
    }

    fn go_by_names(&mut self) -> bool {
        self.open_mut().is_some_and(|open| open.members.go_by_names())
    }

    /// The transaction can only be aborted.
    fn abort_only(&mut self, what: &What, error: TransactionError, effects: &mut Effects) {
        if let What::Due(Due::End { .. }) = what
            && let State::Ending(ending) = &mut self.state
        {
            return ending.refuse_commit(error);
        }
        match &self.state {
            State::Initializing { .. } => self.refuse_begin(error, effects),
            _ => self.fail_transaction(error, effects),
        }
    }

    /// The producer does not come by its id, or by its coordinator, and may do so once the configuration is mended.
    fn refuse_begin(&mut self, error: TransactionError, effects: &mut Effects) {
        match &mut self.state {
            State::Initializing { begin, .. } => {
                let begin = begin.take();
                self.state = State::Uninitialized;
                if let Some(call) = begin {
                    Call::fail(call, error, effects);
                }
            }
            // With a transaction open, it is lost.
            _ => self.fail_for_good(error.into_final(), effects),
        }
    }
}

impl What {
    /// The group that is asked about.
    fn group(&self) -> Option<&str> {
        match self {
            Self::Coordinator(key) => (key.kind == CoordinatorType::Group).then_some(&*key.id),
            Self::Due(Due::AddOffsets(group) | Due::CommitOffsets(group)) => Some(&**group),
            Self::Due(_) => None,
        }
    }

    fn api_key(&self) -> ApiKey {
        match self {
            Self::Coordinator(_) => ApiKey::FindCoordinator,
            Self::Due(due) => match due {
                Due::AddOffsets(_) => ApiKey::AddOffsetsToTxn,
                Due::AddPartitions => ApiKey::AddPartitionsToTxn,
                Due::CommitOffsets(_) => ApiKey::TxnOffsetCommit,
                Due::End { .. } => ApiKey::EndTxn,
                Due::ProducerId => ApiKey::InitProducerId,
            },
        }
    }
}

impl Said {
    fn new(what: &What, throttle_time_ms: i32, code: i16, news: News) -> Self {
        let code = ErrorCode::from(code);
        Self { throttle_time_ms, verdict: judge(what, code), code, about: None, told: 0, news }
    }

    /// What a list of codes comes to: the worst of them decides.
    fn of_list(what: &What, throttle_time_ms: i32, codes: impl Iterator<Item = (String, i16)>) -> Self {
        let judged = codes.map(|(about, code)| {
            let code = ErrorCode::from(code);
            (judge(what, code), code, about)
        });
        let all: Vec<_> = judged.collect();
        let worst = all.iter().map(|(verdict, ..)| *verdict).max().unwrap_or(Verdict::Done);
        let is_any_passed_over = all.iter().any(|(_, code, _)| *code == ErrorCode::OperationNotAttempted);
        // If nothing else is wrong, nothing was done for a reason that is not told.
        let worst = if worst == Verdict::Done && is_any_passed_over { Verdict::Abort } else { worst };
        let of_worst = || {
            let is_said =
                |verdict: Verdict| verdict == worst || worst == Verdict::Abort && is_any_passed_over;
            all.iter().filter(move |(verdict, code, _)| *code != ErrorCode::None && is_said(*verdict))
        };
        let code = of_worst().next().map_or(ErrorCode::None, |(_, code, _)| *code);
        let about =
            of_worst().map(|(.., about)| about.as_str()).take(MAX_NAMED).collect::<Vec<_>>().join(", ");
        Self { throttle_time_ms, verdict: worst, code, about: Some(about), told: all.len(), news: News::None }
    }

    fn into_error(self, what: &What) -> TransactionError {
        let (call, code, is_final) = (what.api_key().name(), self.code, self.verdict == Verdict::Fatal);
        let message = self.message(what);
        TransactionError::new(TransactionErrorKind::Broker { call, code, message, is_final })
    }

    fn into_refusal(self, what: &What) -> TransactionError {
        let (call, code) = (what.api_key().name(), self.code);
        let message = self.message(what);
        TransactionError::new(TransactionErrorKind::Refused { call, code, message })
    }

    fn message(self, what: &What) -> Option<String> {
        let about = self.about.filter(|about| !about.is_empty());
        match (what.group(), about) {
            (Some(group), Some(about)) => Some(format!("group {group}: {about}")),
            (Some(group), None) => Some(format!("group {group}")),
            (None, about) => about,
        }
    }
}

fn judge(what: &What, code: ErrorCode) -> Verdict {
    let is_commit = matches!(what, What::Due(Due::End { commit: true }));
    if code == ErrorCode::UnknownTopicId && what.api_key() == ApiKey::TxnOffsetCommit {
        return Verdict::Abort;
    }
    Verdict::of(what.api_key(), code, is_commit)
}

/// Reads an answer. `name_of` returns the name of a topic of which it tells by its id.
fn read(
    what: &What,
    version: i16,
    body: &[u8],
    name_of: impl Fn(Uuid) -> String,
) -> Result<Said, DecodeError> {
    let mut reader = Reader::new(body);
    let reader = &mut reader;
    Ok(match what {
        What::Coordinator(key) => {
            let response = FindCoordinatorResponse::decode(reader, version)?;
            let mut coordinators = response.coordinators.into_iter();
            let found = coordinators.find(|found| version < 4 || *found.key == *key.id);
            // An answer about another key is none.
            let Some(found) = found else {
                let code = ErrorCode::CoordinatorNotAvailable.code();
                return Ok(Said::new(what, response.throttle_time_ms, code, News::None));
            };
            let news = News::Coordinator(NodeId(found.node_id));
            let said = Said::new(what, response.throttle_time_ms, found.error_code, news);
            Said { about: found.error_message, ..said }
        }
        What::Due(Due::ProducerId) => {
            let response = InitProducerIdResponse::decode(reader, version)?;
            let (news, code) = match producer_id(response.producer_id, response.producer_epoch) {
                Some(producer) => (News::Producer(producer), response.error_code),
                // An answer without an id is none.
                None if response.error_code == ErrorCode::None.code() => {
                    (News::None, ErrorCode::CoordinatorNotAvailable.code())
                }
                None => (News::None, response.error_code),
            };
            Said::new(what, response.throttle_time_ms, code, news)
        }
        What::Due(Due::AddPartitions) => {
            let response = AddPartitionsToTxnResponse::decode(reader, version)?;
            let codes = response.topics.iter().flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(|(index, code)| (format!("{}-{index}", topic.name), *code))
            });
            Said::of_list(what, response.throttle_time_ms, codes)
        }
        What::Due(Due::AddOffsets(_)) => {
            let response = AddOffsetsToTxnResponse::decode(reader, version)?;
            Said::new(what, response.throttle_time_ms, response.error_code, News::None)
        }
        What::Due(Due::CommitOffsets(_)) => {
            let response = TxnOffsetCommitResponse::decode(reader, version)?;
            let codes = response.topics.into_iter().flat_map(|topic| {
                let name = if topic.name.is_empty() { name_of(topic.topic_id) } else { topic.name };
                let partitions = topic.partitions.into_iter();
                partitions.map(move |(index, code)| (format!("{name}-{index}"), code))
            });
            Said::of_list(what, response.throttle_time_ms, codes)
        }
        What::Due(Due::End { .. }) => {
            let response = EndTxnResponse::decode(reader, version)?;
            let producer = producer_id(response.producer_id, response.producer_epoch);
            let news = producer.map_or(News::None, News::Producer);
            Said::new(what, response.throttle_time_ms, response.error_code, news)
        }
    })
}

/// `None` if an answer has none.
fn producer_id(id: i64, epoch: i16) -> Option<ProducerId> {
    (id >= 0 && epoch >= 0).then_some(ProducerId { id, epoch, is_transactional: true })
}

/// Partitions that are named in an error.
const MAX_NAMED: usize = 10;
