//! The short way of a record into its batch. All that stands before a short key, or before a value without a key, is one number,
//! which is written at once.
//!
//! ```text
//!  length │ attributes  timestamp  offset  key length │ key │ value length │ value │ headers
//!   1–2   │     00         1–2      1–2        1      │     │     1–2      │       │   00
//!          └── kept from record to record ──┘
//! ```

use super::RecordBatchBuilder;

impl RecordBatchBuilder {
    /// Writes a usual record to the beginning of `room` and returns how long it is: one without headers and with a value, a key of
    /// less than 64 bytes or none, and small numbers everywhere. `None` if it is not of this kind or does not fit: nothing but
    /// the bytes of `room` may have changed then.
    ///
    /// The first record of a batch is not usual.
    #[inline(always)]
    pub(crate) fn write_usual(
        &mut self,
        room: &mut [u8],
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: i64,
    ) -> Option<usize> {
        let value = value.filter(|value| value.len() <= LONGEST_VALUE)?;
        if timestamp != self.next.timestamp || self.count >= self.next.count_below {
            self.renew_next(timestamp)?;
        }
        let len = match key {
            None => self.next.write_without_key(room, value)?,
            Some(key) => self.next.write_with_key(room, key, value)?,
        };
        self.next.bits = self.next.bits.wrapping_add(self.next.step);
        self.count += 1;
        // Two instructions, while `max` takes four.
        if timestamp > self.max_timestamp {
            self.max_timestamp = timestamp;
        }
        Some(len)
    }

    /// Once for each millisecond, and for every 64 records.
    #[cold]
    #[inline(never)]
    fn renew_next(&mut self, timestamp: i64) -> Option<()> {
        self.next = NextRecord::new(self.count, timestamp, self.base_timestamp)?;
        Some(())
    }
}

/// How the next record begins, if it has this timestamp. Its length and its key come to it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NextRecord {
    timestamp: i64,
    /// Attributes, timestamp and offset, the first byte lowest.
    bits: u64,
    /// How long these are: 3 to 5.
    len: u8,
    /// What makes the offset in them one larger.
    step: u64,
    /// As long as the batch has fewer records. 0 if this stands for no record.
    count_below: u32,
}

impl NextRecord {
    fn new(count: u32, timestamp: i64, base_timestamp: i64) -> Option<Self> {
        let delta = usize::try_from(timestamp.checked_sub(base_timestamp)?).ok()?;
        let offset = count as usize;
        if offset == 0 || delta.max(offset) > TWO_BYTES {
            return None;
        }
        let (delta, delta_len) = shortest(delta);
        let (offset, offset_len) = shortest(offset);
        Some(Self {
            timestamp,
            bits: (delta | offset << (8 * delta_len)) << 8,
            len: 1 + delta_len + offset_len,
            step: 2 << (8 + 8 * delta_len),
            // From there on the offset has another second byte.
            count_below: (count | 63) + 1,
        })
    }

    #[inline]
    fn write_without_key(&self, room: &mut [u8], value: &[u8]) -> Option<usize> {
        if value.len() > ONE_BYTE {
            self.put_without_key::<2, 2>(room, value)
        } else if self.len() + 3 + value.len() > ONE_BYTE {
            self.put_without_key::<2, 1>(room, value)
        } else {
            self.put_without_key::<1, 1>(room, value)
        }
    }

    #[inline]
    fn write_with_key(&self, room: &mut [u8], key: &[u8], value: &[u8]) -> Option<usize> {
        if key.len() > ONE_BYTE {
            None
        } else if value.len() > ONE_BYTE {
            self.put_with_key::<2, 2>(room, key, value)
        } else if self.len() + 3 + key.len() + value.len() > ONE_BYTE {
            self.put_with_key::<2, 1>(room, key, value)
        } else {
            self.put_with_key::<1, 1>(room, key, value)
        }
    }

    /// `LENGTH` and `VALUE_LENGTH` are the bytes that these take.
    #[inline]
    fn put_without_key<const LENGTH: usize, const VALUE_LENGTH: usize>(
        &self,
        room: &mut [u8],
        value: &[u8],
    ) -> Option<usize> {
        let key_and_length = NULL | bits::<VALUE_LENGTH>(value.len()) << 8;
        let body = self.len() + 1 + VALUE_LENGTH + value.len() + 1;
        let rest = begin::<LENGTH>(room, body, self.followed_by(key_and_length))?;
        end(rest.get_mut(self.len() + 1 + VALUE_LENGTH..)?, value)?;
        Some(LENGTH + body)
    }

    #[inline]
    fn put_with_key<const LENGTH: usize, const VALUE_LENGTH: usize>(
        &self,
        room: &mut [u8],
        key: &[u8],
        value: &[u8],
    ) -> Option<usize> {
        let body = self.len() + 1 + key.len() + VALUE_LENGTH + value.len() + 1;
        let rest = begin::<LENGTH>(room, body, self.followed_by(bits::<1>(key.len())))?;
        let (place, rest) = rest.get_mut(self.len() + 1..)?.split_at_mut_checked(key.len())?;
        copy_key(place, key);
        let (length, rest) = rest.split_first_chunk_mut()?;
        *length = varint::<VALUE_LENGTH>(value.len());
        end(rest, value)?;
        Some(LENGTH + body)
    }

    #[inline]
    fn len(&self) -> usize {
        usize::from(self.len)
    }

    #[inline]
    fn followed_by(&self, bits: u64) -> u64 {
        // Within 64 bits in any case, which the compiler does not know.
        self.bits | bits << (8 * u32::from(self.len) % u64::BITS)
    }
}

/// Writes the length of a record and, in the same eight bytes in any case, the beginning of its body. Returns the body.
#[inline]
fn begin<const LENGTH: usize>(room: &mut [u8], body: usize, bits: u64) -> Option<&mut [u8]> {
    // Asked first, for the other slices are then known to be within.
    if room.len() < LENGTH + body {
        return None;
    }
    let (length, room) = room.split_first_chunk_mut()?;
    *length = varint::<LENGTH>(body);
    *room.first_chunk_mut()? = bits.to_le_bytes();
    room.get_mut(..body)
}

/// Writes the value, and that there are no headers.
#[inline]
fn end(rest: &mut [u8], value: &[u8]) -> Option<()> {
    let (headers, place) = rest.split_last_mut()?;
    *headers = 0;
    if place.len() != value.len() {
        return None;
    }
    place.copy_from_slice(value);
    Some(())
}

/// A call of `memcpy` takes twice as long as this for keys of 8 to 16 bytes.
#[inline]
fn copy_key(place: &mut [u8], key: &[u8]) {
    match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        (Some(first), Some(last)) if key.len() <= 16 => {
            if let Some(place) = place.first_chunk_mut() {
                *place = *first;
            }
            if let Some(place) = place.last_chunk_mut() {
                *place = *last;
            }
        }
        _ => place.copy_from_slice(key),
    }
}

/// The largest numbers whose zig-zag encodings need one byte and two.
const ONE_BYTE: usize = 63;
const TWO_BYTES: usize = 8191;

/// So that the length of a record with a key of 63 bytes needs two bytes.
const LONGEST_VALUE: usize = TWO_BYTES - 127;

/// A length of -1.
const NULL: u64 = 1;

#[inline]
fn shortest(number: usize) -> (u64, u8) {
    if number > ONE_BYTE { (bits::<2>(number), 2) } else { (bits::<1>(number), 1) }
}

/// Returns the zig-zag encoding of a number that needs one byte or two, the first byte lowest.
#[inline]
fn bits<const LEN: usize>(number: usize) -> u64 {
    let zig_zag = 2 * number as u64;
    if LEN == 1 { zig_zag } else { zig_zag + (zig_zag & 0x3f80) + 0x80 }
}

#[inline]
fn varint<const LEN: usize>(number: usize) -> [u8; LEN] {
    bits::<LEN>(number).to_le_bytes().first_chunk().copied().unwrap_or([0; LEN])
}

#[cfg(test)]
mod tests;
