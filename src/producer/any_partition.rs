//! Which partition takes a record that may go to any.

use std::sync::Arc;

use rand::RngExt;

use crate::accumulator::TopicQueues;
use crate::clock;
use crate::pipeline::{LoadTable, choose_partition};
use crate::producer::Inner;
use crate::producer::topics::TopicEntry;
use crate::producer::walk::to_i32;

impl<K, V> Inner<K, V> {
    /// Draws a partition for records without a key: the emptier its queue, the likelier (KIP-794).
    pub(super) fn next_partition(&self, entry: &TopicEntry, topic: &str) -> Option<i32> {
        let cluster = self.clusters.borrow();
        let info = cluster.topic(topic)?;
        let random = rand::rng().random();
        if !self.settings.partitioner_adaptive_partitioning {
            return choose_partition(info, None, random);
        }
        let queued = || {
            entry.queues.iter().map(|queue| {
                let length = u32::try_from(queue.queued_batches()).unwrap_or(u32::MAX);
                // A partition with nothing queued holds up no record, whatever its leader did before.
                let may_be_chosen = (queue.is_available() || length == 0) && !queue.is_stopped();
                (queue.topic_partition().partition, may_be_chosen.then_some(length))
            })
        };
        let look = || {
            let mut looked_at = 0;
            let queued = queued().inspect(|_| looked_at += 1);
            let loads = LoadTable::new(entry.partition_count, info.available_partitions(), queued);
            (loads, looked_at.max(entry.queues.places() / PLACES_PER_QUEUE))
        };
        let loads = entry.loads.get(clock::now(), look);
        choose_partition(info, loads.as_deref(), random)
    }

    /// Draws a partition that takes records, from those with a leader if one of these does.
    ///
    /// The usual draw may hit upon stopped partitions again and again: without adaptive partitioning it does not look at
    /// queues, and with it the look that it goes by may be of some time ago.
    pub(super) fn open_partition(&self, entry: &TopicEntry, topic: &str) -> Option<i32> {
        let cluster = self.clusters.borrow();
        let info = cluster.topic(topic)?;
        let is_open = |partition: &i32| {
            let number = usize::try_from(*partition).ok().filter(|number| *number < entry.queues.len());
            number.is_some_and(|number| entry.queues.queue(number).is_none_or(|queue| !queue.is_stopped()))
        };
        let led: Vec<_> = info.available_partitions().iter().copied().filter(is_open).collect();
        let open =
            if led.is_empty() { (0..to_i32(entry.partition_count)).filter(is_open).collect() } else { led };
        let random = usize::try_from(rand::rng().random::<u32>()).unwrap_or_default();
        open.get(random.checked_rem(open.len())?).copied()
    }

    /// Returns the partition with a leader that holds least memory, if it may have enough for a record.
    pub(super) fn partition_with_memory(&self, entry: &TopicEntry, topic: &str, least: usize) -> Option<i32> {
        self.tell_leaders(&entry.queues, topic);
        entry.queues.memory().roomiest(least).map(to_i32)
    }

    /// Has memory for records that may go anywhere held for partitions with a leader, as of the cluster that is published
    /// now.
    pub(super) fn tell_leaders(&self, queues: &TopicQueues, topic: &str) {
        let cluster = Arc::clone(&self.clusters.borrow());
        let available = cluster.available_partitions(topic);
        let has_leader = |number| available.binary_search(&to_i32(number)).is_ok();
        queues.memory().tell_leaders(cluster.version(), has_leader);
        if let Some(partition_count) = cluster.partition_count(topic) {
            self.make_spares(queues, partition_count, available, cluster.version());
        }
    }

    /// Makes queues for partitions that have none, so that memory can be given to those that hold nothing: to partitions that
    /// have no queue it cannot.
    fn make_spares(&self, queues: &TopicQueues, partition_count: usize, available: &[i32], version: u64) {
        let missing = SPARES - queues.memory().untouched(SPARES, !available.is_empty()).min(SPARES);
        if missing == 0 || queues.are_all_led_made(version) {
            return;
        }
        // If none has a leader, any may be the first to get one.
        let count = if available.is_empty() { partition_count } else { available.len() };
        let nth = |index| match available {
            [] => Some(index),
            _ => available.get(index).and_then(|partition| usize::try_from(*partition).ok()),
        };
        let begin = usize::try_from(rand::rng().random::<u32>()).unwrap_or_default() % count.max(1);
        let is_unmade = |partition: &usize| *partition < queues.len() && !queues.is_made(*partition);
        let unmade = (begin..count).chain(0..begin).filter_map(nth).filter(is_unmade).take(missing);
        let have_leader = || !available.is_empty();
        let make = |partition| self.accumulator.ensure_queue(queues, partition, have_leader);
        let made = unmade.filter_map(make).count();
        let are_all_here = count.checked_sub(1).and_then(nth).is_none_or(|last| last < queues.len());
        if made < missing && are_all_here {
            queues.note_all_led_are_made(version);
        }
    }
}

/// A look at so many empty places of a table takes about as long as a look at one queue.
const PLACES_PER_QUEUE: usize = 8;

/// While memory is short, this many partitions of a topic that hold nothing have queues. Callers that wait are served one after the
/// other, and each has more queues made.
const SPARES: usize = 8;
