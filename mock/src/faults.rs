//! Faults that a test orders: data that say which requests are hit, how often, and what happens to them.
//!
//! A [`Fault`] is an action and conditions. [`Faults`] are those that wait; they make a [`FaultPlan`] for each request, and `wire` says
//! what the plan does to the bytes of the answer.

mod action;
mod conditions;
mod fault;
mod parse;
mod plan;
mod wire;

pub use fault::Fault;
pub use parse::ParseFaultError;

pub(crate) use action::{Loss, Pace};
pub(crate) use conditions::{Arrival, Target};
pub(crate) use plan::{FaultPlan, Faults, LeaderMove};
pub(crate) use wire::{Sending, Then};
