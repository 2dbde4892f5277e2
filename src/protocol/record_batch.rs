//! Record batch v2: encoded record by record in place, its header patched when the batch is sealed.
//!
//! ```text
//!  0        8        12       16 17    21    23    27      35      43      51    53    57    61
//!  │base    │length  │leader  │2 │crc  │attr │last │base   │max    │pid    │epoch│base │count│records…
//!  │offset  │        │epoch   │  │     │     │delta│time   │time   │       │     │seq  │     │
//! ```
//! The checksum covers everything from `attr` on. What a broker rewrites (offset, leader epoch) lies before it.

use bytes::Bytes;

use crate::protocol::compression::Compression;
use crate::record::Headers;
use crate::wire::varint::{self, PutByte};

mod next_record;

use self::next_record::NextRecord;

/// Bytes before the first record.
pub(crate) const HEADER_LEN: usize = 61;

/// Most that a record can take beside its key, value and headers: length 5, attributes 1, timestamp 10, offset 5.
pub(crate) const MAX_RECORD_OVERHEAD: usize = 21;

/// Most that the lengths of key and value and the number of no headers take.
const PLAIN_OVERHEAD: usize = 11;

/// `baseOffset` and `batchLength` are not counted by `batchLength`.
const LOG_OVERHEAD: usize = 12;

const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
/// The bit of the attributes that says that a batch is part of a transaction.
const TRANSACTIONAL: i16 = 0x10;
const MAGIC: u8 = 2;

static NO_HEADERS: Headers = Headers::new();

/// The serialized parts of one record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordRef<'a> {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a Headers,
}

impl RecordRef<'_> {
    /// A record of nulls.
    pub(crate) const NULL: Self = Self { timestamp: 0, key: None, value: None, headers: &NO_HEADERS };

    /// Returns the bytes of key, value and headers with their lengths, the part that does not depend on the batch.
    #[inline]
    pub(crate) fn payload_len(&self) -> usize {
        let mut len = nullable_len(self.key) + nullable_len(self.value) + 1;
        if !self.headers.is_empty() {
            len += varint::varint_len(to_i32(self.headers.len())) - 1;
            for header in self.headers {
                len += nullable_len(Some(header.name().as_bytes()));
                len += nullable_len(header.value());
            }
        }
        len
    }

    /// Returns no less than [`RecordRef::upper_bound`] does, without a look at each number.
    #[inline]
    pub(crate) fn bytes_at_most(&self) -> usize {
        let plain = self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len);
        match self.headers.is_empty() {
            true => Self::upper_bound(plain + PLAIN_OVERHEAD),
            false => Self::upper_bound(self.payload_len()),
        }
    }

    /// Returns the most bytes that a batch of this record alone can take, compression left aside.
    ///
    /// This is what `max.request.size` and `buffer.memory` are compared with, as in Java
    /// (`AbstractRecords.estimateSizeInBytesUpperBound`).
    #[inline]
    pub(crate) fn upper_bound(payload_len: usize) -> usize {
        HEADER_LEN + MAX_RECORD_OVERHEAD + payload_len
    }
}

/// What a batch knows of its records while they are appended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RecordBatchBuilder {
    base_timestamp: i64,
    max_timestamp: i64,
    count: u32,
    /// For [`RecordBatchBuilder::write_usual`].
    next: NextRecord,
}

impl RecordBatchBuilder {
    /// Returns the latest timestamp of its records.
    pub(crate) fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// Appends a record to a vector, for tests and benches. The caller that begins a batch leaves [`HEADER_LEN`]
    /// bytes before it.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn append(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>, payload_len: usize) {
        let at = out.len();
        out.resize(at + self.record_len(record.timestamp, payload_len), 0);
        self.write(out.get_mut(at..).unwrap_or_default(), record, payload_len);
    }

    /// Writes a record, whose `payload_len` the caller has computed already, to the beginning of `room` and returns how long
    /// it is. What does not fit is cut off.
    #[inline]
    pub(crate) fn write(&mut self, room: &mut [u8], record: &RecordRef<'_>, payload_len: usize) -> usize {
        if record.headers.is_empty()
            && let Some(len) = self.write_usual(room, record.key, record.value, record.timestamp)
        {
            return len;
        }
        self.write_any(room, record, payload_len)
    }

    /// Writes a record to the beginning of `room` and returns how long it is, if it fits with room to spare.
    #[inline(always)]
    pub(crate) fn try_write(&mut self, room: &mut [u8], record: &RecordRef<'_>) -> Option<usize> {
        if record.headers.is_empty()
            && let Some(len) = self.write_usual(room, record.key, record.value, record.timestamp)
        {
            return Some(len);
        }
        self.try_write_any(room, record)
    }

    #[inline(never)]
    fn try_write_any(&mut self, room: &mut [u8], record: &RecordRef<'_>) -> Option<usize> {
        let payload_len = record.payload_len();
        let fits = MAX_RECORD_OVERHEAD + payload_len <= room.len();
        fits.then(|| self.write_any(room, record, payload_len))
    }

    fn write_any(&mut self, room: &mut [u8], record: &RecordRef<'_>, payload_len: usize) -> usize {
        self.next = NextRecord::default();
        if self.count == 0 {
            self.base_timestamp = record.timestamp;
            self.max_timestamp = record.timestamp;
        } else {
            self.max_timestamp = self.max_timestamp.max(record.timestamp);
        }
        let timestamp_delta = record.timestamp.wrapping_sub(self.base_timestamp);
        let offset_delta = to_i32(self.count as usize);
        let body = 1 + varint::varlong_len(timestamp_delta) + varint::varint_len(offset_delta) + payload_len;

        let mut out = Cursor { room, at: 0 };
        out.put_varint(to_i32(body));
        out.put_u8(0);
        out.put_varlong(timestamp_delta);
        out.put_varint(offset_delta);
        out.put_nullable(record.key);
        out.put_nullable(record.value);
        out.put_varint(to_i32(record.headers.len()));
        for header in record.headers {
            out.put_nullable(Some(header.name().as_bytes()));
            out.put_nullable(header.value());
        }
        debug_assert_eq!(out.at, varint::varint_len(to_i32(body)) + body, "the length was worked out");
        self.count += 1;
        out.at
    }

    /// Returns the exact bytes that a record would add.
    pub(crate) fn record_len(&self, timestamp: i64, payload_len: usize) -> usize {
        let timestamp_delta = if self.count == 0 { 0 } else { timestamp.wrapping_sub(self.base_timestamp) };
        let body = 1
            + varint::varlong_len(timestamp_delta)
            + varint::varint_len(to_i32(self.count as usize))
            + payload_len;
        varint::varint_len(to_i32(body)) + body
    }

    /// Returns the number of records.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Writes the header over the first bytes of `batch`, with the checksum last.
    pub(crate) fn seal(&self, batch: &mut [u8], compression: Compression, identity: ProducerIdentity) {
        let total = batch.len();
        let Some(header) = batch.first_chunk_mut::<HEADER_LEN>() else { return };
        let mut fields = HeaderFields(header);
        fields.put(0, &0_i64.to_be_bytes());
        fields.put(8, &to_i32(total - LOG_OVERHEAD).to_be_bytes());
        fields.put(12, &(-1_i32).to_be_bytes());
        fields.put(16, &[MAGIC]);
        let transactional = if identity.is_transactional { TRANSACTIONAL } else { 0 };
        fields.put(ATTRIBUTES_AT, &(compression.attribute_bits() | transactional).to_be_bytes());
        fields.put(23, &to_i32((self.count as usize).saturating_sub(1)).to_be_bytes());
        fields.put(27, &self.base_timestamp.to_be_bytes());
        fields.put(35, &self.max_timestamp.to_be_bytes());
        fields.put(43, &identity.producer_id.to_be_bytes());
        fields.put(51, &identity.producer_epoch.to_be_bytes());
        fields.put(53, &identity.base_sequence.to_be_bytes());
        fields.put(57, &to_i32(self.count as usize).to_be_bytes());
        let crc = batch.get(ATTRIBUTES_AT..).map_or(0, crc32c::crc32c);
        if let Some(field) = batch.get_mut(CRC_AT..ATTRIBUTES_AT) {
            field.copy_from_slice(&crc.to_be_bytes());
        }
    }
}

/// Who wrote a batch, for the broker's check against duplicates; all -1 without idempotence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerIdentity {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    /// The records count once their transaction is committed.
    pub(crate) is_transactional: bool,
}

impl ProducerIdentity {
    pub(crate) const NONE: Self =
        Self { producer_id: -1, producer_epoch: -1, base_sequence: -1, is_transactional: false };

    /// Returns the identity of a batch that begins `records` records further on. After `i32::MAX` comes 0.
    pub(crate) fn advanced_by(self, records: u32) -> Self {
        let next = (i64::from(self.base_sequence) + i64::from(records)) % (i64::from(i32::MAX) + 1);
        Self { base_sequence: i32::try_from(next).unwrap_or(0), ..self }
    }
}

/// One record read back from a batch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DecodedRecord {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Headers,
}

impl<'a> From<&'a DecodedRecord> for RecordRef<'a> {
    fn from(record: &'a DecodedRecord) -> Self {
        Self {
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
        }
    }
}

/// Reads the records of an uncompressed batch back, each field a slice of `batch`. `None` if the bytes are damaged.
///
/// Serves records that are given back in an error and batches that must be split.
pub(crate) fn decode_records(batch: &Bytes) -> Option<Vec<DecodedRecord>> {
    let (header, mut rest) = batch.split_first_chunk::<HEADER_LEN>()?;
    let base_timestamp = i64::from_be_bytes(*header.get(27..)?.first_chunk()?);
    let mut records = Vec::new();
    while !rest.is_empty() {
        records.push(decode_record(&mut rest, batch, base_timestamp)?);
    }
    Some(records)
}

fn decode_record(rest: &mut &[u8], batch: &Bytes, base_timestamp: i64) -> Option<DecodedRecord> {
    varint::read_varint(rest).ok()?;
    take(rest, 1)?;
    let timestamp = base_timestamp.wrapping_add(varint::read_varlong(rest).ok()?);
    varint::read_varint(rest).ok()?;
    let key = take_nullable(rest, batch)?;
    let value = take_nullable(rest, batch)?;
    let mut headers = Headers::new();
    for _ in 0..varint::read_varint(rest).ok()? {
        let name = take_nullable(rest, batch)?.unwrap_or_default();
        headers.push(String::from_utf8_lossy(&name).into_owned(), take_nullable(rest, batch)?);
    }
    Some(DecodedRecord { timestamp, key, value, headers })
}

fn take_nullable(rest: &mut &[u8], batch: &Bytes) -> Option<Option<Bytes>> {
    let len = varint::read_varint(rest).ok()?;
    let Ok(len) = usize::try_from(len) else { return Some(None) };
    Some(Some(batch.slice_ref(take(rest, len)?)))
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

#[inline]
fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::varint_len(to_i32(bytes.len())) + bytes.len())
}

/// Where the next byte of a record goes. Beyond the end of the room nothing is written.
struct Cursor<'a> {
    room: &'a mut [u8],
    at: usize,
}

impl PutByte for Cursor<'_> {
    #[inline]
    fn put_u8(&mut self, byte: u8) {
        if let Some(place) = self.room.get_mut(self.at) {
            *place = byte;
            self.at += 1;
        }
    }
}

impl Cursor<'_> {
    /// Nearly all numbers in a record need one byte or two.
    #[inline]
    fn put_varint(&mut self, value: i32) {
        self.put_unsigned(varint::zig_zag_32(value));
    }

    #[inline]
    fn put_varlong(&mut self, value: i64) {
        match u32::try_from(varint::zig_zag_64(value)) {
            Ok(small) => self.put_unsigned(small),
            Err(_) => varint::put_varlong(self, value),
        }
    }

    #[inline]
    fn put_unsigned(&mut self, value: u32) {
        if value < 0x80 {
            let [byte, ..] = value.to_le_bytes();
            self.put_u8(byte);
        } else if value < 0x4000 {
            let [first, second, ..] = (value & 0x7f | 0x80 | (value & 0x3f80) << 1).to_le_bytes();
            self.put(&[first, second]);
        } else {
            varint::put_unsigned_varint(self, value);
        }
    }

    #[inline]
    fn put_nullable(&mut self, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else { return self.put_u8(NULL) };
        self.put_varint(to_i32(bytes.len()));
        self.put(bytes);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if let Some(place) = self.room.get_mut(self.at..end) {
            place.copy_from_slice(bytes);
            self.at = end;
        }
    }
}

/// A length of -1.
const NULL: u8 = 1;

// A record over 2 GiB never gets here: `max.request.size` is an int. Saturating keeps the function total.
fn to_i32(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}

struct HeaderFields<'a>(&'a mut [u8; HEADER_LEN]);

impl HeaderFields<'_> {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(field) = self.0.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
