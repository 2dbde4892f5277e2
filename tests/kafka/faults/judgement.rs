//! What the log says of what the producer said.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use kafka_producer::Persisted;

use super::figures::Figures;
use super::stream;
use super::stream::Fate;
use super::stream::Stream;
use crate::support::ConsumedRecord;
use crate::support::Isolation;
use crate::support::KafkaCluster;

/// Enough to see what is wrong.
const SHOWN: usize = 20;

/// Ends the streams, reads their topics from beginning to end, prints the figures, and fails the test if what the
/// producers said is not so.
pub(super) async fn judge(cluster: &KafkaCluster, streams: &[Stream], what: &str) -> Figures {
    let mut total = Figures::default();
    let mut wrong = Vec::new();
    for stream in streams {
        let fates = stream.settle().await;
        let found = cluster.consume_all(stream.topic, Isolation::ReadUncommitted).await;
        let figures = Figures::of(&fates, &found, stream);
        println!("  {}: {figures}", stream.topic);
        total.add(figures);
        let judge = Judge { stream, fates: &fates, found: &found };
        wrong.extend(judge.wrong().into_iter().map(|wrong| format!("{}: {wrong}", stream.topic)));
    }
    println!("Kafka {}, {what}: {total}", cluster.version().number());
    assert!(
        wrong.is_empty(),
        "{} violations, of which the first are:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(SHOWN)].join("\n")
    );
    total
}

struct Judge<'a> {
    stream: &'a Stream,
    fates: &'a [Fate],
    /// Of each partition in the order of its log.
    found: &'a [ConsumedRecord],
}

impl Judge<'_> {
    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let places = self.places(&mut wrong);
        self.check_fates(&places, &mut wrong);
        self.check_order(&mut wrong);
        wrong
    }

    /// Where each record was found.
    fn places(&self, wrong: &mut Vec<String>) -> BTreeMap<u64, (i32, i64)> {
        let mut places = BTreeMap::new();
        for record in self.found {
            let (n, place) = (stream::number(record), (record.partition, record.offset));
            match places.entry(n) {
                Entry::Vacant(entry) => drop(entry.insert(place)),
                Entry::Occupied(entry) => {
                    let first = entry.get();
                    wrong.push(format!("record {n} is doubled: {first:?} and {place:?}, {:?}", self.fate(n)));
                }
            }
            if self.fate(n).is_none() {
                wrong.push(format!("record {n} was never sent"));
            }
        }
        places
    }

    fn check_fates(&self, places: &BTreeMap<u64, (i32, i64)>, wrong: &mut Vec<String>) {
        let buried = self.stream.buried();
        for (n, fate) in (0..).zip(self.fates) {
            let place = places.get(&n);
            let is_true = match (fate, place) {
                (Fate::Acknowledged { partition, offset }, Some((found_partition, found_offset))) => {
                    partition == found_partition && offset.is_none_or(|offset| offset == *found_offset)
                }
                (Fate::Acknowledged { .. }, None) => buried.contains(&n),
                (Fate::Failed { persisted, .. }, Some(_)) => *persisted != Persisted::No,
                (Fate::Failed { .. }, None) => true,
            };
            if !is_true {
                wrong.push(format!("record {n} is {fate:?} and was found at {place:?}"));
            }
        }
    }

    /// Acknowledged records of a partition are in the order in which they were accepted, and those of a key are all in
    /// one partition.
    fn check_order(&self, wrong: &mut Vec<String>) {
        let mut last: BTreeMap<i32, u64> = BTreeMap::new();
        let mut partitions: BTreeMap<&Bytes, i32> = BTreeMap::new();
        for record in self.found {
            let (n, partition) = (stream::number(record), record.partition);
            if !matches!(self.fate(n), Some(Fate::Acknowledged { .. })) {
                continue;
            }
            if let Some(before) = last.insert(partition, n)
                && before >= n
            {
                wrong.push(format!("partition {partition}: record {n} stands behind {before}"));
            }
            if let Some(key) = &record.key
                && *partitions.entry(key).or_insert(partition) != partition
            {
                wrong.push(format!("{key:?} is in two partitions"));
            }
        }
    }

    fn fate(&self, n: u64) -> Option<&Fate> {
        usize::try_from(n).ok().and_then(|n| self.fates.get(n))
    }
}
