//! The whole sender on virtual time, against brokers that do what the test says.
//!
//! `rig` plays the shell, `world` is the cluster as it really is, `wire` reads requests and writes answers by means
//! of the `kafka-protocol` crate. `simulation` is for what no test thinks of.

mod awaited;
mod clusters;
mod codes;
mod expiry;
mod explaining;
mod fail_stop;
mod forgetting;
mod idempotence;
mod leaders;
mod purging;
mod record_errors;
mod recovery;
mod recreation;
mod restarts;
mod retrying;
mod rig;
mod sending;
mod shell;
mod simulation;
mod splitting;
mod transactions;
mod unreadable;
mod waiting;
mod wire;
mod world;
