//! Reads work from a place that it can go back to, and writes each result exactly once, however often it is killed.
//!
//! [`Source`] reads the work, [`Sink`] writes results and the position that they reach in one transaction, and [`Progress`] finds that
//! position again. `brokers` asks Kafka for it.

mod brokers;
mod progress;
mod sink;
mod source;

pub use self::brokers::Failure;
pub use self::progress::Progress;
pub use self::sink::{Sink, result_of};
pub use self::source::{Part, Source};
