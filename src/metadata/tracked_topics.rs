use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::planted::planted;
use crate::topic_partition::Topic;

use super::doubt::Doubt;
use super::leader_epochs::LeaderEpochs;

/// The topics that the producer uses, each until it has been idle for some time.
#[derive(Debug)]
pub(super) struct TrackedTopics {
    max_idle: Duration,
    topics: BTreeMap<Topic, TrackedTopic>,
    /// Those of `topics` that no answer has been about yet. They do not expire.
    unanswered: BTreeSet<Topic>,
    /// Those of `topics` that are not known and that a record waits for, until brokers were asked with leave to create them.
    wanted: BTreeSet<Topic>,
    /// No topic expires before. To look at all of them for each answer would make a new topic the dearer the more there are.
    next_expiry: Option<Instant>,
}

/// Between two looks for topics that have expired passes at least this part of `max_idle`.
const LOOKS_IN_MAX_IDLE: u32 = 32;

#[derive(Debug)]
struct TrackedTopic {
    last_used: Instant,
    leader_epochs: LeaderEpochs,
    /// Answers in a row that have had an error in place of the topic.
    errors: Option<Doubt<()>>,
}

impl TrackedTopics {
    pub(super) fn new(max_idle: Duration) -> Self {
        Self {
            max_idle,
            topics: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            wanted: BTreeSet::new(),
            next_expiry: None,
        }
    }

    /// Notes the use of a topic. Returns whether the topic is new.
    pub(super) fn touch(&mut self, topic: &Topic, now: Instant) -> bool {
        if let Some(tracked) = self.topics.get_mut(topic) {
            tracked.last_used = tracked.last_used.max(now);
            return false;
        }

        let expiry = now.checked_add(self.max_idle);
        self.next_expiry = [self.next_expiry, expiry].into_iter().flatten().min();
        let tracked = TrackedTopic { last_used: now, leader_epochs: LeaderEpochs::default(), errors: None };
        self.topics.insert(topic.clone(), tracked);
        self.unanswered.insert(topic.clone())
    }

    /// Notes that a record waits for a topic that is not known.
    pub(super) fn want(&mut self, topic: &Topic) {
        self.wanted.insert(topic.clone());
    }

    /// Notes that there is an answer about topics, and whether brokers were free to create them.
    pub(super) fn handle_answer(&mut self, asked: &[Topic], may_create: bool) {
        for topic in asked {
            self.unanswered.remove(topic);
            if may_create {
                self.wanted.remove(topic);
            }
        }
    }

    /// Whether topics may have been idle for too long.
    pub(super) fn may_expire(&self, now: Instant) -> bool {
        self.next_expiry.is_some_and(|expiry| now >= expiry)
    }

    /// Forgets the topics that have been idle for too long.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Topic> {
        let mut expired = Vec::new();
        if !self.may_expire(now) {
            return expired;
        }
        self.topics.retain(|topic, tracked| {
            let is_idle = now.saturating_duration_since(tracked.last_used) >= self.max_idle;
            let is_expired = is_idle && !self.unanswered.contains(topic);
            if is_expired {
                self.wanted.remove(topic);
                expired.push(topic.clone());
            }
            !is_expired
        });
        let oldest = self.topics.values().map(|tracked| tracked.last_used).min();
        let first = oldest.and_then(|oldest| oldest.checked_add(self.max_idle));
        let soonest = now.checked_add(self.max_idle / LOOKS_IN_MAX_IDLE);
        self.next_expiry = first.max(soonest);
        expired
    }

    /// Forgets the leader epochs: another cluster may answer next.
    pub(super) fn forget_epochs(&mut self) {
        for tracked in self.topics.values_mut() {
            tracked.leader_epochs.clear();
        }
    }

    /// Counts an answer with an error in place of a topic. Returns whether the error is to be believed, though the topic was
    /// known. One does if a leader denies, too.
    pub(super) fn count_error(&mut self, topic: &str, now: Instant) -> bool {
        self.topics.get_mut(topic).is_none_or(|tracked| {
            tracked.leader_epochs.is_any_denied()
                || Doubt::count(&mut tracked.errors, (), false, now)
                || planted!(PassingErrorCounts)
        })
    }

    /// Whether the last answer did not describe a topic, though it was known.
    pub(super) fn has_error(&self, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|tracked| tracked.errors.is_some())
    }

    /// Notes that an answer has described a topic.
    pub(super) fn handle_description(&mut self, topic: &str) {
        self.wanted.remove(topic);
        if let Some(tracked) = self.topics.get_mut(topic) {
            tracked.errors = None;
        }
    }

    /// Returns the leader epochs seen of a topic, by partition, if the topic is tracked.
    pub(super) fn leader_epochs_mut(&mut self, topic: &str) -> Option<&mut LeaderEpochs> {
        self.topics.get_mut(topic).map(|tracked| &mut tracked.leader_epochs)
    }

    pub(super) fn contains(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// Returns our own copy of a name, so that a name in an answer is not kept.
    pub(super) fn name(&self, topic: &str) -> Option<&Topic> {
        self.topics.get_key_value(topic).map(|(name, _)| name)
    }

    pub(super) fn is_unanswered(&self, topic: &str) -> bool {
        self.unanswered.contains(topic)
    }

    pub(super) fn has_unanswered(&self) -> bool {
        !self.unanswered.is_empty()
    }

    pub(super) fn unanswered(&self) -> impl Iterator<Item = &Topic> {
        self.unanswered.iter()
    }

    /// Returns the topics that may be created for the record that waits for them.
    pub(super) fn wanted(&self) -> &BTreeSet<Topic> {
        &self.wanted
    }

    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Topic> {
        self.topics.keys()
    }
}
