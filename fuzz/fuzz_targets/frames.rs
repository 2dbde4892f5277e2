//! Any bytes as frames from a socket (`tests/fuzz/frames.rs`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka_producer_fuzz::run("frames", data));
