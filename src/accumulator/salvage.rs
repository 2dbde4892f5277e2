//! Batches that a panic would take along.
//!
//! A batch that is on its way from one place to another lies in a local variable. If the sender panics at that moment, the
//! batch is dropped with its records, and their callers would never hear of them. So if a batch that has not ended is dropped in
//! a panic, it puts itself aside for the code that catches the panic.

use std::cell::RefCell;

use crate::accumulator::producer_batch::ProducerBatch;
use crate::fence::{Thrown, fenced};

thread_local! {
    /// `Some` while the thread is in [`catch_unwind`].
    static SALVAGED: RefCell<Option<Vec<ProducerBatch>>> = const { RefCell::new(None) };
}

/// Calls `f`. If it panics, returns what it has thrown, and the batches that were dropped.
pub(crate) fn catch_unwind<T>(f: impl FnOnce() -> T) -> (Result<T, Thrown>, Vec<ProducerBatch>) {
    let outer = SALVAGED.replace(Some(Vec::new()));
    let result = fenced(f);
    let salvaged = SALVAGED.replace(outer).unwrap_or_default();
    (result, salvaged)
}

/// Puts a batch aside that is dropped in a panic, if a [`catch_unwind`] is there to take it.
#[cold]
pub(super) fn put_aside(batch: impl FnOnce() -> ProducerBatch) {
    // While the thread ends the place is gone.
    let _ = SALVAGED.try_with(|salvaged| {
        if let Ok(mut salvaged) = salvaged.try_borrow_mut()
            && let Some(salvaged) = salvaged.as_mut()
        {
            salvaged.push(batch());
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::accumulator::{
        Append, AtBatchEnd, EnqueueWaits, PartitionQueue, RecordAccumulator, Settings, TakenHead, TryAppend,
    };
    use crate::buffer_memory::BufferMemory;
    use crate::clock;
    use crate::delivery::{Delivery, Teller};
    use crate::error::{DeliveryErrorKind, Persisted};
    use crate::protocol::compression::Compression;
    use crate::protocol::record_batch::RecordRef;
    use crate::record::Headers;
    use crate::topic_partition::Topic;

    fn batch() -> (Box<ProducerBatch>, Delivery) {
        let settings = Settings {
            batch_size: 1000,
            compression: Compression::None,
            compression_level: 0,
            max_plain: 1000,
            append_window: std::time::Duration::from_secs(1),
            spares_awaited: false,
        };
        let accumulator = RecordAccumulator::new(settings, BufferMemory::new(10_000, 1000));
        let topic = accumulator.topic(&Topic::from("topic"), 1);
        let queue: &Arc<PartitionQueue> = accumulator.ensure_queue(&topic, 0, || true).unwrap();
        let headers = Headers::new();
        let record = RecordRef { timestamp: 5, key: None, value: Some(b"kept"), headers: &headers };
        let (payload_len, waits) = (record.payload_len(), EnqueueWaits::default());
        let append = Append {
            record,
            payload_len,
            waits,
            transaction: crate::accumulator::NO_TRANSACTION,
            observer: None,
            now: clock::now(),
        };
        let TryAppend::Done(done) = accumulator.try_append(queue, &append, AtBatchEnd::BeginNext, &mut None)
        else {
            panic!()
        };
        let TakenHead::Batch(batch) = queue.take_head() else { panic!() };
        (batch, done.delivery())
    }

    #[test]
    fn batch_that_a_panic_takes_along_is_saved_with_its_records() {
        let (batch, delivery) = batch();

        let (result, mut lost) = catch_unwind(move || {
            let _batch = batch;
            panic!("a bug");
        });

        assert_eq!(result.map(|()| "done").unwrap_err().message(), "a bug");
        assert!(delivery.try_result().is_none());
        let batch = lost.pop().unwrap();
        batch.fail(DeliveryErrorKind::Closed, Persisted::No, Vec::new(), &Teller::WITHOUT_SENDER);
        let error = delivery.try_result().unwrap().unwrap_err();
        assert_eq!(error.record().unwrap().value.unwrap(), "kept");
        assert!(lost.is_empty());
    }

    #[test]
    fn batches_that_have_ended_or_that_no_panic_takes_along_are_let_go() {
        let ((ended, _delivery), (dropped, _other)) = (batch(), batch());

        let (result, lost) = catch_unwind(move || {
            drop(dropped);
            ended.deliver(Some(1), None, &Teller::WITHOUT_SENDER);
            panic!("a bug");
        });

        assert!(result.map(|()| "done").is_err() && lost.is_empty());
    }
}
