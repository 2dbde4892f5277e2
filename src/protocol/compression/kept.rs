//! `Kept`: what a codec needs again and again, kept by a thread from one batch to the next.

use std::cell::Cell;
use std::fmt;
use std::thread::{AccessError, LocalKey};

/// The state of a codec between two batches.
///
/// It is out of its place while it is used, and comes back only if the codec has ended as it should: after a panic, an
/// error or a stream that was broken off, the next batch gets a new one. A codec that is merely reset may write what was
/// left in it into the next batch.
pub(super) struct Kept<S>(Cell<Option<S>>);

/// A codec has stopped where its state is not known to be as good as new.
#[derive(Debug)]
pub(super) struct Broken;

impl<S> Kept<S> {
    pub(super) const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// Lends the state of this thread to `work`, or what `make` makes if none `fits`. It is kept unless `work` says that it is
    /// broken, or the thread is about to end.
    pub(super) fn lend<T>(
        place: &'static LocalKey<Self>,
        fits: impl FnOnce(&S) -> bool,
        make: impl FnOnce() -> Option<S>,
        work: impl FnOnce(&mut S) -> Result<Option<T>, Broken>,
    ) -> Option<T> {
        let kept = place.try_with(|kept| kept.0.take()).ok().flatten();
        let mut state = kept.filter(fits).or_else(make)?;
        let done = work(&mut state).ok()?;
        let _: Result<(), AccessError> = place.try_with(|kept| kept.0.set(Some(state)));
        done
    }
}

impl<S> fmt::Debug for Kept<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}
