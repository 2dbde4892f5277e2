//! Has the Rust in the README and in the pages of `docs/` compiled: each block is a test of the documentation.

#[doc = include_str!("../README.md")]
mod readme {}

#[doc = include_str!("../docs/getting-started.md")]
mod getting_started {}

#[doc = include_str!("../docs/guarantees.md")]
mod guarantees {}

#[doc = include_str!("../docs/handling-errors.md")]
mod handling_errors {}

#[doc = include_str!("../docs/metrics.md")]
mod metrics {}

#[doc = include_str!("../docs/migration.md")]
mod migration {}

#[doc = include_str!("../docs/operations.md")]
mod operations {}

#[doc = include_str!("../docs/shutdown.md")]
mod shutdown {}

#[cfg(feature = "test-util")]
#[doc = include_str!("../docs/testing.md")]
mod testing {}

#[doc = include_str!("../docs/transactions.md")]
mod transactions {}

#[doc = include_str!("../docs/tuning.md")]
mod tuning {}
