//! `RoutingRules`: where a record goes.
//!
//! ```text
//!  the record names a partition                        → that one
//!  the user has given a Partitioner                    → the one that it chooses
//!  a key, unless `partitioner.ignore.keys` is set      → the one that the key hashes to
//!  none of these                                       → the one to which the topic sticks; any other would do
//! ```
//!
//! The last line is told in `route/keyless.rs`: to which partition a topic sticks, and which is next.
//!
//! For nearly every record that is all. One that does not fit into the open batch of its partition looks further
//! (`route/search.rs`):
//!
//! ```text
//!                      it must go to its partition         any other would do
//!
//!  a batch has ended   begins the next one                 the topic moves on if that had its `batch.size`
//!  memory is short     waits for memory of its partition   goes where there is some, or waits for memory of any partition
//!  it is stopped       is refused                          goes to another, and is refused if all are stopped
//! ```
//!
//! Time and random numbers are arguments. A [`TopicView`] tells what waits for the partitions, a [`QueueView`] where memory is,
//! so there are neither queues nor memory in here. `producer/placing.rs` takes memory and appends where this room says.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::{BoxError, Partitioner, PartitionerRecord, partition_for_key};
use crate::metadata::Cluster;

mod keyless;
mod load_table;
mod recent_loads;
mod search;
mod sticky;

use self::keyless::open_partition;
use self::recent_loads::RecentLoads;
pub(crate) use self::search::{DeadEnd, QueueView, Step};
use self::sticky::StickyPartitioner;

/// Where a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// To this partition and to no other: the user's partitioner has chosen it.
    Chosen(usize),
    /// To this partition and to no other.
    Fixed(usize),
    /// To this partition for the moment: any other would do.
    Free(usize),
}

impl Route {
    #[inline]
    pub(crate) fn partition(self) -> usize {
        match self {
            Self::Chosen(partition) | Self::Fixed(partition) | Self::Free(partition) => partition,
        }
    }

    #[inline]
    pub(crate) fn is_free(self) -> bool {
        matches!(self, Self::Free(_))
    }
}

/// Why a record has no route.
#[derive(Debug)]
pub(crate) enum NoRoute {
    /// The user's partitioner chose a partition that the topic has by now, and did not have when it was last looked up.
    Outdated(usize),
    /// The user's partitioner chose what is no partition of the topic.
    OutOfRange(i32),
    /// The user's partitioner failed.
    Partitioner(BoxError),
    /// The topic has no partition, or not the one that the record names.
    Unknown,
}

/// How a producer chooses partitions.
pub(crate) struct RoutingRules {
    /// The user's.
    pub(crate) partitioner: Option<Box<dyn Partitioner>>,
    /// `partitioner.ignore.keys`.
    pub(crate) ignore_keys: bool,
    /// `partitioner.adaptive.partitioning.enable`.
    pub(crate) adaptive_partitioning: bool,
    /// The rack whose leaders are preferred (`client.rack`); `None` without `partitioner.rack.aware`.
    pub(crate) rack: Option<Arc<str>>,
}

/// What is kept of a topic for the choice of partitions.
#[derive(Debug)]
pub(crate) struct TopicRoutes {
    partition_count: usize,
    sticky: Arc<StickyPartitioner>,
    loads: RecentLoads,
}

/// A topic at the moment. Only those choices look at it that depend on it.
pub(crate) trait TopicView {
    fn routes(&self) -> &TopicRoutes;

    fn topic(&self) -> &str;

    fn cluster(&self) -> Arc<Cluster>;

    /// Yields the partitions that have had records, ascending.
    fn backlogs(&self) -> impl Iterator<Item = Backlog>;

    /// Returns how many places [`TopicView::backlogs`] looks at. Most of them may be empty.
    fn places(&self) -> usize;

    /// Returns whether a partition is there and not stopped.
    fn takes_records(&self, partition: usize) -> bool;
}

/// What waits for one partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backlog {
    pub(crate) partition: i32,
    pub(crate) batches: usize,
    /// False while its leader takes nothing (`partitioner.availability.timeout.ms`).
    pub(crate) is_available: bool,
    /// It takes no records (`fail_stop`).
    pub(crate) is_stopped: bool,
}

impl Backlog {
    /// Returns how many batches a record would have before it, or `None` if it should go elsewhere. A partition without waiting
    /// batches holds up no record, whatever its leader did before.
    fn length(&self) -> Option<u32> {
        let may_be_chosen = (self.is_available || self.batches == 0) && !self.is_stopped;
        may_be_chosen.then(|| u32::try_from(self.batches).unwrap_or(u32::MAX))
    }
}

impl TopicRoutes {
    pub(crate) fn new(partition_count: usize, batch_size: usize) -> Self {
        let sticky = Arc::new(StickyPartitioner::new(batch_size));
        Self { partition_count, sticky, loads: RecentLoads::default() }
    }

    /// Makes those for another version of the cluster, in which the same partition goes on.
    pub(crate) fn for_next_version(&self, partition_count: usize) -> Self {
        Self { partition_count, sticky: Arc::clone(&self.sticky), loads: RecentLoads::default() }
    }

    #[inline]
    pub(crate) fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// Returns to which partition records go that may go to any.
    pub(crate) fn sticky(&self) -> &StickyPartitioner {
        &self.sticky
    }

    #[inline]
    fn existing(&self, partition: i32) -> Option<usize> {
        usize::try_from(partition).ok().filter(|partition| *partition < self.partition_count)
    }
}

impl RoutingRules {
    /// Returns where a record goes. `named` is the partition that it names itself.
    pub(crate) fn route(
        &self,
        record: PartitionerRecord<'_>,
        named: Option<i32>,
        view: &impl TopicView,
        now: Instant,
        random: impl FnOnce() -> u64,
    ) -> Result<Route, NoRoute> {
        let routes = view.routes();
        if let Some(partition) = named {
            return routes.existing(partition).map(Route::Fixed).ok_or(NoRoute::Unknown);
        }
        if let Some(partitioner) = &self.partitioner {
            return ask(&**partitioner, record, view).map(Route::Chosen);
        }
        match self.usual_route(record.key(), None, routes) {
            Some(route) => Ok(route),
            None if self.goes_by_key(record.key()) => Err(NoRoute::Unknown),
            None => self.free_route(view, now, random),
        }
    }

    /// Returns where a record goes if that takes no look at the cluster and none at what waits, as nearly always.
    #[inline]
    pub(crate) fn usual_route(
        &self,
        key: Option<&[u8]>,
        named: Option<i32>,
        routes: &TopicRoutes,
    ) -> Option<Route> {
        if named.is_some() || self.partitioner.is_some() {
            return None;
        }
        match key {
            Some(key) if !self.ignore_keys => {
                let partition = partition_for_key(key, routes.partition_count)?;
                Some(Route::Fixed(usize::try_from(partition).ok()?))
            }
            _ => routes.sticky.current(routes.partition_count).map(Route::Free),
        }
    }

    /// Returns whether a record that names no partition may go to any.
    #[inline]
    pub(crate) fn is_free(&self, key: Option<&[u8]>) -> bool {
        self.partitioner.is_none() && !self.goes_by_key(key)
    }

    #[inline]
    fn goes_by_key(&self, key: Option<&[u8]>) -> bool {
        key.is_some() && !self.ignore_keys
    }
}

#[cold]
fn ask(
    partitioner: &dyn Partitioner,
    record: PartitionerRecord<'_>,
    view: &impl TopicView,
) -> Result<usize, NoRoute> {
    let cluster = view.cluster();
    let partition = partitioner.partition(&record, &cluster).map_err(NoRoute::Partitioner)?;
    let chosen = usize::try_from(partition).map_err(|_| NoRoute::OutOfRange(partition))?;
    if chosen < view.routes().partition_count {
        return Ok(chosen);
    }
    let is_there = cluster.partition_count(record.topic()).is_some_and(|count| chosen < count);
    Err(if is_there { NoRoute::Outdated(chosen) } else { NoRoute::OutOfRange(partition) })
}

impl fmt::Debug for RoutingRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoutingRules")
            .field("ignore_keys", &self.ignore_keys)
            .field("adaptive_partitioning", &self.adaptive_partitioning)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
