//! A batch that no queue holds, for results that are made by hand.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::ProducerBatch;
use crate::accumulator::incomplete::IncompleteBatches;
use crate::accumulator::stage_clock::EnqueueWaits;
use crate::buffer_memory::BatchBuffer;
use crate::delivery::{BatchCell, Delivery};
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::{HEADER_LEN, RecordRef};
use crate::topic_partition::TopicPartition;

impl ProducerBatch {
    /// Makes a batch of one record, in memory of its own. `None` if the record is too large for any batch.
    pub(crate) fn lone(
        topic_partition: TopicPartition,
        record: &RecordRef<'_>,
        now: Instant,
    ) -> Option<(Box<Self>, Delivery)> {
        let payload_len = record.payload_len();
        let buffer = BatchBuffer::outside_of_budget(HEADER_LEN + RecordRef::upper_bound(payload_len));
        let cell = BatchCell::new(topic_partition, None);
        let incomplete = Arc::<IncompleteBatches>::default().insert(&cell, Weak::new(), now);
        let mut batch = Self::new(1, cell, incomplete, buffer, Compression::None, now, Duration::ZERO);
        let place = batch.append(record, payload_len, None, EnqueueWaits::default())?;
        batch.close();
        Some((Box::new(batch), place.into()))
    }
}
