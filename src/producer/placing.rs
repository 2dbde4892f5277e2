//! `Placing`: takes memory for a record that does not simply fit into an open batch, and appends it where it is told.
//!
//! Which partition is tried, and when there is nothing left but to wait, is decided in `pipeline/route/search.rs`.

use std::sync::Arc;

use rand::RngExt;

use crate::accumulator::{Append, AtBatchEnd, PartitionQueue, TryAppend};
use crate::delivery::Place;
use crate::error::SendErrorKind;
use crate::pipeline::{DeadEnd, QueueView, Route, Step};
use crate::producer::ProducerCore;
use crate::producer::memory_wait::MemoryInHand;
use crate::producer::topics::TopicEntry;
use crate::producer::walk::Stop;
use crate::protocol::record_batch::RecordRef;

/// The queues of a topic, for records that look for a batch.
pub(super) struct Placing<'a> {
    core: &'a ProducerCore,
    topic: &'a TopicEntry,
}

impl<'a> Placing<'a> {
    pub(super) fn new(core: &'a ProducerCore, topic: &'a TopicEntry) -> Self {
        Self { core, topic }
    }

    /// Appends a record where it may go. `memory` is what was waited for; what is left of it when the record stops again stays
    /// there.
    #[cold]
    pub(super) fn place(
        &self,
        route: Route,
        append: &Append<'_>,
        memory: &mut MemoryInHand,
    ) -> Result<Place, Stop> {
        let Self { core, topic } = self;
        let least = RecordRef::upper_bound(append.payload_len);
        core.check_size(least).map_err(Stop::refused)?;
        let view = topic.view(&core.clusters);
        let (granted, random) = (memory.take_partition(), || rand::rng().random());
        let mut search = core.routing.search(route, granted, &view, self, append.now, random);
        let mut next = search.first();
        loop {
            let step = next.map_err(|end| self.stop(end, least))?;
            let partition = step.partition();
            let queue = self.ensure_queue(partition)?;
            let tried = match step {
                Step::Append(_) => {
                    core.accumulator.try_append(queue, append, AtBatchEnd::BeginNext, memory.buffer_mut())
                }
                Step::FillUp(_) => {
                    core.accumulator.try_append(queue, append, AtBatchEnd::ComeBack, memory.buffer_mut())
                }
                Step::Join(_) => match core.accumulator.join_without_memory(queue, append) {
                    Some(done) => TryAppend::Done(done),
                    None => {
                        next = search.handle_no_room(partition);
                        continue;
                    }
                },
            };
            next = match tried {
                TryAppend::BatchEnded => search.handle_batch_end(partition),
                TryAppend::Closed => return Err(Stop::refused(core.end())),
                TryAppend::Done(done) => {
                    search.handle_appended(partition, done.bytes);
                    return Ok(done.place);
                }
                TryAppend::NoMemory { least } => search.handle_no_memory(partition, least),
                TryAppend::Retired => return Err(Stop::Retired),
                TryAppend::TransactionOver => return Err(Stop::refused(SendErrorKind::TransactionOver)),
                TryAppend::Stopped => {
                    memory.give_back();
                    search.handle_stopped(partition)
                }
            };
        }
    }

    /// Returns the queue of a partition, which is made for the first record.
    fn ensure_queue(&self, partition: usize) -> Result<&'a Arc<PartitionQueue>, Stop> {
        let queues = &self.topic.queues;
        let has_leader = || {
            let cluster = self.core.clusters.borrow();
            let number = i32::try_from(partition).unwrap_or(i32::MAX);
            cluster.available_partitions(queues.topic()).binary_search(&number).is_ok()
        };
        let queue = self.core.accumulator.ensure_queue(queues, partition, has_leader);
        queue.ok_or_else(|| if queues.is_retired() { Stop::Retired } else { Stop::TopicUnknown })
    }

    fn stop(&self, end: DeadEnd, least: usize) -> Stop {
        let queues = &self.topic.queues;
        match end {
            DeadEnd::NoMemory { partition, is_anywhere } => match self.ensure_queue(partition) {
                Ok(queue) => {
                    let anywhere = is_anywhere.then(|| Arc::clone(queues));
                    Stop::NoMemory { queue: Arc::clone(queue), anywhere, least }
                }
                Err(stop) => stop,
            },
            DeadEnd::Stopped(partition) => {
                let topic = queues.topic().clone();
                let partition = i32::try_from(partition).unwrap_or(i32::MAX);
                Stop::refused(SendErrorKind::Stopped { topic, partition })
            }
            DeadEnd::Unknown => Stop::TopicUnknown,
        }
    }
}

impl QueueView for Placing<'_> {
    fn take_uncounted(&self, partition: usize) -> Option<(usize, bool)> {
        let queues = &self.topic.queues;
        let taken = || queues.queue(partition).map_or((0, true), |queue| queue.take_uncounted());
        (partition < queues.len()).then(taken)
    }

    fn is_memory_waited_for(&self) -> bool {
        self.topic.queues.memory().is_waited_for()
    }

    fn partition_with_memory(&self, least: usize) -> Option<usize> {
        self.core.partition_with_memory(&self.topic.queues, least)
    }
}

impl ProducerCore {
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
