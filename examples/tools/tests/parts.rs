//! Parts of the tools that decide something, with their tests. `examples/run-all` runs the tools themselves.

#[path = "../console_producer/failures.rs"]
#[expect(dead_code, reason = "only its tests are wanted")]
mod failures;
#[path = "../console_producer/line_reader.rs"]
#[expect(dead_code, reason = "only its tests are wanted")]
mod line_reader;
