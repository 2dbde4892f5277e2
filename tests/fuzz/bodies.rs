//! What is fuzzed: functions that take any bytes, and panic if something is wrong with the crate.
//!
//! Two programs call them: the targets in `fuzz/`, which search on and on, and the test beside this file, which tries
//! a bounded number of inputs on stable.

mod batches;
mod brokers;
mod credentials;
mod decoders;
mod frames;
mod http;
mod input;
mod properties;
mod sasl;
mod sender;
mod wire;

/// Takes the bytes of one input.
pub type Body = fn(&[u8]);

/// Every body by the name of its target.
pub const BODIES: [(&str, Body); 20] = [
    ("api_versions", decoders::api_versions),
    ("aws", credentials::aws),
    ("batch_bytes", batches::bytes),
    ("batch_records", batches::records),
    ("certificate", credentials::certificate),
    ("frames", frames::frames),
    ("http", http::http),
    ("init_producer_id", decoders::init_producer_id),
    ("jaas", sasl::jaas),
    ("jwt", credentials::jwt),
    ("keystore", credentials::keystore),
    ("metadata", decoders::metadata),
    ("pem", credentials::pem),
    ("produce", decoders::produce),
    ("properties", properties::properties),
    ("sasl_authenticate", decoders::sasl_authenticate),
    ("sasl_handshake", decoders::sasl_handshake),
    ("scram", sasl::scram),
    ("sender", sender::sender),
    ("url", credentials::url),
];

/// Runs the body of a target.
///
/// # Panics
///
/// When it finds something, or does not know the target.
pub fn run(target: &str, data: &[u8]) {
    let body = BODIES.iter().find(|(name, _)| *name == target).expect("target has a body").1;
    body(data);
}
