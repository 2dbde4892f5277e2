//! Record batches: any records, written by us and read by the `kafka-protocol` crate; and any bytes, read by us.

use std::collections::HashMap;
use std::io::Read;

use bytes::{Buf, Bytes};
use kafka_producer::__internals::{PlainRecord, decode_batch, encode_records};
use kafka_producer::{Compression as Codec, Headers};
use kafka_protocol::records::{Compression, Record, RecordBatchDecoder};

use super::input::Input;

pub(crate) fn bytes(data: &[u8]) {
    let Some((choice, batch)) = data.split_first() else { return };
    let mut batch = batch.to_vec();
    let (codec, frame_header) = match (choice >> 2) & 3 {
        0 if choice & 1 == 0 => (Codec::None, &[][..]),
        0 => (Codec::Lz4, &LZ4_HEADER[..]),
        1 => (Codec::Gzip, &GZIP_HEADER[..]),
        2 => (Codec::Snappy, &SNAPPY_HEADER[..]),
        _ => (Codec::Zstd, &ZSTD_HEADER[..]),
    };
    if choice & 2 != 0 && batch.len() > HEADER_LEN {
        // Otherwise hardly an input would get as far as a block.
        batch.splice(HEADER_LEN..HEADER_LEN, frame_header.iter().copied());
    }
    let batch = Bytes::from(batch);
    // The first clone allocates, for all of them.
    let _shared = batch.clone();

    let limit = 255 * batch.len();

    let memory = allocation_counter::measure(|| drop(decode_batch(&batch, codec, limit)));

    // What a decoder works with; records take more than their bytes, and lists grow by doubling.
    let limit = (1 << 18) + 255 * 128 * u64::try_from(batch.len()).expect("inputs are small");
    assert!(memory.bytes_max <= limit, "{} bytes of memory for {} bytes", memory.bytes_max, batch.len());
    assert_eq!(memory.bytes_current, 0, "a decoder keeps nothing");
}

pub(crate) fn records(data: &[u8]) {
    let mut input = Input::new(data);
    let codec = CODECS[input.below(CODECS.len())];
    let identity = if input.bool() { (input.i64() & i64::MAX, 7, 2_147_483_000) } else { (-1, -1, -1) };
    let mut records = vec![record(&mut input)];
    while !input.is_empty() && records.len() < 1000 {
        records.push(record(&mut input));
    }

    let batch = encode_records(&records, codec, identity);

    let attributes = batch.slice(21..23).get_i16();
    let used = if attributes == 0 { Codec::None } else { codec };
    assert_eq!(i16::try_from(CODECS.iter().position(|codec| *codec == used).unwrap()), Ok(attributes));
    assert_eq!(decode_batch(&batch, used, 1 << 24).as_ref(), Some(&records), "read by ourselves");
    let read = read_by_another(batch);
    assert_eq!(read.len(), records.len());
    for (index, (read, record)) in (0_i32..).zip(read.iter().zip(&records)) {
        assert_same(read, record);
        assert_eq!(
            (read.offset, read.producer_id, read.producer_epoch),
            (index.into(), identity.0, identity.1)
        );
        let sequence = if identity.2 < 0 { -1 } else { identity.2 + index };
        assert_eq!(if identity.2 < 0 { -1 } else { read.sequence }, sequence);
    }
}

fn record(input: &mut Input<'_>) -> PlainRecord {
    let shape = input.byte();
    let timestamp = match shape & 3 {
        0 => 1_700_000_000_000 + i64::from(input.byte()),
        // Differences must fit into an `i64` for the other crate.
        1 => input.i64() / 4,
        _ => 1_700_000_000_000,
    };
    let mut headers = Headers::new();
    for _ in 0..shape >> 6 {
        let name: String = input.field().unwrap_or_default().iter().copied().map(char::from).collect();
        headers.push(name, input.field());
    }
    let key = if shape & 4 == 0 { None } else { input.field() };
    let mut value = input.field();
    if let Some(value) = value.as_mut().filter(|_| shape & 8 != 0) {
        // Longer than a block of LZ4's frames, and well compressible.
        *value = value.repeat(2000).into();
    }
    PlainRecord { timestamp, key, value, headers }
}

impl Input<'_> {
    fn field(&mut self) -> Option<Bytes> {
        let len = self.byte();
        (len != 255).then(|| Bytes::copy_from_slice(self.bytes(usize::from(len) % 64)))
    }
}

fn assert_same(read: &Record, written: &PlainRecord) {
    assert_eq!(read.timestamp, written.timestamp);
    assert_eq!(read.key, written.key);
    assert_eq!(read.value, written.value);
    // The other crate keeps one header of each name, the last.
    let last: HashMap<&str, Option<&[u8]>> =
        written.headers.iter().map(|header| (header.name(), header.value())).collect();
    let read: HashMap<&str, Option<&[u8]>> =
        read.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    assert_eq!(read, last);
}

fn read_by_another(mut batch: Bytes) -> Vec<Record> {
    let decompress = |bytes: &mut Bytes, compression| {
        let mut plain = Vec::new();
        match compression {
            Compression::None => bytes.reader().read_to_end(&mut plain)?,
            Compression::Gzip => flate2::read::GzDecoder::new(bytes.reader()).read_to_end(&mut plain)?,
            Compression::Lz4 => lz4_flex::frame::FrameDecoder::new(bytes.reader()).read_to_end(&mut plain)?,
            Compression::Snappy => read_xerial(bytes, &mut plain),
            Compression::Zstd => {
                ruzstd::decoding::StreamingDecoder::new(bytes.reader())?.read_to_end(&mut plain)?
            }
        };
        Ok(Bytes::from(plain))
    };
    let set = RecordBatchDecoder::decode_with_custom_compression(&mut batch, Some(decompress));
    assert!(batch.is_empty(), "{} bytes behind the batch", batch.len());
    set.expect("another crate reads the batch").records
}

/// Reads the frames of snappy-java's output stream.
fn read_xerial(bytes: &mut Bytes, plain: &mut Vec<u8>) -> usize {
    assert_eq!(bytes.split_to(SNAPPY_HEADER.len())[..], SNAPPY_HEADER);
    while bytes.has_remaining() {
        let len = usize::try_from(bytes.get_u32()).expect("blocks are small");
        let block = snap::raw::Decoder::new().decompress_vec(&bytes.split_to(len));
        plain.extend(block.expect("the block is whole"));
    }
    plain.len()
}

/// By their bits in the attributes.
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

const HEADER_LEN: usize = 61;
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// Magic number, version 1 with independent blocks, 64 KiB blocks, header checksum.
const LZ4_HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const SNAPPY_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// Magic number; a single segment whose length has one byte follows.
const ZSTD_HEADER: [u8; 5] = [0x28, 0xb5, 0x2f, 0xfd, 0x20];
