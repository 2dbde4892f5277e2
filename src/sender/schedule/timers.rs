//! `Timers`: when to look at which partition again if nothing happens before.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Slot;

/// The timer of each partition that has one, the next first.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, usize)>);

impl Timers {
    /// Sets when to look at a partition again, in place of the time before.
    pub(super) fn arm(&mut self, id: usize, slot: &mut Slot, at: Option<Instant>) {
        let before = std::mem::replace(&mut slot.timer, at);
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.0.remove(&(before, id));
        }
        if let Some(at) = at {
            self.0.insert((at, id));
        }
    }

    /// Returns the partitions that are to be looked at by now.
    pub(super) fn due(&self, now: Instant) -> Vec<usize> {
        self.0.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
