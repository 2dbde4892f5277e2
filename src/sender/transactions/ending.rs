//! How a transaction ends: its records are settled first, then the coordinator is told, if it knows of the transaction at all.

use std::time::{Duration, Instant};

use super::call::{Call, Wish};
use super::verdict::Attempt;
use super::{Due, EpochNeed, Haste, Open, State, Surroundings, TransactionVersion, Transactions};
use crate::error::{DeliveryErrorKind, TransactionError, TransactionErrorKind};
use crate::planted::planted;
use crate::protocol::ErrorCode;
use crate::sender::effects::{Effect, Effects};

/// A transaction that takes no more records.
#[derive(Debug)]
pub(super) struct Ending {
    transaction: Open,
    /// Whether it is to be committed; it is aborted otherwise.
    commit: bool,
    /// Of the caller who ends it. `None` for the abort of one that could not be committed, unless only the answer to the abort tells
    /// why.
    call: Option<Call>,
    /// Of the caller who wants to begin the next.
    next: Option<Call>,
    /// All that goes before the word to the coordinator is done.
    is_ready: bool,
    /// The coordinator may have been told: the transaction cannot end in another way any more.
    is_told: bool,
    /// An attempt to commit may have been written, so what the coordinator says to another does not say what became of that one.
    may_be_committed: bool,
    /// What the caller of a commit learns once the transaction is aborted, unless the answer to that tells more.
    suspicion: Option<TransactionError>,
    /// When the producer is gone: until when to try.
    give_up_at: Option<Instant>,
}

/// What follows from a look at a transaction that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndingStep {
    Ended,
    /// Look again once the effects are done.
    GoOn,
    Wait,
}

impl Transactions {
    /// A caller commits or aborts the open transaction.
    pub(super) fn end(&mut self, call: Call, effects: &mut Effects) {
        match std::mem::replace(&mut self.state, State::Uninitialized) {
            State::Open(transaction) => {
                let commit = matches!(call.wish(), Wish::Commit { .. });
                self.state = State::Ending(Box::new(Ending::new(transaction, commit, call, effects)));
                // Nothing lingers any more.
                effects.push(Effect::LookAtActive);
            }
            other => {
                let failure = match &other {
                    State::Failed(error) => Some(error.clone()),
                    _ => None,
                };
                self.state = other;
                match failure {
                    Some(error) => call.fail(error, effects),
                    None => call.refuse("no transaction is open", effects),
                }
            }
        }
    }

    /// The transaction has ended.
    pub(super) fn finish(&mut self, now: Instant, effects: &mut Effects) {
        let State::Ending(ending) = &self.state else { return };
        // What has happened in a cluster that was left does not count.
        if self.producer.is_some()
            && let Some(kind) = ending.takeover(self.timeout, now)
        {
            return self.fail_for_good(TransactionError::new(kind), effects);
        }
        let State::Ending(ending) = std::mem::replace(&mut self.state, State::Ready) else { return };
        match (ending.call, ending.suspicion) {
            (Some(call), None) => call.succeed(effects),
            (Some(call), Some(error)) => call.fail(error, effects),
            (None, _) => {}
        }
        let open = &ending.transaction;
        if open.version == TransactionVersion::Two && open.members.is_started() {
            self.markers.note_end(now);
        }
        self.epoch_need = ending.transaction.epoch_need;
        if self.producer.is_none() {
            // It was left behind in another cluster, where the id may be another's.
            self.state = match ending.next {
                Some(begin) => State::Initializing { begin: Some(begin), haste: Haste::Wanted },
                None => State::Uninitialized,
            };
        } else if self.epoch_need > EpochNeed::None {
            self.state = State::Initializing { begin: ending.next, haste: Haste::AtOnce };
        } else if let Some(begin) = ending.next {
            self.state = State::Open(Open::new(self.finalized));
            begin.succeed(effects);
        }
    }

    /// Nothing works from now on. The first reason counts: others follow from it.
    pub(super) fn fail_for_good(&mut self, error: TransactionError, effects: &mut Effects) {
        if matches!(self.state, State::Failed(_)) {
            return;
        }
        crate::log::error!(transactional_id = %self.id, %error, "the transactional producer cannot go on");
        match std::mem::replace(&mut self.state, State::Failed(error.clone())) {
            State::Initializing { begin: Some(call), .. } => call.fail(error.clone(), effects),
            State::Open(mut open) => open.members.fail_calls(&error, effects),
            State::Ending(ending) => ending.give_up(&error, effects),
            State::Failed(_)
            | State::Initializing { begin: None, .. }
            | State::Ready
            | State::Uninitialized => {}
        }
        effects.push(Effect::RefuseQueued(DeliveryErrorKind::TransactionFailed(error)));
        if planted!(FencedGoesOn) {
            self.state = State::Uninitialized;
            self.producer = None;
        }
    }
}

impl Ending {
    fn new(mut transaction: Open, commit: bool, call: Call, effects: &mut Effects) -> Self {
        if !commit {
            transaction.members.stop(&aborted(), effects);
        }
        Self {
            transaction,
            commit,
            call: Some(call),
            next: None,
            is_ready: false,
            is_told: false,
            may_be_committed: false,
            suspicion: None,
            give_up_at: None,
        }
    }

    pub(super) fn transaction(&self) -> &Open {
        &self.transaction
    }

    pub(super) fn transaction_mut(&mut self) -> &mut Open {
        &mut self.transaction
    }

    /// Whether records that are queued may still be sent.
    pub(super) fn is_commit(&self) -> bool {
        self.commit
    }

    /// A caller wants to begin the next transaction, and waits until this one has ended.
    pub(super) fn begin_after(&mut self, call: Call, effects: &mut Effects) {
        if self.next.is_some() {
            return call.refuse("another call of begin_transaction is under way", effects);
        }
        self.next = Some(call);
    }

    /// Returns the error if another producer is about to take the id: the transaction has lost its epoch before it could have taken too
    /// long. In version 2 the coordinator gives this producer the next epoch nevertheless, if the other one has not asked again yet.
    fn takeover(&self, timeout: Duration, now: Instant) -> Option<TransactionErrorKind> {
        let call = refused_for_epoch(self.transaction.failure.as_ref()?.kind())?;
        let is_early =
            self.transaction.version == TransactionVersion::Two && self.transaction.is_in_time(timeout, now);
        is_early.then_some(TransactionErrorKind::Fenced { code: ErrorCode::InvalidProducerEpoch, call })
    }

    /// Takes the steps that need no request.
    pub(super) fn step(&mut self, around: &Surroundings<'_>, effects: &mut Effects) -> EndingStep {
        if self.commit && !self.is_told && self.transaction.failure.is_some() {
            self.abort_instead(effects);
            return EndingStep::GoOn;
        }
        let is_hasty = planted!(CommitUnanswered) && self.commit;
        let is_queue_kept = planted!(QueueOutlivesAbort) && !self.commit;
        if !around.are_records_settled && !is_hasty && !is_queue_kept {
            return EndingStep::Wait;
        }
        if self.commit
            && !planted!(OffsetsNotAwaited)
            && self.transaction.members.due(self.transaction.version).is_some()
        {
            return EndingStep::Wait;
        }
        // Before Kafka 3.6, records that a leader writes after the marker of the abort would count for the next transaction.
        let is_of_one = self.transaction.version == TransactionVersion::One;
        if !self.commit && !self.is_ready && is_of_one && (around.has_unanswered)() {
            return EndingStep::Wait;
        }
        self.is_ready = true;
        if self.transaction.members.is_started() { EndingStep::Wait } else { EndingStep::Ended }
    }

    /// Returns why records are not delivered any more, if so.
    pub(super) fn refusal(&self) -> Option<DeliveryErrorKind> {
        match &self.transaction.failure {
            Some(failure) => Some(DeliveryErrorKind::TransactionFailed(failure.clone())),
            None => (!self.commit).then_some(DeliveryErrorKind::TransactionAborted),
        }
    }

    /// Returns until when to try, if the producer is gone.
    pub(super) fn give_up_at(&self) -> Option<Instant> {
        self.give_up_at
    }

    /// The producer is gone. Returns whether its coordinator has had the time to end the transaction by itself.
    pub(super) fn is_given_up(&mut self, timeout: Duration, now: Instant) -> bool {
        let until = *self.give_up_at.get_or_insert_with(|| now.checked_add(timeout).unwrap_or(now));
        until <= now
    }

    /// Returns what is to be asked next.
    pub(super) fn due(&self) -> Option<Due> {
        if self.commit
            && !self.is_told
            && !planted!(OffsetsNotAwaited)
            && let Some(due) = self.transaction.members.due(self.transaction.version)
        {
            return Some(due);
        }
        (self.is_ready && self.transaction.members.is_started()).then_some(Due::End { commit: self.commit })
    }

    /// The coordinator is told how the transaction ends.
    pub(super) fn note_told(&mut self) {
        self.is_told = true;
        if self.commit
            && let Some(call) = &mut self.call
        {
            call.set_in_doubt(true);
        }
    }

    /// The coordinator has answered, or no answer will come. Only a commit can be in doubt: after an abort nothing counts.
    pub(super) fn note_attempt(&mut self, attempt: Attempt) {
        if !self.commit {
            return;
        }
        match attempt {
            Attempt::Impossible => self.may_be_committed = false,
            Attempt::NotWritten => {}
            Attempt::Unknown => self.may_be_committed = true,
        }
        if let Some(call) = &mut self.call {
            call.set_in_doubt(self.may_be_committed);
        }
    }

    /// The coordinator does not commit. What was told before stays in doubt, as far as it is.
    pub(super) fn refuse_commit(&mut self, error: TransactionError) {
        self.is_told = false;
        self.transaction.fail(error);
    }

    /// The coordinator that knew of the transaction is of another cluster. Its records are still to be given back.
    pub(super) fn leave_cluster(&mut self, error: &TransactionError, effects: &mut Effects) {
        if let Some(call) = self.call.take() {
            call.fail(error.clone(), effects);
        }
        self.commit = false;
        self.is_told = false;
        self.is_ready = false;
        self.transaction.members.stop(error, effects);
        self.transaction.members.forget_coordinator();
        self.transaction.fail(error.clone());
    }

    /// The transaction is lost, and with it the calls that wait for its end.
    pub(super) fn give_up(mut self, error: &TransactionError, effects: &mut Effects) {
        self.transaction.members.fail_calls(error, effects);
        for call in [self.call, self.next].into_iter().flatten() {
            call.fail(error.clone(), effects);
        }
    }

    /// It cannot be committed: the caller learns why, and it is aborted.
    fn abort_instead(&mut self, effects: &mut Effects) {
        let Some(failure) = self.transaction.failure.clone() else { return };
        self.commit = false;
        self.is_ready = false;
        self.transaction.members.stop(&failure, effects);
        if refused_for_epoch(failure.kind()).is_some() {
            // If another producer has the id, the coordinator says so to the abort. If it takes the abort, it had aborted by itself.
            self.suspicion = Some(TransactionError::new(TransactionErrorKind::GivenUp));
        } else if let Some(call) = self.call.take() {
            call.fail(failure, effects);
        }
    }
}

/// Returns the request that was refused because the producer's epoch is an old one, if that is so.
fn refused_for_epoch(kind: &TransactionErrorKind) -> Option<&'static str> {
    match kind {
        TransactionErrorKind::Broker { call, code: ErrorCode::InvalidProducerEpoch, .. } => Some(call),
        _ => None,
    }
}

fn aborted() -> TransactionError {
    TransactionError::new(TransactionErrorKind::Aborted)
}
