//! How a queue ceases to take records: closed for good, stopped until the caller resumes, or given up for another.

use super::PartitionQueue;
use crate::accumulator::producer_batch::{BatchOrder, ProducerBatch};
use crate::planted::planted;
use crate::sync::Ordering;

impl PartitionQueue {
    /// Takes everything that is queued.
    pub(crate) fn take_all(&self) -> Vec<ProducerBatch> {
        let mut inner = self.lock();
        self.queued.store(0, Ordering::Relaxed);
        std::mem::take(&mut inner.batches).into()
    }

    /// Refuses further records and takes everything that is queued.
    pub(crate) fn close(&self) -> Vec<ProducerBatch> {
        let mut inner = self.lock();
        inner.gate.close();
        self.queued.store(0, Ordering::Relaxed);
        std::mem::take(&mut inner.batches).into()
    }

    /// Refuses further records until [`PartitionQueue::resume`], and takes what is queued behind a batch.
    pub(crate) fn stop_behind(&self, order: BatchOrder) -> Vec<ProducerBatch> {
        let mut inner = self.lock();
        inner.gate.set_stopped(true);
        self.stopped.store(true, Ordering::Relaxed);
        let at = inner.batches.partition_point(|queued| queued.order() <= order);
        let taken = inner.batches.split_off(at);
        self.queued.store(inner.batches.len(), Ordering::Relaxed);
        drop(inner);
        self.note_openness();
        taken.into()
    }

    /// Takes records again. Returns whether it was stopped.
    pub(crate) fn resume(&self) -> bool {
        let mut inner = self.lock();
        self.stopped.store(false, Ordering::Relaxed);
        let was_stopped = inner.gate.set_stopped(false);
        drop(inner);
        self.note_openness();
        was_stopped
    }

    /// Returns whether records are refused until the queue is resumed.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Gives the queue up if nothing is queued: it takes no more records, and a caller who wants to append looks for another. A
    /// queue that is stopped is kept, since the partition must stay stopped. Returns whether it is given up.
    pub(crate) fn retire(&self) -> bool {
        let mut inner = self.lock();
        let is_idle = inner.batches.is_empty() && !inner.gate.is_stopped();
        inner.gate.set_retired(is_idle || planted!(RetiredWithRecords));
        inner.gate.is_retired()
    }

    /// Takes a [`PartitionQueue::retire`] back.
    pub(crate) fn reinstate(&self) {
        self.lock().gate.set_retired(false);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.lock().gate.is_retired()
    }

    /// Refuses further records.
    pub(crate) fn refuse_appends(&self) {
        self.lock().gate.close();
    }
}
