//! Where a record without a key goes, if it names no partition and the application has no partitioner.
//!
//! It goes where the topic sticks to. The topic sticks to a partition for about a batch (`sticky.rs`). Then the next partition is
//! drawn from those with a leader, or from all if none has one. With adaptive partitioning, the fewer batches wait for a
//! partition, the likelier it is drawn (`load_table.rs`). With a rack, partitions whose leaders are in it come before all others. If memory is short, or the partition is stopped, the record looks
//! further (`search.rs`).

use std::time::Instant;

use super::load_table::LoadTable;
use super::recent_loads::Loads;
use super::{NoRoute, Route, RoutingRules, TopicRoutes, TopicView};
use crate::metadata::{Cluster, Node, PartitionInfo, TopicInfo};

impl RoutingRules {
    /// Returns where a record goes that may go to any partition, and chooses that partition if there is no choice yet.
    #[cold]
    pub(super) fn free_route(
        &self,
        view: &impl TopicView,
        now: Instant,
        random: impl FnOnce() -> u64,
    ) -> Result<Route, NoRoute> {
        let TopicRoutes { partition_count, sticky, .. } = view.routes();
        let partition = sticky.peek(*partition_count, || self.next_partition(view, now, random()));
        partition.map(Route::Free).ok_or(NoRoute::Unknown)
    }

    /// Draws a partition. With adaptive partitioning, the fewer batches wait for a partition, the likelier it is drawn (KIP-794).
    /// `random` is anything from the whole range.
    /// Returns `None` for a topic without partitions.
    pub(super) fn next_partition(&self, view: &impl TopicView, now: Instant, random: u64) -> Option<usize> {
        let cluster = view.cluster();
        let info = cluster.topic(view.topic())?;
        if !self.adaptive_partitioning {
            return draw(info, &Loads { near: self.near(&cluster, info), table: None }, random);
        }
        draw(info, &view.routes().loads.get(now, || self.look(view, &cluster, info)), random)
    }

    /// Looks at what waits for each partition. Returns how many partitions were looked at, too.
    fn look(&self, view: &impl TopicView, cluster: &Cluster, info: &TopicInfo) -> (Loads, usize) {
        let mut looked_at = 0;
        let backlogs = view.backlogs().inspect(|_| looked_at += 1);
        let lengths = backlogs.map(|backlog| (backlog.partition, backlog.length()));
        if self.rack.is_none() {
            let table = LoadTable::new(view.routes().partition_count, info.available_partitions(), lengths);
            return (Loads { near: Vec::new(), table }, looked_at.max(view.places() / PLACES_PER_LOOK));
        }
        let lengths: Vec<_> = lengths.collect();
        let is_shut = |partition: &i32| {
            let place = lengths.binary_search_by_key(partition, |(partition, _)| *partition);
            place.ok().and_then(|place| lengths.get(place)).is_some_and(|(_, length)| length.is_none())
        };
        // Those in the rack that may be chosen. If there is none, all count.
        let mut near = self.near(cluster, info);
        near.retain(|partition| !is_shut(partition));
        let table = match near.len() {
            0 => LoadTable::new(view.routes().partition_count, info.available_partitions(), lengths),
            count => LoadTable::new(count, &near, lengths),
        };
        let looked_at = looked_at + info.available_partitions().len();
        (Loads { near, table }, looked_at.max(view.places() / PLACES_PER_LOOK))
    }

    /// Returns the partitions whose leaders are in the rack of the producer, ascending (KIP-1123).
    fn near(&self, cluster: &Cluster, info: &TopicInfo) -> Vec<i32> {
        let Some(rack) = &self.rack else { return Vec::new() };
        let is_near = |partition: &i32| {
            let leader = info.partition(*partition).and_then(PartitionInfo::leader);
            leader.and_then(|leader| cluster.node(leader)).and_then(Node::rack) == Some(&**rack)
        };
        info.available_partitions().iter().copied().filter(is_near).collect()
    }
}

/// A look at so many empty places takes about as long as a look at one partition that has had records.
const PLACES_PER_LOOK: usize = 8;

/// Draws a partition that takes records, from those with a leader if one of these does.
///
/// The usual draw may hit upon stopped partitions again and again: without adaptive partitioning it does not look at what
/// waits for them, and with it the look that it goes by may be of some time ago.
pub(super) fn open_partition(view: &impl TopicView, random: u64) -> Option<usize> {
    let cluster = view.cluster();
    let info = cluster.topic(view.topic())?;
    let takes_records = |partition: &usize| view.takes_records(*partition);
    let led = info.available_partitions().iter().filter_map(|partition| usize::try_from(*partition).ok());
    let led: Vec<_> = led.filter(takes_records).collect();
    let open = match led.is_empty() {
        true => (0..view.routes().partition_count).filter(takes_records).collect(),
        false => led,
    };
    open.get(index_of(random, open.len())?).copied()
}

/// Draws among the partitions that are preferred, else among those with a leader: with a table by load, else evenly. If none has a
/// leader, draws among all.
fn draw(topic: &TopicInfo, loads: &Loads, random: u64) -> Option<usize> {
    let Loads { near, table } = loads;
    let among = if near.is_empty() { topic.available_partitions() } else { near };
    // The loads may be from a moment ago, when there were leaders.
    let by_load = table.as_ref().and_then(|table| table.choose(among, random));
    let chosen = by_load.or_else(|| among.get(index_of(random, among.len())?).copied());
    match chosen {
        Some(partition) => usize::try_from(partition).ok(),
        None => index_of(random, topic.partitions().len()),
    }
}

fn index_of(random: u64, len: usize) -> Option<usize> {
    usize::try_from(random.checked_rem(len as u64)?).ok()
}
