use crate::metadata::TopicInfo;

/// Chooses the next partition for records without a key.
///
/// With a table by load, else evenly among the partitions with a leader, else, if none has one, among all. `random` is
/// anything from the whole range. Returns `None` for a topic without partitions.
pub(crate) fn choose_partition(topic: &TopicInfo, loads: Option<&LoadTable>, random: u32) -> Option<i32> {
    if let Some(loads) = loads {
        return Some(loads.choose(random));
    }
    let available = topic.available_partitions();
    let random = usize::try_from(random).unwrap_or_default();
    if let Some(index) = random.checked_rem(available.len()) {
        return available.get(index).copied();
    }
    let index = random.checked_rem(topic.partitions().len())?;
    i32::try_from(index).ok()
}

/// How often each partition of a topic is to be chosen: the more batches wait for it, the less often (KIP-794).
///
/// With `longest` the longest queue, a partition with a queue of `n` batches has the weight `longest + 1 - n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadTable {
    /// Partitions, each with the sum of the weights up to and including its own. Strictly ascending in the sums, because no
    /// weight is zero.
    sums: Vec<(u64, i32)>,
    /// The last sum. At least 1, because there is a partition.
    total: u64,
}

impl LoadTable {
    /// Makes a table of the partitions that may be chosen, each with the number of batches that wait for it.
    ///
    /// To be left out are partitions without a leader, and those whose leader has taken nothing for longer than
    /// `partitioner.availability.timeout.ms`. Returns `None` if there is nothing to prefer: one partition, none that may
    /// be chosen, or all of `partition_count` with queues of the same length.
    pub(crate) fn new(
        partition_count: usize,
        candidates: impl IntoIterator<Item = (i32, u32)>,
    ) -> Option<Self> {
        if partition_count < 2 {
            return None;
        }
        let mut sums: Vec<_> =
            candidates.into_iter().map(|(partition, queue)| (u64::from(queue), partition)).collect();
        let longest = sums.iter().map(|&(queue, _)| queue).max()?;
        if sums.len() == partition_count && sums.iter().all(|&(queue, _)| queue == longest) {
            return None;
        }
        let mut total = 0;
        for (sum, _) in &mut sums {
            total += longest + 1 - *sum;
            *sum = total;
        }
        Some(Self { sums, total })
    }

    fn choose(&self, random: u32) -> i32 {
        let point = u64::from(random) % self.total;
        let index = self.sums.partition_point(|&(sum, _)| sum <= point);
        // The last sum is `total`, so there is always one above `point`.
        self.sums.get(index).map_or(0, |&(_, partition)| partition)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metadata::{Cluster, Node, PartitionInfo};
    use crate::topic_partition::NodeId;

    fn table(queues: &[u32]) -> Option<LoadTable> {
        LoadTable::new(queues.len(), (0..).zip(queues.iter().copied()))
    }

    /// How often each partition is chosen when `random` takes each of `0..draws` once.
    fn frequencies(draws: u32, choose: impl Fn(u32) -> i32) -> BTreeMap<i32, u32> {
        (0..draws).fold(BTreeMap::new(), |mut counts, random| {
            *counts.entry(choose(random)).or_default() += 1;
            counts
        })
    }

    fn cluster(leaders: &[bool]) -> Cluster {
        let partitions = (0..)
            .zip(leaders)
            .map(|(number, &has_leader)| PartitionInfo::new(number, has_leader.then_some(NodeId(1))));
        Cluster::new([Node::new(NodeId(1), "one", 9092)], [TopicInfo::new("t", partitions)])
    }

    fn choose_evenly(cluster: &Cluster, random: u32) -> i32 {
        choose_partition(cluster.topic("t").unwrap(), None, random).unwrap()
    }

    /// The example of `BuiltInPartitioner.java`.
    #[test]
    fn queues_of_0_3_1_make_the_sums_4_5_8() {
        assert_eq!(table(&[0, 3, 1]).unwrap().sums, [(4, 0), (5, 1), (8, 2)]);
    }

    #[test]
    fn frequencies_are_inverse_to_queue_lengths() {
        let table = table(&[0, 3, 1]).unwrap();

        let counts = frequencies(8000, |random| table.choose(random));

        assert_eq!(counts, BTreeMap::from([(0, 4000), (1, 1000), (2, 3000)]));
    }

    #[test]
    fn whole_range_of_random_numbers_is_valid() {
        let table = table(&[0, 3, 1]).unwrap();

        assert_eq!(table.choose(u32::MAX), 2);
        assert_eq!(table.choose(0), 0);
    }

    #[test]
    fn left_out_partition_is_never_chosen_even_if_the_others_are_equal() {
        let table = LoadTable::new(3, [(0, 2), (2, 2)]).unwrap();

        assert_eq!(frequencies(100, |random| table.choose(random)), BTreeMap::from([(0, 50), (2, 50)]));
    }

    #[test]
    fn only_partition_left_is_always_chosen() {
        let table = LoadTable::new(3, [(1, 9)]).unwrap();

        assert_eq!(frequencies(10, |random| table.choose(random)), BTreeMap::from([(1, 10)]));
    }

    #[test]
    fn there_is_no_table_when_there_is_nothing_to_prefer() {
        assert_eq!(table(&[]), None);
        assert_eq!(table(&[5]), None);
        assert_eq!(table(&[2, 2, 2]), None);
        assert_eq!(LoadTable::new(3, []), None);
    }

    #[test]
    fn longest_possible_queues_do_not_overflow() {
        let table = table(&[u32::MAX, 0, u32::MAX]).unwrap();

        assert_eq!(table.total, 1 + (1 << 32) + 1);
    }

    #[test]
    fn without_a_table_partitions_with_a_leader_are_chosen_evenly() {
        let cluster = cluster(&[true, false, true, true]);

        let counts = frequencies(300, |random| choose_evenly(&cluster, random));

        assert_eq!(counts, BTreeMap::from([(0, 100), (2, 100), (3, 100)]));
    }

    #[test]
    fn without_any_leader_all_partitions_are_chosen_evenly() {
        let cluster = cluster(&[false, false]);

        let counts = frequencies(100, |random| choose_evenly(&cluster, random));

        assert_eq!(counts, BTreeMap::from([(0, 50), (1, 50)]));
    }

    #[test]
    fn topic_without_partitions_has_none_to_choose() {
        let cluster = cluster(&[]);

        assert_eq!(choose_partition(cluster.topic("t").unwrap(), None, 7), None);
    }
}
