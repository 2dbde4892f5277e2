//! `Budget`: which partition gets how many bytes of `buffer.memory`, and who is next. Pure: no lock, no waker.
//!
//! The rule: a partition may always have one buffer if there is memory. It gets more only as long as the share of the memory
//! that it holds then is at most twice the square of the share that stays free. So one partition alone ends with half,
//! and the less is free the less anybody may take of it: *n* partitions that take all they can, one after the
//! other, and never give anything back, still leave about 1/(2*n*). Nobody has to find out first which partitions
//! cannot be sent. (Were it the free share itself rather than its square, each would halve what the one before has left.)
//!
//! Who must wait is served when the rule allows it: within a partition first come, first served; among partitions the
//! one that holds least first, and in turn those that hold the same. A record that needs more than is free although its
//! partition holds nothing would wait for ever if others took each byte that returns: while one waits, partitions get
//! one buffer at a time.

use std::collections::{BTreeSet, VecDeque};

/// The bytes of `buffer.memory`, divided among partitions.
#[derive(Debug)]
pub(crate) struct Budget {
    total: usize,
    /// `batch.size`: what a buffer has while there is plenty.
    whole: usize,
    /// What a buffer has at least when memory is short.
    smallest: usize,
    /// Sum over all partitions. Exceeds `total` only by what was taken with [`Budget::take_beyond`].
    held: usize,
    partitions: Vec<Partition>,
    /// Places in `partitions` to be used again.
    vacant: Vec<usize>,
    /// Partitions that somebody waits for, by what they hold and then by turn: the order of service.
    hungry: BTreeSet<Hunger>,
    /// The next turn or ticket.
    next_number: u64,
}

/// A partition's place in the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartitionId(usize);

/// Identifies a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// A wait that has ended: its bytes are booked as held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) ticket: Ticket,
    pub(crate) capacity: usize,
}

#[derive(Debug, Default)]
struct Partition {
    held: usize,
    turn: u64,
    /// First come, first served.
    waits: VecDeque<Wait>,
}

#[derive(Debug, Clone, Copy)]
struct Wait {
    ticket: Ticket,
    least: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Hunger {
    held: usize,
    turn: u64,
    id: usize,
}

impl Budget {
    pub(crate) fn new(total: usize, whole: usize, smallest: usize) -> Self {
        Self {
            total,
            whole,
            smallest: smallest.min(whole),
            held: 0,
            partitions: Vec::new(),
            vacant: Vec::new(),
            hungry: BTreeSet::new(),
            next_number: 0,
        }
    }

    /// Adds a partition.
    pub(crate) fn open(&mut self) -> PartitionId {
        if let Some(id) = self.vacant.pop() {
            return PartitionId(id);
        }
        self.partitions.push(Partition::default());
        PartitionId(self.partitions.len() - 1)
    }

    /// Removes a partition that holds nothing and that nobody waits for.
    pub(crate) fn close(&mut self, id: PartitionId) {
        self.vacant.push(id.0);
    }

    /// Takes a buffer of at least `least` bytes if that needs no waiting. Returns its size.
    ///
    /// While more than half of the budget is free it has a whole `batch.size`; after that it starts small and grows with
    /// its batch, so that ten thousand thin partitions do not reserve ten thousand full buffers. While somebody waits it
    /// is whole again: a small one could not grow, and batches of a few records each would keep memory short.
    pub(crate) fn try_take(&mut self, id: PartitionId, least: usize) -> Option<usize> {
        let partition = self.partition(id)?;
        if !partition.waits.is_empty() {
            return None;
        }
        let held = partition.held;
        let capacity = if self.hungry.is_empty() {
            let whole = least.max(self.whole);
            let is_plenty = self.free() >= (self.total / 2).saturating_add(whole);
            let wanted = if is_plenty { whole } else { least.max(self.smallest) };
            Some(wanted).filter(|wanted| self.allows(held, *wanted))
        } else {
            self.offer(held, least, self.is_anybody_starving())
        }?;
        self.hold(id, capacity);
        Some(capacity)
    }

    /// Takes `capacity` bytes, no more and no less, if that needs no waiting. `replaced` bytes of the partition's will be
    /// given back for them.
    pub(crate) fn try_take_exactly(&mut self, id: PartitionId, capacity: usize, replaced: usize) -> bool {
        let Some(partition) = self.partition(id) else { return false };
        let kept = partition.held.saturating_sub(replaced);
        let is_allowed = partition.waits.is_empty()
            && (partition.held == 0 || !self.is_anybody_starving())
            && self.allows(kept, capacity);
        if is_allowed {
            self.hold(id, capacity);
        }
        is_allowed
    }

    /// Takes `capacity` bytes whether there are any or not. Nobody else gets any until they are made up for.
    pub(crate) fn take_beyond(&mut self, id: PartitionId, capacity: usize) {
        self.hold(id, capacity);
    }

    /// Returns bytes. [`Budget::next_grant`] must follow.
    pub(crate) fn give_back(&mut self, id: PartitionId, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
        self.update(id, |partition| partition.held = partition.held.saturating_sub(bytes));
    }

    /// Books bytes on another partition. [`Budget::next_grant`] must follow.
    pub(crate) fn transfer(&mut self, from: PartitionId, to: PartitionId, bytes: usize) {
        self.give_back(from, bytes);
        self.hold(to, bytes);
    }

    /// Queues up for a buffer of at least `least` bytes. [`Budget::next_grant`] must follow.
    pub(crate) fn wait(&mut self, id: PartitionId, least: usize) -> Ticket {
        let ticket = Ticket(self.number());
        let turn = self.number();
        self.update(id, |partition| {
            if partition.waits.is_empty() {
                partition.turn = turn;
            }
            partition.waits.push_back(Wait { ticket, least });
        });
        ticket
    }

    /// Gives up a wait that has not ended. [`Budget::next_grant`] must follow.
    pub(crate) fn cancel(&mut self, id: PartitionId, ticket: Ticket) {
        self.update(id, |partition| partition.waits.retain(|wait| wait.ticket != ticket));
    }

    /// Ends a wait whose turn it is. To be called until it returns `None`.
    pub(crate) fn next_grant(&mut self) -> Option<Grant> {
        let (id, grant) = self.find_grant()?;
        let turn = self.number();
        self.update(id, |partition| {
            partition.waits.pop_front();
            partition.turn = turn;
        });
        self.hold(id, grant.capacity);
        Some(grant)
    }

    pub(crate) fn free(&self) -> usize {
        self.total.saturating_sub(self.held)
    }

    /// Returns how much a partition could take now.
    pub(crate) fn free_for(&self, id: PartitionId) -> usize {
        match self.partition(id).map_or(0, |partition| partition.held) {
            0 => self.free(),
            held => {
                let (total, free) = (self.total as f64, self.free() as f64);
                // `allows`, solved for what stays free.
                let kept = total / 4.0 * ((1.0 + 8.0 * (held as f64 + free) / total).sqrt() - 1.0);
                (free - kept) as usize
            }
        }
    }

    fn find_grant(&self) -> Option<(PartitionId, Grant)> {
        let mut is_starving = false;
        for Hunger { held, id, .. } in &self.hungry {
            let id = PartitionId(*id);
            let wait = self.partition(id)?.waits.front()?;
            if let Some(capacity) = self.offer(*held, wait.least, is_starving) {
                return Some((id, Grant { ticket: wait.ticket, capacity }));
            }
            if *held == 0 {
                is_starving = true;
            } else if is_starving || wait.least <= self.whole {
                // Those that come after hold no less and want no less.
                return None;
            }
        }
        None
    }

    /// Returns what somebody may have while others wait.
    fn offer(&self, held: usize, least: usize, is_starving: bool) -> Option<usize> {
        if held > 0 && is_starving {
            return None;
        }
        let whole = least.max(self.whole);
        if self.allows(held, whole) {
            return Some(whole);
        }
        // Less would not be worth a request, unless the partition has nothing at all.
        let small = least.max(self.smallest);
        (held == 0 && self.allows(held, small)).then_some(small)
    }

    fn allows(&self, held: usize, more: usize) -> bool {
        let Some(free) = self.free().checked_sub(more) else { return false };
        let (share, free) = ((held + more) as u128, free as u128);
        held == 0 || share * self.total as u128 <= 2 * free * free
    }

    /// Whether somebody waits who needs more than is free although his partition holds nothing.
    fn is_anybody_starving(&self) -> bool {
        // He would have been served if he could be.
        self.hungry.first().is_some_and(|first| first.held == 0)
    }

    fn hold(&mut self, id: PartitionId, bytes: usize) {
        self.held = self.held.saturating_add(bytes);
        self.update(id, |partition| partition.held = partition.held.saturating_add(bytes));
    }

    fn partition(&self, id: PartitionId) -> Option<&Partition> {
        self.partitions.get(id.0)
    }

    /// Changes a partition and keeps its place in the order of service right.
    fn update(&mut self, PartitionId(id): PartitionId, change: impl FnOnce(&mut Partition)) {
        let Some(partition) = self.partitions.get_mut(id) else { return };
        if !partition.waits.is_empty() {
            self.hungry.remove(&Hunger { held: partition.held, turn: partition.turn, id });
        }
        change(partition);
        if !partition.waits.is_empty() {
            self.hungry.insert(Hunger { held: partition.held, turn: partition.turn, id });
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

#[cfg(test)]
mod tests;
