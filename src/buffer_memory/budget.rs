//! `Budget`: which partition gets how many bytes of `buffer.memory`, and who is next. Pure: no lock, no waker.
//!
//! The rule: a partition may always have one buffer if there is memory. It gets more only as long as its share of the memory,
//! with the new buffer, is at most twice the square of the share that stays free. So one partition alone ends with half, and when
//! less is free each partition may take less: *n* partitions that take all they can, one after the other, and never give
//! anything back, still leave about 1/(2*n*). The budget does not have to find out first which partitions cannot be sent. (If
//! the rule took the free share itself and not its square, each partition would take half of what the one before has left.)
//!
//! Callers that must wait are served when the rule allows it. Within a partition they are served in their order. Among
//! partitions the one that holds least comes first, and those that hold the same take turns. A record may need more than is
//! free although its partition holds nothing. It would wait for ever if others took each byte that returns, so while it waits,
//! partitions get one buffer at a time.
//!
//! Each operation on a wait takes a number of steps that grows with the logarithm of the number of waits: a hundred thousand
//! tasks may give up at one moment, all of them under one lock.
//!
//! A record that may go to any partition of its topic does not stand in the line of one partition, which may be the very one
//! that gives nothing back. It stands in the line of the topic. The budget serves that line with what the topic's partition
//! that holds least may take: if that one may have nothing, none may. Partitions to which these records should not go come
//! last.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::buffer_memory::hungry::{Hunger, Hungry};

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
    partitions: Vec<PartitionShare>,
    /// Places in `partitions` to be used again.
    vacant: BTreeSet<usize>,
    topics: Vec<TopicShare>,
    /// Places in `topics` to be used again.
    vacant_topics: BTreeSet<usize>,
    /// Lines that callers stand in, in the order of service: by what their partitions hold, and then by turn.
    hungry: Hungry,
    /// The next turn or ticket.
    next_number: u64,
}

/// A partition's place in the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartitionId(usize);

/// A topic's place in the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TopicId(usize);

/// What a partition of a topic is when it is added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InTopic {
    pub(crate) topic: TopicId,
    /// Its number there.
    pub(crate) number: usize,
    pub(crate) has_leader: bool,
}

/// Where one may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Line {
    Partition(PartitionId),
    /// For any of its partitions.
    Topic(TopicId),
}

/// Identifies a wait. Later waits have greater ones.
#[derive(Debug, Clone, Copy, Eq)]
pub(crate) struct Ticket(u64);

/// A wait that has ended: its bytes are booked as held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) ticket: Ticket,
    pub(crate) partition: PartitionId,
    pub(crate) capacity: usize,
}

#[derive(Debug, Default)]
struct PartitionShare {
    held: usize,
    waits: WaitingLine,
    /// With its number there.
    topic: Option<(TopicId, usize)>,
    /// When any of this changed last.
    since: u64,
    /// Takes no records at the moment, or none that may go elsewhere.
    is_shut: bool,
    /// Has no leader.
    is_leaderless: bool,
}

#[derive(Debug, Default)]
struct TopicShare {
    partitions: BTreeSet<PartitionId>,
    /// Those of `partitions` that were added since the last call of `set_leaders`, and maybe some that are closed. What the
    /// budget heard of their leaders when they were added may be older than that call.
    fresh: Vec<PartitionId>,
    /// `partitions` by how welcome another buffer is. Kept from the first time on that a caller asks for it.
    ranks: Option<BTreeSet<Rank>>,
    /// The version of the cluster.
    leaders_as_of: Option<u64>,
    waits: WaitingLine,
}

#[derive(Debug, Default)]
struct WaitingLine {
    turn: u64,
    /// What each needs at least; first come, first served.
    queue: BTreeMap<Ticket, usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_shunned: bool,
    held: usize,
    /// Partitions that hold the same take turns by this.
    since: u64,
    id: PartitionId,
}

impl Budget {
    pub(crate) fn new(total: usize, whole: usize, smallest: usize) -> Self {
        Self {
            total,
            whole,
            smallest: smallest.min(whole).min(total),
            held: 0,
            partitions: Vec::new(),
            vacant: BTreeSet::new(),
            topics: Vec::new(),
            vacant_topics: BTreeSet::new(),
            hungry: Hungry::default(),
            next_number: 0,
        }
    }

    /// Adds a topic.
    pub(crate) fn open_topic(&mut self) -> TopicId {
        TopicId(self.vacant_topics.pop_first().unwrap_or_else(|| {
            self.topics.push(TopicShare::default());
            self.topics.len() - 1
        }))
    }

    /// Removes a topic without partitions that no caller waits for.
    pub(crate) fn close_topic(&mut self, TopicId(id): TopicId) {
        if let Some(topic) = self.topics.get_mut(id) {
            *topic = TopicShare::default();
        }
        give_up_place(&mut self.topics, &mut self.vacant_topics, id);
    }

    /// Adds a partition, of a topic or of none. [`Budget::next_grant`] must follow: it may give a record that waits for any
    /// partition of the topic to this one, which holds least, so whether it has a leader must be known by then.
    pub(crate) fn open(&mut self, place: Option<InTopic>) -> PartitionId {
        let id = self.vacant.pop_first().unwrap_or_else(|| {
            self.partitions.push(PartitionShare::default());
            self.partitions.len() - 1
        });
        if let Some(partition) = self.partitions.get_mut(id) {
            partition.topic = place.map(|InTopic { topic, number, .. }| (topic, number));
            partition.is_leaderless = place.is_some_and(|place| !place.has_leader);
        }
        if let Some(InTopic { topic, .. }) = place
            && let Some(topic) = self.topics.get_mut(topic.0)
        {
            topic.partitions.insert(PartitionId(id));
            topic.fresh.push(PartitionId(id));
        }
        self.update(PartitionId(id), |_| ());
        PartitionId(id)
    }

    /// Removes a partition that holds nothing and that no caller waits for.
    pub(crate) fn close(&mut self, id: PartitionId) {
        if let Some((topic, _)) = self.partition(id).and_then(|partition| partition.topic)
            && let Some(topic) = self.topics.get_mut(topic.0)
        {
            topic.partitions.remove(&id);
        }
        self.update(id, |partition| *partition = PartitionShare::default());
        give_up_place(&mut self.partitions, &mut self.vacant, id.0);
    }

    /// Says whether a partition takes no records, or none that may go elsewhere. [`Budget::next_grant`] must follow.
    pub(crate) fn set_shut(&mut self, id: PartitionId, is_shut: bool) {
        self.update(id, |partition| partition.is_shut = is_shut);
    }

    /// Says which partitions of a topic have leaders, in a version of the cluster. [`Budget::next_grant`] must follow.
    pub(crate) fn set_leaders(&mut self, id: TopicId, version: u64, has_leader: impl Fn(usize) -> bool) {
        let Some(topic) = self.topics.get_mut(id.0) else { return };
        if topic.leaders_as_of > Some(version) {
            return;
        }
        let fresh = std::mem::take(&mut topic.fresh);
        let is_news = topic.leaders_as_of.replace(version) != Some(version);
        let told = if is_news { topic.partitions.iter().copied().collect() } else { fresh };
        for partition_id in told {
            let Some(partition) = self.partition(partition_id) else { continue };
            let Some((_, number)) = partition.topic.filter(|(topic, _)| *topic == id) else { continue };
            let is_leaderless = !has_leader(number);
            if partition.is_leaderless != is_leaderless {
                self.update(partition_id, |partition| partition.is_leaderless = is_leaderless);
            }
        }
    }

    /// Takes a buffer of at least `least` bytes if that needs no waiting. Returns its size.
    ///
    /// While more than half of the budget is free it has a whole `batch.size`; after that it starts small and grows with
    /// its batch, so that ten thousand thin partitions do not reserve ten thousand full buffers. While a caller waits
    /// it is whole again: a small one could not grow, and batches of a few records each would keep memory short.
    pub(crate) fn try_take(&mut self, id: PartitionId, least: usize) -> Option<usize> {
        let partition = self.partition(id)?;
        if !partition.waits.queue.is_empty() {
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
        let is_allowed = partition.waits.queue.is_empty()
            && (partition.held == 0 || !self.is_anybody_starving())
            && self.allows(kept, capacity);
        if is_allowed {
            self.hold(id, capacity);
        }
        is_allowed
    }

    /// Takes `capacity` bytes whether there are any or not. No other caller gets any until they are made up for.
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
    pub(crate) fn wait(&mut self, line: Line, least: usize) -> Ticket {
        if let Line::Topic(topic) = line {
            self.rank(topic);
        }
        let ticket = Ticket(self.number());
        let turn = self.number();
        self.update_waits(line, |waits| {
            if waits.queue.is_empty() {
                waits.turn = turn;
            }
            waits.queue.insert(ticket, least);
        });
        ticket
    }

    /// Gives up a wait that has not ended. [`Budget::next_grant`] must follow.
    pub(crate) fn cancel(&mut self, line: Line, ticket: Ticket) {
        self.update_waits(line, |waits| {
            waits.queue.remove(&ticket);
        });
    }

    /// Ends a wait if it is its turn. Call this until it returns `None`.
    pub(crate) fn next_grant(&mut self) -> Option<Grant> {
        let (line, grant) = self.find_grant()?;
        let turn = self.number();
        self.update_waits(line, |waits| {
            waits.queue.pop_first();
            waits.turn = turn;
        });
        self.hold(grant.partition, grant.capacity);
        Some(grant)
    }

    /// Returns whether a caller waits for this partition and no other.
    pub(crate) fn is_partition_waited_for(&self, id: PartitionId) -> bool {
        self.partition(id).is_some_and(|partition| !partition.waits.queue.is_empty())
    }

    /// Returns whether a caller waits for memory of a topic that may be any partition's.
    pub(crate) fn is_waited_for(&self, topic: TopicId) -> bool {
        self.topics.get(topic.0).is_some_and(|topic| !topic.waits.queue.is_empty())
    }

    /// Returns the partition of a topic that holds least, if it may have a buffer of at least `least` bytes now.
    pub(crate) fn roomiest(&mut self, topic: TopicId, least: usize) -> Option<PartitionId> {
        if self.is_waited_for(topic) {
            return None;
        }
        self.rank(topic);
        let Rank { held, id, .. } = *self.first_rank(topic)?;
        let may_take = match self.hungry.is_empty() {
            true => self.allows(held, least.max(self.smallest)),
            false => self.offer(held, least, self.is_anybody_starving()).is_some(),
        };
        (may_take && self.partition(id)?.waits.queue.is_empty()).then_some(id)
    }

    /// Returns how many partitions of a topic hold nothing and take records, counting to `enough`. They need a leader, too, if
    /// `is_any_led`: any partition of the topic has one, with or without a queue.
    pub(crate) fn untouched(&mut self, topic: TopicId, enough: usize, is_any_led: bool) -> usize {
        self.rank(topic);
        let ranks = self.topics.get(topic.0).and_then(|topic| topic.ranks.as_ref());
        // Those that are shunned come last. Without any leader all are.
        let may_count = |rank: &&Rank| rank.held == 0 && !(is_any_led && rank.is_shunned);
        let is_shut = |rank: &Rank| self.partition(rank.id).is_none_or(|partition| partition.is_shut);
        let empty = ranks.into_iter().flatten().take_while(may_count);
        empty.filter(|rank| !is_shut(rank)).take(enough).count()
    }

    /// Returns the number of a partition in its topic.
    pub(crate) fn number_in_topic(&self, id: PartitionId) -> Option<usize> {
        self.partition(id)?.topic.map(|(_, number)| number)
    }

    pub(crate) fn free(&self) -> usize {
        self.total.saturating_sub(self.held)
    }

    /// Returns how much a partition holds.
    pub(crate) fn held_by(&self, id: PartitionId) -> usize {
        self.partition(id).map_or(0, |partition| partition.held)
    }

    /// Returns how much a partition could take now.
    pub(crate) fn free_for(&self, id: PartitionId) -> usize {
        match self.held_by(id) {
            0 => self.free(),
            held => {
                let (total, free) = (self.total as f64, self.free() as f64);
                // `allows`, solved for what stays free.
                let kept = total / 4.0 * ((1.0 + 8.0 * (held as f64 + free) / total).sqrt() - 1.0);
                (free - kept) as usize
            }
        }
    }

    fn find_grant(&self) -> Option<(Line, Grant)> {
        let Hunger { held, line, least, .. } = if self.hungry.is_any_with_nothing() {
            let free = Some(self.free()).filter(|free| *free >= self.smallest)?;
            self.hungry.next_with_nothing(free)?
        } else {
            let may_have = |hunger: &Hunger| self.offer(hunger.held, hunger.least, false).is_some();
            self.hungry.next_with_something(may_have)?
        };
        let partition = match line {
            Line::Partition(id) => id,
            Line::Topic(topic) => self.first_rank(topic)?.id,
        };
        let (ticket, _) = self.waits(line)?.queue.first_key_value()?;
        let capacity = self.offer(held, least, false)?;
        Some((line, Grant { ticket: *ticket, partition, capacity }))
    }

    /// Returns what a caller may have while others wait.
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

    /// Whether a caller waits who needs more than is free although its partition, or one that would do, holds nothing.
    fn is_anybody_starving(&self) -> bool {
        // The budget would have served this caller if it could.
        self.hungry.is_any_with_nothing()
    }

    fn hold(&mut self, id: PartitionId, bytes: usize) {
        self.held = self.held.saturating_add(bytes);
        self.update(id, |partition| partition.held = partition.held.saturating_add(bytes));
    }

    fn partition(&self, id: PartitionId) -> Option<&PartitionShare> {
        self.partitions.get(id.0)
    }

    fn waits(&self, line: Line) -> Option<&WaitingLine> {
        match line {
            Line::Partition(id) => Some(&self.partition(id)?.waits),
            Line::Topic(TopicId(topic)) => Some(&self.topics.get(topic)?.waits),
        }
    }

    fn first_rank(&self, TopicId(topic): TopicId) -> Option<&Rank> {
        self.topics.get(topic)?.ranks.as_ref()?.first()
    }

    /// Begins to keep the ranks of a topic's partitions.
    fn rank(&mut self, TopicId(topic): TopicId) {
        let Some(topic) = self.topics.get_mut(topic) else { return };
        let partitions = &self.partitions;
        let rank = |id: &PartitionId| partitions.get(id.0).map(|partition| partition.rank(*id));
        topic.ranks.get_or_insert_with(|| topic.partitions.iter().filter_map(rank).collect());
    }

    /// Returns a line's place in the order of service, if a caller stands in it.
    fn hunger(&self, line: Line) -> Option<Hunger> {
        let waits = self.waits(line)?;
        let (_, least) = waits.queue.first_key_value()?;
        let held = match line {
            Line::Partition(id) => self.partition(id)?.held,
            Line::Topic(topic) => self.first_rank(topic)?.held,
        };
        Some(Hunger { held, turn: waits.turn, line, least: *least })
    }

    /// Changes a partition and keeps the orders right in which it stands.
    fn update(&mut self, id: PartitionId, change: impl FnOnce(&mut PartitionShare)) {
        let since = self.number();
        let Some(partition) = self.partition(id) else { return };
        let (topic, rank) = (partition.topic.map(|(topic, _)| topic), partition.rank(id));
        self.leave(Line::Partition(id));
        if let Some(topic) = topic {
            self.leave(Line::Topic(topic));
            self.ranks(topic).map(|ranks| ranks.remove(&rank));
        }
        if let Some(partition) = self.partitions.get_mut(id.0) {
            change(partition);
            partition.since = since;
            let rank = partition.topic.is_some().then(|| partition.rank(id));
            if let (Some(topic), Some(rank)) = (topic, rank) {
                self.ranks(topic).map(|ranks| ranks.insert(rank));
            }
        }
        self.join(Line::Partition(id));
        if let Some(topic) = topic {
            self.join(Line::Topic(topic));
        }
    }

    fn update_waits(&mut self, line: Line, change: impl FnOnce(&mut WaitingLine)) {
        self.leave(line);
        let waits = match line {
            Line::Partition(id) => self.partitions.get_mut(id.0).map(|partition| &mut partition.waits),
            Line::Topic(topic) => self.topics.get_mut(topic.0).map(|topic| &mut topic.waits),
        };
        if let Some(waits) = waits {
            change(waits);
        }
        self.join(line);
    }

    fn leave(&mut self, line: Line) {
        if let Some(hunger) = self.hunger(line) {
            self.hungry.remove(hunger, self.whole);
        }
    }

    fn join(&mut self, line: Line) {
        if let Some(hunger) = self.hunger(line) {
            self.hungry.insert(hunger, self.whole);
        }
    }

    fn ranks(&mut self, topic: TopicId) -> Option<&mut BTreeSet<Rank>> {
        self.topics.get_mut(topic.0)?.ranks.as_mut()
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

/// Notes a place as vacant, and gives memory back once many at the end are.
fn give_up_place<T>(places: &mut Vec<T>, vacant: &mut BTreeSet<usize>, place: usize) {
    vacant.insert(place);
    while let Some(last) = places.len().checked_sub(1)
        && vacant.remove(&last)
    {
        places.pop();
    }
    if places.capacity() / 4 > places.len().max(USUAL_PLACES) {
        places.shrink_to(places.len() * 2);
    }
}

/// The number of places that are kept, used or not.
const USUAL_PLACES: usize = 64;

impl Ord for Ticket {
    fn cmp(&self, other: &Self) -> Ordering {
        #[cfg(test)]
        steps::count();
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Ticket {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ticket {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl PartitionShare {
    fn rank(&self, id: PartitionId) -> Rank {
        Rank { is_shunned: self.is_shut || self.is_leaderless, held: self.held, since: self.since, id }
    }
}

#[cfg(test)]
pub(super) mod steps;
#[cfg(test)]
mod tests;
