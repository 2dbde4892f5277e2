//! `Doubt`: whether a batch may be in the log. What has happened to its attempts decides that.

use crate::error::Persisted;

/// Whether a batch may be in the log.
///
/// ```text
///                     sent
///   Resting(known) ─────────► UnderWay { before: known }
///       ▲                          │
///       ├── unsent ────────────────┤   known
///       ├── answered(No) ──────────┤   known
///       ├── answered(Maybe) ───────┤   known, or Answered if that is graver
///       └── lost ──────────────────┘   known, or Unanswered if that is graver
///
///   cut: a piece begins as Resting(OfParent) if the batch may be in the log, else as Resting(Absent)
/// ```
///
/// Nothing leads back to `Absent`, because an attempt cannot take back what an earlier one may have written. So an answer that
/// refuses the batch only restores what was known before the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It is not under way. This is what its attempts so far have come to.
    Resting(Trace),
    /// A connection has it, so it may be in the log. An answer that it is not leaves what was known before.
    UnderWay { before: Trace },
}

/// What attempts may have left in the log. The graver is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trace {
    /// The batch is certain not to be in the log.
    Absent,
    /// The broker has answered that it may have written the batch. None of its bytes is on the way any more.
    Answered,
    /// An attempt came to nothing without an answer: its bytes may still reach the broker, however late.
    Unanswered,
    /// It was cut from a batch that may be in the log as a whole: under its own number no broker would know it.
    OfParent,
}

impl Doubt {
    /// A batch that was never sent.
    pub(super) const NONE: Self = Self::Resting(Trace::Absent);

    /// A connection takes the batch.
    pub(super) fn sent(&mut self) {
        // The batch is sent again, and nothing was heard of the attempt before: that one counts as lost.
        let before = match *self {
            Self::Resting(trace) => trace,
            Self::UnderWay { before } => before.max(Trace::Unanswered),
        };
        *self = Self::UnderWay { before };
    }

    /// The broker has answered the attempt with an error, which says whether it may have written the batch.
    pub(super) fn answered(&mut self, persisted: Persisted) {
        self.rest(match persisted {
            Persisted::No => Trace::Absent,
            Persisted::Maybe => Trace::Answered,
        });
    }

    /// No answer came to the attempt, and a connection may have written some of its bytes.
    pub(super) fn lost(&mut self) {
        self.rest(Trace::Unanswered);
    }

    /// The attempt came to nothing before a byte of it was written.
    pub(super) fn unsent(&mut self) {
        self.rest(Trace::Absent);
    }

    fn rest(&mut self, attempt: Trace) {
        let (Self::Resting(before) | Self::UnderWay { before }) = *self;
        *self = Self::Resting(before.max(attempt));
    }

    /// Returns the doubt about a piece that is cut from the batch.
    pub(super) fn cut(self) -> Self {
        match self.persisted() {
            Persisted::No => Self::NONE,
            Persisted::Maybe => Self::Resting(Trace::OfParent),
        }
    }

    /// Returns whether the batch may be in the log.
    pub(super) fn persisted(self) -> Persisted {
        match self {
            Self::Resting(Trace::Absent) => Persisted::No,
            _ => Persisted::Maybe,
        }
    }

    /// Returns what the attempts have come to, unless the batch is under way.
    pub(super) fn at_rest(self) -> Option<Trace> {
        match self {
            Self::Resting(trace) => Some(trace),
            Self::UnderWay { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::accumulator::producer_batch::may_go_on_after_refusal;
    use crate::protocol::ErrorCode;

    const TRACES: [Trace; 4] = [Trace::Absent, Trace::Answered, Trace::Unanswered, Trace::OfParent];

    fn under_way(before: Trace) -> Doubt {
        let mut doubt = Doubt::Resting(before);
        doubt.sent();
        doubt
    }

    fn after(before: Trace, happens: impl Fn(&mut Doubt)) -> Doubt {
        let mut doubt = under_way(before);
        happens(&mut doubt);
        doubt
    }

    #[test]
    fn batch_that_was_never_sent_is_absent() {
        assert_eq!(Doubt::NONE.persisted(), Persisted::No);
    }

    #[test]
    fn batch_under_way_may_be_in_the_log_whatever_was_known_before() {
        for before in TRACES {
            assert_eq!(under_way(before), Doubt::UnderWay { before });
            assert_eq!(under_way(before).persisted(), Persisted::Maybe);
        }
    }

    #[test]
    fn refusal_and_attempt_without_a_byte_restore_what_was_known() {
        for before in TRACES {
            assert_eq!(after(before, |doubt| doubt.answered(Persisted::No)), Doubt::Resting(before));
            assert_eq!(after(before, Doubt::unsent), Doubt::Resting(before));
        }
    }

    #[test]
    fn doubtful_answer_counts_unless_something_graver_is_known() {
        let expected = [Trace::Answered, Trace::Answered, Trace::Unanswered, Trace::OfParent];
        for (before, expected) in TRACES.into_iter().zip(expected) {
            assert_eq!(after(before, |doubt| doubt.answered(Persisted::Maybe)), Doubt::Resting(expected));
        }
    }

    #[test]
    fn lost_attempt_may_still_arrive() {
        let expected = [Trace::Unanswered, Trace::Unanswered, Trace::Unanswered, Trace::OfParent];
        for (before, expected) in TRACES.into_iter().zip(expected) {
            assert_eq!(after(before, Doubt::lost), Doubt::Resting(expected));
        }
    }

    #[test]
    fn attempt_that_is_sent_over_another_has_lost_that_one() {
        assert_eq!(after(Trace::Absent, Doubt::sent), Doubt::UnderWay { before: Trace::Unanswered });
    }

    #[test]
    fn piece_is_in_doubt_if_the_batch_is() {
        assert_eq!(Doubt::NONE.cut(), Doubt::NONE);
        for trace in [Trace::Answered, Trace::Unanswered, Trace::OfParent] {
            assert_eq!(Doubt::Resting(trace).cut(), Doubt::Resting(Trace::OfParent));
        }
        assert_eq!(under_way(Trace::Absent).cut(), Doubt::Resting(Trace::OfParent));
    }

    #[test]
    fn batch_under_way_is_not_at_rest() {
        for trace in TRACES {
            assert_eq!(Doubt::Resting(trace).at_rest(), Some(trace));
            assert_eq!(under_way(trace).at_rest(), None);
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Event {
        AnsweredMaybe,
        AnsweredNo,
        Cut,
        Lost,
        Unsent,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::AnsweredMaybe),
            Just(Event::AnsweredNo),
            Just(Event::Cut),
            Just(Event::Lost),
            Just(Event::Unsent),
        ]
    }

    proptest! {
        /// The broker's side is told by the attempts alone: each that was lost, or that it answered in doubt, may be in the
        /// log, and so may what is under way.
        #[test]
        fn batch_that_may_be_in_the_log_never_becomes_certain_to_be_absent(
            attempts in proptest::collection::vec(event(), 0..12),
        ) {
            let mut doubt = Doubt::NONE;
            let (mut may_be_there, mut may_arrive, mut is_piece) = (false, false, false);
            for event in attempts {
                doubt.sent();
                prop_assert_eq!(doubt.persisted(), Persisted::Maybe);
                match event {
                    Event::AnsweredMaybe => doubt.answered(Persisted::Maybe),
                    Event::AnsweredNo => doubt.answered(Persisted::No),
                    Event::Cut => {
                        doubt.answered(Persisted::No);
                        doubt = doubt.cut();
                    }
                    Event::Lost => doubt.lost(),
                    Event::Unsent => doubt.unsent(),
                }
                is_piece |= matches!(event, Event::Cut) && may_be_there;
                may_arrive |= matches!(event, Event::Lost);
                may_be_there |= matches!(event, Event::AnsweredMaybe | Event::Lost);

                prop_assert_eq!(doubt.persisted() == Persisted::Maybe, may_be_there);
                let may_go_on = |code| doubt.at_rest().is_some_and(|trace| may_go_on_after_refusal(trace, code));
                prop_assert_eq!(may_go_on(ErrorCode::OutOfOrderSequenceNumber), !may_be_there);
                prop_assert_eq!(may_go_on(ErrorCode::InvalidProducerEpoch), !is_piece && !may_arrive);
            }
        }
    }
}
