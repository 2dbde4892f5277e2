//! Any bytes as an answer of HTTP (`tests/fuzz/http.rs`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka_producer_fuzz::run("http", data));
