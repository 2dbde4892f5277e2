//! `SealJob`: the compression of a closed batch.

use std::sync::Arc;

use super::PartitionQueue;
use crate::buffer_memory::BatchBuffer;
use crate::planted::planted;
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::HEADER_LEN;

/// The compression of one batch, to be done by the thread that closed it or on its behalf, without any lock.
///
/// Dropping it undone puts the batch back uncompressed, so a batch is never stuck.
#[derive(Debug)]
pub(crate) struct SealJob {
    queue: Arc<PartitionQueue>,
    batch_id: u64,
    /// `None` once it has been given back.
    buffer: Option<Arc<BatchBuffer>>,
    compression: Compression,
}

impl SealJob {
    pub(super) fn new(
        queue: Arc<PartitionQueue>,
        batch_id: u64,
        buffer: Arc<BatchBuffer>,
        compression: Compression,
    ) -> Self {
        Self { queue, batch_id, buffer: Some(buffer), compression }
    }

    /// Returns whether that takes about a millisecond at most.
    pub(crate) fn is_quick(&self, level: i32) -> bool {
        let len = self.buffer.as_ref().map_or(0, |buffer| buffer.len());
        len <= self.compression.quick_len(level)
    }

    /// Compresses the batch at a level of its codec, puts it back and tells the sender.
    pub(crate) fn run(mut self, level: i32) {
        let Some(buffer) = self.buffer.as_ref().filter(|_| self.is_wanted()) else { return };
        let records = buffer.bytes().split_at_checked(HEADER_LEN);
        let compressed = records.and_then(|(header, records)| {
            self.compression.compress(level, records, |compressed| {
                compressed.map(|compressed| [header, compressed].concat())
            })
        });
        if let (Some((_, plain)), compressed) = (records, &compressed) {
            let left = compressed.as_ref().map_or(plain.len(), |compressed| compressed.len() - HEADER_LEN);
            self.queue.ratio().observe(plain.len(), left);
        }
        self.put_back(compressed);
    }

    /// Returns whether the batch still waits for this. It may have expired while the job waited for its turn.
    fn is_wanted(&self) -> bool {
        self.queue.lock().batches.iter().any(|batch| batch.id() == self.batch_id)
    }

    fn put_back(&mut self, compressed: Option<Vec<u8>>) {
        let Some(buffer) = self.buffer.take() else { return };
        if planted!(SealedTooLate) && self.queue.lock().announce() {
            self.queue.changes.announce(Arc::clone(&self.queue));
        }
        let mut inner = self.queue.lock();
        let left = inner.put_sealed(self.batch_id, buffer, compressed);
        let announce = left.is_ok() && !planted!(SealedTooLate) && inner.announce();
        drop(inner);
        // Others may wait for that memory, and their wakers do what they like.
        drop(left);
        if announce {
            self.queue.changes.announce(Arc::clone(&self.queue));
        }
    }
}

impl PartitionQueue {
    /// Returns the compression of a batch that waits for it.
    pub(crate) fn seal_job(self: &Arc<Self>, batch_id: u64) -> Option<SealJob> {
        let mut inner = self.lock();
        let batch = inner.batches.iter_mut().find(|batch| batch.id() == batch_id)?;
        let (buffer, compression) = batch.share_for_sealing()?;
        Some(SealJob::new(Arc::clone(self), batch_id, buffer, compression))
    }
}

impl Drop for SealJob {
    fn drop(&mut self) {
        self.put_back(None);
    }
}
