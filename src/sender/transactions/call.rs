//! What callers ask of the transactions, and how they learn what came of it.

use std::sync::Arc;

use tokio::sync::Notify;

use super::members::GroupOffsets;
use crate::error::{TransactionError, TransactionErrorKind};
use crate::planted::planted;
use crate::sender::effects::{Effect, Effects};
use crate::sync::{Mutex, PoisonError};

/// Something that a caller asks for.
///
/// A call that is dropped without an answer fails: the sender has ended.
#[derive(Debug)]
pub(crate) struct Call {
    wish: Wish,
    /// `None` once the call has its answer.
    reply: Option<CallReply>,
    /// A commit that the coordinator may have heard of.
    is_in_doubt: bool,
}

#[derive(Debug)]
pub(crate) enum Wish {
    Begin,
    SendOffsets(GroupOffsets),
    Commit {
        /// Why records of the transaction were not accepted, if some were not: it can only be aborted.
        refused: Option<TransactionErrorKind>,
    },
    Abort,
}

/// Where a caller finds what came of a call. It stays there: a caller that lets go of its wait may wait again.
#[derive(Debug, Clone)]
pub(crate) struct CallReply(Arc<Cell>);

#[derive(Debug, Default)]
struct Cell {
    outcome: Mutex<Option<Result<(), TransactionError>>>,
    news: Notify,
}

impl Call {
    /// Returns the call, and where its answer will be.
    pub(crate) fn new(wish: Wish) -> (Self, CallReply) {
        let reply = CallReply(Arc::default());
        (Self { wish, reply: Some(reply.clone()), is_in_doubt: false }, reply)
    }

    pub(super) fn wish(&self) -> &Wish {
        &self.wish
    }

    /// The coordinator may have heard of the commit, or certainly does not do it.
    pub(super) fn set_in_doubt(&mut self, is_in_doubt: bool) {
        self.is_in_doubt = is_in_doubt && matches!(self.wish, Wish::Commit { .. });
    }

    pub(super) fn succeed(self, effects: &mut Effects) {
        self.answer(Ok(()), effects);
    }

    pub(super) fn fail(self, error: TransactionError, effects: &mut Effects) {
        let error = self.doubted(error);
        self.answer(Err(error), effects);
    }

    /// The call does not fit the state of the transaction.
    pub(super) fn refuse(self, why: &'static str, effects: &mut Effects) {
        self.fail(TransactionError::new(TransactionErrorKind::OutOfTurn(why)), effects);
    }

    fn doubted(&self, error: TransactionError) -> TransactionError {
        if !self.is_in_doubt || planted!(DoubtIsDenied) {
            return error;
        }
        TransactionError::new(TransactionErrorKind::CommitInDoubt { cause: Box::new(error) })
    }

    fn answer(mut self, outcome: Result<(), TransactionError>, effects: &mut Effects) {
        if let Some(reply) = self.reply.take() {
            effects.push(Effect::Answer(Answer { reply, outcome: Some(outcome) }));
        }
    }
}

/// What came of a call, on its way to the caller.
#[derive(Debug)]
pub(crate) struct Answer {
    reply: CallReply,
    /// `None` once the caller knows.
    outcome: Option<Result<(), TransactionError>>,
}

impl Drop for Answer {
    /// Lets the caller know, on the way of the sender or at its end.
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.reply.tell(outcome);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            reply.tell(Err(self.doubted(TransactionError::new(TransactionErrorKind::Closed))));
        }
    }
}

impl CallReply {
    /// Lets the caller know. Only the first outcome counts.
    fn tell(&self, outcome: Result<(), TransactionError>) {
        self.0.outcome.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(outcome);
        self.0.news.notify_waiters();
    }

    /// Returns what came of the call, if that is known.
    pub(crate) fn outcome(&self) -> Option<Result<(), TransactionError>> {
        self.0.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this is the reply to the same call.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Waits until it is known.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time.
    pub(crate) async fn wait(&self) -> Result<(), TransactionError> {
        loop {
            let mut news = std::pin::pin!(self.0.news.notified());
            // What is told from here on is not missed.
            news.as_mut().enable();
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            news.await;
        }
    }
}
