//! When a batch may not get a new number: the rule, and its reasons.
//!
//! A broker recognises a batch that it has already by the batch's number. The same records under another number are new records
//! to it: it writes them twice. So:
//!
//! - A batch takes a new number only if it is certain not to be in the log under the one that it has
//!   ([`may_take_new_number`](ProducerBatch::may_take_new_number)).
//! - One that may be in the log is sent under its old number, as the same bytes: the answer tells (success or duplicate), or
//!   leaves the doubt. Where its number means nothing any more, as in a new epoch, under a new producer id or in another
//!   cluster, it cannot be sent at all: it fails, as maybe written.
//! - One that the broker refuses for its number may be sent again in two cases only
//!   ([`may_go_on_after_refused_number`](ProducerBatch::may_go_on_after_refused_number)): if no attempt can have brought it into
//!   the log; or if all attempts were answered and the refusal is INVALID_PRODUCER_EPOCH, which says nothing of the batch. In the
//!   second case it goes again under its old number. In all other cases it fails, as maybe written: a broker that was
//!   restarted remembers one batch of a producer, not five, and refuses those before it although it has them; and what a broken
//!   connection has left behind may still be read, and written under the old number.
//!
//! [`Doubt`](crate::accumulator::doubt::Doubt) says what is known of the log. `sender/partition/numbers.rs` says when the sender
//! gives numbers out.

use super::ProducerBatch;
use crate::accumulator::doubt::Trace;
use crate::error::Persisted;
use crate::protocol::ErrorCode;

impl ProducerBatch {
    /// Whether another number cannot write it twice: it has none, or is certain not to be in the log under its own.
    pub(crate) fn may_take_new_number(&self) -> bool {
        !self.is_numbered() || self.persisted() == Persisted::No
    }

    /// Whether it may be sent again after a broker has refused it for its number with this code.
    pub(crate) fn may_go_on_after_refused_number(&self, code: ErrorCode) -> bool {
        self.doubt.at_rest().is_some_and(|trace| may_go_on_after_refusal(trace, code))
    }
}

/// Whether a batch whose attempts have left this in the log may be sent again after a broker has refused its number.
pub(in crate::accumulator) fn may_go_on_after_refusal(trace: Trace, code: ErrorCode) -> bool {
    match trace {
        Trace::Absent => true,
        // A broker that was restarted knows only the last batch of a producer, and nothing of one whose records have old
        // timestamps (`producer.id.expiration.ms`): it says this of batches, too, that it has. Of a batch of an older
        // epoch than it knows, it does not say whether it has it.
        Trace::Answered => code == ErrorCode::InvalidProducerEpoch,
        // It may be in the log as part of the batch that it was cut from, or an attempt that a broken connection has
        // left behind may still bring it there, with the older batch that the broker waits for. Another number would
        // write it twice.
        Trace::Unanswered | Trace::OfParent => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_number_ends_a_batch_that_may_be_in_the_log() {
        let traces = [Trace::Absent, Trace::Answered, Trace::Unanswered, Trace::OfParent];
        let go_on = |code| traces.map(|trace| may_go_on_after_refusal(trace, code));

        assert_eq!(go_on(ErrorCode::OutOfOrderSequenceNumber), [true, false, false, false]);
        assert_eq!(go_on(ErrorCode::UnknownProducerId), [true, false, false, false]);
        assert_eq!(go_on(ErrorCode::InvalidProducerEpoch), [true, true, false, false]);
    }
}
