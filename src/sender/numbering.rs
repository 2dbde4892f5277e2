//! `Numbering`: how the producer comes by its id and its epochs (KIP-98), and who gives them out.
//!
//! ```text
//!   Wanted ──► Requested ──► Known ──► Wanted      (its epochs are used up, or the cluster is another one)
//!     ▲            │  └────► Refused ──► Requested (once a record needs it, after a pause)
//!     └── failed ──┘
//! ```
//!
//! The numbers themselves belong to the partitions (`partition/numbers.rs`): they ask here for the epoch to go on in.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::error::DeliveryErrorKind;
use crate::log;
use crate::network::FailureReason;
use crate::planted::planted;
use crate::protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::protocol::{ApiKey, ErrorCode};
use crate::sender::effects::{Effect, Effects};
use crate::sender::nodes::Nodes;
use crate::sender::request::{Body, Purpose, RequestOutcome};
use crate::sender::throttling;
use crate::sender::timer::{Timer, Wait};
use crate::topic_partition::NodeId;
use crate::wire::Reader;

mod authority;

use self::authority::Authority;

/// Where the producer stands with its id.
#[derive(Debug)]
pub(super) struct Numbering {
    state: State,
    authority: Authority,
    retry_backoff: Backoff,
    next_question: u64,
    /// What brokers have answered last in place of an id.
    last_error: Option<ErrorCode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Known(ProducerId),
    /// `enable.idempotence` is off.
    NotNeeded,
    /// Brokers have refused it for good. An operator may change that one day, so the sender asks again when a record needs an id,
    /// but not before a time.
    Refused {
        until: Instant,
    },
    Requested(NumberingQuestion),
    /// The sender asks for it, but not before a time.
    Wanted {
        not_before: Option<Instant>,
    },
}

/// The id that a broker has given to this producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerId {
    pub(crate) id: i64,
    /// The first epoch that may be used with it.
    pub(crate) epoch: i16,
    /// A coordinator of transactions has given it, for all partitions at once.
    pub(crate) is_transactional: bool,
}

/// Whether batches bear sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// They would, but the producer has no id so far.
    Awaited,
    /// They do not: `enable.idempotence` is off.
    None,
    With(ProducerId),
}

/// Tells a request for an id from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NumberingQuestion(u64);

/// Before another attempt after brokers have refused the id for good.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(1);

impl ProducerId {
    /// Whether a partition may go on with numbers that it was given under another id or epoch.
    pub(crate) fn allows(self, used: Self) -> bool {
        self.id == used.id && (!self.is_transactional || self.epoch == used.epoch)
    }
}

impl State {
    const WANTED: Self = Self::Wanted { not_before: None };
}

impl Numbering {
    pub(super) fn new(is_idempotent: bool, retry_backoff: Backoff) -> Self {
        Self {
            state: if is_idempotent { State::WANTED } else { State::NotNeeded },
            authority: Authority::Producer,
            retry_backoff,
            next_question: 0,
            last_error: None,
        }
    }

    /// The same for a transactional producer, whose id and epochs come from a coordinator, by [`Numbering::adopt`].
    pub(super) fn transactional(retry_backoff: Backoff) -> Self {
        Self {
            state: State::WANTED,
            authority: Authority::Coordinator,
            retry_backoff,
            next_question: 0,
            last_error: None,
        }
    }

    /// Takes the id and the epoch that a coordinator has given.
    pub(super) fn adopt(&mut self, producer: ProducerId, effects: &mut Effects) {
        log::debug!(?producer, "producer id");
        self.state = State::Known(producer);
        effects.push(Effect::LookAtActive);
    }

    /// Asks for an id if one is due. `is_needed` says whether any record waits.
    pub(super) fn next_request(
        &mut self,
        nodes: &mut Nodes<'_>,
        is_needed: impl FnOnce() -> bool,
        now: Instant,
        effects: &mut Effects,
    ) {
        if !self.is_due(is_needed, now) {
            return;
        }
        let chosen = nodes.least_loaded(ApiKey::InitProducerId, now);
        // That the bootstrap servers do not speak it says nothing: they may be controllers.
        if let Some(node) = chosen.incapable.filter(|node| node.0 >= 0) {
            return self.refuse_without_ids(node, nodes, now, effects);
        }
        let Some(node) = chosen.node else { return };
        if !nodes.can_send(node, now) {
            return effects.push(Effect::Connect(node));
        }
        let question = NumberingQuestion(self.next_question);
        self.next_question += 1;
        self.state = State::Requested(question);
        let body = Body::InitProducerId(InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            producer_id: -1,
            producer_epoch: -1,
        });
        effects.push(Effect::Send { node, purpose: Purpose::Numbering(question), body });
    }

    /// Takes in what has become of a request.
    pub(super) fn handle_outcome(
        &mut self,
        question: NumberingQuestion,
        node: NodeId,
        outcome: RequestOutcome,
        nodes: &Nodes<'_>,
        now: Instant,
        effects: &mut Effects,
    ) {
        match outcome {
            RequestOutcome::Answered { version, body } => {
                self.handle_answer(question, node, version, &body, now, effects);
            }
            RequestOutcome::Failed { reason: FailureReason::UnsupportedVersion(_), .. }
                if self.state == State::Requested(question) =>
            {
                self.refuse_without_ids(node, nodes, now, effects);
            }
            RequestOutcome::Failed { .. } | RequestOutcome::Written => self.handle_no_answer(question, now),
        }
    }

    fn handle_answer(
        &mut self,
        question: NumberingQuestion,
        node: NodeId,
        version: i16,
        body: &[u8],
        now: Instant,
        effects: &mut Effects,
    ) {
        let response = match InitProducerIdResponse::decode(&mut Reader::new(body), version) {
            Ok(response) => response,
            Err(error) => {
                let api_key = ApiKey::InitProducerId;
                effects.push(Effect::Unreadable { node, api_key, version, error });
                return self.handle_no_answer(question, now);
            }
        };
        if self.state != State::Requested(question) {
            // It comes from a cluster that was left meanwhile.
            return;
        }
        if let Some(wish) = throttling::wish(ApiKey::InitProducerId, version, response.throttle_time_ms) {
            effects.push(Effect::Throttle { node, wish });
        }
        match ErrorCode::from(response.error_code) {
            ErrorCode::None if response.producer_id >= 0 && response.producer_epoch >= 0 => {
                let producer = ProducerId {
                    id: response.producer_id,
                    epoch: response.producer_epoch,
                    is_transactional: false,
                };
                log::debug!(?producer, "producer id");
                self.state = State::Known(producer);
                self.last_error = None;
                effects.push(Effect::LookAtActive);
            }
            code if code.is_retriable() => {
                self.last_error = Some(code);
                self.want_later(now);
            }
            code => {
                self.last_error = Some(code);
                let message = Some("no producer id".to_owned());
                self.refuse(DeliveryErrorKind::Broker { code, message }, now, effects);
            }
        }
    }

    /// Begins anew: in another cluster the id belongs to another producer, or will.
    pub(super) fn handle_other_cluster(&mut self) {
        if self.state != State::NotNeeded {
            self.state = State::WANTED;
        }
    }

    /// Makes partitions that get their first number begin after the epoch of one that is forgotten. If one of them is that
    /// partition, the broker takes its numbers for new, and those of batches that may still be on their way for old.
    pub(super) fn handle_forgotten(&mut self, epoch_of: impl FnOnce(i64) -> Option<i16>) {
        let State::Known(producer @ ProducerId { id, epoch, .. }) = self.state else { return };
        let Some(used) = epoch_of(id).filter(|used| *used >= epoch) else { return };
        if planted!(ForgottenNumbers) {
            return;
        }
        if let Some(next) = self.next_epoch(ProducerId { epoch: used, ..producer }) {
            self.state = State::Known(next);
        }
    }

    /// Returns the epoch in which a partition goes on that cannot use its present one any longer. If there is none, the producer
    /// asks for another id, and the partition waits for it as it does for the first.
    pub(super) fn next_epoch(&mut self, used: ProducerId) -> Option<ProducerId> {
        let next = self.authority.next_epoch(used);
        if next.is_none() && self.authority == Authority::Producer {
            // All epochs are used up. Partitions that still have some wait, too: it takes no longer than an answer.
            self.state = State::WANTED;
        }
        next
    }

    /// Returns under which id and epoch partitions begin.
    pub(super) fn numbers(&self) -> Numbers {
        match self.state {
            State::Known(producer) => Numbers::With(producer),
            State::NotNeeded => Numbers::None,
            State::Refused { .. } | State::Requested(_) | State::Wanted { .. } => Numbers::Awaited,
        }
    }

    /// Returns what brokers have answered last in place of an id, if they have.
    pub(super) fn last_error(&self) -> Option<ErrorCode> {
        self.last_error
    }

    /// Returns what the next request waits for.
    pub(super) fn timeout(&self, is_needed: impl FnOnce() -> bool, now: Instant) -> Option<(Wait, Timer)> {
        let wait = match self.state {
            State::Refused { until: time } | State::Wanted { not_before: Some(time) } if now < time => {
                Wait::Until(time)
            }
            _ if self.is_due(is_needed, now) => Wait::AnyNode,
            _ => return None,
        };
        Some((wait, Timer::ProducerId))
    }

    fn is_due(&self, is_needed: impl FnOnce() -> bool, now: Instant) -> bool {
        if self.authority == Authority::Coordinator {
            return false;
        }
        match self.state {
            State::Refused { until } => now >= until && is_needed(),
            State::Wanted { not_before } => not_before.is_none_or(|time| now >= time),
            _ => false,
        }
    }

    fn handle_no_answer(&mut self, question: NumberingQuestion, now: Instant) {
        if self.state == State::Requested(question) {
            self.want_later(now);
        }
    }

    fn want_later(&mut self, now: Instant) {
        let delay = self.retry_backoff.delay(0, 0.5);
        self.state = State::Wanted { not_before: now.checked_add(delay) };
    }

    /// No broker speaks InitProducerId, for example this one.
    fn refuse_without_ids(&mut self, node: NodeId, nodes: &Nodes<'_>, now: Instant, effects: &mut Effects) {
        let kind = if nodes.lacks(node, ApiKey::Produce) {
            // It is older than Kafka 0.11: without numbers its answer would be the same.
            DeliveryErrorKind::UnsupportedVersion
        } else {
            let broker = nodes.describe(node);
            let message =
                format!("broker {broker} does not speak InitProducerId; set enable.idempotence=false");
            DeliveryErrorKind::Broker { code: ErrorCode::UnsupportedVersion, message: Some(message) }
        };
        self.refuse(kind, now, effects);
    }

    /// Has what waits for the id fail that brokers will not give, and goes on asking in case they change their mind.
    fn refuse(&mut self, kind: DeliveryErrorKind, now: Instant, effects: &mut Effects) {
        self.state = State::Refused { until: now + PAUSE_AFTER_REFUSAL };
        effects.push(Effect::RefuseQueued(kind));
    }
}

#[cfg(test)]
mod tests;
