//! Compression, and decoding of answers.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use kafka_producer::__internals as internals;
use kafka_producer::Compression;

fn main() {
    divan::main();
}

/// Codec, level and bytes; zstd does nothing without the feature.
const COMPRESSIONS: [(Compression, i32, usize); 8] = [
    (Compression::Gzip, -1, 16 * 1024),
    (Compression::Gzip, -1, 128 * 1024),
    (Compression::Lz4, 0, 16 * 1024),
    (Compression::Lz4, 0, 128 * 1024),
    (Compression::Snappy, 0, 16 * 1024),
    (Compression::Snappy, 0, 128 * 1024),
    (Compression::Zstd, 3, 16 * 1024),
    (Compression::Zstd, 3, 128 * 1024),
];

#[divan::bench(args = COMPRESSIONS)]
fn compress(bencher: Bencher<'_, '_>, (codec, level, len): (Compression, i32, usize)) {
    let records: Vec<u8> =
        (0..len / 8).flat_map(|number| format!("{:07};", number % 1000).into_bytes()).collect();
    bencher
        .counter(BytesCount::new(records.len()))
        .bench_local(|| internals::compress(codec, level, &records));
}

/// An answer of version 9 for one topic with this many partitions, all well.
fn produce_response(partitions: u8) -> Vec<u8> {
    let mut body = vec![2, 6];
    body.extend(b"topic");
    body.push(partitions + 1);
    for partition in 0..partitions {
        body.extend([0, 0, 0, partition, 0, 0]);
        body.extend(42_i64.to_be_bytes());
        body.extend((-1_i64).to_be_bytes());
        body.extend(0_i64.to_be_bytes());
        // No record errors, no message, no tags.
        body.extend([1, 0, 0]);
    }
    body.extend([0, 0, 0, 0, 0, 0]);
    body
}

#[divan::bench(args = [1, 64, 120])]
fn decode_produce_response(bencher: Bencher<'_, '_>, partitions: u8) {
    let body = produce_response(partitions);
    assert!(internals::decode_response(0, 9, &body), "the bench's own bytes are a good answer");
    bencher.counter(ItemsCount::new(partitions)).bench_local(|| internals::decode_response(0, 9, &body));
}
