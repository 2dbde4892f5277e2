use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicI32, AtomicU32};
use std::thread;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::metadata::{PartitionInfo, TopicInfo};
use crate::pipeline::{LoadTable, choose_partition};
use crate::topic_partition::NodeId;

/// On partition 0 of many, with a batch size of 100 bytes.
fn sticky() -> StickyPartitioner {
    let sticky = StickyPartitioner::new(100);
    sticky.peek(9, || Some(0));
    sticky
}

fn unused() -> Option<i32> {
    panic!("no partition was to be chosen")
}

fn current(sticky: &StickyPartitioner) -> Option<i32> {
    sticky.peek(9, unused)
}

#[test]
fn first_use_chooses_and_later_ones_stay() {
    let sticky = StickyPartitioner::new(100);

    assert_eq!(sticky.peek(9, || Some(4)), Some(4));
    assert_eq!(sticky.peek(9, unused), Some(4));
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

    assert_eq!(sticky.peek(4, || Some(3)), Some(3));
}

#[test]
fn stays_until_batch_size_is_reached() {
    let sticky = sticky();

    assert!(!sticky.appended(0, 60, true, unused));
    assert!(!sticky.appended(0, 39, true, unused));
    assert!(sticky.appended(0, 1, true, || Some(5)));

    assert_eq!(current(&sticky), Some(5));
}

#[test]
fn count_starts_anew_on_the_next_partition() {
    let sticky = sticky();
    sticky.appended(0, 150, true, || Some(5));

    assert!(!sticky.appended(5, 99, true, unused));
    assert!(sticky.appended(5, 1, true, || Some(6)));
}

#[test]
fn within_a_batch_it_stays_until_twice_the_batch_size() {
    let sticky = sticky();

    assert!(!sticky.appended(0, 100, false, unused));
    assert!(!sticky.appended(0, 99, false, unused));
    assert!(sticky.appended(0, 1, false, || Some(5)));

    assert_eq!(current(&sticky), Some(5));
}

#[test]
fn move_that_was_put_off_is_made_when_the_batch_is_full() {
    let sticky = sticky();
    sticky.appended(0, 100, false, unused);

    assert!(sticky.still_on(0, false, unused));
    assert!(!sticky.still_on(0, true, || Some(5)));

    assert_eq!(current(&sticky), Some(5));
}

#[test]
fn batch_boundary_before_batch_size_is_no_reason_to_move() {
    let sticky = sticky();
    sticky.appended(0, 99, false, unused);

    assert!(sticky.still_on(0, true, unused));
}

#[test]
fn partition_left_by_another_thread_is_noticed_and_its_bytes_do_not_count() {
    let sticky = sticky();
    sticky.appended(0, 100, true, || Some(5));

    assert!(!sticky.still_on(0, false, unused));
    assert!(!sticky.appended(0, 1000, true, unused));
    assert!(!sticky.appended(5, 99, true, unused));
}

#[test]
fn same_partition_may_be_drawn_again_and_starts_anew() {
    let sticky = sticky();

    assert!(sticky.appended(0, 100, true, || Some(0)));
    assert!(!sticky.appended(0, 99, true, unused));
}

#[test]
fn batch_size_of_0_moves_on_after_each_record() {
    let sticky = StickyPartitioner::new(0);
    sticky.peek(9, || Some(0));

    assert!(sticky.appended(0, 70, false, || Some(1)));
}

#[test]
fn huge_counts_neither_overflow_nor_stay_for_ever() {
    let sticky = StickyPartitioner::new(u32::MAX);
    sticky.peek(9, || Some(0));

    assert!(!sticky.appended(0, u32::MAX - 1, false, unused));
    assert!(sticky.appended(0, u32::MAX, false, || Some(8)));
    assert_eq!(current(&sticky), Some(8));
}

/// One thread is about to move on while another does.
#[test]
fn of_two_moves_at_once_only_one_is_made() {
    let sticky = sticky();

    let moved = sticky.appended(0, 100, true, || {
        assert!(sticky.appended(0, 100, true, || Some(5)));
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

/// Every count is used exactly once, so with records of 10 bytes each tenth moves, whichever thread it is on.
#[test]
fn concurrent_appends_lose_no_move() {
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
                    let moved = sticky.appended(0, 10, true, || Some(0));
                    moves.fetch_add(u32::from(moved), Ordering::Relaxed);
                }
            });
        }
    });

    assert_eq!(moves.into_inner(), THREADS * RECORDS / 10);
}

/// Bytes that were counted on a partition are a whole `batch.size` each time it is left, although threads come late.
#[test]
fn concurrent_moves_start_each_partition_at_zero() {
    let sticky = sticky();
    let last = AtomicI32::new(0);
    let start = Barrier::new(4);

    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..200_000 {
                    let partition = sticky.peek(usize::MAX, unused).unwrap();
                    sticky.appended(partition, 10, true, || Some(last.fetch_add(1, Ordering::Relaxed) + 1));
                    assert!(Sticky::unpack(sticky.state.load(Ordering::Relaxed)).produced < 100);
                }
            });
        }
    });
}

#[test]
fn bytes_spread_inversely_to_queue_lengths() {
    let mut random = StdRng::seed_from_u64(7);
    let led = |partition| PartitionInfo::new(partition, Some(NodeId(1)));
    let topic = TopicInfo::new("t", [0, 1, 2].map(led));
    let loads = LoadTable::new(3, &[0, 1, 2], [(0, Some(0)), (1, Some(3)), (2, Some(1))]);
    let sticky = StickyPartitioner::new(100);
    let mut records = BTreeMap::<i32, u32>::new();

    for _ in 0..80_000 {
        let random = random.random();
        let partition = sticky.peek(3, || choose_partition(&topic, loads.as_ref(), random)).unwrap();
        *records.entry(partition).or_default() += 1;
        sticky.appended(partition, 10, true, || choose_partition(&topic, loads.as_ref(), random));
    }

    for (partition, expected) in [(0, 40_000), (1, 10_000), (2, 30_000)] {
        let off = records[&partition].abs_diff(expected);
        assert!(off < 2_000, "{off} too many or too few for partition {partition} of {records:?}");
    }
}
