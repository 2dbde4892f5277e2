//! `FullUpdate`: a refresh of all topics, in as many requests as it takes.

use std::collections::{HashSet, VecDeque};

use crate::topic_partition::Topic;

/// A refresh of all topics, in as many requests as it takes.
#[derive(Debug)]
pub(super) struct FullUpdate {
    /// Tells it from those before it.
    number: u64,
    /// Topics that are still to be asked for. Some of them may have been answered meanwhile, or forgotten.
    left: VecDeque<Topic>,
    /// Whether there was an answer about some of the topics.
    is_begun: bool,
}

impl FullUpdate {
    pub(super) fn new<'a>(number: u64, topics: impl Iterator<Item = &'a Topic>) -> Self {
        Self { number, left: topics.cloned().collect(), is_begun: false }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn left(&self) -> impl Iterator<Item = &Topic> {
        self.left.iter()
    }

    pub(super) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Notes an answer, and drops the topics at the front that need not be asked for any more.
    pub(super) fn handle_answer(&mut self, is_to_ask: impl Fn(&Topic) -> bool) {
        self.is_begun = true;
        while self.left.front().is_some_and(|topic| !is_to_ask(topic)) {
            self.left.pop_front();
        }
    }

    /// Whether all topics were answered or forgotten.
    pub(super) fn is_over(&self) -> bool {
        self.is_begun && self.left.is_empty()
    }

    /// Has other topics asked for before those of a request that has failed.
    pub(super) fn postpone(&mut self, failed: &[Topic]) {
        let failed: HashSet<&Topic> = failed.iter().collect();
        let (last, first): (Vec<_>, Vec<_>) = self.left.drain(..).partition(|topic| failed.contains(topic));
        self.left.extend(first);
        self.left.extend(last);
    }
}
