//! Any words of a broker in SCRAM (`tests/fuzz/sasl.rs`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka_producer_fuzz::run("scram", data));
