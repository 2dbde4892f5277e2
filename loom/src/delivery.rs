//! The crate's room of the same name, without what a delivery is.

#[path = "../../src/delivery/completion.rs"]
pub(crate) mod completion;
