//! When a partition may pipeline: whether a batch may be sent while others of the partition are under way.

use super::{Pace, Partition};
use crate::accumulator::Head;
use crate::planted::planted;
use crate::sender::numbering::Numbers;
use crate::topic_partition::NodeId;

impl Partition {
    /// Whether the head must wait for an answer to what is under way, or for a producer id.
    pub(super) fn must_wait(&self, head: Head, leader: NodeId, pace: Pace) -> bool {
        let outstanding = self.in_flight.outstanding();
        let producer = match pace.numbers {
            Numbers::None => {
                return outstanding >= pace.max_outstanding && !planted!(NoMuteOnRetry);
            }
            Numbers::Awaited => None,
            Numbers::With(producer) => Some(producer),
        };
        if producer.is_none() && !head.is_numbered {
            return true;
        }
        outstanding > 0
            && (outstanding >= pace.max_outstanding
                || self.is_sent_again(head)
                || self.in_flight.node() != Some(leader)
                || self.must_pause(head, pace.oldest_remembered)
                || producer.is_some_and(|producer| self.numbers.are_of_another(producer)))
    }

    /// Whether the head, or what is under way, is not on its first attempt.
    ///
    /// A batch that is sent again goes alone: brokers remember the last five batches to find doubles, and other batches after
    /// it could push the first attempt out of that memory. A batch to a new leader goes alone, too, because that leader might
    /// otherwise see it before the batches that are under way to the old one. So does the first batch of a new epoch.
    fn is_sent_again(&self, head: Head) -> bool {
        (head.is_numbered || self.in_flight.is_any_sent_again()) && !planted!(NoMuteOnRetry)
    }

    /// Whether the epoch has yet to be heard of by the broker, or may be forgotten there, or is to end.
    fn must_pause(&self, head: Head, oldest_remembered: i64) -> bool {
        if planted!(NoPause) {
            return false;
        }
        if planted!(EpochBumpWithoutDraining) {
            return false;
        }
        let oldest = if planted!(OldIsRemembered) { i64::MIN } else { oldest_remembered };
        // The broker may forget as soon as it has one of these, and then takes again what was under way in front of it.
        !self.numbers.may_pipeline(oldest)
            || head.max_timestamp < oldest
            || self.in_flight.is_any_older_than(oldest)
    }
}
