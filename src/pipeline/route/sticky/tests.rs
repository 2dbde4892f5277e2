//! When the sticky partitioner stays and when it moves on.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::thread;

use super::*;

/// On partition 0 of many, with a batch size of 100 bytes.
fn sticky() -> StickyPartitioner {
    let sticky = StickyPartitioner::new(100);
    sticky.peek(9, || Some(0));
    sticky
}

fn unused() -> Option<usize> {
    panic!("no partition was to be chosen")
}

fn current(sticky: &StickyPartitioner) -> Option<usize> {
    sticky.peek(9, unused)
}

#[test]
fn first_use_chooses_and_later_ones_stay() {
    let sticky = StickyPartitioner::new(100);
    assert_eq!(sticky.current(9), None);

    assert_eq!(sticky.peek(9, || Some(4)), Some(4));
    assert_eq!(sticky.peek(9, unused), Some(4));
    assert_eq!(sticky.current(9), Some(4));
}

#[test]
fn topic_without_partitions_has_none() {
    let sticky = StickyPartitioner::new(100);

    assert_eq!(sticky.peek(0, || None), None);
    assert_eq!(sticky.peek(9, || Some(4)), Some(4));
}

#[test]
fn partition_that_no_longer_exists_is_left() {
    let sticky = StickyPartitioner::new(100);
    sticky.peek(9, || Some(4));

    assert_eq!(sticky.current(4), None);
    assert_eq!(sticky.peek(4, || Some(3)), Some(3));
}

#[test]
fn stays_until_batch_size_is_reached_and_the_batch_has_ended() {
    let sticky = sticky();

    assert!(!sticky.count(0, 60, unused));
    assert!(!sticky.leave(0, unused));
    assert!(!sticky.count(0, 40, unused));
    assert!(sticky.leave(0, || Some(5)));

    assert_eq!(current(&sticky), Some(5));
}

#[test]
fn count_starts_anew_on_the_next_partition() {
    let sticky = sticky();
    sticky.count(0, 150, unused);
    sticky.leave(0, || Some(5));

    assert!(!sticky.count(5, 99, unused));
    assert!(!sticky.leave(5, unused));
    assert!(!sticky.count(5, 1, unused));
    assert!(sticky.leave(5, || Some(6)));
}

#[test]
fn within_a_batch_it_stays_until_twice_the_batch_size() {
    let sticky = sticky();

    assert!(!sticky.count(0, 100, unused));
    assert!(!sticky.count(0, 99, unused));
    assert!(sticky.count(0, 1, || Some(5)));

    assert_eq!(current(&sticky), Some(5));
}

#[test]
fn end_of_a_batch_before_batch_size_is_no_reason_to_move() {
    let sticky = sticky();
    sticky.count(0, 99, unused);

    assert!(!sticky.leave(0, unused));

    assert_eq!(current(&sticky), Some(0));
}

#[test]
fn partition_left_by_another_thread_is_noticed_and_its_bytes_do_not_count() {
    let sticky = sticky();
    sticky.move_to(0, 5);

    assert!(!sticky.count(0, 1000, unused));
    assert!(!sticky.leave(0, unused));
    sticky.move_to(0, 8);

    assert_eq!(current(&sticky), Some(5));
    assert!(!sticky.count(5, 99, unused));
    assert!(!sticky.leave(5, unused));
}

#[test]
fn partition_is_left_for_a_certain_one_however_little_went_there() {
    let sticky = sticky();

    sticky.move_to(0, 7);

    assert_eq!(current(&sticky), Some(7));
}

#[test]
fn same_partition_may_be_drawn_again_and_starts_anew() {
    let sticky = sticky();

    assert!(sticky.count(0, 200, || Some(0)));
    assert!(!sticky.count(0, 99, unused));
    assert!(!sticky.leave(0, unused));
}

#[test]
fn batch_size_of_0_moves_on_after_each_record() {
    let sticky = StickyPartitioner::new(0);
    sticky.peek(9, || Some(0));

    assert!(sticky.count(0, 70, || Some(1)));
}

#[test]
fn huge_counts_neither_overflow_nor_stay_for_ever() {
    let sticky = StickyPartitioner::new(usize::MAX);
    sticky.peek(9, || Some(0));

    assert!(!sticky.count(0, u32::MAX as usize - 1, unused));
    assert!(sticky.count(0, usize::MAX, || Some(8)));
    assert_eq!(current(&sticky), Some(8));
}

/// One thread is about to move on while another does.
#[test]
fn of_two_moves_at_once_only_one_is_made() {
    let sticky = sticky();

    let moved = sticky.count(0, 200, || {
        assert!(sticky.count(0, 200, || Some(5)));
        Some(6)
    });

    assert!(!moved);
    assert_eq!(current(&sticky), Some(5));
}

/// One thread is about to take the first partition while another does.
#[test]
fn of_two_first_uses_at_once_both_get_the_same_partition() {
    let sticky = StickyPartitioner::new(100);

    let peeked = sticky.peek(9, || {
        sticky.peek(9, || Some(5));
        Some(6)
    });

    assert_eq!(peeked, Some(5));
}

/// Every count is used exactly once, so with records of 10 bytes each twentieth moves, whichever thread it is on.
#[test]
fn concurrent_counts_lose_no_move() {
    const THREADS: u32 = 4;
    const RECORDS: u32 = 200_000;
    let sticky = sticky();
    let moves = AtomicU32::new(0);
    let start = Barrier::new(THREADS as usize);

    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                for _ in 0..RECORDS {
                    // Always the same partition, so that no count is left out.
                    let moved = sticky.count(0, 10, || Some(0));
                    moves.fetch_add(u32::from(moved), Ordering::Relaxed);
                }
            });
        }
    });

    assert_eq!(moves.into_inner(), THREADS * RECORDS / 20);
}

/// Each partition starts at zero, although threads come late with what went to the one before.
#[test]
fn concurrent_moves_start_each_partition_at_zero() {
    let sticky = sticky();
    let last = AtomicUsize::new(0);
    let start = Barrier::new(4);

    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..200_000 {
                    let partition = sticky.peek(usize::MAX, unused).unwrap();
                    sticky.count(partition, 10, || Some(last.fetch_add(1, Ordering::Relaxed) + 1));
                    assert!(Sticky::unpack(sticky.state.load(Ordering::Relaxed)).produced < 200);
                }
            });
        }
    });
}
