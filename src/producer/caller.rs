//! What a thread that sends keeps from record to record, so that the usual record needs no lock, no hash and no look at
//! the clock.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Stopwatch;
use crate::producer::topics::TopicEntry;
use crate::topic_partition::Topic;

/// The belongings of one thread.
#[derive(Debug, Default)]
pub(super) struct Caller {
    pub(super) scratch: Scratch,
    /// One for each record of a chunk.
    pub(super) scratches: Vec<Scratch>,
    pub(super) topics: RecentTopics,
    pub(super) stopwatch: Stopwatch,
    pub(super) records: RecordCount,
}

/// How many records a thread has sent.
#[derive(Debug, Default)]
pub(super) struct RecordCount(u32);

/// Where serializers write to.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// The topics that a thread has sent to last.
///
/// An entry outlives its producer, or its topic's idling out, until the thread comes upon another topic or another version of
/// the cluster. It holds queues without batches then, a few hundred bytes for each partition that had records.
#[derive(Debug, Default)]
pub(super) struct RecentTopics {
    by_name: [Option<RecentTopic>; RECENT_TOPICS],
    by_handle: [Option<RecentHandle>; RECENT_HANDLES],
}

#[derive(Debug)]
struct RecentHandle {
    handle: HandleId,
    entry: Arc<TopicEntry>,
}

#[derive(Debug)]
struct RecentTopic {
    /// Which producer of this process the entry is of.
    producer: u64,
    topic: Topic,
    entry: Arc<TopicEntry>,
}

/// The runtime has a task yield after 128 operations. A record is a small one: a task that yields after so few of them spends
/// more on being scheduled than on its records, and wakes a thread each time.
const RECORDS_PER_BUDGET_UNIT: u32 = 8;

/// Powers of two.
const RECENT_TOPICS: usize = 8;
const RECENT_HANDLES: usize = 32;

/// Larger scratch buffers are not kept: for a record alone, and for one of many. One less than powers of two.
const MAX_KEPT_SCRATCH: usize = 64 * 1024 - 1;
const MAX_KEPT_IN_CHUNK: usize = 2 * 1024 - 1;

thread_local! {
    static CALLER: RefCell<Caller> = const { RefCell::new(Caller::NEW) };
}

impl Caller {
    const NEW: Self = Self {
        scratch: Scratch { key: Vec::new(), value: Vec::new() },
        scratches: Vec::new(),
        topics: RecentTopics {
            by_name: [const { None }; RECENT_TOPICS],
            by_handle: [const { None }; RECENT_HANDLES],
        },
        stopwatch: Stopwatch::NEW,
        records: RecordCount(0),
    };

    /// Calls `f` with what this thread has kept. `None` if that is not to be had: the thread ends, or `f` is called within another
    /// such call, because a serializer may itself send records.
    #[inline]
    pub(super) fn with<T>(f: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let with = |caller: &RefCell<Self>| {
            let mut caller = caller.try_borrow_mut().ok()?;
            let result = f(&mut caller);
            caller.scratch.trim();
            Some(result)
        };
        CALLER.try_with(with).ok().flatten()
    }
}

impl RecordCount {
    /// Counts a record, and returns whether it is time to tell the runtime of a few of them.
    #[inline]
    pub(super) fn count(&mut self) -> bool {
        self.0 = self.0.wrapping_add(1);
        self.0.is_multiple_of(RECORDS_PER_BUDGET_UNIT)
    }
}

impl Scratch {
    /// Gives up what is too large to be kept.
    #[inline]
    pub(super) fn trim(&mut self) {
        self.trim_to(MAX_KEPT_SCRATCH);
    }

    /// The same for one of many.
    #[inline]
    pub(super) fn trim_in_chunk(&mut self) {
        self.trim_to(MAX_KEPT_IN_CHUNK);
    }

    #[inline]
    fn trim_to(&mut self, most: usize) {
        if self.key.capacity() | self.value.capacity() > most {
            self.shrink(most);
        }
    }

    #[cold]
    fn shrink(&mut self, most: usize) {
        for buffer in [&mut self.key, &mut self.value] {
            if buffer.capacity() > most {
                *buffer = Vec::new();
            }
        }
    }
}

impl RecentTopics {
    /// Returns the entry of a topic, which is of this version of the cluster: what is kept here, or what `find` finds.
    #[inline]
    pub(super) fn get_or_insert_with(
        &mut self,
        producer: u64,
        topic: &Topic,
        version: u64,
        find: impl FnOnce() -> Option<Arc<TopicEntry>>,
    ) -> Option<&TopicEntry> {
        let place = place(topic);
        let is_current = |recent: &RecentTopic| {
            recent.producer == producer && recent.entry.version == version && recent.topic.is(topic)
        };
        if !self.by_name.get(place)?.as_ref().is_some_and(is_current) {
            self.insert(place, producer, topic, find()?);
        }
        self.by_name.get(place)?.as_ref().map(|recent| &*recent.entry)
    }

    /// The same for a topic that a handle stands for.
    #[inline]
    pub(super) fn of_handle_or_insert_with(
        &mut self,
        handle: HandleId,
        version: u64,
        find: impl FnOnce() -> Option<Arc<TopicEntry>>,
    ) -> Option<&TopicEntry> {
        let place = handle.place();
        let is_current = |recent: &RecentHandle| recent.handle == handle && recent.entry.version == version;
        if !self.by_handle.get(place)?.as_ref().is_some_and(is_current) {
            self.insert_handle(handle, find()?);
        }
        self.by_handle.get(place)?.as_ref().map(|recent| &*recent.entry)
    }

    /// Lets go of what is kept of a topic.
    pub(super) fn forget(&mut self, topic: &Topic) {
        if let Some(place) = self.by_name.get_mut(place(topic)) {
            *place = None;
        }
        for place in &mut self.by_handle {
            place.take_if(|recent| recent.entry.queues.topic() == topic);
        }
    }

    /// Remembers a topic, and lets go of those that are gone.
    #[cold]
    fn insert(&mut self, place: usize, producer: u64, topic: &Topic, entry: Arc<TopicEntry>) {
        self.drop_retired();
        if let Some(place) = self.by_name.get_mut(place) {
            *place = Some(RecentTopic { producer, topic: topic.clone(), entry });
        }
    }

    #[cold]
    fn insert_handle(&mut self, handle: HandleId, entry: Arc<TopicEntry>) {
        self.drop_retired();
        if let Some(place) = self.by_handle.get_mut(handle.place()) {
            *place = Some(RecentHandle { handle, entry });
        }
    }

    fn drop_retired(&mut self) {
        for place in &mut self.by_name {
            place.take_if(|recent| recent.entry.queues.is_retired());
        }
        for place in &mut self.by_handle {
            place.take_if(|recent| recent.entry.queues.is_retired());
        }
    }
}

/// Tells the topic handles of a process apart, but for clones of one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HandleId(u64);

impl HandleId {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    #[inline]
    fn place(self) -> usize {
        self.0 as usize % RECENT_HANDLES
    }
}

/// Names that are used together tend to differ in their ends or lengths.
#[inline]
fn place(topic: &str) -> usize {
    let last = topic.as_bytes().last().copied().unwrap_or_default();
    (usize::from(last) ^ topic.len()) % RECENT_TOPICS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producer::topics::tests::entry;

    #[test]
    fn topic_is_found_for_its_producer_and_version_only() {
        let mut topics = RecentTopics::default();
        let topic = |name: &str| Topic::from(name.to_owned());
        let orders = topic("orders");
        assert!(topics.get_or_insert_with(1, &orders, 3, || None).is_none());

        let found = topics.get_or_insert_with(1, &orders, 3, || Some(entry(3)));

        assert_eq!(found.map(|entry| entry.version), Some(3));
        let mut holds = |producer, topic: &Topic, version| {
            topics.get_or_insert_with(producer, topic, version, || None).is_some()
        };
        assert!(holds(1, &orders, 3));
        assert!(holds(1, &topic("orders"), 3));
        assert!(!holds(2, &orders, 3));
        assert!(!holds(1, &orders, 4));
        // Shares its place.
        assert!(!holds(1, &topic("ORDERs"), 3));
        assert!(!holds(1, &topic(""), 3));
    }

    #[test]
    fn topic_is_found_anew_in_its_next_version() {
        let mut topics = RecentTopics::default();
        let orders = Topic::from("orders");
        topics.get_or_insert_with(1, &orders, 3, || Some(entry(3)));

        let found = topics.get_or_insert_with(1, &orders, 4, || Some(entry(4)));

        assert_eq!(found.map(|entry| entry.version), Some(4));
        assert!(topics.get_or_insert_with(1, &orders, 3, || None).is_none());
    }

    #[test]
    fn there_is_none_within_a_call() {
        let inner = Caller::with(|_| Caller::with(|_| ()));

        assert_eq!(inner, Some(None));
        assert_eq!(Caller::with(|_| ()), Some(()));
    }

    #[test]
    fn large_scratch_is_given_up() {
        Caller::with(|caller| caller.scratch.value.reserve(MAX_KEPT_SCRATCH + 1));
        Caller::with(|caller| caller.scratch.key.reserve(100));

        let kept = Caller::with(|caller| (caller.scratch.value.capacity(), caller.scratch.key.capacity()));
        let (value, key) = kept.unwrap();

        assert_eq!(value, 0);
        assert!(key >= 100);
    }
}
