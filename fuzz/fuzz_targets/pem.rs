//! Any bytes for `pem` (`tests/fuzz/credentials.rs`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka_producer_fuzz::run("pem", data));
