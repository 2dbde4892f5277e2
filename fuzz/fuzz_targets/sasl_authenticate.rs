//! Any bytes as an answer to SaslAuthenticate (`tests/fuzz/decoders.rs`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka_producer_fuzz::run("sasl_authenticate", data));
