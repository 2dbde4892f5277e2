//! Follows a file and sends its lines to Kafka: each at least once and in their order, however often it is killed.
//!
//! [`Tail`] reads lines, [`Shipper`] sends them, and [`Checkpoint`] remembers up to where all of them are acknowledged.

mod checkpoint;
mod shipper;
mod tail;

pub use self::checkpoint::Checkpoint;
pub use self::shipper::{Failure, Shipper};
pub use self::tail::{Line, Tail};
