//! Any line as `sasl.jaas.config` (`tests/fuzz/sasl.rs`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka_producer_fuzz::run("jaas", data));
