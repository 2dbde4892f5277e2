//! Callers that wait, and a sender that could let a batch linger: for memory, for a flush, for every record of a batch.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::thread;

use super::accumulator::Border;
use super::model;
use crate::accumulator::WakeFlag;
use crate::delivery::{BatchCell, BatchWatcher, Delivery};
use crate::protocol::compression::Compression;
use crate::topic_partition::TopicPartition;

/// The sender sees that a caller waits for memory: it sends the batch that holds it.
pub fn memory_in_a_batch_that_lingers() {
    model(|| {
        let border = Border::with_memory(Compression::None, 1024);
        assert!(border.append(100));
        assert_eq!(border.look(|_| false), 0);
        let held: Vec<_> = std::iter::from_fn(|| border.queue.memory().try_take(150)).collect();
        assert!(!border.accumulator.is_urgent());
        let waiting = {
            let border = Arc::clone(&border);
            thread::spawn(move || {
                assert!(block_on(border.accumulator.wait_for_memory(&border.queue, 150)).is_ok())
            })
        };

        let urgent = |_: &_| border.accumulator.is_urgent();
        let taken = border.take(&border.queue, urgent);
        border.work_when_woken(1 - taken, || border.take(&border.queue, urgent));

        waiting.join().unwrap();
        drop(held);
    });
}

/// A batch goes by a flush, although the sender was not woken for its first record.
pub fn flush_of_a_batch_that_lingers() {
    model(|| {
        let border = Border::new(Compression::None);
        border.accumulator.set_sender_coming(true);
        let caller = {
            let border = Arc::clone(&border);
            thread::spawn(move || {
                assert!(border.append(1));
                border.accumulator.begin_flush().len()
            })
        };

        border.receive(1, |head| head.is_flushed);

        assert!(caller.join().unwrap() <= 1);
    });
}

/// Wakes the sender when every record of a batch is awaited.
#[derive(Debug, Default)]
struct Watcher(WakeFlag);

impl BatchWatcher for Watcher {
    fn handle_all_awaited(self: Arc<Self>) {
        self.0.wake();
    }
}

/// The sender sees that every record of a batch is awaited, or is told of it.
pub fn batch_whose_last_record_is_awaited() {
    model(|| {
        let watcher = Arc::new(Watcher::default());
        let weak: Weak<Watcher> = Arc::downgrade(&watcher);
        let cell = BatchCell::new(TopicPartition::new("topic", 0), Some(weak));
        let delivery = |index| Delivery::new(Arc::clone(&cell), index);
        let wait_for = |mut delivery: Delivery| {
            assert!(Pin::new(&mut delivery).poll(&mut Context::from_waker(Waker::noop())).is_pending());
            delivery
        };
        cell.set_record_count(1);
        let _first = wait_for(delivery(0));
        assert!(cell.is_all_awaited());
        cell.set_record_count(2);
        let second = delivery(1);
        let caller = thread::spawn(move || wait_for(second));

        block_on(poll_fn(|cx| {
            let _ = watcher.0.poll(cx);
            if cell.is_all_awaited() { Poll::Ready(()) } else { Poll::Pending }
        }));

        drop(caller.join().unwrap());
    });
}
