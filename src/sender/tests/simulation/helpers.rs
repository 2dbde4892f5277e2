//! Helpers: they compress batches on behalf of callers.

use std::sync::Mutex;

use crate::accumulator::{Work, Workers};

/// Compress batches on behalf of callers, a few at a time.
#[derive(Default)]
pub(super) struct Helpers(Mutex<Desk>);

#[derive(Default)]
struct Desk {
    works: Vec<Work>,
    /// Of these, how many the simulation has yet to hear of.
    news: usize,
    /// They have other things to do.
    is_busy: bool,
    /// What no helper has begun was taken back: they take on nothing more while they are busy.
    is_refusing: bool,
}

impl Helpers {
    pub(super) fn take_news(&self) -> usize {
        std::mem::take(&mut self.0.lock().unwrap().news)
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().works.len()
    }

    pub(super) fn finish(&self, which: usize) -> Option<Work> {
        let mut desk = self.0.lock().unwrap();
        (which < desk.works.len()).then(|| desk.works.swap_remove(which))
    }

    pub(super) fn clear(&self) {
        let works = std::mem::take(&mut self.0.lock().unwrap().works);
        drop(works);
    }

    pub(super) fn set_busy(&self, is_busy: bool) {
        let mut desk = self.0.lock().unwrap();
        desk.is_busy = is_busy;
        desk.is_refusing = false;
        if !is_busy {
            desk.news = desk.works.len();
        }
    }
}

impl Workers for Helpers {
    fn take(&self, work: Work) -> Result<(), Work> {
        let mut desk = self.0.lock().unwrap();
        if desk.is_refusing {
            return Err(work);
        }
        desk.works.push(work);
        desk.news += usize::from(!desk.is_busy);
        Ok(())
    }

    fn try_take(&self, work: Work) -> Result<(), Work> {
        if self.count() >= MOST_HELPERS {
            return Err(work);
        }
        self.take(work)
    }

    fn take_back(&self) -> Vec<Work> {
        let mut desk = self.0.lock().unwrap();
        desk.is_refusing = desk.is_busy;
        if desk.is_busy { std::mem::take(&mut desk.works) } else { Vec::new() }
    }
}

impl std::fmt::Debug for Helpers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Helpers")
    }
}

const MOST_HELPERS: usize = 3;
