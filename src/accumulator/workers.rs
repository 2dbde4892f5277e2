//! `Workers`: threads that compress batches in place of the callers who close them.

use std::fmt::{self, Debug};

/// The compression of a batch, to be done once, on any thread. Dropping it undone leaves the batch as it is.
pub(crate) struct Work {
    run: Box<dyn FnOnce() + Send>,
    is_quick: bool,
}

impl Work {
    /// `is_quick` says that it takes about a millisecond at most.
    pub(crate) fn new(is_quick: bool, run: impl FnOnce() + Send + 'static) -> Self {
        Self { run: Box::new(run), is_quick }
    }

    /// Does it, however long that takes.
    pub(crate) fn run(self) {
        (self.run)();
    }

    /// Does it if that is quick; the batch is sent as it is otherwise.
    pub(crate) fn run_if_quick(self) {
        if self.is_quick {
            self.run();
        }
    }
}

impl Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("is_quick", &self.is_quick).finish_non_exhaustive()
    }
}

/// Other threads, as many as there are cores to use.
///
/// They may be late, or never come: the accumulator gives them work and looks after it with [`Workers::take_back`].
pub(crate) trait Workers: Debug + Send + Sync {
    /// Takes work on, to be done when its turn comes. Gives it back if no thread has come for what was there before.
    fn take(&self, work: Work) -> Result<(), Work>;

    /// Takes work on unless every core has some already; gives it back then.
    fn try_take(&self, work: Work) -> Result<(), Work>;

    /// Gives back everything that no thread has begun, unless one is at work that will come to it.
    fn take_back(&self) -> Vec<Work>;
}
