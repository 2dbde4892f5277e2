//! The budget by hand and against a model.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::proptest;

use std::sync::atomic::AtomicUsize;

use super::*;

type Take = Pin<Box<dyn Future<Output = Result<BatchBuffer, MemoryClosed>>>>;

const BATCH: usize = 2048;

fn take(partition: &Arc<PartitionMemory>, least: usize) -> Take {
    let partition = Arc::clone(partition);
    Box::pin(async move { partition.take(least).await })
}

impl BufferMemory {
    // Each takes on a partition of its own, so that no partition's share matters.
    pub(crate) fn try_take(self: &Arc<Self>, least: usize) -> Option<BatchBuffer> {
        self.partition().try_take(least)
    }

    pub(crate) fn try_take_exactly(self: &Arc<Self>, capacity: usize) -> Option<BatchBuffer> {
        self.partition().try_take_larger(capacity, 0)
    }
}

fn poll(take: &mut Take) -> Poll<Result<BatchBuffer, MemoryClosed>> {
    take.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn is_pending(take: &mut Take) -> bool {
    poll(take).is_pending()
}

fn taken(take: &mut Take) -> BatchBuffer {
    match poll(take) {
        Poll::Ready(Ok(buffer)) => buffer,
        other => panic!("{other:?}"),
    }
}

fn pooled(memory: &BufferMemory) -> usize {
    memory.pool.lock().unwrap().len()
}

#[derive(Default)]
struct CountedWaker(AtomicUsize);

impl Wake for CountedWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn buffers_are_whole_while_half_of_the_memory_is_free_and_small_after() {
    let memory = BufferMemory::new(8 * BATCH, BATCH);

    let taken: Vec<_> = std::iter::from_fn(|| memory.try_take(100)).collect();

    let capacities: Vec<_> = taken.iter().map(BatchBuffer::capacity).collect();
    assert_eq!(capacities, [[BATCH; 4].as_slice(), &[SMALLEST_BUFFER; 8]].concat());
    assert_eq!(memory.available(), 0);
}

#[test]
fn record_larger_than_a_batch_has_a_buffer_of_its_own_size() {
    let memory = BufferMemory::new(8 * BATCH, BATCH);

    assert_eq!(memory.try_take(3 * BATCH).map(|buffer| buffer.capacity()), Some(3 * BATCH));
    assert_eq!(memory.available(), 8 * BATCH);
}

#[test]
fn batch_size_below_the_smallest_buffer_is_taken_as_it_is() {
    let memory = BufferMemory::new(100, 10);

    let small: Vec<_> = std::iter::from_fn(|| memory.try_take(4)).collect();

    assert!(small.iter().all(|buffer| buffer.capacity() == 10));
    assert_eq!(small.len(), 10);
}

#[test]
fn nothing_is_taken_beyond_the_total() {
    let memory = BufferMemory::new(4 * BATCH, BATCH);

    assert!(memory.try_take_exactly(4 * BATCH + 1).is_none());
    assert!(memory.try_take_exactly(usize::MAX).is_none());
    let all = memory.try_take_exactly(4 * BATCH);
    assert!(memory.try_take(1).is_none());
    drop(all);

    assert_eq!((memory.available(), memory.total()), (4 * BATCH, 4 * BATCH));
}

/// Kafka's `buffer.memory` is a 64-bit number.
#[test]
#[cfg(target_pointer_width = "64")]
fn memory_beyond_four_gigabytes_is_counted_to_the_byte() {
    let total = 20 * 1024 * 1024 * 1024 + 3;
    let memory = BufferMemory::new(total, BATCH);
    assert_eq!((memory.available(), memory.total()), (total, total));

    let buffer = memory.try_take(1).unwrap();

    assert_eq!(memory.available(), total - BATCH);
    drop(buffer);
    assert_eq!(memory.available(), total);
}

#[test]
fn full_buffers_are_used_again_and_others_are_not() {
    let memory = BufferMemory::new(16 * BATCH, BATCH);
    let mut buffer = memory.try_take(1).unwrap();
    fill(&mut buffer, b"old");
    let address = buffer.bytes().as_ptr();
    drop(buffer);
    drop(memory.try_take_exactly(BATCH - 1));
    assert_eq!(pooled(&memory), 1);

    let again = memory.try_take(1).unwrap();

    assert_eq!(again.bytes(), b"");
    assert_eq!(again.bytes().as_ptr(), address);
    assert_eq!(pooled(&memory), 0);
}

#[test]
fn memory_that_is_fetched_ahead_changes_no_contents() {
    for capacity in [0, 1, 63, 500, FETCHED_AT_ONCE, FETCHED_AT_ONCE + 1, 3 * FETCHED_AT_ONCE] {
        let mut buffer = BatchBuffer::outside_of_budget(capacity);
        let mut written = Vec::new();
        loop {
            buffer.fetch_ahead();
            let record = [u8::try_from(written.len() % 251).unwrap() + 1; 97];
            let before = buffer.len();
            buffer.write(|room| {
                let len = record.len().min(room.len());
                room[..len].copy_from_slice(&record[..len]);
                len
            });
            written.extend_from_slice(&record[..buffer.len() - before]);
            if buffer.len() == before {
                break;
            }
        }

        assert_eq!(buffer.bytes(), written);
        assert_eq!(written.len(), capacity);
    }
}

#[test]
fn memory_is_fetched_before_records_come_to_it() {
    let mut buffer = BatchBuffer::outside_of_budget(5 * FETCHED_AT_ONCE);
    buffer.bytes.fill(7);
    let mut fetched = 0;

    for written in (0..3 * FETCHED_AT_ONCE).step_by(100) {
        buffer.fetch_ahead();
        assert!((written..written + FETCHED_BEFORE).step_by(CACHE_LINE).all(|at| {
            let line = at / CACHE_LINE * CACHE_LINE;
            line < written || buffer.bytes[line..line + CACHE_LINE].contains(&0)
        }));
        fetched = fetched.max(buffer.fetched);
        buffer.write(|room| {
            room[..100].fill(7);
            100
        });
    }

    assert!(fetched <= 3 * FETCHED_AT_ONCE + FETCHED_AT_ONCE, "no further than one step ahead");
}

#[test]
fn nothing_is_kept_idle_once_it_is_closed() {
    let memory = BufferMemory::new(16 * BATCH, BATCH);
    let on_its_way = memory.try_take(1).unwrap();
    drop(memory.try_take(1).unwrap());
    assert_eq!(pooled(&memory), 1);

    memory.close();
    assert_eq!(pooled(&memory), 0);
    drop(on_its_way);

    assert_eq!((pooled(&memory), memory.available()), (0, 16 * BATCH));
}

#[test]
fn idle_buffers_make_room_for_what_is_needed() {
    let memory = BufferMemory::new(4 * BATCH, BATCH);
    let whole: Vec<_> = (0..4).map(|_| memory.try_take_exactly(BATCH).unwrap()).collect();
    drop(whole);
    assert_eq!(pooled(&memory), 4);

    let _large = memory.try_take_exactly(2 * BATCH + 1).unwrap();

    assert_eq!(pooled(&memory), 1);
}

#[test]
fn frozen_bytes_return_once_with_their_last_clone() {
    let memory = BufferMemory::new(4 * BATCH, BATCH);
    let mut buffer = memory.try_take(1).unwrap();
    fill(&mut buffer, b"records");
    let frozen = buffer.freeze();
    let slice = frozen.slice(2..4);

    drop(frozen);
    assert_eq!(memory.available(), 3 * BATCH);
    assert_eq!(slice, "co");
    drop(slice);

    assert_eq!((memory.available(), pooled(&memory)), (4 * BATCH, 1));
}

#[test]
fn shorter_contents_give_the_difference_back() {
    let memory = BufferMemory::new(4 * BATCH, BATCH);
    let mut buffer = memory.try_take(1).unwrap();

    drop(buffer.replace_by(vec![7; 100]));

    assert_eq!((buffer.bytes(), buffer.capacity()), (&[7; 100][..], 100));
    assert_eq!(memory.available(), 4 * BATCH - 100);
    drop(buffer);
    assert_eq!((memory.available(), pooled(&memory)), (4 * BATCH, 0));
}

#[test]
fn contents_that_give_memory_back_let_a_waiter_through() {
    let memory = BufferMemory::new(2 * BATCH, BATCH);
    let mut buffer = memory.try_take_exactly(2 * BATCH).unwrap();
    let mut waiter = take(&memory.partition(), 1);
    assert!(is_pending(&mut waiter));

    drop(buffer.replace_by(vec![7; BATCH]));

    assert_eq!(taken(&mut waiter).capacity(), BATCH);
}

#[test]
fn growing_moves_the_contents_and_returns_the_old_buffer() {
    let memory = BufferMemory::new(4 * BATCH, BATCH);
    let mut small = memory.try_take_exactly(10).unwrap();
    fill(&mut small, b"0123456789");

    let mut larger = memory.try_take_exactly(20).unwrap();
    small.copy_into(&mut larger);
    drop(small);

    assert_eq!((larger.bytes(), larger.capacity()), (&b"0123456789"[..], 20));
    assert_eq!(memory.available(), 4 * BATCH - 20);
}

#[test]
fn buffers_outside_of_the_budget_leave_it_alone() {
    let memory = BufferMemory::new(4 * BATCH, BATCH);
    let mut outside = BatchBuffer::outside_of_budget(BATCH);
    fill(&mut outside, &[1; 50]);

    drop(outside.replace_by(vec![2; 10]));
    assert_eq!((outside.bytes(), outside.capacity()), (&[2; 10][..], 10));
    drop(outside.freeze());

    assert_eq!((memory.available(), pooled(&memory)), (4 * BATCH, 0));
}

#[test]
fn waiters_of_a_partition_are_served_in_their_order_and_nobody_overtakes() {
    let memory = BufferMemory::new(4 * BATCH, BATCH);
    let held = memory.try_take_exactly(3 * BATCH).unwrap();
    let partition = memory.partition();
    let mut large = take(&partition, 2 * BATCH);
    let mut small = take(&partition, 1);
    assert!(is_pending(&mut large) && is_pending(&mut small));

    // Enough for the second and for a newcomer, but the first was here before.
    assert!(partition.try_take(1).is_none());
    assert!(is_pending(&mut small));
    drop(held);

    assert_eq!(taken(&mut large).capacity(), 2 * BATCH);
    // A whole batch, for it could not grow while memory is short.
    assert_eq!(taken(&mut small).capacity(), BATCH);
}

#[test]
fn waiter_that_gives_up_holds_nothing_and_lets_the_next_through() {
    let memory = BufferMemory::new(4 * BATCH, BATCH);
    let _held = memory.try_take_exactly(3 * BATCH).unwrap();
    let partition = memory.partition();
    let mut large = take(&partition, 2 * BATCH);
    let mut small = take(&partition, BATCH);
    assert!(is_pending(&mut large) && is_pending(&mut small));
    assert_eq!((memory.waiters(), memory.is_contended()), (2, true));

    drop(large);

    drop(taken(&mut small));
    assert_eq!((memory.waiters(), memory.is_contended()), (0, false));
    assert_eq!(memory.available(), BATCH);
}

#[test]
fn waiter_that_gives_up_after_it_was_served_returns_its_share() {
    let memory = BufferMemory::new(BATCH, BATCH);
    let held = memory.try_take_exactly(BATCH).unwrap();
    let mut waiter = take(&memory.partition(), BATCH);
    assert!(is_pending(&mut waiter));

    drop(held);
    drop(waiter);

    assert_eq!((memory.available(), memory.waiters()), (BATCH, 0));
}

#[test]
fn waiter_is_woken_once_when_its_memory_is_there() {
    let memory = BufferMemory::new(2 * BATCH, BATCH);
    let (first, second) = (memory.try_take_exactly(BATCH).unwrap(), memory.try_take_exactly(BATCH).unwrap());
    let woken = Arc::new(CountedWaker::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut waiter = take(&memory.partition(), 2 * BATCH);
    assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

    drop(first);
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    drop(second);

    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(taken(&mut waiter).capacity(), 2 * BATCH);
}

#[test]
fn closing_fails_everybody_and_buffers_still_return() {
    let memory = BufferMemory::new(BATCH, BATCH);
    let held = memory.try_take_exactly(BATCH).unwrap();
    let woken = Arc::new(CountedWaker::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut waiters = [take(&memory.partition(), 1), take(&memory.partition(), 1)];
    for waiter in &mut waiters {
        assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }

    memory.close();

    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    assert!(waiters.iter_mut().all(|waiter| matches!(poll(waiter), Poll::Ready(Err(MemoryClosed)))));
    assert!(matches!(poll(&mut take(&memory.partition(), 1)), Poll::Ready(Err(MemoryClosed))));
    assert!(memory.try_take(1).is_none());
    drop(held);
    assert_eq!(memory.available(), BATCH);
}

#[test]
fn threads_never_hold_more_than_the_total_and_return_everything() {
    let memory = BufferMemory::new(10 * BATCH, BATCH);
    let held = AtomicUsize::new(0);

    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let (memory, held) = (&memory, &held);
            scope.spawn(move || {
                for round in 0..2000_usize {
                    let Some(buffer) = memory.try_take((thread * 977 + round * 131) % (3 * BATCH)) else {
                        continue;
                    };
                    let now = held.fetch_add(buffer.capacity(), Ordering::SeqCst) + buffer.capacity();
                    assert!(now <= 10 * BATCH);
                    held.fetch_sub(buffer.capacity(), Ordering::SeqCst);
                    drop(buffer.freeze());
                }
            });
        }
    });

    assert_eq!(memory.available(), 10 * BATCH);
    assert!(pooled(&memory) <= 10);
}

/// What happens to the budget, with indexes that are taken modulo the number of buffers or waiters.
#[derive(Debug, Clone)]
enum Operation {
    Drop(usize),
    Freeze(usize),
    GiveUp(usize),
    Grow(usize, usize),
    Move(usize, usize),
    Replace(usize, usize),
    TryTake(usize, usize),
    TryTakeExactly(usize, usize),
    Wait(usize, usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    let len = || prop_oneof![0..200_usize, Just(BATCH), 0..4 * BATCH];
    let index = any::<usize>;
    prop_oneof![
        index().prop_map(Operation::Drop),
        index().prop_map(Operation::Drop),
        index().prop_map(Operation::Freeze),
        index().prop_map(Operation::GiveUp),
        (index(), len()).prop_map(|(index, more)| Operation::Grow(index, more)),
        (index(), len()).prop_map(|(index, len)| Operation::Replace(index, len)),
        (index(), index()).prop_map(|(index, to)| Operation::Move(index, to)),
        (index(), len()).prop_map(|(index, least)| Operation::TryTake(index, least)),
        (index(), len()).prop_map(|(index, capacity)| Operation::TryTakeExactly(index, capacity)),
        (index(), len()).prop_map(|(index, least)| Operation::Wait(index, least)),
    ]
}

/// The memory of three partitions and, beside it, what must be true of it.
struct Bench {
    memory: Arc<BufferMemory>,
    partitions: [Arc<PartitionMemory>; 3],
    buffers: Vec<BatchBuffer>,
    frozen: Vec<(usize, [Bytes; 2])>,
    /// With what each needs at least.
    waiters: Vec<(usize, Take)>,
}

impl Bench {
    const TOTAL: usize = 10 * BATCH;

    fn new() -> Self {
        let memory = BufferMemory::new(Self::TOTAL, BATCH);
        let partitions = std::array::from_fn(|_| memory.partition());
        Self { memory, partitions, buffers: Vec::new(), frozen: Vec::new(), waiters: Vec::new() }
    }

    fn held(&self) -> usize {
        let growing: usize = self.buffers.iter().map(BatchBuffer::capacity).sum();
        growing + self.frozen.iter().map(|(reserved, _)| reserved).sum::<usize>()
    }

    fn remove(&mut self, index: usize) -> Option<BatchBuffer> {
        (!self.buffers.is_empty()).then(|| self.buffers.swap_remove(index % self.buffers.len()))
    }

    fn apply(&mut self, operation: &Operation) {
        let partition = |index: usize| &self.partitions[index % 3];
        match *operation {
            Operation::Drop(index) if index.is_multiple_of(2) => {
                self.remove(index);
            }
            // A clone goes first; the memory must stay with the other.
            Operation::Drop(_) => self.frozen.truncate(self.frozen.len().saturating_sub(1)),
            Operation::Freeze(index) => {
                let Some(buffer) = self.remove(index) else { return };
                let reserved = buffer.capacity();
                let bytes = buffer.freeze();
                self.frozen.push((reserved, [bytes.clone(), bytes]));
                self.frozen.last_mut().unwrap().1[0].clear();
            }
            Operation::GiveUp(index) if !self.waiters.is_empty() => {
                drop(self.waiters.remove(index % self.waiters.len()));
            }
            Operation::GiveUp(_) => {}
            Operation::Grow(index, more) => {
                let Some(buffer) = self.remove(index) else { return };
                let partition = Arc::clone(buffer.partition.as_ref().unwrap());
                match partition.try_take_larger(buffer.capacity() + more, buffer.capacity()) {
                    Some(mut larger) => {
                        buffer.copy_into(&mut larger);
                        self.buffers.push(larger);
                    }
                    None => self.buffers.push(buffer),
                }
            }
            Operation::Move(index, to) => {
                let Some(mut buffer) = self.remove(index) else { return };
                buffer.move_to(&self.partitions[to % 3]);
                self.buffers.push(buffer);
            }
            Operation::Replace(index, len) => {
                let Some(mut buffer) = self.remove(index) else { return };
                drop(buffer.replace_by(vec![1; len.min(buffer.capacity())]));
                self.buffers.push(buffer);
            }
            Operation::TryTake(index, least) => {
                let taken = partition(index).try_take(least);
                assert!(taken.as_ref().is_none_or(|buffer| buffer.capacity() >= least));
                self.buffers.extend(taken);
            }
            Operation::TryTakeExactly(index, capacity) => {
                let taken = partition(index).try_take_larger(capacity, 0);
                assert!(taken.as_ref().is_none_or(|buffer| buffer.capacity() == capacity));
                self.buffers.extend(taken);
            }
            Operation::Wait(index, least) => self.waiters.push((least, take(partition(index), least))),
        }
    }

    /// Polls every waiter; one that gets memory may let no other through, for memory is booked when it is granted.
    fn settle(&mut self) {
        for (least, mut waiter) in std::mem::take(&mut self.waiters) {
            match poll(&mut waiter) {
                Poll::Ready(buffer) => {
                    let buffer = buffer.unwrap();
                    assert!(buffer.capacity() >= least);
                    self.buffers.push(buffer);
                }
                Poll::Pending => self.waiters.push((least, waiter)),
            }
        }
        assert_eq!(self.memory.waiters(), self.waiters.len());
    }

    fn check(&self) {
        assert!(self.held() <= Self::TOTAL);
        assert!(self.held() + pooled(&self.memory) * BATCH <= Self::TOTAL);
        assert!(self.buffers.iter().all(|buffer| buffer.bytes.capacity() <= buffer.capacity()));
        assert_eq!(self.memory.available(), Self::TOTAL - self.held());
    }
}

fn check_that_memory_returns(operations: &[Operation]) {
    let mut bench = Bench::new();

    for operation in operations {
        bench.apply(operation);
        bench.settle();
        bench.check();
    }

    // A waiter that is left gets what it wants once all others have given back.
    bench.buffers.clear();
    bench.frozen.clear();
    for _ in 0..bench.waiters.len() {
        bench.settle();
        bench.buffers.clear();
    }
    assert!(bench.waiters.is_empty());
    assert_eq!(bench.memory.available(), Bench::TOTAL);
    assert!(pooled(&bench.memory) * BATCH <= Bench::TOTAL);
}

proptest! {
    #[test]
    fn memory_keeps_its_bound_and_returns_to_the_byte(operations in vec(operation(), 1..80)) {
        check_that_memory_returns(&operations);
    }
}

#[test]
fn memory_of_a_buffer_that_has_shrunk_returns_to_the_byte_while_others_wait() {
    check_that_memory_returns(&[
        Operation::TryTake(0, 0),
        Operation::TryTake(0, 4943),
        Operation::Drop(0),
        Operation::TryTake(0, 0),
        Operation::Grow(0, BATCH),
        Operation::TryTake(0, 0),
        Operation::TryTakeExactly(0, BATCH),
        Operation::TryTakeExactly(0, 4163),
        Operation::TryTakeExactly(0, BATCH),
        Operation::Replace(3, 111),
        Operation::Wait(0, 0),
        Operation::Wait(0, 0),
    ]);
}

/// Appends bytes to a buffer that has room for them.
fn fill(buffer: &mut BatchBuffer, bytes: &[u8]) {
    buffer.write(|room| {
        room[..bytes.len()].copy_from_slice(bytes);
        bytes.len()
    });
}
