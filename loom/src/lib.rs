//! The parts of `kafka-producer` that put tasks to sleep and wake them, built with loom's locks and atomics.
//!
//! Each function of [`models`] is one scenario; loom runs it under every order that the memory model allows, and fails it if
//! in one of them a task sleeps for ever. The sources are those of the crate, not copies.

#![expect(dead_code, reason = "the models use part of what the crate needs")]

mod buffer_memory;
mod delivery;
pub mod models;
mod sync;
