//! Records on their way from callers to the sender: queues, announcements, the wake flag, batches that others compress, the close.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use loom::future::block_on;
use loom::thread::{self, JoinHandle};

use super::model;
use crate::accumulator::{
    Append, AtBatchEnd, EnqueueWaits, Head, NO_TRANSACTION, PartitionQueue, RecordAccumulator, Settings,
    TakenHead, TryAppend,
};
use crate::buffer_memory::BufferMemory;
use crate::clock;
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::RecordRef;
use crate::record::Headers;
use crate::topic_partition::Topic;

/// A record of this length fills a batch.
const LONG: usize = 200;
const BATCH_SIZE: usize = 150;

/// One partition, and the sender's side as far as it sleeps and looks.
pub(super) struct Border {
    pub(super) accumulator: RecordAccumulator,
    pub(super) queue: Arc<PartitionQueue>,
    now: Instant,
}

impl Border {
    pub(super) fn new(compression: Compression) -> Arc<Self> {
        Self::with_memory(compression, 10_000)
    }

    pub(super) fn with_memory(compression: Compression, memory: usize) -> Arc<Self> {
        let settings = Settings {
            batch_size: BATCH_SIZE,
            compression,
            compression_level: 1,
            max_plain: BATCH_SIZE,
            append_window: Duration::from_secs(1),
            spares_awaited: false,
        };
        let accumulator = RecordAccumulator::new(settings, BufferMemory::new(memory, BATCH_SIZE));
        let queues = accumulator.topic(&Topic::from("topic"), 2);
        let queue = Arc::clone(accumulator.ensure_queue(&queues, 0, || true).expect("the topic has it"));
        Arc::new(Self { accumulator, queue, now: clock::now() })
    }

    /// Appends a record of so many bytes. Returns whether it was accepted.
    pub(super) fn append(&self, len: usize) -> bool {
        self.append_to(&self.queue, len)
    }

    pub(super) fn append_to(&self, queue: &Arc<PartitionQueue>, len: usize) -> bool {
        self.append_in(queue, len, NO_TRANSACTION)
    }

    /// Appends a record of a transaction.
    pub(super) fn append_in(&self, queue: &Arc<PartitionQueue>, len: usize, transaction: u64) -> bool {
        let (headers, value) = (Headers::new(), [b'x'; LONG]);
        let record = RecordRef { timestamp: 1, key: None, value: value.get(..len), headers: &headers };
        let append = Append {
            record,
            payload_len: record.payload_len(),
            waits: EnqueueWaits::default(),
            transaction,
            observer: None,
            now: self.now,
        };
        match self.accumulator.try_append(queue, &append, AtBatchEnd::BeginNext, &mut None) {
            TryAppend::Done(_) => true,
            // A record that waits for memory then is refused by the memory, which is closed, too.
            TryAppend::Closed
            | TryAppend::NoMemory { .. }
            | TryAppend::Retired
            | TryAppend::TransactionOver => false,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn append_on_thread(self: &Arc<Self>, len: usize) -> JoinHandle<bool> {
        let border = Arc::clone(self);
        thread::spawn(move || border.append(len))
    }

    /// Takes what was announced, as the sender does. Returns how many records have come. `may_go` says whether a batch goes now;
    /// one that stays waits for a timer that never fires.
    pub(super) fn look(&self, may_go: impl Fn(&Head) -> bool) -> u32 {
        let mut changed = Vec::new();
        self.accumulator.take_changed(&mut changed);
        changed.iter().map(|queue| self.take(queue, &may_go)).sum()
    }

    /// Takes what may go from a queue. Returns how many records that are.
    pub(super) fn take(&self, queue: &Arc<PartitionQueue>, may_go: impl Fn(&Head) -> bool) -> u32 {
        let mut count = 0;
        while queue.look().is_some_and(|head| may_go(&head)) {
            match queue.take_head() {
                TakenHead::Batch(batch) => count += batch.record_count(),
                TakenHead::Nothing => break,
                TakenHead::Seal(job) => self.accumulator.seal(job),
            }
        }
        count
    }

    /// Sleeps and looks until so many records have come.
    pub(super) fn receive(&self, count: u32, may_go: impl Fn(&Head) -> bool) {
        self.work_when_woken(count, || self.look(&may_go));
    }

    /// Sleeps and works until so many records have come.
    pub(super) fn work_when_woken(&self, count: u32, mut work: impl FnMut() -> u32) {
        let mut received = 0;
        block_on(poll_fn(|cx| {
            while self.accumulator.wake_flag().poll(cx) {
                received += work();
            }
            if received == count { Poll::Ready(()) } else { Poll::Pending }
        }));
    }
}

/// The sender hears of the records of two threads.
pub fn records_of_two_threads() {
    model(|| {
        let border = Border::new(Compression::None);
        let callers = [border.append_on_thread(1), border.append_on_thread(1)];

        border.receive(2, |_| true);

        assert!(callers.into_iter().all(|caller| caller.join().unwrap()));
    });
}

/// A sender that has said that it is coming, and looks, is woken for what comes after its look.
pub fn record_for_a_sender_that_was_coming() {
    model(|| {
        let border = Border::new(Compression::None);
        border.accumulator.set_sender_coming(true);
        let caller = border.append_on_thread(1);

        border.accumulator.set_sender_coming(false);
        if border.look(|_| true) == 0 {
            border.receive(1, |_| true);
        }

        assert!(caller.join().unwrap());
    });
}

/// A batch that fills while the sender looks at it does not linger.
pub fn batch_that_fills_while_the_sender_looks() {
    model(|| {
        let border = Border::new(Compression::None);
        assert!(border.append(1));
        let caller = border.append_on_thread(LONG / 2);

        border.receive(2, |head| head.is_full);

        assert!(caller.join().unwrap());
    });
}

/// The sender hears of a batch that its caller has compressed.
pub fn batch_that_its_caller_compresses() {
    model(|| {
        let border = Border::new(Compression::Lz4);
        assert!(border.append(LONG));
        let caller = border.append_on_thread(1);

        border.receive(2, |_| true);

        assert!(caller.join().unwrap());
    });
}

/// A record is refused, or is there when the sender ends.
pub fn record_and_close() {
    model(|| {
        let border = Border::new(Compression::None);
        let caller = border.append_on_thread(1);
        let closing = {
            let border = Arc::clone(&border);
            thread::spawn(move || border.accumulator.close())
        };

        let mut received = 0;
        block_on(poll_fn(|cx| {
            while border.accumulator.wake_flag().poll(cx) {
                received += border.look(|_| true);
            }
            if border.accumulator.has_ended() { Poll::Ready(()) } else { Poll::Pending }
        }));

        closing.join().unwrap();
        assert_eq!(received, u32::from(caller.join().unwrap()));
        assert!(!border.append(1));
    });
}
