//! Record batches that the crate writes and another crate reads (`tests/fuzz/batches.rs`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka_producer_fuzz::run("batch_records", data));
