//! `TopicAnswers`: what an answer changes of the topics that it is about.

use std::collections::BTreeSet;
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
///
/// Only the topics that the answer is about are looked at, because many more may be in use.
#[derive(Debug)]
pub(super) struct TopicAnswers {
    pub(super) cluster: Cluster,
    /// Whether the answer is newer than what was known.
    pub(super) is_progress: bool,
    /// Whether there are errors that may be gone when asked again.
    pub(super) is_incomplete: bool,
}

impl TopicAnswers {
    /// Begins with `cluster`, which has what was known of the topics, and the nodes of the answer.
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, is_progress: false, is_incomplete: false }
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
            // A broker cannot make the producer keep topics that it does not use.
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
        self.cluster.set_topic(Arc::new(reading.topic));
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
        // These two stay until the user changes the name or the rights.
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
            Some(topic) => self.keep(topic),
            None => self.cluster.set_topic_error(&name, code),
        }
    }

    /// Keeps a topic as it was known. It may be another of its name when it is described again.
    fn keep(&mut self, topic: &TopicInfo) {
        let kept = topic.clone().with_denials(topic.denials_when_denied());
        self.cluster.set_topic(Arc::new(kept));
    }

    /// A topic that was asked for is not in the answer.
    fn read_omission(&mut self, name: &Topic, now: Instant, known: &Cluster, tracked: &mut TrackedTopics) {
        if !tracked.contains(name) {
            return;
        }
        self.is_incomplete = true;
        if let Some(topic) = known.shared_topic(name) {
            if tracked.count_error(name, now) {
                self.cluster.remove_topic(name);
            } else {
                self.keep(topic);
            }
        }
    }
}
