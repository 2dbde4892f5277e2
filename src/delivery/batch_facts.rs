//! `BatchFacts`: what the results of a batch's records tell beside where the batch is in the log.
//!
//! Records of a batch are mostly alike, so it keeps where they differ: nothing for a record that has the timestamp and the
//! sizes of the one before, 8 bytes for each other timestamp, and from the first other size on 4 bytes for each record. Numbers
//! that need more room than that stand in lists of their own.
//!
//! This memory is not part of `buffer.memory`. So a batch whose facts take a quarter of what its records may take is full.

/// What the result of one record tells beside where it is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordFacts {
    pub(crate) timestamp: i64,
    pub(crate) sizes: Sizes,
}

/// The bytes of a serialized key and value, as numbers on the wire: -1 for null. No record has 2 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes(u64);

/// The facts of all records of a batch.
#[derive(Debug, Clone)]
pub(crate) struct BatchFacts {
    /// The record that was noted last.
    last: RecordFacts,
    first_timestamp: i64,
    /// Ascending. The records before the first of these have `first_timestamp`.
    timestamps: Vec<TimestampRun>,
    /// Of each record, up to the last one that differs from the record after it. All others have the sizes of `last`.
    sizes: Vec<u32>,
    /// What does not fit there.
    odd: Option<Box<Odd>>,
}

/// Records in a row with the same timestamp.
#[derive(Debug, Clone, Copy)]
struct TimestampRun {
    first: u32,
    /// Since `first_timestamp`, or [`FAR`].
    delta: i32,
}

/// Where runs of records begin that are marked by [`FAR`] and [`LARGE`], and what they have. Ascending.
#[derive(Debug, Clone, Default)]
struct Odd {
    timestamps: Vec<(u32, i64)>,
    sizes: Vec<(u32, Sizes)>,
}

impl BatchFacts {
    /// Takes in the next record; `index` is the number of those before it. `capacity` is that of the batch in bytes, from which the
    /// memory that records of many sizes need is worked out. Returns whether the facts have grown.
    #[inline]
    pub(crate) fn note(&mut self, index: u32, record: RecordFacts, capacity: usize) -> bool {
        let is_other = record != self.last;
        if is_other {
            self.note_other(index, record, capacity);
        }
        is_other
    }

    /// Returns whether the facts take as much memory as they may beside a batch of up to `limit` bytes: no more records should follow.
    pub(crate) fn is_large(&self, limit: usize) -> bool {
        self.bytes() > limit / SHARE
    }

    /// Returns what is known of a record.
    pub(crate) fn get(&self, index: u32) -> RecordFacts {
        RecordFacts { timestamp: self.timestamp(index), sizes: self.sizes(index) }
    }

    #[inline(never)]
    fn note_other(&mut self, index: u32, record: RecordFacts, capacity: usize) {
        if index == 0 {
            self.first_timestamp = record.timestamp;
            self.last = record;
        }
        if record.timestamp != self.last.timestamp {
            self.begin_timestamp(index, record.timestamp);
        }
        if record.sizes != self.last.sizes {
            self.end_sizes(index, record.sizes, capacity);
        }
        self.last = record;
    }

    /// Returns how many bytes they take. They hold at most a quarter more.
    fn bytes(&self) -> usize {
        let odd = self.odd.as_ref().map_or(0, |odd| odd.timestamps.len() + odd.sizes.len());
        size_of::<TimestampRun>() * self.timestamps.len() + 4 * self.sizes.len() + 16 * odd
    }

    fn begin_timestamp(&mut self, first: u32, timestamp: i64) {
        let delta = timestamp.checked_sub(self.first_timestamp).and_then(|delta| i32::try_from(delta).ok());
        let delta = delta.unwrap_or(FAR);
        if delta == FAR {
            push(&mut self.odd.get_or_insert_default().timestamps, (first, timestamp));
        }
        push(&mut self.timestamps, TimestampRun { first, delta });
    }

    /// The records up to this one have the sizes of the last.
    fn end_sizes(&mut self, end: u32, next: Sizes, capacity: usize) {
        let last = self.last.sizes;
        let small = last.small().unwrap_or(LARGE);
        if small == LARGE {
            push(&mut self.odd.get_or_insert_default().sizes, (to_u32(self.sizes.len()), last));
        }
        let end = end as usize;
        if self.sizes.capacity() == 0 {
            let expected = last.bytes().midpoint(next.bytes()).max(LEAST_EXPECTED);
            self.sizes.reserve_exact((capacity / expected).max(end + FEW));
        }
        grow(&mut self.sizes, end);
        self.sizes.resize(end, small);
    }

    fn timestamp(&self, index: u32) -> i64 {
        let begun = self.timestamps.partition_point(|run| run.first <= index);
        let Some(run) = begun.checked_sub(1).and_then(|at| self.timestamps.get(at)) else {
            return self.first_timestamp;
        };
        match (run.delta, &self.odd) {
            (FAR, Some(odd)) => last_before(&odd.timestamps, index).unwrap_or(self.first_timestamp),
            (delta, _) => self.first_timestamp.wrapping_add(i64::from(delta)),
        }
    }

    fn sizes(&self, index: u32) -> Sizes {
        match (self.sizes.get(index as usize), &self.odd) {
            (Some(&LARGE), Some(odd)) => last_before(&odd.sizes, index).unwrap_or(self.last.sizes),
            (Some(&small), _) => Sizes::of_small(small),
            (None, _) => self.last.sizes,
        }
    }

    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        let odd = self.odd.as_ref();
        let odd = odd.map_or(0, |odd| 16 * (odd.timestamps.capacity() + odd.sizes.capacity()));
        self.timestamps.capacity() * size_of::<TimestampRun>() + self.sizes.capacity() * 4 + odd
    }
}

impl Default for BatchFacts {
    /// Of no record.
    fn default() -> Self {
        Self {
            last: RecordFacts { timestamp: -1, sizes: Sizes::UNKNOWN },
            first_timestamp: -1,
            timestamps: Vec::new(),
            sizes: Vec::new(),
            odd: None,
        }
    }
}

impl RecordFacts {
    /// What is told of a record of which nothing is known.
    pub(crate) const UNKNOWN: Self = Self { timestamp: -1, sizes: Sizes::UNKNOWN };

    #[inline]
    pub(crate) fn new(timestamp: i64, key_size: Option<usize>, value_size: Option<usize>) -> Self {
        Self { timestamp, sizes: Sizes::new(key_size, value_size) }
    }
}

impl Sizes {
    /// No record has these.
    const UNKNOWN: Self = Self((NO_SIZE << 32) | NO_SIZE);

    #[inline]
    fn new(key: Option<usize>, value: Option<usize>) -> Self {
        let size =
            |size: Option<usize>| size.map_or(NULL, |size| u64::try_from(size).unwrap_or(MOST).min(MOST));
        Self((size(key) << 32) | size(value))
    }

    pub(crate) fn key(self) -> Option<usize> {
        to_size(self.0 >> 32)
    }

    pub(crate) fn value(self) -> Option<usize> {
        to_size(self.0 & 0xffff_ffff)
    }

    fn bytes(self) -> usize {
        self.key().unwrap_or(0).saturating_add(self.value().unwrap_or(0))
    }

    /// In 32 bits: 0 for null, else one more than the size. `None` if there is no room for that.
    fn small(self) -> Option<u32> {
        let small = |size: Option<usize>| match size {
            None => Some(0),
            Some(size) => u16::try_from(size + 1).ok().filter(|size| *size < u16::MAX),
        };
        Some((u32::from(small(self.key())?) << 16) | u32::from(small(self.value())?))
    }

    fn of_small(small: u32) -> Self {
        let size = |small: u32| (small as usize & 0xffff).checked_sub(1);
        Self::new(size(small >> 16), size(small))
    }
}

/// In place of the distance of a timestamp that is too far from the first.
const FAR: i32 = i32::MIN;

/// In place of sizes that 32 bits cannot hold.
const LARGE: u32 = u32::MAX;

/// -1 on the wire.
const NULL: u64 = 0xffff_ffff;

/// The largest that the wire can tell.
const MOST: u64 = 0x7fff_ffff;

const NO_SIZE: u64 = 0xffff_fffe;

/// Timestamps and sizes for which there is room at once: a batch that is open for some milliseconds needs no more.
const FEW: usize = 8;

/// Of what the records of a batch may take, facts may take the part that is this many times smaller.
const SHARE: usize = 4;

/// Memory for sizes is taken as if no record were smaller than this on average, so it is at most a sixteenth of that of the batch until the
/// records are there.
const LEAST_EXPECTED: usize = 64;

/// Makes room for so many, by a quarter more than there are at least, so that little of it stays empty.
fn grow<T>(list: &mut Vec<T>, len: usize) {
    if len > list.capacity() {
        list.reserve_exact((len - list.len()).max(list.len() / 4).max(FEW));
    }
}

fn push<T>(list: &mut Vec<T>, value: T) {
    grow(list, list.len() + 1);
    list.push(value);
}

fn to_size(size: u64) -> Option<usize> {
    usize::try_from(size).ok().filter(|_| size <= MOST)
}

fn to_u32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Returns what the last run has that begins at or before a record.
fn last_before<T: Copy>(runs: &[(u32, T)], index: u32) -> Option<T> {
    let begun = runs.partition_point(|(first, _)| *first <= index);
    begun.checked_sub(1).and_then(|at| runs.get(at)).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests;
