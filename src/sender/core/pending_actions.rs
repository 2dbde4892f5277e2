//! `PendingActions`: what the shell must do besides what the network asks for.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::accumulator::SealJob;
use crate::metadata::Cluster;
use crate::network::NetworkAction;
use crate::sender::transactions::Answer;

/// What the shell must do.
#[derive(Debug)]
pub(crate) enum Action {
    Network(NetworkAction),
    /// Show callers a new view of the cluster.
    Publish(Arc<Cluster>),
    /// Have a batch compressed, away from the sender's task.
    Seal(SealJob),
    /// Tell a caller what came of a call of a transaction.
    Answer(Answer),
    /// See whether others come for the batches that they are to compress, and if not, do what is quick of it.
    TakeBackSeals,
}

/// What the shell has not taken so far.
#[derive(Debug, Default)]
pub(super) struct PendingActions {
    /// The latest view alone: callers have no use for those before.
    view: Option<Arc<Cluster>>,
    seals: Vec<SealJob>,
    /// In their order.
    answers: VecDeque<Answer>,
    /// A batch has waited for its compression for so long that no thread may have come for it.
    is_seal_late: bool,
}

impl PendingActions {
    pub(super) fn publish(&mut self, view: Arc<Cluster>) {
        self.view = Some(view);
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        self.answers.push_back(answer);
    }

    pub(super) fn seal(&mut self, job: SealJob) {
        self.seals.push(job);
    }

    pub(super) fn take_back_seals(&mut self) {
        self.is_seal_late = true;
    }

    pub(super) fn pop(&mut self) -> Option<Action> {
        if let Some(view) = self.view.take() {
            return Some(Action::Publish(view));
        }
        if let Some(answer) = self.answers.pop_front() {
            return Some(Action::Answer(answer));
        }
        if let Some(job) = self.seals.pop() {
            return Some(Action::Seal(job));
        }
        std::mem::take(&mut self.is_seal_late).then_some(Action::TakeBackSeals)
    }
}
