//! Counts what the budget looks at, for tests of how its work grows.

use std::cell::Cell;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Counts one look at a wait or at a line.
pub(in crate::buffer_memory) fn count() {
    STEPS.set(STEPS.get() + 1);
}

/// Returns how often this thread looks at a wait or at a line while `run` runs.
pub(super) fn of(run: impl FnOnce()) -> u64 {
    let before = STEPS.get();
    run();
    STEPS.get() - before
}
