//! Any bytes as an answer to SaslHandshake (`tests/fuzz/decoders.rs`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka_producer_fuzz::run("sasl_handshake", data));
