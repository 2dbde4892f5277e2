//! What happens to a batch from its first attempt on, and what may be done with it after that.
//!
//! Events come first, named after what has happened: nothing else changes the fields that they are about. Behind them come
//! the questions that the sender decides by. Whether the batch may be in the log is for [`Doubt`] to say.

use std::time::Instant;

use super::ProducerBatch;
use crate::accumulator::doubt::Doubt;
use crate::accumulator::stage_clock::Stage;
use crate::error::Persisted;
use crate::planted::planted;
use crate::protocol::ErrorCode;
use crate::protocol::record_batch::ProducerIdentity;

impl ProducerBatch {
    /// It gets a sequence number.
    pub(crate) fn numbered(&mut self, identity: ProducerIdentity) {
        self.identity = identity;
    }

    /// A connection takes it, for a leader of this epoch.
    pub(crate) fn sent(&mut self, leader_epoch: Option<i32>, now: Instant) {
        self.attempts += 1;
        self.doubt.sent();
        self.sent_leader_epoch = leader_epoch;
        self.clock.enter(Stage::InFlight, now);
    }

    /// The broker has answered with an error, which says whether the batch may be in the log.
    pub(crate) fn answered(&mut self, code: ErrorCode, persisted: Persisted) {
        self.doubt.answered(persisted);
        self.last_error = Some(code);
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

    /// The producer has come to another cluster, where the number of a batch that is under way means nothing.
    pub(crate) fn left_behind(&mut self) {
        self.is_of_other_cluster = true;
    }

    /// Takes its number, unless it may be in the log under it. Returns whether it has none now.
    #[must_use]
    pub(crate) fn forget_number(&mut self) -> bool {
        let may_forget = self.may_take_new_number();
        if may_forget {
            self.identity = ProducerIdentity::NONE;
        }
        may_forget
    }

    /// Takes the number of a cluster that was left from a batch that is to be sent again. Returns false if it may be in the log
    /// there, so that it must not be sent anywhere else.
    #[must_use]
    pub(crate) fn forget_foreign_number(&mut self) -> bool {
        !std::mem::take(&mut self.is_of_other_cluster) || self.forget_number()
    }

    /// Takes over what is known of the batch that it was cut from, whose record `first` is its own first one.
    ///
    /// Pieces bear the numbers that the batch had, so nothing behind it must be numbered anew.
    pub(in crate::accumulator) fn cut_from(&mut self, batch: &Self, first: u32) {
        if batch.is_numbered() {
            self.identity = batch.identity.advanced_by(first);
        }
        self.doubt = batch.doubt.cut();
        self.last_error = batch.last_error;
    }

    /// Takes over what is known of the refused batch that it was rebuilt from, except for the number.
    pub(in crate::accumulator) fn rebuilt_from(&mut self, batch: &Self) {
        self.doubt = batch.doubt;
        self.last_error = batch.last_error;
    }

    /// Takes over how often the batch was sent whose records fail with it.
    pub(in crate::accumulator) fn fails_as(&mut self, batch: &Self) {
        self.attempts = batch.attempts;
    }

    /// Returns who wrote it and its sequence number; `NONE` if it has none.
    pub(crate) fn identity(&self) -> ProducerIdentity {
        self.identity
    }

    /// Whether it has a sequence number.
    pub(crate) fn is_numbered(&self) -> bool {
        self.identity != ProducerIdentity::NONE
    }

    /// Returns how often a connection has taken it.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the leader epoch that its last attempt went to.
    pub(crate) fn sent_leader_epoch(&self) -> Option<i32> {
        self.sent_leader_epoch
    }

    /// Returns the last error that a broker has answered.
    pub(crate) fn last_error(&self) -> Option<ErrorCode> {
        self.last_error
    }

    /// Whether it must not be sent again because an older batch has failed.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Returns what its records are told if it fails now.
    pub(crate) fn persisted(&self) -> Persisted {
        self.doubt.persisted()
    }

    /// Whether another number cannot write it twice: it has none, or is certain not to be in the log under its own. If not,
    /// it keeps its number until an answer tells, or fails.
    pub(crate) fn may_take_new_number(&self) -> bool {
        !self.is_numbered() || self.persisted() == Persisted::No
    }

    /// Whether it may be sent again after a broker has refused it for its number with this code.
    pub(crate) fn may_go_on_after_refused_number(&self, code: ErrorCode) -> bool {
        self.doubt.may_go_on_after_refused_number(code)
    }
}
