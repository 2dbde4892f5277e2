//! The facts of many records, held against a plain list of them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const CAPACITY: usize = 16 * 1024;

fn noted(records: &[RecordFacts]) -> BatchFacts {
    let mut facts = BatchFacts::default();
    for (index, record) in (0..).zip(records) {
        facts.note(index, *record, CAPACITY);
    }
    facts
}

fn record(timestamp: i64, key: Option<usize>, value: Option<usize>) -> RecordFacts {
    RecordFacts::new(timestamp, key, value)
}

/// Sizes around the limits of what has room in 16 bits, and of what the wire can tell.
fn sizes() -> impl Strategy<Value = Option<usize>> {
    let size = prop_oneof![
        4 => 0_usize..4,
        1 => 65_530_usize..65_540,
        1 => Just(0x7fff_ffff_usize),
    ];
    proptest::option::of(size)
}

/// Timestamps around one another, and as far from one another as can be.
fn timestamps() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => 1_000_000_i64..1_000_003,
        1 => (i64::from(i32::MAX) + 999_998)..(i64::from(i32::MAX) + 1_000_003),
        1 => (1_000_000 + i64::from(i32::MIN) - 2)..(1_000_003 + i64::from(i32::MIN)),
        1 => Just(i64::MIN),
        1 => Just(i64::MAX),
        1 => Just(-1),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_record_has_the_facts_that_were_noted(
        runs in vec((timestamps(), sizes(), sizes(), 1_usize..5), 0..60),
    ) {
        let records: Vec<_> = runs
            .iter()
            .flat_map(|&(timestamp, key, value, count)| vec![record(timestamp, key, value); count])
            .collect();

        // Also while the batch grows.
        for len in [records.len() / 2, records.len()] {
            let facts = noted(&records[..len]);
            for (index, record) in (0..).zip(&records[..len]) {
                prop_assert_eq!(facts.get(index), *record, "record {}", index);
            }
        }
    }
}

#[test]
fn sizes_are_told_as_they_were_given() {
    let facts =
        noted(&[record(5, None, Some(0)), record(5, Some(0), None), record(5, Some(70_000), Some(3))]);

    let sizes = |index| (facts.get(index).sizes.key(), facts.get(index).sizes.value());
    assert_eq!([sizes(0), sizes(1)], [(None, Some(0)), (Some(0), None)]);
    assert_eq!(sizes(2), (Some(70_000), Some(3)));
}

#[test]
fn nothing_is_told_of_a_batch_without_records() {
    let record = BatchFacts::default().get(3);

    assert_eq!((record.timestamp, record.sizes.key(), record.sizes.value()), (-1, None, None));
    assert_eq!(record, RecordFacts::UNKNOWN);
}

#[test]
fn records_that_are_alike_take_no_memory() {
    for sizes in [(None, Some(100)), (Some(70_000), Some(1_000_000))] {
        let facts = noted(&[record(i64::MAX, sizes.0, sizes.1); 10_000]);

        assert_eq!(facts.held_bytes(), 0);
    }
}

#[test]
fn other_timestamps_take_eight_bytes_and_other_sizes_four_for_each_record() {
    let count = 8192_u32;
    let at = |index: u32| 1000 + i64::from(index / 1000);
    let some: Vec<_> = (0..count).map(|index| record(at(index), None, Some(index as usize % 7))).collect();
    let each: Vec<_> = (0..count).map(|index| record(index.into(), None, Some(5))).collect();

    // Room grows by quarters.
    assert!(noted(&some).held_bytes() <= 5 * count as usize + 10 * 16);
    assert!(noted(&each).held_bytes() <= 10 * count as usize);
}

#[test]
fn facts_are_large_when_they_take_a_quarter_of_the_batch() {
    // Each further from the one before than 32 bits tell, and of another size.
    let each = |index: u32| record(i64::from(index % 2) << 40, None, Some(index as usize % 3));
    let mut facts = BatchFacts::default();

    let noted = (0..)
        .take_while(|index| {
            facts.note(*index, each(*index), CAPACITY);
            !facts.is_large(CAPACITY)
        })
        .count();

    assert!(noted > 100 && facts.held_bytes() <= CAPACITY * 3 / 8, "{noted}: {}", facts.held_bytes());
}

#[test]
fn memory_for_sizes_is_taken_once_and_is_little() {
    let records: Vec<_> = (0..140).map(|index| record(5, None, Some(95 + index % 10))).collect();
    let mut facts = noted(&records[..2]);
    let at_first = facts.held_bytes();

    for (index, record) in (0..).zip(&records).skip(2) {
        facts.note(index, *record, CAPACITY);
    }

    assert_eq!(facts.held_bytes(), at_first);
    for few in [[0, 1], [0, 1_000_000]] {
        let facts = noted(&few.map(|size| record(5, None, Some(size))));
        assert!(facts.held_bytes() <= CAPACITY / 16, "{few:?}: {}", facts.held_bytes());
    }
}
