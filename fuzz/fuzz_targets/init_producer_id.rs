//! Any bytes as an answer to InitProducerId (`tests/fuzz/decoders.rs`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka_producer_fuzz::run("init_producer_id", data));
