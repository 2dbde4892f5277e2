//! [`RoundRobinPartitioner`]: one record after the other to the next partition.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use super::{Partitioner, PartitionerRecord};
use crate::metadata::Cluster;
use crate::pipeline::BoxError;
use crate::topic_partition::Topic;

/// Sends the records of each topic to its partitions in turn, whatever their keys.
///
/// Partitions without a leader are left out while any has one. Java's `RoundRobinPartitioner`.
///
/// The price of the even spread is small batches: each record goes to another one. The default partitioner spreads records as
/// evenly over time, and fills one batch after the other.
#[derive(Default)]
pub struct RoundRobinPartitioner {
    turns: RwLock<HashMap<Topic, AtomicUsize>>,
}

impl RoundRobinPartitioner {
    /// Makes one that starts at the first partition of every topic.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn next_turn(&self, topic: &str) -> usize {
        // No code that can panic runs under this lock.
        if let Some(turn) = self.turns.read().unwrap_or_else(PoisonError::into_inner).get(topic) {
            return turn.fetch_add(1, Ordering::Relaxed);
        }
        let mut turns = self.turns.write().unwrap_or_else(PoisonError::into_inner);
        turns.entry(Topic::from(topic.to_owned())).or_default().fetch_add(1, Ordering::Relaxed)
    }
}

impl Partitioner for RoundRobinPartitioner {
    fn partition(&self, record: &PartitionerRecord<'_>, cluster: &Cluster) -> Result<i32, BoxError> {
        let turn = self.next_turn(record.topic());
        let available = cluster.available_partitions(record.topic());
        if let Some(index) = turn.checked_rem(available.len())
            && let Some(&partition) = available.get(index)
        {
            return Ok(partition);
        }
        let all = cluster.partition_count(record.topic()).unwrap_or_default();
        let index = turn.checked_rem(all).ok_or("topic has no partitions")?;
        Ok(i32::try_from(index)?)
    }
}

impl fmt::Debug for RoundRobinPartitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoundRobinPartitioner").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Node, PartitionInfo, TopicInfo};
    use crate::record::Headers;
    use crate::topic_partition::NodeId;

    fn topic(name: &'static str, leaders: &[Option<i32>]) -> TopicInfo {
        let partitions =
            (0..).zip(leaders).map(|(partition, leader)| PartitionInfo::new(partition, leader.map(NodeId)));
        TopicInfo::new(name, partitions)
    }

    fn cluster(topics: impl IntoIterator<Item = TopicInfo>) -> Cluster {
        Cluster::new([Node::new(NodeId(1), "one", 9092)], topics)
    }

    fn choose(
        partitioner: &RoundRobinPartitioner,
        topic: &str,
        key: Option<&[u8]>,
        cluster: &Cluster,
    ) -> i32 {
        let headers = Headers::new();
        partitioner.partition(&PartitionerRecord::new(topic, key, None, &headers), cluster).unwrap()
    }

    #[test]
    fn partitions_take_turns_whatever_the_key() {
        let cluster = cluster([topic("t", &[Some(1), Some(1), Some(1)])]);
        let partitioner = RoundRobinPartitioner::new();

        let chosen =
            [None, Some(&b"k"[..]), Some(b"k"), None].map(|key| choose(&partitioner, "t", key, &cluster));

        assert_eq!(chosen, [0, 1, 2, 0]);
    }

    #[test]
    fn topics_have_turns_of_their_own() {
        let cluster = cluster([topic("t", &[Some(1), Some(1)]), topic("u", &[Some(1), Some(1)])]);
        let partitioner = RoundRobinPartitioner::new();

        let chosen = ["t", "u", "t", "u", "u"].map(|topic| choose(&partitioner, topic, None, &cluster));

        assert_eq!(chosen, [0, 0, 1, 1, 0]);
    }

    #[test]
    fn partitions_without_a_leader_are_left_out() {
        let cluster = cluster([topic("t", &[Some(1), None, Some(1)])]);
        let partitioner = RoundRobinPartitioner::new();

        let chosen = [(); 4].map(|()| choose(&partitioner, "t", None, &cluster));

        assert_eq!(chosen, [0, 2, 0, 2]);
    }

    #[test]
    fn all_partitions_take_turns_when_none_has_a_leader() {
        let cluster = cluster([topic("t", &[None, None])]);
        let partitioner = RoundRobinPartitioner::new();

        let chosen = [(); 3].map(|()| choose(&partitioner, "t", None, &cluster));

        assert_eq!(chosen, [0, 1, 0]);
    }

    #[test]
    fn unknown_topic_is_an_error() {
        let headers = Headers::new();
        let record = PartitionerRecord::new("t", None, None, &headers);

        let error = RoundRobinPartitioner::new().partition(&record, &cluster([])).unwrap_err();

        assert_eq!(error.to_string(), "topic has no partitions");
    }
}
