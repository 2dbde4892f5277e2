//! What happens to a batch from its first attempt on, and what may be done with it after that.
//!
//! First come the events, named after what has happened. Only they change the fields that they are about, except for `parts.rs`,
//! which copies these fields into the batches that it makes of another one. After the events come the questions by which the
//! sender decides. [`Doubt`] says whether the batch may be in the log. Its number has a file of its own, and so has the question
//! whether it may get another (`renumbering.rs`).

use std::time::Instant;

use super::ProducerBatch;
use crate::accumulator::doubt::Doubt;
use crate::accumulator::stage_clock::Stage;
use crate::error::Persisted;
use crate::planted::planted;
use crate::protocol::ErrorCode;

/// What a broker has last said of a batch that it has not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastAnswer {
    pub(crate) code: ErrorCode,
    /// In the broker's own words, if it sent any.
    pub(crate) message: Option<String>,
}

impl ProducerBatch {
    /// A connection takes it, for a leader of this epoch.
    pub(crate) fn sent(&mut self, leader_epoch: Option<i32>, now: Instant) {
        self.attempts += 1;
        self.doubt.sent();
        self.sent_leader_epoch = leader_epoch;
        self.clock.enter(Stage::InFlight, now);
    }

    /// The broker has answered with an error, which says whether the batch may be in the log, and with these words.
    pub(crate) fn answered(&mut self, code: ErrorCode, message: Option<String>, persisted: Persisted) {
        self.doubt.answered(persisted);
        self.last_answer = Some(Box::new(LastAnswer { code, message }));
    }

    /// No answer came, but bytes of it may have been written to a socket.
    pub(crate) fn lost(&mut self) {
        self.doubt.lost();
    }

    /// No byte of it was written to a socket.
    pub(crate) fn unsent(&mut self) {
        self.doubt.unsent();
    }

    /// Its time is over while it is under way.
    pub(crate) fn expired(&mut self) {
        self.doubt.lost();
        if planted!(ExpiredIsNotWritten) {
            self.doubt = Doubt::NONE;
        }
    }

    /// It waits for another attempt.
    pub(crate) fn backs_off(&mut self, now: Instant) {
        self.clock.enter(Stage::Backoff, now);
    }

    /// An older batch of the partition has failed (`fail_stop`).
    pub(crate) fn stopped(&mut self) {
        self.is_stopped = true;
    }

    /// Returns how often a connection has taken it.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether no connection has ever taken it: it has no number, and is certain not to be in the log.
    pub(crate) fn is_unsent(&self) -> bool {
        self.attempts == 0 && self.doubt == Doubt::NONE && !self.is_numbered()
    }

    /// Returns the leader epoch that its last attempt went to.
    pub(crate) fn sent_leader_epoch(&self) -> Option<i32> {
        self.sent_leader_epoch
    }

    /// Returns the last error that a broker has answered, and its words. What was said of a batch is not said of its parts.
    pub(crate) fn last_answer(&self) -> Option<&LastAnswer> {
        self.last_answer.as_deref()
    }

    /// Whether it must not be sent again because an older batch has failed.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Returns what the errors of its records say if it fails now.
    pub(crate) fn persisted(&self) -> Persisted {
        self.doubt.persisted()
    }
}
