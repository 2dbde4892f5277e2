//! Any bytes as a list of operations on the sender and on the brokers around it (`tests/fuzz/sender.rs`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka_producer_fuzz::run("sender", data));
