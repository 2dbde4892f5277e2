//! Any text as a `.properties` file (`tests/fuzz/properties.rs`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka_producer_fuzz::run("properties", data));
