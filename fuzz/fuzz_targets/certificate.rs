//! Any bytes for `certificate` (`tests/fuzz/credentials.rs`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka_producer_fuzz::run("certificate", data));
