//! `TrackedTopics`: which topics are asked for, and until when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::planted::planted;
use crate::topic_partition::Topic;

use super::doubt::Doubt;
use super::leader_epochs::LeaderEpochs;
use super::topic_line::TopicLine;

/// The topics that the producer uses, each until it has been idle for some time.
#[derive(Debug)]
pub(super) struct TrackedTopics {
    max_idle: Duration,
    topics: BTreeMap<Topic, TrackedTopic>,
    /// Those of `topics` that no answer has been about yet. They do not expire, unless they are in `loose`, too.
    unanswered: TopicLine,
    /// Those of `topics` that are not known and that a record waits for, until brokers were asked with leave to create them.
    wanted: TopicLine,
    /// Those of `topics` that are kept only because a caller asked for them. Callers may name any number of topics, so only the
    /// newest of these stay.
    loose: TopicLine,
    /// Topics that were answered and then forgotten since the last call of `take_forgotten`.
    forgotten: Vec<Topic>,
    /// No topic expires before. Without this each answer would look at all topics, and so a new topic would cost more with
    /// each topic that is there.
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
    /// The last full update that had an answer about the topic.
    full_update: u64,
    /// Callers wait for it.
    is_awaited: bool,
    /// A request that names it is under way.
    is_asked: bool,
    /// An answer has described it, or there are queues for its records.
    is_established: bool,
    /// The application wants it known for as long as the producer lives.
    is_pinned: bool,
}

impl TrackedTopic {
    fn is_loose(&self) -> bool {
        !(self.is_awaited || self.is_asked || self.is_established || self.is_pinned)
    }
}

impl TrackedTopics {
    pub(super) fn new(max_idle: Duration) -> Self {
        Self {
            max_idle,
            topics: BTreeMap::new(),
            unanswered: TopicLine::default(),
            wanted: TopicLine::default(),
            loose: TopicLine::default(),
            forgotten: Vec::new(),
            next_expiry: None,
        }
    }

    /// Notes that there are queues for a topic, which were used at this time. Returns whether the topic is new.
    pub(super) fn touch(&mut self, topic: &Topic, now: Instant) -> bool {
        self.update(topic, now, |tracked| tracked.is_established = true)
    }

    /// Keeps a topic from being forgotten. Returns whether it is new.
    pub(super) fn pin(&mut self, topic: &Topic, now: Instant) -> bool {
        self.update(topic, now, |tracked| tracked.is_pinned = true)
    }

    /// Notes that a caller asks for a topic, and waits for it or not. Returns whether the topic is new.
    pub(super) fn note_caller(&mut self, topic: &Topic, is_awaited: bool, now: Instant) -> bool {
        let is_new = self.update(topic, now, |tracked| tracked.is_awaited = is_awaited);
        self.loose.postpone(topic);
        self.drop_loose();
        is_new
    }

    /// Notes that no caller waits for a topic any more.
    pub(super) fn note_no_caller(&mut self, topic: &Topic, now: Instant) {
        if self.contains(topic) {
            self.note_caller(topic, false, now);
        }
    }

    /// Notes that a record waits for a topic that is not known.
    pub(super) fn want(&mut self, topic: &Topic) {
        if self.contains(topic) {
            self.wanted.insert(topic);
        }
    }

    /// Notes that a request names topics, which keeps them until it has ended.
    pub(super) fn handle_request(&mut self, asked: &[Topic]) {
        for topic in asked {
            self.change(topic, |tracked| tracked.is_asked = true);
        }
    }

    /// Notes that there is an answer about topics, and whether brokers were free to create them.
    pub(super) fn handle_answer(&mut self, asked: &[Topic], may_create: bool, full_update: Option<u64>) {
        for topic in asked {
            self.unanswered.remove(topic);
            if may_create {
                self.wanted.remove(topic);
            }
            if let Some((tracked, number)) = self.topics.get_mut(topic).zip(full_update) {
                tracked.full_update = number;
            }
        }
    }

    /// Notes that a request has failed. Its topics may be the reason, so other topics go first.
    pub(super) fn handle_failure(&mut self, asked: &[Topic]) {
        for topic in asked {
            self.unanswered.postpone(topic);
            self.wanted.postpone(topic);
        }
    }

    /// Notes that a request has ended, in whatever way.
    pub(super) fn handle_end(&mut self, asked: &[Topic]) {
        for topic in asked {
            self.change(topic, |tracked| tracked.is_asked = false);
        }
        self.drop_loose();
    }

    /// Whether topics may have been idle for too long.
    pub(super) fn may_expire(&self, now: Instant) -> bool {
        self.next_expiry.is_some_and(|expiry| now >= expiry)
    }

    /// Forgets the topics that have been idle for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        if !self.may_expire(now) {
            return;
        }
        self.expire_loose(now);
        let is_expired = |(topic, tracked): &(&Topic, &TrackedTopic)| {
            let is_kept = tracked.is_awaited || tracked.is_pinned || self.unanswered.contains(topic);
            self.is_idle(tracked, now) && !is_kept
        };
        let expired: Vec<Topic> =
            self.topics.iter().filter(is_expired).map(|(topic, _)| topic.clone()).collect();
        expired.iter().for_each(|topic| self.forget(topic));
        let oldest = self.topics.values().map(|tracked| tracked.last_used).min();
        let first = oldest.and_then(|oldest| oldest.checked_add(self.max_idle));
        let soonest = now.checked_add(self.max_idle / LOOKS_IN_MAX_IDLE);
        self.next_expiry = first.max(soonest);
    }

    /// Forgets topics that only a caller asked for and that have been idle for too long. This needs no answer, so that they also
    /// go while no broker answers.
    pub(super) fn expire_loose(&mut self, now: Instant) {
        while let Some(topic) = self.loose.first().cloned()
            && self.topics.get(&topic).is_none_or(|tracked| self.is_idle(tracked, now))
        {
            self.forget(&topic);
        }
    }

    /// Takes the topics that were forgotten since the last call, except those that had no answer.
    pub(super) fn take_forgotten(&mut self) -> Vec<Topic> {
        std::mem::take(&mut self.forgotten)
    }

    /// Forgets the leader epochs: another cluster may answer next.
    pub(super) fn forget_epochs(&mut self) {
        for tracked in self.topics.values_mut() {
            tracked.leader_epochs.clear();
        }
    }

    /// Counts an answer with an error in place of a topic. Returns whether to believe the error although the topic was known. A
    /// single answer is enough if a broker has also denied to lead one of its partitions.
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
        self.loose.remove(topic);
        if let Some(tracked) = self.topics.get_mut(topic) {
            tracked.errors = None;
            tracked.is_established = true;
        }
    }

    /// Returns the leader epochs seen of a topic, by partition, if the topic is tracked.
    pub(super) fn leader_epochs_mut(&mut self, topic: &str) -> Option<&mut LeaderEpochs> {
        self.topics.get_mut(topic).map(|tracked| &mut tracked.leader_epochs)
    }

    pub(super) fn contains(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// Returns the producer's own copy of a name, so that a name in an answer is not kept.
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
    pub(super) fn wanted(&self) -> &TopicLine {
        &self.wanted
    }

    /// Whether a topic is tracked and no answer that belongs to a full update has been about it.
    pub(super) fn is_left_by(&self, full_update: u64, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|tracked| tracked.full_update != full_update)
    }

    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Topic> {
        self.topics.keys()
    }

    fn update(&mut self, topic: &Topic, now: Instant, change: impl FnOnce(&mut TrackedTopic)) -> bool {
        let is_new = !self.contains(topic);
        if is_new {
            let expiry = now.checked_add(self.max_idle);
            self.next_expiry = [self.next_expiry, expiry].into_iter().flatten().min();
            let tracked = TrackedTopic {
                last_used: now,
                leader_epochs: LeaderEpochs::default(),
                errors: None,
                full_update: 0,
                is_awaited: false,
                is_asked: false,
                is_established: false,
                is_pinned: false,
            };
            self.topics.insert(topic.clone(), tracked);
            self.unanswered.insert(topic);
        }
        self.change(topic, |tracked| {
            tracked.last_used = tracked.last_used.max(now);
            change(tracked);
        });
        is_new
    }

    fn change(&mut self, topic: &Topic, change: impl FnOnce(&mut TrackedTopic)) {
        let Some(tracked) = self.topics.get_mut(topic) else { return };
        change(tracked);
        if tracked.is_loose() {
            self.loose.insert(topic);
        } else {
            self.loose.remove(topic);
        }
    }

    /// Of the topics that only a caller asked for, keeps the newest.
    fn drop_loose(&mut self) {
        while self.loose.is_too_long()
            && let Some(oldest) = self.loose.first().cloned()
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, topic: &Topic) {
        self.topics.remove(topic);
        self.wanted.remove(topic);
        self.loose.remove(topic);
        // The view of the cluster has nothing of a topic without an answer, and while no broker answers there may be any
        // number of these.
        if !self.unanswered.remove(topic) {
            self.forgotten.push(topic.clone());
        }
    }

    fn is_idle(&self, tracked: &TrackedTopic, now: Instant) -> bool {
        now.saturating_duration_since(tracked.last_used) >= self.max_idle
    }
}
