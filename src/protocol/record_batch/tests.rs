//! Batches against Java's bytes and against the decoder of `kafka-protocol`.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use bytes::Buf;
use kafka_protocol::records::{Compression as TheirCompression, Record, RecordBatchDecoder};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use crate::protocol::testdata::golden_batch;

use super::*;

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Lz4, Compression::Snappy, Compression::Zstd];

/// The owned parts of a record.
#[derive(Debug, Clone)]
struct Parts {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Headers,
}

impl Parts {
    fn new(timestamp: i64, key: Option<&str>, value: Option<&str>) -> Self {
        let owned = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        Self { timestamp, key: owned(key), value: owned(value), headers: Headers::new() }
    }

    fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
        }
    }
}

impl PartialEq<DecodedRecord> for Parts {
    fn eq(&self, decoded: &DecodedRecord) -> bool {
        self.timestamp == decoded.timestamp
            && self.key.as_deref() == decoded.key.as_deref()
            && self.value.as_deref() == decoded.value.as_deref()
            && self.headers == decoded.headers
    }
}

/// The three records of the golden batches.
fn golden_records() -> Vec<Parts> {
    let mut first = Parts::new(1_700_000_000_000, Some("k1"), Some("hello"));
    first.headers.push("h1", "v1");
    first.headers.push("h2", None::<Bytes>);
    vec![
        first,
        Parts::new(1_700_000_000_005, None, Some("world")),
        Parts::new(1_699_999_999_990, Some(""), None),
    ]
}

fn build(records: &[Parts]) -> (RecordBatchBuilder, Vec<u8>) {
    let mut out = vec![0; HEADER_LEN];
    let mut builder = RecordBatchBuilder::default();
    for record in records {
        let record = record.as_ref();
        builder.append(&mut out, &record, record.payload_len());
    }
    (builder, out)
}

fn batch_of(records: &[Parts], identity: ProducerIdentity) -> Vec<u8> {
    let (builder, mut out) = build(records);
    builder.seal(&mut out, Compression::None, identity);
    out
}

#[test]
fn batch_equals_that_of_java() {
    let batch = batch_of(&golden_records(), ProducerIdentity::NONE);

    assert_eq!(batch, golden_batch("none"));
}

#[test]
fn batch_with_a_producer_id_equals_that_of_java() {
    let identity =
        ProducerIdentity { producer_id: 4000, producer_epoch: 3, base_sequence: 17, is_transactional: false };

    assert_eq!(batch_of(&golden_records(), identity), golden_batch("none-idempotent"));
}

#[test]
fn sealing_again_with_another_identity_rewrites_the_checksum() {
    let identity =
        ProducerIdentity { producer_id: 4000, producer_epoch: 3, base_sequence: 17, is_transactional: false };
    let (builder, mut batch) = build(&golden_records());

    builder.seal(&mut batch, Compression::None, identity);
    builder.seal(&mut batch, Compression::None, ProducerIdentity::NONE);

    assert_eq!(batch, golden_batch("none"));
}

#[test]
fn header_in_front_of_compressed_records_equals_that_of_java() {
    let (builder, _) = build(&golden_records());

    for codec in CODECS {
        let expected = golden_batch(&codec.to_string());
        let mut batch = [&[0; HEADER_LEN], &expected[HEADER_LEN..]].concat();

        builder.seal(&mut batch, codec, ProducerIdentity::NONE);

        assert_eq!(batch, expected, "{codec}");
    }
}

#[test]
fn records_compressed_by_java_are_those_that_we_write() {
    let (_, plain) = build(&golden_records());

    for codec in CODECS.into_iter().filter(|codec| codec.missing_feature().is_none()) {
        let golden = golden_batch(&codec.to_string());
        let decompressed = codec.decompress(&golden[HEADER_LEN..], 1000);

        assert_eq!(decompressed.as_deref(), Some(&plain[HEADER_LEN..]), "{codec}");
    }
}

/// Values of `AbstractRecords.estimateSizeInBytesUpperBound` of kafka-clients 4.3.1.
#[test]
fn upper_bounds_equal_those_of_java() {
    let empty = Parts::new(0, None, None);
    let mut full = Parts::new(0, Some("k1"), Some("value"));
    full.headers.push("h1", "v1");
    full.headers.push("h2", None::<Bytes>);

    assert_eq!(RecordRef::upper_bound(empty.as_ref().payload_len()), 85);
    assert_eq!(RecordRef::upper_bound(full.as_ref().payload_len()), 102);
}

#[test]
fn batch_of_no_records_can_be_sealed() {
    let batch = batch_of(&[], ProducerIdentity::NONE);

    assert_eq!(batch.len(), HEADER_LEN);
    assert_eq!(decode_records(&Bytes::from(batch)), Some(Vec::new()));
}

#[test]
fn headers_may_share_a_name() {
    let mut record = Parts::new(1, None, None);
    record.headers.push("h", "1");
    record.headers.push("h", "2");
    let records = [record];

    let decoded = decode_records(&batch_of(&records, ProducerIdentity::NONE).into()).unwrap();

    assert!(records.iter().eq(&decoded), "{decoded:?}");
}

#[test]
fn decoded_records_share_the_memory_of_the_batch() {
    let batch = Bytes::from(batch_of(&golden_records(), ProducerIdentity::NONE));

    let decoded = decode_records(&batch).unwrap();

    let value = decoded[0].value.as_ref().unwrap();
    assert!(batch.as_ptr_range().contains(&value.as_ptr()));
}

#[test]
fn batch_cut_anywhere_but_between_records_is_damaged() {
    let records = golden_records();
    let batch = Bytes::from(batch_of(&records, ProducerIdentity::NONE));
    let ends: Vec<_> = (0..=records.len()).map(|count| build(&records[..count]).1.len()).collect();

    for len in 0..=batch.len() {
        let decoded = decode_records(&batch.slice(..len));
        assert_eq!(decoded.map(|decoded| decoded.len()), ends.iter().position(|end| *end == len));
    }
}

#[test]
fn extreme_timestamps_come_back() {
    let times = [i64::MIN, i64::MAX, 0, -1, i64::MAX - 1];
    let records = times.map(|timestamp| Parts::new(timestamp, None, None));

    let decoded = decode_records(&batch_of(&records, ProducerIdentity::NONE).into()).unwrap();

    assert_eq!(decoded.iter().map(|record| record.timestamp).collect::<Vec<_>>(), times);
}

fn bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    let lens = prop_oneof![0..100_usize, 100..300_usize, Just(8191), Just(8192)];
    option::of((lens, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]))
}

/// Names differ within a record because the oracle keeps headers in a map.
fn headers() -> impl Strategy<Value = Headers> {
    let name = (any::<char>(), 0..70_usize).prop_map(|(char, len)| String::from_iter(vec![char; len]));
    btree_map(name, bytes(), 0..4).prop_map(|headers| headers.into_iter().collect())
}

/// Timestamps for which the arithmetic of the oracle does not overflow.
fn record() -> impl Strategy<Value = Parts> {
    let around_now = 1_700_000_000_000_i64 - 200..1_700_000_000_000 + 200;
    let timestamp = prop_oneof![around_now, Just(0), -(1_i64 << 61)..1_i64 << 61];
    (timestamp, bytes(), bytes(), headers()).prop_map(|(timestamp, key, value, headers)| Parts {
        timestamp,
        key,
        value,
        headers,
    })
}

fn identity() -> impl Strategy<Value = ProducerIdentity> {
    let some =
        (0..i64::MAX, 0..i16::MAX, 0..1_000_000).prop_map(|(producer_id, producer_epoch, base_sequence)| {
            ProducerIdentity { producer_id, producer_epoch, base_sequence, is_transactional: false }
        });
    prop_oneof![Just(ProducerIdentity::NONE), some]
}

fn is_same(ours: &Parts, theirs: &Record) -> bool {
    let headers = ours.headers.iter().map(|header| (header.name(), header.value()));
    ours.timestamp == theirs.timestamp
        && ours.key.as_deref() == theirs.key.as_deref()
        && ours.value.as_deref() == theirs.value.as_deref()
        && headers.eq(theirs.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())))
}

proptest! {
    #[test]
    fn oracle_reads_our_batches(records in vec(record(), 1..10), identity in identity()) {
        let mut batch = Bytes::from(batch_of(&records, identity));
        let crc = batch.slice(17..21).get_u32();
        prop_assert_eq!(crc, crc32c::crc32c(&batch[21..]));

        // Fails on a wrong length or checksum.
        let theirs = RecordBatchDecoder::decode_all(&mut batch).unwrap();

        prop_assert_eq!(theirs.len(), 1);
        prop_assert_eq!(theirs[0].compression, TheirCompression::None);
        prop_assert_eq!(theirs[0].records.len(), records.len());
        for (offset, (theirs, ours)) in (0_i32..).zip(theirs[0].records.iter().zip(&records)) {
            prop_assert!(is_same(ours, theirs), "{:?} {:?}", ours, theirs);
            prop_assert_eq!(theirs.offset, i64::from(offset));
            prop_assert_eq!(theirs.producer_id, identity.producer_id);
            prop_assert_eq!(theirs.producer_epoch, identity.producer_epoch);
            prop_assert_eq!(theirs.partition_leader_epoch, -1);
            prop_assert!(!theirs.transactional && !theirs.control && !theirs.delete_horizon);
            let sequence = if identity.base_sequence < 0 { -1 } else { identity.base_sequence + offset };
            prop_assert!(theirs.sequence == sequence || identity == ProducerIdentity::NONE);
        }
    }

    #[test]
    fn header_holds_the_first_and_the_largest_timestamp(records in vec(record(), 1..10)) {
        let mut batch = Bytes::from(batch_of(&records, ProducerIdentity::NONE));

        batch.advance(23);

        let times = records.iter().map(|record| record.timestamp);
        prop_assert_eq!(batch.get_i32(), i32::try_from(records.len()).unwrap() - 1);
        prop_assert_eq!(batch.get_i64(), records[0].timestamp);
        prop_assert_eq!(batch.get_i64(), times.max().unwrap());
    }

    #[test]
    fn records_come_back(records in vec(record(), 0..10)) {
        let decoded = decode_records(&batch_of(&records, ProducerIdentity::NONE).into()).unwrap();

        prop_assert!(records.iter().eq(&decoded));
    }

    #[test]
    fn announced_lengths_are_exact_and_below_the_upper_bound(records in vec(record(), 1..10)) {
        let mut out = vec![0; HEADER_LEN];
        let mut builder = RecordBatchBuilder::default();
        for record in &records {
            let record = record.as_ref();
            let (before, payload_len) = (out.len(), record.payload_len());
            let announced = builder.record_len(record.timestamp, payload_len);

            builder.append(&mut out, &record, payload_len);

            prop_assert_eq!(out.len() - before, announced);
            prop_assert!(HEADER_LEN + announced <= RecordRef::upper_bound(payload_len));
        }
    }

    #[test]
    fn random_bytes_do_no_harm(header in vec(any::<u8>(), HEADER_LEN), records in vec(any::<u8>(), 0..200)) {
        let _ = decode_records(&[header, records].concat().into());
    }

    #[test]
    fn damaged_batches_do_no_harm(records in vec(record(), 1..5), at in any::<usize>(), byte in any::<u8>()) {
        let mut batch = batch_of(&records, ProducerIdentity::NONE);
        let at = at % batch.len();

        batch[at] = byte;

        let _ = decode_records(&batch.into());
    }
}
