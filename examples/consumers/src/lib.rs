//! How consumers of other crates go along with `Transaction::send_offsets`: what they say of the offsets that they have read, and of
//! their place in their group.
//!
//! `cargo check --locked --manifest-path examples/consumers/Cargo.toml` (with `--no-default-features --features krafka` it needs no
//! C sources of librdkafka). krafka needs Rust 1.95.
//!
//! Ask for both anew in each transaction: the generation of a group changes with every rebalance. And turn `enable.auto.commit` off.

#[cfg(feature = "krafka")]
pub mod krafka;
#[cfg(feature = "rdkafka")]
pub mod rdkafka;
