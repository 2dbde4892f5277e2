//! The same small program four times, as it was with another client and as it is with this one: a comment has the old lines, and what takes
//! their place stands beneath. Every old line compiles with the version that the file names. `docs/migration.md` has the words.
//!
//! ```text
//! cargo run --manifest-path examples/recipes/Cargo.toml -p migration -- rdkafka
//! ```

use std::error::Error;

pub mod from_confluent_kafka;
pub mod from_java;
pub mod from_krafka;
pub mod from_rdkafka;

/// What the programs fail with.
pub type AnyError = Box<dyn Error + Send + Sync>;

fn step(what: &str) {
    println!("-- {what}");
}
