//! Record batches of format v2: the checks that a broker makes before it appends, and a few more.

use bytes::{Buf, Bytes, BytesMut};

use crate::compression::Compression;
use crate::error::code;
use crate::record::{MockRecord, RecordReader};
use crate::record_judge::RecordJudge;

/// A record batch as it lies in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MockBatch {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Number of records.
    pub record_count: i32,
    /// Codec of the records.
    pub compression: Compression,
    /// Id of an idempotent producer, -1 if there is none.
    pub producer_id: i64,
    /// Epoch of the producer id, -1 if there is none.
    pub producer_epoch: i16,
    /// Sequence number of the first record, -1 if there is none.
    pub base_sequence: i32,
    /// Epoch of the leader that appended the batch.
    pub partition_leader_epoch: i32,
    /// Whether the batch is part of a transaction.
    pub is_transactional: bool,
    /// Whether the batch is the marker of a transaction that has ended; then it has no records for readers.
    pub is_control: bool,
    /// The whole batch, header included; base offset and leader epoch are the broker's, the rest is the client's.
    pub bytes: Bytes,
}

/// Why a batch was refused: an error code, and a message for clients that can receive one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) code: i16,
    pub(crate) message: String,
    /// Indices in the batch of the records at fault, if some are.
    pub(crate) records: Vec<i32>,
}

impl Rejection {
    pub(crate) fn new(code: i16, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), records: Vec::new() }
    }

    fn corrupt(message: impl Into<String>) -> Self {
        Self::new(code::CORRUPT_MESSAGE, message)
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_RECORD, message)
    }

    fn at(record: i32, message: impl Into<String>) -> Self {
        Self { records: vec![record], ..Self::invalid(message) }
    }
}

/// The fixed part of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) batch_length: i32,
    pub(crate) partition_leader_epoch: i32,
    pub(crate) magic: i8,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) record_count: i32,
}

impl BatchHeader {
    pub(crate) fn read(mut bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER_BYTES {
            return None;
        }
        bytes.advance(8); // base offset: the broker's to say
        Some(Self {
            batch_length: bytes.get_i32(),
            partition_leader_epoch: bytes.get_i32(),
            magic: bytes.get_i8(),
            crc: bytes.get_u32(),
            attributes: bytes.get_i16(),
            last_offset_delta: bytes.get_i32(),
            base_timestamp: bytes.get_i64(),
            max_timestamp: bytes.get_i64(),
            producer_id: bytes.get_i64(),
            producer_epoch: bytes.get_i16(),
            base_sequence: bytes.get_i32(),
            record_count: bytes.get_i32(),
        })
    }

    /// Sequence number of the last record; after 2147483647 comes 0.
    pub(crate) fn last_sequence(&self) -> i32 {
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        i32::try_from(last & i64::from(i32::MAX)).unwrap_or(0)
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }
}

/// A batch that passed every check that needs no knowledge of its partition.
#[derive(Debug, Clone)]
pub(crate) struct CheckedBatch {
    pub(crate) header: BatchHeader,
    pub(crate) compression: Compression,
    bytes: Bytes,
}

impl CheckedBatch {
    /// Checks the records of one partition of a Produce request of the given version.
    pub(crate) fn check(records: Option<&Bytes>, produce_version: i16) -> Result<Self, Rejection> {
        let bytes = records.filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or_else(|| Rejection::invalid("produce request holds no record batch"))?;
        let header = BatchHeader::read(bytes).ok_or_else(|| Rejection::corrupt("batch header is cut off"))?;
        check_frame(&header, bytes)?;
        let compression = Compression::of_attributes(header.attributes)
            .ok_or_else(|| Rejection::invalid("batch names an unknown codec"))?;
        if compression == Compression::Zstd && produce_version < 7 {
            return Err(Rejection::new(code::UNSUPPORTED_COMPRESSION_TYPE, "zstd needs produce version 7"));
        }
        check_header(&header)?;
        let records = compression.decompress(bytes.slice(HEADER_BYTES..)).map_err(Rejection::invalid)?;
        check_records(&header, &records)?;
        Ok(Self { header, compression, bytes: bytes.clone() })
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Refuses the batch if one of its records does not please.
    pub(crate) fn judge_records(&self, judge: &RecordJudge) -> Result<(), Rejection> {
        let is_refused = |record: &MockRecord| record.value.as_deref().is_some_and(judge.is_refused);
        let records = self.store(0, 0).records();
        let refused: Vec<_> = (0_i32..).zip(&records).filter(|(_, record)| is_refused(record)).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let mut rejection = Rejection::new(judge.code, "records are not as this topic wants them");
        if judge.names_records {
            rejection.records = refused.into_iter().map(|(index, _)| index).collect();
        }
        Err(rejection)
    }

    /// Makes the stored form: the broker's offset and epoch, the client's bytes.
    pub(crate) fn store(&self, base_offset: i64, partition_leader_epoch: i32) -> MockBatch {
        let mut bytes = BytesMut::with_capacity(self.bytes.len());
        bytes.extend_from_slice(&base_offset.to_be_bytes());
        bytes.extend_from_slice(&self.header.batch_length.to_be_bytes());
        bytes.extend_from_slice(&partition_leader_epoch.to_be_bytes());
        bytes.extend_from_slice(&self.bytes.slice(MAGIC_AT..));
        MockBatch {
            base_offset,
            record_count: self.header.record_count,
            compression: self.compression,
            producer_id: self.header.producer_id,
            producer_epoch: self.header.producer_epoch,
            base_sequence: self.header.base_sequence,
            partition_leader_epoch,
            is_transactional: self.header.is_transactional(),
            is_control: false,
            bytes: bytes.freeze(),
        }
    }
}

impl MockBatch {
    /// Reads the records of the batch; a marker has none.
    pub fn records(&self) -> Vec<MockRecord> {
        let mut read = Vec::new();
        if self.is_control {
            return read;
        }
        // It was read before it was stored.
        let Some(header) = BatchHeader::read(&self.bytes) else { return read };
        let Ok(records) = self.compression.decompress(self.bytes.slice(HEADER_BYTES..)) else { return read };
        let mut reader = RecordReader::new(&records);
        while let Ok(Some(record)) = reader.next_record() {
            read.push(record.to_record(self.base_offset, header.base_timestamp, &records));
        }
        read
    }

    /// Returns the offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.record_count) - 1)
    }

    /// Returns the highest timestamp in the batch, in milliseconds since 1970.
    pub fn max_timestamp(&self) -> i64 {
        BatchHeader::read(&self.bytes).map_or(-1, |header| header.max_timestamp)
    }
}

/// Size of a batch without records.
pub(crate) const HEADER_BYTES: usize = 61;
/// Base offset and batch length come before what the batch length counts.
const LENGTH_COUNTS_FROM: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_COVERS_FROM: usize = 21;

/// Whether a batch says that it belongs to a transaction, whatever else is wrong with it.
pub(crate) fn is_transactional(records: Option<&Bytes>) -> bool {
    records
        .and_then(|bytes| BatchHeader::read(bytes))
        .is_some_and(|header| header.magic == 2 && header.is_transactional())
}

fn check_frame(header: &BatchHeader, bytes: &Bytes) -> Result<(), Rejection> {
    if header.magic != 2 {
        return Err(Rejection::invalid(format!("batch has magic {}, not 2", header.magic)));
    }
    let Some(length) = usize::try_from(header.batch_length)
        .ok()
        .and_then(|length| length.checked_add(LENGTH_COUNTS_FROM))
        .filter(|length| (HEADER_BYTES..=bytes.len()).contains(length))
    else {
        return Err(Rejection::corrupt(format!("batch length {} does not fit", header.batch_length)));
    };
    if length < bytes.len() {
        return Err(Rejection::invalid("produce request holds more than one record batch"));
    }
    let computed = crc32c::crc32c(&bytes.slice(CRC_COVERS_FROM..));
    if computed != header.crc {
        let message =
            format!("record batch is corrupt: stored crc {:#010x}, computed {computed:#010x}", header.crc);
        return Err(Rejection::corrupt(message));
    }
    Ok(())
}

fn check_header(header: &BatchHeader) -> Result<(), Rejection> {
    if header.is_control() {
        return Err(Rejection::invalid("clients may not write control records"));
    }
    if header.record_count <= 0 || header.record_count - 1 != header.last_offset_delta {
        let message = format!(
            "batch of {} records has last offset delta {}",
            header.record_count, header.last_offset_delta
        );
        return Err(Rejection::invalid(message));
    }
    if header.max_timestamp < header.base_timestamp || header.base_timestamp < -1 {
        let message = format!(
            "batch has base timestamp {} and max timestamp {}",
            header.base_timestamp, header.max_timestamp
        );
        return Err(Rejection::invalid(message));
    }
    if header.is_transactional() && header.producer_id < 0 {
        return Err(Rejection::invalid("batch of a transaction has no producer id"));
    }
    if header.producer_id >= 0 && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return Err(Rejection::invalid("batch has a producer id but no epoch or no sequence"));
    }
    Ok(())
}

fn check_records(header: &BatchHeader, records: &[u8]) -> Result<(), Rejection> {
    let mut reader = RecordReader::new(records);
    let mut max_timestamp = i64::MIN;
    let mut count = 0;
    loop {
        let record = match reader.next_record() {
            Ok(None) => break,
            Ok(Some(record)) => record,
            Err(message) => return Err(Rejection::at(count, message)),
        };
        if record.offset_delta != count {
            let message = format!("record {count} has offset delta {}", record.offset_delta);
            return Err(Rejection::at(count, message));
        }
        max_timestamp = max_timestamp.max(header.base_timestamp.saturating_add(record.timestamp_delta));
        count += 1; // every record has at least one byte, and a request has less than 2^31
    }
    if count != header.record_count {
        let message = format!("batch claims {} records and holds {count}", header.record_count);
        return Err(Rejection::invalid(message));
    }
    if max_timestamp != header.max_timestamp {
        let message =
            format!("batch claims max timestamp {}, its records have {max_timestamp}", header.max_timestamp);
        return Err(Rejection::invalid(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::{CRC_COVERS_FROM, CheckedBatch};
    use crate::compression::Compression;
    use crate::error::code;

    // Three records, written by Kafka's Java client: (1700000000000, "k1", "hello", h1="v1", h2=null),
    // (1700000000005, null, "world"), (1699999999990, "", null).
    const PLAIN: &str = "00000000000000000000005cffffffff02ba9f836b0000000000020000018bcfe568000000018bcfe56805ffff\
                         ffffffffffffffffffffffff000000032e000000046b310a68656c6c6f040468310476310468320116000a0201\
                         0a776f726c64000c001304000100";
    const LZ4: &str = "00000000000000000000006bffffffff02209517940003000000020000018bcfe568000000018bcfe56805ffffff\
                       ffffffffffffffffffffff0000000304224d186040822b0000802e000000046b310a68656c6c6f04046831047631\
                       0468320116000a02010a776f726c64000c00130400010000000000";
    const GZIP: &str = "000000000000000000000070ffffffff027a0882ab0001000000020000018bcfe568000000018bcfe56805ffffff\
                        ffffffffffffffffffffff000000031f8b08000000000000ffd363606060c936e4ca48cdc9c96761c93064293364\
                        c930621463e06262e42acf2fca4961e06110666160640000a0ad839d2b000000";
    const SNAPPY: &str = "000000000000000000000072ffffffff0283641fe20002000000020000018bcfe568000000018bcfe56805ffffff\
                        ffffffffffffffffffffff0000000382534e415050590000000001000000010000002d2ba82e000000046b310a68\
                        656c6c6f040468310476310468320116000a02010a776f726c64000c001304000100";
    const ZSTD: &str = "000000000000000000000068ffffffff022e8bb3ac0004000000020000018bcfe568000000018bcfe56805ffffff\
                        ffffffffffffffffffffff0000000328b52ffd00585801002e000000046b310a68656c6c6f040468310476310468\
                        320116000a02010a776f726c64000c001304000100010000";
    const ALL: [(&str, Compression); 5] = [
        (PLAIN, Compression::None),
        (GZIP, Compression::Gzip),
        (SNAPPY, Compression::Snappy),
        (LZ4, Compression::Lz4),
        (ZSTD, Compression::Zstd),
    ];

    fn bytes(hex: &str) -> BytesMut {
        let digits: Vec<_> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn check(bytes: BytesMut) -> Result<CheckedBatch, i16> {
        CheckedBatch::check(Some(&bytes.freeze()), 12).map_err(|rejection| rejection.code)
    }

    /// Overwrites bytes at a place and makes the CRC right again.
    fn patched(at: usize, patch: &[u8]) -> BytesMut {
        let mut batch = bytes(PLAIN);
        batch[at..at + patch.len()].copy_from_slice(patch);
        let crc = crc32c::crc32c(&batch[CRC_COVERS_FROM..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        batch
    }

    #[test]
    fn records_of_the_java_client_are_read() {
        for (hex, compression) in ALL {
            let batch = check(bytes(hex)).unwrap().store(40, 3);
            let records = batch.records();

            assert_eq!(batch.compression, compression);
            let seen: Vec<_> = records.iter().map(|record| (record.offset, record.timestamp)).collect();
            assert_eq!(seen, [(40, 1_700_000_000_000), (41, 1_700_000_000_005), (42, 1_699_999_999_990)]);
            let keys: Vec<_> = records.iter().map(|record| record.key.as_deref()).collect();
            assert_eq!(keys, [Some(b"k1".as_slice()), None, Some(b"")]);
            let values: Vec<_> = records.iter().map(|record| record.value.as_deref()).collect();
            assert_eq!(values, [Some(b"hello".as_slice()), Some(b"world"), None]);
            let headers = [("h1".to_owned(), Some(Bytes::from_static(b"v1"))), ("h2".to_owned(), None)];
            assert_eq!(records[0].headers, headers);
        }
    }

    #[test]
    fn the_stored_batch_differs_only_in_offset_and_epoch() {
        let stored = check(bytes(PLAIN)).unwrap().store(0x0102, 7).bytes;

        assert_eq!(stored[..16], [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0x5c, 0, 0, 0, 7]);
        assert_eq!(stored[16..], bytes(PLAIN)[16..]);
    }

    #[test]
    fn zstd_needs_version_7() {
        let refused = CheckedBatch::check(Some(&bytes(ZSTD).freeze()), 6).unwrap_err();
        assert_eq!(refused.code, code::UNSUPPORTED_COMPRESSION_TYPE);
    }

    #[test]
    fn every_flipped_bit_under_the_crc_is_found() {
        let good = bytes(PLAIN);
        for byte in 17..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[byte] ^= 1 << bit;
                assert_eq!(check(bad).unwrap_err(), code::CORRUPT_MESSAGE, "bit {bit} of byte {byte}");
            }
        }
    }

    #[test]
    fn cut_and_doubled_batches_are_refused() {
        let whole = bytes(PLAIN);
        for length in 1..whole.len() {
            let cut = whole.clone().split_to(length);
            assert_eq!(check(cut).unwrap_err(), code::CORRUPT_MESSAGE, "length {length}");
        }
        assert_eq!(check(BytesMut::new()).unwrap_err(), code::INVALID_RECORD);
        let mut double = whole.clone();
        double.extend_from_slice(&whole);
        assert_eq!(check(double).unwrap_err(), code::INVALID_RECORD);
    }

    #[test]
    fn contradictions_in_a_batch_are_refused() {
        let cases: [(&str, usize, &[u8], i16); 13] = [
            ("magic 1", 16, &[1], code::INVALID_RECORD),
            ("negative length", 8, &[255, 0, 0, 0], code::CORRUPT_MESSAGE),
            ("unknown codec", 22, &[5], code::INVALID_RECORD),
            ("control batch", 22, &[0x20], code::INVALID_RECORD),
            ("transaction without a producer id", 22, &[0x10], code::INVALID_RECORD),
            ("last offset delta 3", 26, &[3], code::INVALID_RECORD),
            ("max timestamp too high", 42, &[6], code::INVALID_RECORD),
            ("max timestamp before base", 35, &[0, 0, 0, 0, 0, 0, 0, 1], code::INVALID_RECORD),
            ("producer id without epoch", 43, &[0, 0, 0, 0, 0, 0, 0, 9], code::INVALID_RECORD),
            ("no records", 57, &[0, 0, 0, 0], code::INVALID_RECORD),
            ("length of the first record", 61, &[0x30], code::INVALID_RECORD),
            ("offset delta of the second record", 88, &[4], code::INVALID_RECORD),
            ("negative header count", 74, &[3], code::INVALID_RECORD),
        ];
        for (what, at, patch, expected) in cases {
            assert_eq!(check(patched(at, patch)).map(|_| ()), Err(expected), "{what}");
        }
    }

    #[test]
    fn a_count_that_the_records_do_not_bear_out_is_refused() {
        let mut batch = patched(26, &[1]);
        batch[57..61].copy_from_slice(&2_i32.to_be_bytes());
        let crc = crc32c::crc32c(&batch[CRC_COVERS_FROM..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());

        assert_eq!(check(batch).unwrap_err(), code::INVALID_RECORD);
    }

    #[test]
    fn no_garbage_behind_a_right_crc_brings_the_reader_down() {
        // A small generator of pseudo-random numbers (xorshift), so that every run tries the same.
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for (hex, _) in ALL {
            for _ in 0..10_000 {
                let mut batch = bytes(hex);
                for _ in 0..1 + random() % 4 {
                    let at = CRC_COVERS_FROM + (random() as usize) % (batch.len() - CRC_COVERS_FROM);
                    batch[at] = random() as u8;
                }
                let crc = crc32c::crc32c(&batch[CRC_COVERS_FROM..]);
                batch[17..21].copy_from_slice(&crc.to_be_bytes());
                if let Ok(checked) = check(batch) {
                    checked.store(0, 0).records();
                }
            }
        }
    }

    #[test]
    fn sequences_wrap_from_the_highest_to_zero() {
        let mut batch = patched(43, &4000_i64.to_be_bytes());
        batch[51..53].copy_from_slice(&[0, 0]);
        batch[53..57].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
        let crc = crc32c::crc32c(&batch[CRC_COVERS_FROM..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());

        assert_eq!(check(batch).unwrap().header.last_sequence(), 0);
    }
}
