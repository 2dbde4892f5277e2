//! `PartitionTimers`: when to look at which partition again if nothing happens before.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Slot;

/// What a partition waits for, and has something to do when the time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PartitionWait {
    /// Its batches wait for answers for too long: it is not to be chosen then (`partitioner.availability.timeout.ms`).
    Availability,
    /// The backoff before another attempt.
    Backoff,
    /// The sender looks after a compression that is in the hands of others.
    Compression,
    /// The delivery timeout of its oldest records.
    Expiry,
    /// The batch at its head lingers for more records.
    Linger,
}

/// The timer of each partition that has one, the next first.
#[derive(Debug, Default)]
pub(super) struct PartitionTimers(BTreeSet<(Instant, usize)>);

impl PartitionTimers {
    /// Sets when to look at a partition again, and why, in place of what was set before.
    pub(super) fn arm(&mut self, id: usize, slot: &mut Slot, first: Option<(Instant, PartitionWait)>) {
        let before = std::mem::replace(&mut slot.timer, first).map(|(at, _)| at);
        let at = first.map(|(at, _)| at);
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

    /// Returns the partition that is looked at first.
    pub(super) fn first(&self) -> Option<usize> {
        self.0.first().map(|(_, id)| *id)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
