//! What callers keep of each topic, so that a record of a known topic needs one look-up and no waiting.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::accumulator::{TopicQueues, TopicWatcher};
use crate::metadata::Cluster;
use crate::pipeline::{Backlog, TopicRoutes, TopicView};
use crate::topic_partition::Topic;

/// The topics that were sent to.
#[derive(Debug, Default)]
pub(crate) struct TopicDirectory(RwLock<HashMap<Topic, Arc<TopicEntry>>>);

/// One topic as of one version of the cluster.
#[derive(Debug)]
pub(crate) struct TopicEntry {
    pub(crate) queues: Arc<TopicQueues>,
    pub(crate) routes: TopicRoutes,
    /// The version of the cluster that this is taken from.
    pub(crate) version: u64,
}

impl TopicEntry {
    /// Returns the topic as the choice of a partition sees it, with the cluster that is published now.
    #[inline]
    pub(super) fn view<'a>(&'a self, clusters: &'a watch::Receiver<Arc<Cluster>>) -> TopicNow<'a> {
        TopicNow { entry: self, clusters }
    }
}

/// A topic at the moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicNow<'a> {
    entry: &'a TopicEntry,
    clusters: &'a watch::Receiver<Arc<Cluster>>,
}

impl TopicView for TopicNow<'_> {
    #[inline]
    fn routes(&self) -> &TopicRoutes {
        &self.entry.routes
    }

    fn topic(&self) -> &str {
        self.entry.queues.topic()
    }

    fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.clusters.borrow())
    }

    fn backlogs(&self) -> impl Iterator<Item = Backlog> {
        self.entry.queues.iter().map(|queue| Backlog {
            partition: queue.topic_partition().partition,
            batches: queue.queued_batches(),
            is_available: queue.is_available(),
            is_stopped: queue.is_stopped(),
        })
    }

    fn places(&self) -> usize {
        self.entry.queues.places()
    }

    fn takes_records(&self, partition: usize) -> bool {
        let queues = &self.entry.queues;
        partition < queues.len() && queues.queue(partition).is_none_or(|queue| !queue.is_stopped())
    }
}

impl TopicDirectory {
    /// Returns the entry of a topic if it is of this version.
    pub(crate) fn current(&self, topic: &str, version: u64) -> Option<Arc<TopicEntry>> {
        self.get(topic).filter(|entry| entry.version == version)
    }

    /// Returns the entry of a topic, of whatever version.
    pub(crate) fn get(&self, topic: &str) -> Option<Arc<TopicEntry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(topic).map(Arc::clone)
    }

    /// Lets go of what is kept of a topic. At worst it is made anew.
    pub(crate) fn forget(&self, topic: &Topic) {
        let mut topics = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = topics.remove(topic);
        if topics.capacity() / 4 > topics.len().max(USUAL_TOPICS) {
            let enough = topics.len() * 2;
            topics.shrink_to(enough);
        }
        drop(topics);
        drop(entry);
    }

    pub(crate) fn insert(&self, topic: Topic, entry: Arc<TopicEntry>) {
        let replaced = self.0.write().unwrap_or_else(PoisonError::into_inner).insert(topic, entry);
        // Not under the lock: with the queues of a topic goes what they hold of the memory, and others wait for that.
        drop(replaced);
    }
}

impl TopicWatcher for TopicDirectory {
    fn handle_retired(&self, topic: &Topic) {
        self.forget(topic);
    }
}

/// A table with room for no more is kept.
const USUAL_TOPICS: usize = 64;

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use crate::accumulator::{RecordAccumulator, Settings};
    use crate::buffer_memory::BufferMemory;
    use crate::config::Compression;

    use super::*;

    pub(in crate::producer) fn entry(version: u64) -> Arc<TopicEntry> {
        let settings = Settings {
            batch_size: 100,
            compression: Compression::None,
            compression_level: 0,
            max_plain: 100,
            append_window: Duration::ZERO,
            spares_awaited: false,
        };
        let accumulator = RecordAccumulator::new(settings, BufferMemory::new(1000, 100));
        let queues = accumulator.topic(&Topic::from("orders"), 2);
        Arc::new(TopicEntry { queues, routes: TopicRoutes::new(2, 100), version })
    }

    #[test]
    fn entry_is_current_for_its_own_version_only() {
        let topics = TopicDirectory::default();
        topics.insert(Topic::from("orders"), entry(3));

        assert_eq!(topics.current("orders", 3).map(|entry| entry.routes.partition_count()), Some(2));
        assert!(topics.current("orders", 4).is_none());
        assert!(topics.current("orders", 2).is_none());
        assert!(topics.current("other", 3).is_none());
    }

    #[test]
    fn old_entry_is_found_until_it_is_replaced() {
        let topics = TopicDirectory::default();
        assert!(topics.get("orders").is_none());

        topics.insert(Topic::from("orders"), entry(3));
        assert_eq!(topics.get("orders").map(|entry| entry.version), Some(3));
        topics.insert(Topic::from("orders"), entry(4));

        assert_eq!(topics.get("orders").map(|entry| entry.version), Some(4));
    }
}
