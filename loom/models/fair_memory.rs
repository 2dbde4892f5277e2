//! The waits for `buffer.memory`.

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

use super::{model, poll_and_give_up};
use crate::buffer_memory::budget::{Budget, InTopic, Line, PartitionId};
use crate::buffer_memory::fair_memory::{FairMemory, MemoryClosed};

const TOTAL: usize = 2;

/// Memory of which a partition holds everything, and two other partitions.
fn full() -> (Arc<FairMemory>, [PartitionId; 3]) {
    let memory = FairMemory::new(Budget::new(TOTAL, TOTAL, TOTAL));
    let partitions = [memory.open(None), memory.open(None), memory.open(None)];
    memory.serve_waits();
    assert!(memory.try_take_exactly(partitions[0], TOTAL, 0));
    (Arc::new(memory), partitions)
}

fn take_and_give_back(memory: &FairMemory, partition: PartitionId) {
    let (_, taken) = block_on(memory.take(Line::Partition(partition), 1)).expect("open");
    assert_eq!(taken, TOTAL);
    memory.give_back(partition, taken);
}

/// A thread that waits gets the memory that another thread gives back.
pub fn waiter_and_release() {
    model(|| {
        let (memory, [holder, waiter, _]) = full();
        let releasing = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || memory.give_back(holder, TOTAL))
        };

        take_and_give_back(&memory, waiter);

        releasing.join().unwrap();
        assert_eq!((memory.free(), memory.waits()), (TOTAL, 0));
    });
}

/// One release serves one waiter, whose release serves the other.
pub fn two_waiters_and_release() {
    model(|| {
        let (memory, [holder, first, second]) = full();
        let waiting = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || take_and_give_back(&memory, first))
        };
        let releasing = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || memory.give_back(holder, TOTAL))
        };

        take_and_give_back(&memory, second);

        waiting.join().unwrap();
        releasing.join().unwrap();
        assert_eq!((memory.free(), memory.waits()), (TOTAL, 0));
    });
}

/// Two of the same partition.
pub fn two_waiters_of_a_partition_and_release() {
    model(|| {
        let (memory, [holder, waiter, _]) = full();
        let waiting = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || take_and_give_back(&memory, waiter))
        };
        memory.give_back(holder, TOTAL);

        take_and_give_back(&memory, waiter);

        waiting.join().unwrap();
        assert_eq!((memory.free(), memory.waits()), (TOTAL, 0));
    });
}

/// A thread that may go to any partition of a topic gets what one of them gives back while the thread turns to another.
pub fn waiter_for_any_partition_and_release() {
    model(|| {
        let memory = Arc::new(FairMemory::new(Budget::new(TOTAL, TOTAL, TOTAL)));
        let topic = memory.open_topic();
        let partitions = [0, 1].map(|number| memory.open(Some(InTopic { topic, number, has_leader: true })));
        memory.serve_waits();
        assert!(memory.try_take_exactly(partitions[0], TOTAL, 0));
        let releasing = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || {
                memory.set_shut(partitions[1], || true);
                memory.give_back(partitions[0], TOTAL);
            })
        };

        let (partition, taken) = block_on(memory.take(Line::Topic(topic), 1)).expect("open");
        memory.give_back(partition, taken);

        releasing.join().unwrap();
        assert_eq!((memory.free(), memory.waits()), (TOTAL, 0));
    });
}

/// A waiter that gives up, before or after it was served, passes on what it got.
pub fn cancelled_waiter_and_release() {
    model(|| {
        let (memory, [holder, cancelled, waiter]) = full();
        let cancelling = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || {
                if let Some(taken) = poll_and_give_up(memory.take(Line::Partition(cancelled), 1)) {
                    memory.give_back(cancelled, taken.expect("open").1);
                }
            })
        };
        let releasing = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || memory.give_back(holder, TOTAL))
        };

        take_and_give_back(&memory, waiter);

        cancelling.join().unwrap();
        releasing.join().unwrap();
        assert_eq!((memory.free(), memory.waits()), (TOTAL, 0));
    });
}

/// A close ends the wait of every thread, and nothing that was granted is lost.
pub fn waiter_and_close() {
    model(|| {
        let (memory, [holder, waiter, _]) = full();
        let closing = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || memory.close())
        };
        let releasing = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || memory.give_back(holder, TOTAL))
        };

        match block_on(memory.take(Line::Partition(waiter), 1)) {
            Ok((_, taken)) => memory.give_back(waiter, taken),
            Err(MemoryClosed) => {}
        }

        closing.join().unwrap();
        releasing.join().unwrap();
        assert_eq!((memory.free(), memory.waits()), (TOTAL, 0));
    });
}
