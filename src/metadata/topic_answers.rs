use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use crate::log;
use crate::protocol::ErrorCode;
use crate::protocol::messages::metadata::{MetadataResponse, MetadataResponseTopic};
use crate::topic_partition::Topic;
use crate::wire::Uuid;

use super::cluster::Cluster;
use super::reading::{self, Source};
use super::topic_info::TopicInfo;
use super::tracked_topics::TrackedTopics;

/// What is known of the tracked topics once an answer has been taken in.
#[derive(Debug, Default)]
pub(super) struct TopicAnswers {
    pub(super) topics: BTreeMap<Topic, Arc<TopicInfo>>,
    /// Disjoint from `topics`.
    pub(super) errors: HashMap<Topic, ErrorCode>,
    /// Whether the answer is newer than what was known.
    pub(super) is_progress: bool,
    /// Whether there are errors that may be gone when asked again.
    pub(super) is_incomplete: bool,
}

impl TopicAnswers {
    /// Begins with what is known of the topics that are still tracked and that the answer need not be about.
    pub(super) fn carried_over(cluster: &Cluster, tracked: &TrackedTopics, asked: &[Topic]) -> Self {
        let asked: HashSet<&Topic> = asked.iter().collect();
        let is_kept = |name: &Topic| tracked.contains(name) && !asked.contains(name);
        let topics = cluster.topics().filter(|topic| is_kept(topic.name()));
        let errors = cluster.topic_errors().iter().filter(|(name, _)| is_kept(name));
        Self {
            topics: topics.map(|topic| (topic.name().clone(), Arc::clone(topic))).collect(),
            errors: errors.map(|(name, code)| (name.clone(), *code)).collect(),
            ..Self::default()
        }
    }

    /// Reads an answer to a request for the topics `asked`, and brings what is tracked of them up to date.
    pub(super) fn read(
        &mut self,
        response: &MetadataResponse,
        asked: &[Topic],
        source: Source<'_>,
        known: &Cluster,
        tracked: &mut TrackedTopics,
    ) {
        let mut answered = BTreeSet::new();
        for answer in &response.topics {
            // Nobody can make us keep topics that we do not use.
            let name = answer.name.as_deref().and_then(|name| tracked.name(name)).cloned();
            let Some(name) = name.filter(|name| !answered.contains(name)) else { continue };
            answered.insert(name.clone());

            match ErrorCode::from(answer.error_code) {
                ErrorCode::None => self.read_topic(answer, name, source, known, tracked),
                code => self.read_error(name, code, source.now, known, tracked),
            }
        }
        for topic in asked.iter().filter(|topic| !answered.contains(*topic)) {
            self.read_omission(topic, source.now, known, tracked);
        }
    }

    fn read_topic(
        &mut self,
        answer: &MetadataResponseTopic,
        name: Topic,
        source: Source<'_>,
        known: &Cluster,
        tracked: &mut TrackedTopics,
    ) {
        tracked.handle_description(&name);
        let Some(epochs) = tracked.leader_epochs_mut(&name) else { return };
        let reading = reading::read_topic(answer, &name, known.topic(&name), epochs, source);
        self.is_progress |= reading.is_progress;
        self.is_incomplete |= reading.is_incomplete;
        self.errors.remove(&name);
        self.topics.insert(name, Arc::new(reading.topic));
    }

    fn read_error(
        &mut self,
        name: Topic,
        code: ErrorCode,
        now: Instant,
        known: &Cluster,
        tracked: &mut TrackedTopics,
    ) {
        log::debug!(topic = %name, %code, "metadata has an error in place of the topic");
        // These two stay until somebody changes the name or the rights.
        let is_final = matches!(code, ErrorCode::InvalidTopicException | ErrorCode::TopicAuthorizationFailed);
        self.is_incomplete |= !is_final;
        let kept = known.shared_topic(&name).filter(|_| !is_final && !tracked.count_error(&name, now));
        let is_gone = code == ErrorCode::UnknownTopicOrPartition
            && kept.is_none_or(|topic| topic.id() == Uuid::default());
        if is_gone && let Some(epochs) = tracked.leader_epochs_mut(&name) {
            // If it is made anew, its epochs begin again. Where topics have ids, these tell.
            epochs.clear();
        }
        match kept {
            Some(topic) => {
                self.keep(topic);
            }
            None => {
                self.topics.remove(&name);
                self.errors.insert(name, code);
            }
        }
    }

    /// Keeps a topic as it was known. It may be another of its name when it is described again.
    fn keep(&mut self, topic: &TopicInfo) {
        let kept = topic.clone().with_denials(topic.denials_when_denied());
        self.topics.insert(topic.name().clone(), Arc::new(kept));
    }

    /// A topic that was asked for is not in the answer.
    fn read_omission(&mut self, name: &Topic, now: Instant, known: &Cluster, tracked: &mut TrackedTopics) {
        if !tracked.contains(name) {
            return;
        }
        self.is_incomplete = true;
        if let Some(topic) = known.shared_topic(name) {
            if tracked.count_error(name, now) {
                self.topics.remove(name);
            } else {
                self.keep(topic);
            }
        } else if let Some(code) = known.topic_error(name) {
            self.errors.insert(name.clone(), code);
        }
    }
}
