//! What callers keep of each topic, so that a record of a known topic needs one look-up and no waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::accumulator::{TopicQueues, TopicWatcher};
use crate::pipeline::{LoadTable, StickyPartitioner};
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
    pub(crate) loads: RecentLoads,
    /// The version of the cluster that this is taken from.
    pub(crate) version: u64,
}

/// The loads of a topic's partitions as they were a moment ago.
///
/// To look at ten thousand queues for each choice would cost more than the records in between.
#[derive(Debug, Default)]
pub(crate) struct RecentLoads(Mutex<Option<Look>>);

#[derive(Debug)]
struct Look {
    /// When the loads are of no use any more.
    until: Instant,
    loads: Option<Arc<LoadTable>>,
}

impl RecentLoads {
    /// Returns the loads as of `now`, or of so little before that looking is a hundredth of the time: about 10 ns for a
    /// queue. `look` returns the number of queues that it has looked at, too, or of queues that take as long.
    pub(crate) fn get(
        &self,
        now: Instant,
        look: impl FnOnce() -> (Option<LoadTable>, usize),
    ) -> Option<Arc<LoadTable>> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Look { loads, .. }) = recent.as_ref().filter(|recent| now < recent.until) {
            return loads.as_ref().map(Arc::clone);
        }
        let (loads, queues) = look();
        let loads = loads.map(Arc::new);
        let age = Duration::from_micros(u64::try_from(queues).unwrap_or(u64::MAX));
        let until = now.checked_add(age).unwrap_or(now);
        *recent = Some(Look { until, loads: loads.as_ref().map(Arc::clone) });
        loads
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
            keep_notes: false,
        };
        let accumulator = RecordAccumulator::new(settings, BufferMemory::new(1000, 100));
        let queues = accumulator.topic(&Topic::from("orders"), 2);
        let sticky = Arc::new(StickyPartitioner::new(100));
        Arc::new(TopicEntry { queues, partition_count: 2, sticky, loads: RecentLoads::default(), version })
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
    fn loads_of_few_partitions_are_those_of_now_and_those_of_many_may_be_a_little_older() {
        let begin = crate::clock::now();
        let looks = |queues, every: u64| {
            let (loads, mut looks) = (RecentLoads::default(), 0);
            for micros in (0..100_000).step_by(usize::try_from(every).unwrap()) {
                loads.get(begin + Duration::from_micros(micros), || {
                    looks += 1;
                    (LoadTable::new(2, &[0, 1], [(0, Some(1)), (1, Some(2))]), queues)
                });
            }
            looks
        };

        assert_eq!(looks(4, 10), 10_000);
        assert_eq!(looks(10_000, 10), 10);
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
