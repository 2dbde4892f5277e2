//! `Said`: what the log was told of one broker lately, so that a cause is told once a minute at most.

use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::ConnectionStep;
use crate::network::DisconnectReason;

/// What was said of a broker within the last minute.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Oldest first.
    entries: Vec<Entry>,
}

/// What a line is about. Two lines about the same are folded into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Failure {
        step: ConnectionStep,
        reason: Discriminant<DisconnectReason>,
        /// What tells this one from others of its kind. Texts with numbers in them do not, since these differ each time.
        words: Option<Arc<str>>,
    },
    /// What another machine says of the broker.
    Other(&'static str),
    Recovery,
    Throttling,
}

#[derive(Debug)]
struct Entry {
    subject: Subject,
    /// When it was said last, or came up first if it was not said so far.
    at: Instant,
    is_said: bool,
    /// How often it came up since, and was not said.
    folded: u32,
}

impl Subject {
    pub(super) fn of(step: ConnectionStep, reason: &DisconnectReason) -> Self {
        Self::Failure { step, reason: discriminant(reason), words: reason.telling_words() }
    }
}

impl Said {
    /// Takes in that something comes up that may be said. Returns how often it came up unsaid before, if it is to be said now.
    pub(super) fn note(&mut self, subject: Subject, now: Instant) -> Option<u32> {
        self.note_as(subject, true, now)
    }

    /// The same for what is not worth a line if it happens once a minute.
    pub(super) fn note_repeated(&mut self, subject: Subject, now: Instant) -> Option<u32> {
        self.note_as(subject, false, now)
    }

    fn note_as(&mut self, subject: Subject, says_first: bool, now: Instant) -> Option<u32> {
        let index = self.entries.iter().position(|entry| entry.subject == subject);
        let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) else {
            if self.entries.len() >= MOST_ENTRIES {
                self.entries.remove(0);
            }
            self.entries.push(Entry { subject, at: now, is_said: says_first, folded: 0 });
            return says_first.then_some(0);
        };
        let is_over = now.saturating_duration_since(entry.at) >= QUIET;
        if is_over && !entry.is_said && !says_first {
            // It is the first of another minute.
            entry.at = now;
            return None;
        }
        if entry.is_said && !is_over {
            entry.folded = entry.folded.saturating_add(1);
            return None;
        }
        entry.at = now;
        entry.is_said = true;
        Some(std::mem::take(&mut entry.folded))
    }
}

/// For so long a cause is not repeated.
const QUIET: Duration = Duration::from_secs(60);
/// A broker that fails in ever new ways is given lines for so many of them a minute, and one for each new one.
const MOST_ENTRIES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn subject_is_said_once_a_minute_with_the_count_of_the_others() {
        let now = clock::now();
        let mut said = Said::default();

        assert_eq!(said.note(Subject::Throttling, now), Some(0));
        for second in 1..60 {
            assert_eq!(said.note(Subject::Throttling, now + seconds(second)), None);
        }
        assert_eq!(said.note(Subject::Recovery, now + seconds(59)), Some(0));
        assert_eq!(said.note(Subject::Throttling, now + seconds(60)), Some(59));
        assert_eq!(said.note(Subject::Throttling, now + seconds(120)), Some(0));
    }

    #[test]
    fn what_is_worth_a_line_only_if_it_repeats_is_said_the_second_time_within_a_minute() {
        let now = clock::now();
        let mut said = Said::default();

        assert_eq!(said.note_repeated(Subject::Recovery, now), None);
        assert_eq!(said.note_repeated(Subject::Recovery, now + seconds(61)), None);
        assert_eq!(said.note_repeated(Subject::Recovery, now + seconds(70)), Some(0));
        assert_eq!(said.note_repeated(Subject::Recovery, now + seconds(71)), None);
        assert_eq!(said.note_repeated(Subject::Recovery, now + seconds(131)), Some(1));
    }

    #[test]
    fn subjects_that_are_kept_are_few() {
        let now = clock::now();
        let mut said = Said::default();

        for number in 0..100 {
            let reason = discriminant(&DisconnectReason::Misrouted);
            let words = Some(Arc::from(number.to_string()));
            let subject = Subject::Failure { step: ConnectionStep::Connect, reason, words };
            assert_eq!(said.note(subject, now), Some(0));
        }

        assert_eq!(said.entries.len(), MOST_ENTRIES);
    }
}
