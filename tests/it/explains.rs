//! The sheet of failures: what an application is told of each. The tests stage them, and compare what they hear with
//! `docs/errors.md`, where a reader finds it.
//!
//! Run them with `KAFKA_PRODUCER_BLESS=1` to write the sheet anew.

mod configuration;
mod connecting;
mod delivering;
mod ending;
mod peers;
mod sheet;
mod topics;
