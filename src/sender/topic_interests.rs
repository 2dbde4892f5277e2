//! `TopicInterests`: which topics callers want to know, on their way to the sender.

use std::collections::{BTreeMap, BTreeSet};

use crate::metadata::{MAX_KEPT, MAX_KEPT_BYTES};
use crate::topic_partition::Topic;

/// Which topics callers want to know, until the sender has taken it in.
///
/// What is kept is bounded by the number of callers that wait, and by a limit for topics that no caller waits for. What is above
/// the limit is dropped: the caller was told that the topic is not known, and may ask again.
#[derive(Debug, Default)]
pub(super) struct TopicInterests {
    topics: BTreeMap<Topic, State>,
    /// Those of `topics` whose state the sender has not seen.
    changed: BTreeSet<Topic>,
    /// How many of `topics` no caller waits for. A topic does not count while the sender still believes that a caller waits for it.
    passing: usize,
    /// Bytes of the names of these.
    passing_bytes: usize,
}

/// What callers want of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicInterest {
    pub(crate) topic: Topic,
    /// A caller has asked for it since the sender looked last.
    pub(crate) is_wanted: bool,
    /// A caller waits for it.
    pub(crate) is_awaited: bool,
}

#[derive(Debug, Default)]
struct State {
    /// Callers that wait.
    waits: usize,
    is_wanted: bool,
    /// The sender believes that a caller waits.
    is_known_awaited: bool,
}

impl State {
    fn is_passing(&self) -> bool {
        self.waits == 0 && !self.is_known_awaited
    }
}

impl TopicInterests {
    /// Notes that a caller asks for a topic.
    pub(super) fn want(&mut self, topic: &Topic) {
        self.change(topic, |state| state.is_wanted = true);
    }

    /// Notes that a caller asks for a topic, and waits.
    pub(super) fn begin_wait(&mut self, topic: &Topic) {
        self.change(topic, |state| {
            state.waits += 1;
            state.is_wanted = true;
        });
    }

    /// Notes that a caller waits no longer.
    pub(super) fn end_wait(&mut self, topic: &Topic) {
        self.change(topic, |state| state.waits = state.waits.saturating_sub(1));
    }

    /// Takes what has changed since the last call, for the sender.
    pub(super) fn take(&mut self) -> Vec<TopicInterest> {
        (self.passing, self.passing_bytes) = (0, 0);
        let mut interests = Vec::with_capacity(self.changed.len());
        for topic in std::mem::take(&mut self.changed) {
            let Some(state) = self.topics.get_mut(&topic) else { continue };
            let is_wanted = std::mem::take(&mut state.is_wanted);
            let is_awaited = state.waits > 0;
            state.is_known_awaited = is_awaited;
            if !is_awaited {
                self.topics.remove(&topic);
            }
            interests.push(TopicInterest { topic, is_wanted, is_awaited });
        }
        interests
    }

    fn change(&mut self, topic: &Topic, change: impl FnOnce(&mut State)) {
        let known = self.topics.remove(topic);
        if known.as_ref().is_some_and(State::is_passing) {
            self.passing -= 1;
            self.passing_bytes -= topic.len();
        }
        let mut state = known.unwrap_or_default();
        change(&mut state);
        if state.is_passing() {
            let is_full =
                self.passing == MAX_KEPT || self.passing_bytes.saturating_add(topic.len()) > MAX_KEPT_BYTES;
            if is_full || !state.is_wanted {
                self.changed.remove(topic);
                return;
            }
            self.passing += 1;
            self.passing_bytes += topic.len();
        }
        if state.is_wanted || state.waits == 0 {
            self.changed.insert(topic.clone());
        }
        self.topics.insert(topic.clone(), state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(number: usize) -> Topic {
        Topic::from(format!("{number:07}"))
    }

    /// Takes what has changed: name, wanted, awaited.
    fn take(interests: &mut TopicInterests) -> Vec<(String, bool, bool)> {
        let taken = interests.take().into_iter();
        taken.map(|it| (it.topic.as_str().to_owned(), it.is_wanted, it.is_awaited)).collect()
    }

    fn heard(number: usize, is_wanted: bool, is_awaited: bool) -> Vec<(String, bool, bool)> {
        vec![(topic(number).as_str().to_owned(), is_wanted, is_awaited)]
    }

    #[test]
    fn sender_hears_of_the_first_wait_and_of_the_end_of_the_last() {
        let mut interests = TopicInterests::default();
        let one = topic(1);

        interests.begin_wait(&one);
        interests.begin_wait(&one);
        assert_eq!(take(&mut interests), heard(1, true, true));
        interests.end_wait(&one);
        assert_eq!(take(&mut interests), []);
        interests.want(&one);
        assert_eq!(take(&mut interests), heard(1, true, true));
        interests.end_wait(&one);
        assert_eq!(take(&mut interests), heard(1, false, false));

        assert!(interests.topics.is_empty());
    }

    #[test]
    fn wait_that_has_ended_before_the_sender_looked_is_a_question() {
        let mut interests = TopicInterests::default();

        interests.begin_wait(&topic(1));
        interests.end_wait(&topic(1));

        assert_eq!(take(&mut interests), heard(1, true, false));
    }

    #[test]
    fn wait_that_follows_another_at_once_goes_on() {
        let mut interests = TopicInterests::default();
        interests.begin_wait(&topic(1));
        take(&mut interests);

        interests.end_wait(&topic(1));
        interests.begin_wait(&topic(1));

        assert_eq!(take(&mut interests), heard(1, true, true));
    }

    #[test]
    fn callers_that_do_not_wait_leave_no_more_behind_than_the_limit() {
        let mut interests = TopicInterests::default();

        for number in 0..100_000 {
            interests.want(&topic(number));
            interests.begin_wait(&topic(number));
            interests.end_wait(&topic(number));
        }

        assert_eq!((interests.topics.len(), interests.changed.len()), (MAX_KEPT, MAX_KEPT));
        assert_eq!(interests.take().len(), MAX_KEPT);
        interests.want(&topic(0));
        assert_eq!(take(&mut interests), heard(0, true, false));
    }

    #[test]
    fn long_names_count_for_more() {
        let mut interests = TopicInterests::default();

        (0..100).for_each(|number| interests.want(&Topic::from(format!("{number:032768}"))));

        assert_eq!(interests.topics.len(), 8);
    }

    #[test]
    fn every_caller_that_waits_is_heard_whatever_the_others_do() {
        let mut interests = TopicInterests::default();

        (0..10_000).for_each(|number| interests.want(&topic(number)));
        (10_000..20_000).for_each(|number| interests.begin_wait(&topic(number)));

        let awaited = interests.take().into_iter().filter(|interest| interest.is_awaited).count();
        assert_eq!(awaited, 10_000);
        (10_000..20_000).for_each(|number| interests.end_wait(&topic(number)));
        assert_eq!(interests.take().len(), 10_000);
        assert!(interests.topics.is_empty() && interests.changed.is_empty());
    }
}
