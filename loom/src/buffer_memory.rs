//! The crate's room of the same name, without its buffers.

#[path = "../../src/buffer_memory/budget.rs"]
pub(crate) mod budget;
#[path = "../../src/buffer_memory/fair_memory.rs"]
pub(crate) mod fair_memory;
#[path = "../../src/buffer_memory/hungry.rs"]
pub(crate) mod hungry;
