use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::protocol::ErrorCode;
use crate::protocol::messages::metadata::{MetadataResponse, MetadataResponseTopic};
use crate::topic_partition::Topic;

use super::cluster::Cluster;
use super::reading;
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
    /// Begins with nothing, for an answer about all topics.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Begins with what is known of the topics that are still tracked, for an answer about some others.
    pub(super) fn carried_over(cluster: &Cluster, tracked: &TrackedTopics) -> Self {
        let topics = cluster.topics().filter(|topic| tracked.contains(topic.name()));
        let errors = cluster.topic_errors().iter().filter(|(name, _)| tracked.contains(name));
        Self {
            topics: topics.map(|topic| (topic.name().clone(), Arc::clone(topic))).collect(),
            errors: errors.map(|(name, code)| (name.clone(), *code)).collect(),
            ..Self::default()
        }
    }

    /// Reads an answer to a request for the topics `asked`, and brings the leader epochs in `tracked` up to date.
    pub(super) fn read(
        &mut self,
        response: &MetadataResponse,
        version: i16,
        asked: &[Topic],
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
                ErrorCode::None => self.read_topic(answer, name, version, known, tracked),
                code => self.read_error(name, code, tracked),
            }
        }
        self.is_incomplete |= asked.iter().any(|topic| tracked.contains(topic) && !answered.contains(topic));
    }

    fn read_topic(
        &mut self,
        answer: &MetadataResponseTopic,
        name: Topic,
        version: i16,
        known: &Cluster,
        tracked: &mut TrackedTopics,
    ) {
        let Some(epochs) = tracked.leader_epochs_mut(&name) else { return };
        let has_reliable_epochs = version >= RELIABLE_EPOCHS;
        let reading = reading::read_topic(answer, &name, known.topic(&name), epochs, has_reliable_epochs);
        self.is_progress |= reading.is_progress;
        self.is_incomplete |= reading.is_incomplete;
        self.errors.remove(&name);
        self.topics.insert(name, Arc::new(reading.topic));
    }

    fn read_error(&mut self, name: Topic, code: ErrorCode, tracked: &mut TrackedTopics) {
        tracing::debug!(topic = %name, %code, "metadata has an error in place of the topic");
        // These two stay until somebody changes the name or the rights.
        self.is_incomplete |=
            !matches!(code, ErrorCode::InvalidTopicException | ErrorCode::TopicAuthorizationFailed);
        if code == ErrorCode::UnknownTopicOrPartition
            && let Some(epochs) = tracked.leader_epochs_mut(&name)
        {
            // It is gone. If it is made anew, its epochs begin again.
            epochs.clear();
        }
        self.topics.remove(&name);
        self.errors.insert(name, code);
    }
}

/// Brokers that speak only older versions of Metadata give out leader epochs that may lag behind (KIP-320).
const RELIABLE_EPOCHS: i16 = 9;
