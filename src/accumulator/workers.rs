//! `Workers`: who compresses batches in place of those who close them.

use std::fmt::Debug;

/// Something to be done once, on any thread. Dropping it undone does no harm.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// Other threads, as many as there are cores to use.
pub(crate) trait Workers: Debug + Send + Sync {
    /// Takes work on, to be done when its turn comes.
    fn take(&self, work: Work);

    /// Takes work on unless every core has some already; gives it back then.
    fn try_take(&self, work: Work) -> Result<(), Work>;
}
