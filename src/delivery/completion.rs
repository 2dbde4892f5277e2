//! `Completion`: a value that is set once, and the wakers of those who wait for it.

use std::task::{Context, Poll, Waker};

use crate::planted::planted;
use crate::sync::{
    AtomicU32, Mutex, MutexGuard, OnceLock, Ordering, PoisonError, expect_none_held, wake_all,
};

/// A value to come.
#[derive(Debug)]
pub(crate) struct Completion<T> {
    value: OnceLock<T>,
    wakers: Mutex<Wakers>,
    /// How many wait, as those say that have parked a waker: one may wait for several.
    parked: AtomicU32,
}

/// Wakers by slot. Closed when the value is set, so that a late waker is never parked for nothing.
#[derive(Debug, Default)]
struct Wakers {
    /// Each waker with the number of those that wait by it.
    slots: Vec<Option<(Waker, u32)>>,
    closed: bool,
}

/// No waker is parked. A slot has 31 bits.
pub(crate) const NO_SLOT: u32 = u32::MAX >> 1;

impl<T> Completion<T> {
    pub(crate) fn new() -> Self {
        Self { value: OnceLock::new(), wakers: Mutex::new(Wakers::default()), parked: AtomicU32::new(0) }
    }

    /// Sets the value; [`Completion::wake`] must follow. Returns false if there is one already.
    pub(crate) fn set(&self, value: T) -> bool {
        self.value.set(value).is_ok()
    }

    /// Wakes all tasks that wait. Call this after the value is set.
    pub(crate) fn wake(&self) {
        // The value is visible before the lock is taken: a task that registers after this finds `closed`, and the
        // waker of a task that registered before is in `slots`.
        let mut wakers = self.lock();
        wakers.closed = true;
        let slots = std::mem::take(&mut wakers.slots);
        drop(wakers);
        expect_none_held();
        // Often nothing waits.
        if !slots.is_empty() {
            wake_all(slots.into_iter().flatten().map(|(waker, _)| waker));
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Takes the value out of what is about to be dropped.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.value.take()
    }

    /// Returns how many wait.
    pub(crate) fn parked(&self) -> u32 {
        self.parked.load(Ordering::SeqCst)
    }

    /// Returns the value, or parks the waker in `slot`, which is `NO_SLOT` at first. So many wait by this waker.
    #[inline]
    pub(crate) fn poll(&self, cx: &Context<'_>, slot: &mut u32, waiting: u32) -> Poll<&T> {
        match self.value.get() {
            Some(value) => Poll::Ready(value),
            None => self.park(cx, slot, waiting),
        }
    }

    fn park(&self, cx: &Context<'_>, slot: &mut u32, waiting: u32) -> Poll<&T> {
        let mut wakers = self.lock();
        if wakers.closed && !planted!(LateWakerParked) {
            drop(wakers);
            return self.value.get().map_or(Poll::Pending, Poll::Ready);
        }
        let old = match wakers.slots.get_mut(*slot as usize) {
            Some(Some((known, before))) if *before == waiting && known.will_wake(cx.waker()) => None,
            Some(place) => {
                let old = place.replace((cx.waker().clone(), waiting));
                let before = old.as_ref().map_or(0, |(_, before)| *before);
                // Wraps around to what it is together.
                self.parked.fetch_add(waiting.wrapping_sub(before), Ordering::SeqCst);
                old
            }
            None => {
                *slot = u32::try_from(wakers.slots.len()).map_or(NO_SLOT, |slot| slot.min(NO_SLOT));
                wakers.slots.push(Some((cx.waker().clone(), waiting)));
                self.parked.fetch_add(waiting, Ordering::SeqCst);
                None
            }
        };
        // Dropping a waker may run whatever its executor likes: not under the lock.
        drop(wakers);
        drop(old);
        Poll::Pending
    }

    /// Takes a parked waker back.
    pub(crate) fn forget(&self, slot: u32) {
        let mut wakers = self.lock();
        let old = wakers.slots.get_mut(slot as usize).and_then(Option::take);
        if let Some((_, waiting)) = &old {
            self.parked.fetch_sub(*waiting, Ordering::Relaxed);
        }
        // A task that comes and goes over and over must not leave ever more empty places.
        while let Some(None) = wakers.slots.last() {
            wakers.slots.pop();
        }
        drop(wakers);
        drop(old);
    }

    #[cfg(test)]
    pub(crate) fn slots(&self) -> usize {
        self.lock().slots.len()
    }

    fn lock(&self) -> MutexGuard<'_, Wakers> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a bug of the application");
        }
    }

    #[derive(Default)]
    struct Counts(AtomicU32);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn waker_that_panics_leaves_no_other_asleep() {
        let (completion, counts) = (Completion::new(), Arc::<Counts>::default());
        let wakers = [Waker::from(Arc::new(Panics)), Waker::from(Arc::clone(&counts))];
        for waker in &wakers {
            assert!(completion.poll(&Context::from_waker(waker), &mut { NO_SLOT }, 1).is_pending());
        }

        assert!(completion.set(7));
        completion.wake();

        assert_eq!(counts.0.load(Ordering::SeqCst), 1);
    }
}
