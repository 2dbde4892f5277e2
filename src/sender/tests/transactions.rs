//! Transactions: what coordinators are asked, in which order, and what follows from their answers.

mod coordinators;
mod ending;
mod epochs;
mod failing;
mod fencing;
mod members;
mod offsets;
mod whole;
