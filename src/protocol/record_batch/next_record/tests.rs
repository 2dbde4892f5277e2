//! The short way beside the general one.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::{prop_assert_eq, proptest};

use crate::protocol::record_batch::{RecordBatchBuilder, RecordRef};
use crate::record::Headers;

const BASE: i64 = 1_700_000_000_000;
/// Numbers around those at which an encoding becomes longer, and at which a record ceases to be usual.
const BORDERS: [usize; 18] =
    [0, 1, 7, 8, 9, 16, 17, 56, 57, 62, 63, 64, 65, 8_063, 8_064, 8_191, 8_192, 1 << 20];

static PAYLOAD: [u8; 1 << 20] = [b'x'; 1 << 20];
static NO_HEADERS: Headers = Headers::new();

fn record(timestamp: i64, key: Option<usize>, value: Option<usize>) -> RecordRef<'static> {
    let bytes = |len: usize| &PAYLOAD[..len];
    RecordRef { timestamp, key: key.map(bytes), value: value.map(bytes), headers: &NO_HEADERS }
}

fn is_usual(count: u32, record: &RecordRef<'_>) -> bool {
    (1..8_192).contains(&count)
        && (0..8_192).contains(&(record.timestamp - BASE))
        && record.key.is_none_or(|key| key.len() < 64)
        && record.value.is_some_and(|value| value.len() <= 8_064)
}

/// A batch that is written in both ways.
struct Both {
    short: RecordBatchBuilder,
    general: RecordBatchBuilder,
    rooms: [Vec<u8>; 2],
}

impl Both {
    fn new() -> Self {
        let mut both = Self {
            short: RecordBatchBuilder::default(),
            general: RecordBatchBuilder::default(),
            rooms: [vec![0xa5; 3 << 20], vec![0x5a; 3 << 20]],
        };
        both.check(&record(BASE, None, None));
        both
    }

    fn check(&mut self, record: &RecordRef<'_>) {
        let [ours, expected] = &mut self.rooms;
        let is_usual = is_usual(self.short.count(), record);

        let written = self.short.write_usual(ours, record.key, record.value, record.timestamp);
        let lens = (record.key.map(<[u8]>::len), record.value.map(<[u8]>::len));
        assert_eq!(written.is_some(), is_usual, "{} {lens:?}", record.timestamp);
        let len = written.unwrap_or_else(|| self.short.write(ours, record, record.payload_len()));
        let expected_len = self.general.write_any(expected, record, record.payload_len());

        assert_eq!(len, expected_len, "{} {lens:?}", record.timestamp);
        assert!(ours[..len] == expected[..len], "{:02x?}", &ours[..len.min(20)]);
        assert_eq!(self.short.count(), self.general.count());
        assert_eq!(self.short.max_timestamp(), self.general.max_timestamp());
    }
}

#[test]
fn short_way_writes_the_same_at_every_border() {
    let deltas = [0, 63, 64, 8_191, 8_192, -1, -64, -8_192, 1 << 40];
    let lens = || BORDERS.into_iter().map(Some).chain([None]);
    let mut both = Both::new();
    for (key, value) in lens().flat_map(|key| lens().map(move |value| (key, value))) {
        for delta in deltas {
            both.check(&record(BASE + delta, key, value));
        }
    }
}

#[test]
fn short_way_writes_the_same_at_every_offset() {
    let mut both = Both::new();
    for number in 0..8_300 {
        both.check(&record(BASE + number / 100, None, Some(2)));
    }
}

#[test]
fn record_without_room_changes_nothing_but_bytes_of_the_room() {
    for (key, value) in
        [(None, 0), (None, 56), (None, 57), (None, 100), (Some(0), 0), (Some(12), 40), (Some(12), 100)]
    {
        let record = record(BASE + 70, key, Some(value));
        for room in 0..130 {
            let mut both = Both::new();

            let written =
                both.short.write_usual(&mut vec![0; room], record.key, record.value, record.timestamp);

            let needed = both.general.record_len(record.timestamp, record.payload_len());
            match written {
                None => {
                    assert!(room < needed.max(10), "{room} {needed}");
                    assert_eq!(both.short.max_timestamp(), BASE);
                    both.check(&record);
                }
                Some(len) => assert!(len == needed && len <= room, "{len} {needed} {room}"),
            }
        }
    }
}

fn any_len() -> impl Strategy<Value = Option<usize>> {
    option::weighted(0.8, prop_oneof![0..130_usize, (0..BORDERS.len()).prop_map(|at| BORDERS[at]), Just(100)])
}

proptest! {
    #[test]
    fn short_way_writes_what_the_general_one_does(
        runs in vec((1..100_usize, prop_oneof![-100..200_i64, 8_000..8_300_i64], any_len(), any_len()), 1..8),
    ) {
        let mut both = Both::new();
        for (times, delta, key, value) in runs {
            for _ in 0..times {
                both.check(&record(BASE + delta, key, value));
            }
        }
        prop_assert_eq!(both.short.count(), both.general.count());
    }
}
