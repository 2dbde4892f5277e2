//! What callers keep of each topic, so that a record of a known topic needs one look-up and no waiting.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::accumulator::TopicQueues;
use crate::pipeline::StickyPartitioner;
use crate::topic_partition::Topic;

/// The topics that were sent to.
#[derive(Debug, Default)]
pub(crate) struct TopicDirectory(RwLock<HashMap<Topic, Arc<TopicEntry>>>);

/// One topic as of one version of the cluster.
#[derive(Debug)]
pub(crate) struct TopicEntry {
    pub(crate) queues: Arc<TopicQueues>,
    pub(crate) partition_count: usize,
    /// Kept from version to version.
    pub(crate) sticky: Arc<StickyPartitioner>,
    /// The version of the cluster that this is taken from.
    pub(crate) version: u64,
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

    pub(crate) fn insert(&self, topic: Topic, entry: Arc<TopicEntry>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(topic, entry);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::accumulator::{RecordAccumulator, Settings};
    use crate::buffer_memory::BufferMemory;
    use crate::config::Compression;

    use super::*;

    pub(in crate::producer) fn entry(version: u64) -> Arc<TopicEntry> {
        let settings = Settings {
            batch_size: 100,
            compression: Compression::None,
            max_plain: 100,
            append_window: std::time::Duration::ZERO,
            spares_awaited: false,
            keep_notes: false,
        };
        let accumulator = RecordAccumulator::new(settings, BufferMemory::new(1000, 100));
        let queues = accumulator.topic(&Topic::from("orders"), 2);
        let sticky = Arc::new(StickyPartitioner::new(100));
        Arc::new(TopicEntry { queues, partition_count: 2, sticky, version })
    }

    #[test]
    fn entry_is_current_for_its_own_version_only() {
        let topics = TopicDirectory::default();
        topics.insert(Topic::from("orders"), entry(3));

        assert_eq!(topics.current("orders", 3).map(|entry| entry.partition_count), Some(2));
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
