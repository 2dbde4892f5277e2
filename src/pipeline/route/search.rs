//! `Search`: where a record goes that does not simply fit into the open batch of its partition.
//!
//! The caller tries what it is told, and says what came of that. A record that may go to one partition only goes there, waits
//! for memory of that one, or is refused while that one is stopped. A record that any partition would do for:
//!
//! ```text
//!  first ─┬─ memory is short: others wait for some, or the record was granted some
//!         │    Join the batch that is open where the topic sticks: many that have waited share one batch, and memory that is
//!         │    not needed goes to the next in line
//!         │      no room there ─┬─ granted some ─▶ the topic sticks to the partition that it is for; Append there
//!         │                     └─ none granted ─▶ wait in the topic's line
//!         └─ else FillUp where the topic sticks
//!
//!  FillUp, Append ─┬─ a batch has ended ─▶ the topic moves on if that had its `batch.size`; Append where it sticks now
//!                  ├─ no memory ─┬─ the first time ─▶ move on to the partition that holds least, if it may have enough; try
//!                  │             └─ again ─▶ wait in the topic's line, and then go to the partition that memory is granted for
//!                  └─ stopped   ─▶ move on to one that is not, give back what memory was granted; if all are, refuse
//! ```
//!
//! Queues and memory are seen through a [`QueueView`]; who takes memory and appends is `producer/placing.rs`.

use std::time::Instant;

use super::{Route, RoutingRules, StickyPartitioner, TopicView, open_partition};

/// What a search asks of the queues of a topic and of their memory.
pub(crate) trait QueueView {
    /// Takes the count of bytes that went to a partition since the last call and that the sticky partitioner does not know
    /// of, and says whether nothing is queued there. `None` if the topic does not have the partition.
    fn take_uncounted(&self, partition: usize) -> Option<(usize, bool)>;

    /// Returns whether records wait for memory of whichever partition has some.
    fn is_memory_waited_for(&self) -> bool;

    /// Returns the partition with a leader that holds least memory, if it may have `least` bytes more.
    fn partition_with_memory(&self, least: usize) -> Option<usize>;
}

/// What is to be tried for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Append it to this partition, with memory if it takes some.
    Append(usize),
    /// The same, but come back if a batch ends there: it may be time to move on.
    FillUp(usize),
    /// Append it to the batch that is open in this partition, if that has room; take no memory.
    Join(usize),
}

/// Why there is nothing to be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeadEnd {
    /// Memory must become free: for the partition or, if `is_anywhere`, for any partition of the topic. To wait for one would
    /// be to wait for the one that gives nothing back.
    NoMemory { partition: usize, is_anywhere: bool },
    /// The partition is stopped, and the record can go to no other.
    Stopped(usize),
    /// The topic has no partitions.
    Unknown,
}

/// A record that looks for a batch.
#[derive(Debug)]
pub(crate) struct Search<'a, V, Q> {
    rules: &'a RoutingRules,
    view: &'a V,
    queues: &'a Q,
    now: Instant,
    random: fn() -> u64,
    route: Route,
    /// The partition that memory was granted for, if any would have done. The record goes there.
    granted: Option<usize>,
    /// The end of a batch is the place to move on; once, then the record goes where it may.
    stops_at_end: bool,
    /// It has looked for memory elsewhere.
    has_looked: bool,
    /// Stopped partitions that it may still come upon: others may stop while it looks for one that is not.
    tries_left: usize,
}

impl Step {
    pub(crate) fn partition(self) -> usize {
        match self {
            Self::Append(partition) | Self::FillUp(partition) | Self::Join(partition) => partition,
        }
    }
}

impl RoutingRules {
    /// Begins to look for a batch for a record. `granted` is the partition that it was granted memory for, if it has waited
    /// for that of any. `random` is anything from the whole range.
    pub(crate) fn search<'a, V: TopicView, Q: QueueView>(
        &'a self,
        route: Route,
        granted: Option<usize>,
        view: &'a V,
        queues: &'a Q,
        now: Instant,
        random: fn() -> u64,
    ) -> Search<'a, V, Q> {
        let tries_left = view.routes().partition_count();
        let (stops_at_end, has_looked) = (false, false);
        let rules = self;
        Search { rules, view, queues, now, random, route, granted, stops_at_end, has_looked, tries_left }
    }
}

impl<V: TopicView, Q: QueueView> Search<'_, V, Q> {
    /// Returns what is to be tried first.
    pub(crate) fn first(&mut self) -> Result<Step, DeadEnd> {
        if !self.route.is_free() {
            return self.next();
        }
        self.catch_up()?;
        if self.granted.is_some() || self.queues.is_memory_waited_for() {
            return self.sticky_partition().map(Step::Join);
        }
        self.stops_at_end = true;
        self.next()
    }

    /// The record is in a batch, which has grown by so many bytes.
    pub(crate) fn handle_appended(&self, partition: usize, bytes: usize) {
        if self.route.is_free() {
            self.sticky().count(partition, bytes, || self.next_partition());
        }
    }

    /// A batch has ended, and the record is not in.
    pub(crate) fn handle_batch_end(&mut self, partition: usize) -> Result<Step, DeadEnd> {
        self.stops_at_end = false;
        self.sticky().leave(partition, || self.next_partition());
        self.next()
    }

    /// No batch of the partition has room, and the partition may not have `least` bytes for another.
    pub(crate) fn handle_no_memory(&mut self, partition: usize, least: usize) -> Result<Step, DeadEnd> {
        if !self.route.is_free() {
            return Err(DeadEnd::NoMemory { partition, is_anywhere: false });
        }
        if std::mem::replace(&mut self.has_looked, true) {
            return Err(self.no_memory(partition));
        }
        if let Some(other) = self.queues.partition_with_memory(least) {
            self.sticky().move_to(partition, other);
        }
        self.next()
    }

    /// There is no open batch to [`Step::Join`] that has room.
    pub(crate) fn handle_no_room(&self, partition: usize) -> Result<Step, DeadEnd> {
        let granted = self.granted.ok_or_else(|| self.no_memory(partition))?;
        self.sticky().move_to(partition, granted);
        self.next()
    }

    /// The partition is stopped. Memory that was granted for it is not for another.
    pub(crate) fn handle_stopped(&mut self, partition: usize) -> Result<Step, DeadEnd> {
        let may_go_on = self.route.is_free() && self.tries_left > 0;
        let open = may_go_on.then(|| open_partition(self.view, (self.random)())).flatten();
        let open = open.ok_or(DeadEnd::Stopped(partition))?;
        self.tries_left -= 1;
        self.granted = None;
        self.sticky().move_to(partition, open);
        self.next()
    }

    fn next(&self) -> Result<Step, DeadEnd> {
        let partition = match (self.route, self.granted) {
            (Route::Free(_), None) => self.sticky_partition()?,
            (Route::Free(_), Some(granted)) => granted,
            (Route::Chosen(partition) | Route::Fixed(partition), _) => partition,
        };
        Ok(if self.stops_at_end { Step::FillUp(partition) } else { Step::Append(partition) })
    }

    /// Tells the sticky partitioner of the records that needed no attention. A queue that has run empty is as good a place
    /// to move on as the end of a batch.
    fn catch_up(&self) -> Result<(), DeadEnd> {
        let partition = self.sticky_partition()?;
        let (bytes, is_empty) = self.queues.take_uncounted(partition).ok_or(DeadEnd::Unknown)?;
        self.sticky().count(partition, bytes, || self.next_partition());
        if is_empty {
            self.sticky().leave(partition, || self.next_partition());
        }
        Ok(())
    }

    fn no_memory(&self, partition: usize) -> DeadEnd {
        DeadEnd::NoMemory { partition, is_anywhere: self.view.routes().partition_count() > 1 }
    }

    fn sticky(&self) -> &StickyPartitioner {
        self.view.routes().sticky()
    }

    fn sticky_partition(&self) -> Result<usize, DeadEnd> {
        let partition_count = self.view.routes().partition_count();
        self.sticky().peek(partition_count, || self.next_partition()).ok_or(DeadEnd::Unknown)
    }

    fn next_partition(&self) -> Option<usize> {
        self.rules.next_partition(self.view, self.now, (self.random)())
    }
}

#[cfg(test)]
mod tests;
