//! `Placing`: finds a batch for a record that begins one or ends one, or whose partition takes none at the moment.

use std::sync::Arc;

use rand::RngExt;

use crate::accumulator::{Append, AtBatchEnd, Done, PartitionQueue, TryAppend};
use crate::delivery::Delivery;
use crate::error::SendErrorKind;
use crate::pipeline::{Route, StickyPartitioner, open_partition};
use crate::producer::ProducerShared;
use crate::producer::memory_wait::MemoryInHand;
use crate::producer::topics::TopicEntry;
use crate::producer::walk::Stop;
use crate::protocol::record_batch::RecordRef;

/// A record that looks for a batch.
pub(super) struct Placing<'a, K, V> {
    shared: &'a ProducerShared<K, V>,
    topic: &'a TopicEntry,
    append: Append<'a>,
    memory: &'a mut MemoryInHand,
    /// The partition that memory was granted for, if any would have done. The record goes there.
    granted: Option<usize>,
    /// It has looked for memory elsewhere.
    has_looked: bool,
    /// Stopped partitions that it may still come upon.
    tries_left: usize,
}

impl<'a, K, V> Placing<'a, K, V> {
    /// `memory` is what was waited for. What is left of it when the record stops again stays there.
    pub(super) fn new(
        shared: &'a ProducerShared<K, V>,
        topic: &'a TopicEntry,
        append: Append<'a>,
        memory: &'a mut MemoryInHand,
    ) -> Self {
        let granted = memory.take_partition();
        let tries_left = topic.routes.partition_count();
        Self { shared, topic, append, memory, granted, has_looked: false, tries_left }
    }

    /// Appends a record to its partition, or where its topic sticks to, and has it stick to another one when it is time for
    /// that.
    #[cold]
    pub(super) fn place(mut self, route: Route) -> Result<Delivery, Stop> {
        let is_free = route.is_free();
        let mut at_end = AtBatchEnd::BeginNext;
        self.shared.check_size(RecordRef::upper_bound(self.append.payload_len)).map_err(Stop::refused)?;
        if is_free {
            self.catch_up()?;
            let takes_turns = self.granted.is_some() || self.topic.queues.memory().is_waited_for();
            if takes_turns && let Some(delivery) = self.share_open_batch()? {
                return Ok(delivery);
            }
            if !takes_turns {
                at_end = AtBatchEnd::ComeBack;
            }
        }
        loop {
            let partition = match (route, self.granted) {
                (Route::Free(_), None) => self.sticky_partition()?,
                (Route::Free(_), Some(granted)) => granted,
                (Route::Chosen(partition) | Route::Fixed(partition), _) => partition,
            };
            let queue = self.ensure_queue(partition)?;
            match self.shared.accumulator.try_append(queue, &self.append, at_end, self.memory.buffer_mut()) {
                TryAppend::BatchEnded => {
                    // The place to move on to another partition; once, then the record goes where it may.
                    at_end = AtBatchEnd::BeginNext;
                    self.sticky().leave(partition, || self.next_partition());
                }
                TryAppend::Closed => return Err(Stop::refused(self.shared.end())),
                TryAppend::Done(done) => {
                    if is_free {
                        self.count(partition, &done);
                    }
                    return Ok(done.delivery);
                }
                TryAppend::NoMemory { least } if is_free => self.look_for_memory(partition, queue, least)?,
                TryAppend::NoMemory { least } => {
                    return Err(Stop::NoMemory { queue: Arc::clone(queue), anywhere: None, least });
                }
                TryAppend::Retired => return Err(Stop::Retired),
                TryAppend::Stopped if is_free => self.leave_stopped(partition)?,
                TryAppend::Stopped => return Err(self.stopped(partition)),
            }
        }
    }

    /// Tells the sticky partitioner of the records that needed no attention. A queue that has run empty is as good a place
    /// to move on as the end of a batch.
    fn catch_up(&self) -> Result<(), Stop> {
        let queues = &self.topic.queues;
        let partition = self.sticky_partition()?;
        if partition >= queues.len() {
            return Err(Stop::TopicUnknown);
        }
        let (bytes, is_empty) = queues.queue(partition).map_or((0, true), |queue| queue.take_uncounted());
        self.sticky().count(partition, bytes, || self.next_partition());
        if is_empty {
            self.sticky().leave(partition, || self.next_partition());
        }
        Ok(())
    }

    /// Appends a record to a batch that is open, if there is room, while others wait for memory or it was granted some itself:
    /// many that have waited then share one batch, and memory that is not needed goes to the next in line. Else the record goes
    /// where it was granted memory, and takes those behind it there; or it must wait, too.
    fn share_open_batch(&mut self) -> Result<Option<Delivery>, Stop> {
        let partition = self.sticky_partition()?;
        let queue = self.ensure_queue(partition)?;
        if let Some(done) = self.shared.accumulator.join_without_memory(queue, &self.append) {
            self.memory.give_back();
            self.count(partition, &done);
            return Ok(Some(done.delivery));
        }
        let least = RecordRef::upper_bound(self.append.payload_len);
        let granted = self.granted.ok_or_else(|| self.no_memory(queue, least))?;
        self.sticky().move_to(partition, granted);
        Ok(None)
    }

    /// Moves on to a partition that has memory left, if one has, but only once.
    fn look_for_memory(
        &mut self,
        partition: usize,
        queue: &Arc<PartitionQueue>,
        least: usize,
    ) -> Result<(), Stop> {
        if std::mem::replace(&mut self.has_looked, true) {
            return Err(self.no_memory(queue, least));
        }
        if let Some(other) = self.shared.partition_with_memory(&self.topic.queues, least) {
            self.sticky().move_to(partition, other);
        }
        Ok(())
    }

    /// Moves on from a partition that is stopped. Partitions may stop while the record looks for one that is not.
    fn leave_stopped(&mut self, partition: usize) -> Result<(), Stop> {
        let view = self.topic.view(&self.shared.clusters);
        let open = open_partition(&view, rand::rng().random()).filter(|_| self.tries_left > 0);
        let open = open.ok_or_else(|| self.stopped(partition))?;
        self.tries_left -= 1;
        // Memory for this one is not for another.
        self.granted = None;
        self.memory.give_back();
        self.sticky().move_to(partition, open);
        Ok(())
    }

    /// Returns the queue of a partition, which is made for the first record.
    fn ensure_queue(&self, partition: usize) -> Result<&'a Arc<PartitionQueue>, Stop> {
        let queues = &self.topic.queues;
        let has_leader = || {
            let cluster = self.shared.clusters.borrow();
            let number = i32::try_from(partition).unwrap_or(i32::MAX);
            cluster.available_partitions(queues.topic()).binary_search(&number).is_ok()
        };
        let queue = self.shared.accumulator.ensure_queue(queues, partition, has_leader);
        queue.ok_or_else(|| if queues.is_retired() { Stop::Retired } else { Stop::TopicUnknown })
    }

    fn count(&self, partition: usize, done: &Done) {
        self.sticky().count(partition, done.bytes, || self.next_partition());
    }

    fn sticky(&self) -> &'a StickyPartitioner {
        self.topic.routes.sticky()
    }

    fn sticky_partition(&self) -> Result<usize, Stop> {
        let partition_count = self.topic.routes.partition_count();
        self.sticky().peek(partition_count, || self.next_partition()).ok_or(Stop::TopicUnknown)
    }

    fn next_partition(&self) -> Option<usize> {
        let view = self.topic.view(&self.shared.clusters);
        self.shared.routing.next_partition(&view, self.append.now, rand::rng().random())
    }

    /// Says that a record must wait for memory that may be any partition's: to wait for one would be to wait for the one that
    /// gives nothing back.
    fn no_memory(&self, queue: &Arc<PartitionQueue>, least: usize) -> Stop {
        let is_choice = self.topic.routes.partition_count() > 1;
        let anywhere = is_choice.then(|| Arc::clone(&self.topic.queues));
        Stop::NoMemory { queue: Arc::clone(queue), anywhere, least }
    }

    fn stopped(&self, partition: usize) -> Stop {
        let topic = self.topic.queues.topic().clone();
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        Stop::refused(SendErrorKind::Stopped { topic, partition })
    }
}

impl<K, V> ProducerShared<K, V> {
    fn check_size(&self, size: usize) -> Result<(), SendErrorKind> {
        if size <= self.largest_record {
            return Ok(());
        }
        let limits = [
            ("max.request.size", self.settings.max_request_size),
            ("buffer.memory", self.settings.buffer_memory),
        ];
        match limits.into_iter().find(|(_, limit)| size > *limit) {
            Some((setting, limit)) => Err(SendErrorKind::TooLarge { size, limit, setting }),
            None => Ok(()),
        }
    }
}
