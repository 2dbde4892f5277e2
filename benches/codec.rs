//! Compression, and decoding of answers.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use kafka_producer::__internals as internals;

fn main() {
    divan::main();
}

#[divan::bench(args = [16 * 1024, 128 * 1024])]
fn compress_lz4(bencher: Bencher<'_, '_>, len: usize) {
    let records: Vec<u8> =
        (0..len / 8).flat_map(|number| format!("{:07};", number % 1000).into_bytes()).collect();
    bencher.counter(BytesCount::new(records.len())).bench_local(|| internals::compress_lz4(&records));
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
