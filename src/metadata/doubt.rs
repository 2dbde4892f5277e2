//! `Doubt`: how often brokers must say what contradicts what is known, until it is believed.

use std::time::{Duration, Instant};

/// A claim that contradicts what is known, and the answers that agree on it.
///
/// One answer may come from a broker that lags behind, or that has just started. What brokers say again and again is true.
#[derive(Debug)]
pub(super) struct Doubt<T> {
    claim: T,
    since: Instant,
    answers: u32,
}

impl<T: PartialEq> Doubt<T> {
    /// Counts an answer with this claim. Returns whether the claim is to be believed; `is_urgent` if what is known is of no
    /// use, so that there is nothing to lose.
    pub(super) fn count(doubt: &mut Option<Self>, claim: T, is_urgent: bool, now: Instant) -> bool {
        let known = doubt.take_if(|known| known.claim == claim);
        let known = doubt.insert(known.unwrap_or(Self { claim, since: now, answers: 0 }));
        known.answers = known.answers.saturating_add(1);
        let is_old = now.saturating_duration_since(known.since) >= LONG_ENOUGH;
        known.answers >= ENOUGH_ANSWERS && (is_old || is_urgent)
    }
}

/// Two may come from one broker that lags behind, because requests go to the broker that has least to do.
const ENOUGH_ANSWERS: u32 = 3;

/// Views of brokers in one cluster differ for less than this, but while some of them start or stop.
const LONG_ENOUGH: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn count(doubt: &mut Option<Doubt<u8>>, claim: u8, is_urgent: bool, now: Instant) -> bool {
        Doubt::count(doubt, claim, is_urgent, now)
    }

    #[test]
    fn claim_is_believed_when_it_was_made_often_enough_for_long_enough() {
        let (start, mut doubt) = (clock::now(), None);

        assert!(!count(&mut doubt, 1, false, start));
        for _ in 0..10 {
            assert!(!count(&mut doubt, 1, false, start + LONG_ENOUGH / 2));
        }
        assert!(count(&mut doubt, 1, false, start + LONG_ENOUGH));
    }

    #[test]
    fn three_answers_do_if_what_is_known_is_of_no_use() {
        let (start, mut doubt) = (clock::now(), None);

        assert!(!count(&mut doubt, 1, true, start));
        assert!(!count(&mut doubt, 1, true, start + LONG_ENOUGH));
        assert!(count(&mut doubt, 1, true, start + LONG_ENOUGH));
    }

    #[test]
    fn another_claim_begins_anew() {
        let (start, mut doubt) = (clock::now(), None);
        count(&mut doubt, 1, true, start);
        count(&mut doubt, 1, true, start);

        assert!(!count(&mut doubt, 2, true, start));
        assert!(!count(&mut doubt, 1, true, start));
    }
}
