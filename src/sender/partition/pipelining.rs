//! When a partition may pipeline: whether a batch may be sent while others of the partition are under way, and how many may be.
//!
//! One batch is under way at a time while
//!
//! - batches bear no numbers, and are answered: one that must be sent again would be overtaken ([`most_outstanding`]);
//! - a batch is sent again: brokers remember the last five batches to find doubles, and other batches after it could push the
//!   first attempt out of that memory;
//! - the last batch went to another node: the new leader might see the head before the batches that are under way to the
//!   old one;
//! - the epoch is to end: a new one begins only when nothing is under way;
//! - the producer id has changed: the numbers in use are of the one before;
//! - the broker has acknowledged no batch of the epoch: a broker that knows nothing of the producer takes any first number, so
//!   a second batch could slip in before the first. What counts is the log that the partition has now: an answer of a topic that
//!   was deleted says nothing about the one that was made in its place;
//! - the broker may have forgotten the producer: it takes any first number then, too. It forgets by the timestamp of the last
//!   batch, not by the time of the last request, so this holds after a long pause, and while old records are written. A batch
//!   of old records also waits for those before it, because it may make the broker forget them.

use std::time::Duration;

use super::{Pace, Partition};
use crate::accumulator::Head;
use crate::planted::planted;
use crate::sender::numbering::Numbers;
use crate::topic_partition::NodeId;

/// Brokers forget a producer if its last batch has a timestamp older than `producer.id.expiration.ms`: a day unless it is set
/// otherwise, and a week before Kafka 3.5. They look every ten minutes. An hour leaves room for clocks that differ, and for
/// brokers with a shorter setting. It costs next to nothing: after a batch that is older, the batches of a partition go one by
/// one until there is a younger one.
pub(crate) const PRODUCER_ID_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Returns the oldest timestamp of a last batch that brokers are trusted to remember its producer by, in milliseconds since 1970.
#[inline]
pub(crate) fn oldest_remembered(wall_clock: i64, lifetime: Duration) -> i64 {
    let lifetime = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
    wall_clock.saturating_sub(lifetime)
}

/// Returns how many requests of one partition may be under way at once. `acks`: as on the wire. `max_in_flight`:
/// `max.in.flight.requests.per.connection`.
pub(crate) fn most_outstanding(acks: i16, is_idempotent: bool, max_in_flight: usize) -> usize {
    match acks {
        // There are no answers, so no answer makes the sender send a batch again.
        0 => usize::MAX,
        _ if is_idempotent => max_in_flight,
        // Without sequence numbers a second batch of a partition under way may overtake one that must be sent again.
        // Even with `retries=0` batches are sent again: the pieces of one that was too large.
        _ => 1,
    }
}

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

    /// Whether the head, or what is under way, is not on its first attempt. A batch that is sent again goes alone.
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
        !self.is_known_to_broker(oldest)
            || head.max_timestamp < oldest
            || self.in_flight.is_any_older_than(oldest)
    }

    /// Whether the broker knows the producer in this epoch, which is to go on, and has no reason to have forgotten it.
    fn is_known_to_broker(&self, oldest_remembered: i64) -> bool {
        let last = self.numbers.last_acknowledged();
        !self.numbers.needs_new_epoch() && last.is_some_and(|timestamp| timestamp >= oldest_remembered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_without_numbers_go_one_by_one_unless_nothing_is_answered() {
        let [none, leader, all] = [0, 1, -1];

        assert_eq!(most_outstanding(all, true, 5), 5);
        assert_eq!(most_outstanding(all, false, 5), 1);
        assert_eq!(most_outstanding(leader, false, 5), 1);
        assert_eq!(most_outstanding(none, false, 5), usize::MAX);
    }
}
