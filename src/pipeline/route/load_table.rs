//! `LoadTable`: how often each partition of a topic is to be drawn.

/// How often each partition of a topic is to be chosen: the more batches wait for it, the less often (KIP-794).
///
/// With `longest` the longest queue, a partition with a queue of `n` batches has the weight `longest + 1 - n`. Only
/// partitions for which batches wait, or that must not be chosen, are listed: there may be millions of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoadTable {
    /// Places among the partitions with a leader, ascending, each with the sum of the weights up to and including its own.
    /// What must not be chosen weighs nothing.
    sums: Vec<(u64, usize)>,
    /// What each of the others weighs.
    full_weight: u64,
    /// At least 1.
    total: u64,
}

impl LoadTable {
    /// Makes a table from the partitions with a leader and from those that have a queue, both ascending, the latter with the
    /// number of batches that wait, or `None` if records should not go there: because it takes none, or because its leader
    /// has taken nothing for longer than `partitioner.availability.timeout.ms`.
    ///
    /// Returns `None` if there is nothing to prefer: one partition, none that may be chosen, or all of `partition_count` with
    /// queues of the same length.
    pub(super) fn new(
        partition_count: usize,
        available: &[i32],
        queues: impl IntoIterator<Item = (i32, Option<u32>)>,
    ) -> Option<Self> {
        if partition_count < 2 {
            return None;
        }
        let listed: Vec<_> = queues
            .into_iter()
            .filter(|(_, length)| *length != Some(0))
            .filter_map(|(partition, length)| Some((available.binary_search(&partition).ok()?, length)))
            .collect();
        let lengths = || listed.iter().filter_map(|(_, length)| length.map(u64::from));
        let others = available.len() - listed.len();
        let (count, longest) = (lengths().count() + others, lengths().max().unwrap_or(0));
        let are_equal = if others == 0 { lengths().all(|length| length == longest) } else { longest == 0 };
        if count == 0 || (count == partition_count && are_equal) {
            return None;
        }
        let weight = |length: Option<u32>| length.map_or(0, |length| longest + 1 - u64::from(length));
        let mut sum = 0;
        let sums: Vec<_> = listed
            .into_iter()
            .map(|(place, length)| {
                sum += weight(length);
                (sum, place)
            })
            .collect();
        let full_weight = longest + 1;
        Some(Self { sums, full_weight, total: sum + full_weight * others as u64 })
    }

    /// Returns one of the partitions with a leader. These may have changed since the table was made. The sum of the weights of many
    /// partitions may be more than a `u32`.
    pub(super) fn choose(&self, available: &[i32], random: u64) -> Option<i32> {
        let point = random % self.total;
        let listed = self.sums.partition_point(|(sum, _)| *sum <= point);
        let place = match self.sums.get(listed) {
            Some((_, place)) => *place,
            None => {
                let weight_of_listed = self.sums.last().map_or(0, |(sum, _)| *sum);
                let nth =
                    usize::try_from((point - weight_of_listed) / self.full_weight).unwrap_or(usize::MAX);
                // Of the places that are not listed. Binary search: the places less those listed before never descend.
                let mut range = 0..self.sums.len();
                while !range.is_empty() {
                    let middle = range.start + range.len() / 2;
                    match self.sums.get(middle) {
                        Some((_, place)) if place - middle <= nth => range.start = middle + 1,
                        _ => range.end = middle,
                    }
                }
                nth + range.start
            }
        };
        available.get(place).or_else(|| available.first()).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn table(queues: &[u32]) -> Option<LoadTable> {
        let all: Vec<_> = (0..).take(queues.len()).collect();
        LoadTable::new(queues.len(), &all, (0..).zip(queues.iter().copied().map(Some)))
    }

    fn choose(table: &LoadTable, available: &[i32], random: u32) -> i32 {
        table.choose(available, random.into()).unwrap()
    }

    /// How often each partition is chosen when `random` takes each of `0..draws` once.
    fn frequencies(draws: u32, choose: impl Fn(u32) -> i32) -> BTreeMap<i32, u32> {
        (0..draws).fold(BTreeMap::new(), |mut counts, random| {
            *counts.entry(choose(random)).or_default() += 1;
            counts
        })
    }

    /// The example of `BuiltInPartitioner.java`.
    #[test]
    fn queues_of_0_3_1_make_the_sums_4_5_8() {
        let table = table(&[0, 3, 1]).unwrap();

        let counts = frequencies(8, |random| choose(&table, &[0, 1, 2], random));

        assert_eq!(table.total, 8);
        assert_eq!(counts, BTreeMap::from([(0, 4), (1, 5 - 4), (2, 8 - 5)]));
    }

    #[test]
    fn frequencies_are_inverse_to_queue_lengths() {
        let table = table(&[0, 3, 1]).unwrap();

        let counts = frequencies(8000, |random| choose(&table, &[0, 1, 2], random));

        assert_eq!(counts, BTreeMap::from([(0, 4000), (1, 1000), (2, 3000)]));
    }

    #[test]
    fn whole_range_of_random_numbers_is_valid() {
        let table = table(&[0, 3, 1]).unwrap();

        for random in [0, 1, u64::MAX - 1, u64::MAX] {
            assert!((0..3).contains(&table.choose(&[0, 1, 2], random).unwrap()));
        }
    }

    #[test]
    fn left_out_partition_is_never_chosen_even_if_the_others_are_equal() {
        let available = [0, 1, 2];
        for first in [Some(2), None] {
            let queues = [(0, first), (1, None), (2, Some(2))];
            let table = LoadTable::new(3, &available, queues).unwrap();

            let counts = frequencies(100, |random| choose(&table, &available, random));

            let expected = if first.is_some() { vec![(0, 50), (2, 50)] } else { vec![(2, 100)] };
            assert_eq!(counts, expected.into_iter().collect());
        }
    }

    #[test]
    fn only_partition_left_is_always_chosen() {
        let table = LoadTable::new(3, &[1], [(1, Some(9)), (2, Some(1))]).unwrap();

        assert_eq!(frequencies(10, |random| choose(&table, &[1], random)), BTreeMap::from([(1, 10)]));
    }

    #[test]
    fn there_is_no_table_when_there_is_nothing_to_prefer() {
        assert_eq!(table(&[]), None);
        assert_eq!(table(&[5]), None);
        assert_eq!(table(&[2, 2, 2]), None);
        assert_eq!(LoadTable::new(3, &[0, 1, 2], []), None);
        assert_eq!(LoadTable::new(3, &[], []), None);
        assert_eq!(LoadTable::new(2, &[0, 1], [(0, None), (1, None)]), None);
    }

    #[test]
    fn longest_possible_queues_do_not_overflow() {
        let table = table(&[u32::MAX, 0, u32::MAX]).unwrap();

        assert_eq!(table.total, 1 + (1 << 32) + 1);
    }

    #[test]
    fn last_partition_is_chosen_although_the_weights_are_more_than_32_bits() {
        let available = [0, 1, 2];
        let table = LoadTable::new(3, &available, [(0, Some(u32::MAX))]).unwrap();

        // The weights are 1, 2^32 and 2^32.
        let chosen = [0, 1, 1 << 32, (1 << 32) + 1, 2 << 32];
        assert_eq!(chosen.map(|random| table.choose(&available, random)), [0, 1, 1, 2, 2].map(Some));
    }

    proptest::proptest! {
        /// Whichever have leaders, queues, or are to be left out.
        #[test]
        fn each_partition_is_chosen_as_often_as_its_weight_says(
            partitions in proptest::collection::vec((proptest::bool::ANY, 0_u32..4, 0_u32..4), 2..12),
        ) {
            let numbered = || (0..).zip(&partitions);
            let available: Vec<i32> = numbered().filter(|(_, p)| p.0).map(|(number, _)| number).collect();
            // Without a queue, left out, or with so many batches.
            let queues = numbered().filter(|(_, p)| p.1 > 0);
            let queues = queues.map(|(number, p)| (number, (p.1 > 1).then_some(p.2)));
            let length = |p: &(bool, u32, u32)| match *p {
                (true, 0, _) => Some(0),
                (true, 2.., length) => Some(length),
                _ => None,
            };
            let longest = partitions.iter().filter_map(length).max().unwrap_or(0);
            let weights: BTreeMap<i32, u32> =
                numbered().filter_map(|(number, p)| Some((number, longest + 1 - length(p)?))).collect();

            let table = LoadTable::new(partitions.len(), &available, queues);

            let are_equal = weights.values().all(|weight| *weight == weights[weights.keys().next().unwrap()]);
            let is_needless = weights.is_empty() || weights.len() == partitions.len() && are_equal;
            assert_eq!(table.is_none(), is_needless);
            if let Some(table) = table {
                let total = u32::try_from(table.total).unwrap();
                assert_eq!(frequencies(total, |random| choose(&table, &available, random)), weights);
            }
        }
    }
}
