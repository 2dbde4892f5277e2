//! Where a record without a key goes, if it names no partition and the application has no partitioner.
//!
//! It goes where the topic sticks to. The topic sticks to a partition for about a batch (`sticky.rs`). Then the next partition is
//! drawn from those with a leader, or from all if none has one. With adaptive partitioning, the fewer batches wait for a
//! partition, the likelier it is drawn (`load_table.rs`). If memory is short, or the partition is stopped, the record looks
//! further (`search.rs`).

use std::time::Instant;

use super::load_table::LoadTable;
use super::{NoRoute, Route, RoutingRules, TopicRoutes, TopicView};
use crate::metadata::TopicInfo;

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
            return draw(info, None, random);
        }
        let TopicRoutes { partition_count, loads, .. } = view.routes();
        let look = || {
            let mut looked_at = 0;
            let backlogs = view.backlogs().inspect(|_| looked_at += 1);
            let lengths = backlogs.map(|backlog| (backlog.partition, backlog.length()));
            let loads = LoadTable::new(*partition_count, info.available_partitions(), lengths);
            (loads, looked_at.max(view.places() / PLACES_PER_LOOK))
        };
        draw(info, loads.get(now, look).as_deref(), random)
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

/// Draws with a table by load, else evenly among the partitions with a leader, else, if none has one, among all.
fn draw(topic: &TopicInfo, loads: Option<&LoadTable>, random: u64) -> Option<usize> {
    let available = topic.available_partitions();
    // The loads may be from a moment ago, when there were leaders.
    let by_load = loads.and_then(|loads| loads.choose(available, random));
    let chosen = by_load.or_else(|| available.get(index_of(random, available.len())?).copied());
    match chosen {
        Some(partition) => usize::try_from(partition).ok(),
        None => index_of(random, topic.partitions().len()),
    }
}

fn index_of(random: u64, len: usize) -> Option<usize> {
    usize::try_from(random.checked_rem(len as u64)?).ok()
}
