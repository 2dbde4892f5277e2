//! What the programs of the comparison share.

pub mod deliveries;
pub mod failures;
pub mod null_broker;
pub mod options;
pub mod outcome;
pub mod sharing;
pub mod transactions;
pub mod usage;
