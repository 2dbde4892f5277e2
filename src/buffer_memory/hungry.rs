//! `Hungry`: the lines that callers stand in, in the order of service.
//!
//! They are kept apart by how much the first caller in line needs. So the budget finds a line that needs no more than is free
//! without passing over the others again and again.

use std::collections::{BTreeMap, BTreeSet};

use crate::buffer_memory::budget::Line;

/// A line that callers stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hunger {
    /// What its partition holds; for the line of a topic, what the partition holds that would be taken.
    pub(crate) held: usize,
    pub(crate) turn: u64,
    pub(crate) line: Line,
    /// What the first caller in line needs at least.
    pub(crate) least: usize,
}

/// The lines that callers stand in.
#[derive(Debug, Default)]
pub(crate) struct Hungry {
    /// Those whose partitions hold nothing, by the order of magnitude of what is needed.
    with_nothing: BTreeMap<u32, ByNeed>,
    /// The others: those who need no more than a whole buffer at 0, above that by the order of magnitude of what is needed.
    with_something: BTreeMap<u32, BTreeSet<Hunger>>,
}

#[derive(Debug, Default)]
struct ByNeed {
    by_turn: BTreeSet<Hunger>,
    /// What is needed, and the turn.
    by_least: BTreeSet<(usize, u64, Line)>,
}

/// For large records: how many lines of one order of magnitude, of partitions that hold something, the budget looks at. To look
/// at all of them would take longer with each line. The lines after these have partitions that hold at least as much.
const LARGE_LOOKS: usize = 8;

impl Hungry {
    pub(crate) fn insert(&mut self, hunger: Hunger, whole: usize) {
        if hunger.held > 0 {
            self.with_something.entry(magnitude_above(hunger.least, whole)).or_default().insert(hunger);
            return;
        }
        let ByNeed { by_turn, by_least } = self.with_nothing.entry(magnitude(hunger.least)).or_default();
        by_turn.insert(hunger);
        by_least.insert((hunger.least, hunger.turn, hunger.line));
    }

    pub(crate) fn remove(&mut self, hunger: Hunger, whole: usize) {
        if hunger.held > 0 {
            let key = magnitude_above(hunger.least, whole);
            if let Some(lines) = self.with_something.get_mut(&key) {
                lines.remove(&hunger);
                if lines.is_empty() {
                    self.with_something.remove(&key);
                }
            }
            return;
        }
        let key = magnitude(hunger.least);
        if let Some(ByNeed { by_turn, by_least }) = self.with_nothing.get_mut(&key) {
            by_turn.remove(&hunger);
            by_least.remove(&(hunger.least, hunger.turn, hunger.line));
            if by_turn.is_empty() {
                self.with_nothing.remove(&key);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.with_nothing.is_empty() && self.with_something.is_empty()
    }

    /// Whether there is a line whose partition holds nothing.
    pub(crate) fn is_any_with_nothing(&self) -> bool {
        !self.with_nothing.is_empty()
    }

    /// Among the lines of partitions that hold nothing, returns the next one that needs no more than is free. Lines that need about
    /// as much as is free are of one order of magnitude: if the first of these needs more, the one that needs least is taken
    /// instead.
    pub(crate) fn next_with_nothing(&self, free: usize) -> Option<Hunger> {
        let reachable = self.with_nothing.range(..=magnitude(free));
        let candidates = reachable.filter_map(|(_, ByNeed { by_turn, by_least })| {
            step();
            let first = by_turn.first().filter(|first| first.least <= free);
            first.copied().or_else(|| {
                let (least, turn, line) = *by_least.first().filter(|(least, ..)| *least <= free)?;
                Some(Hunger { held: 0, turn, line, least })
            })
        });
        candidates.min()
    }

    /// Among the lines of partitions that hold something, returns the first that may have what it needs. Lines that need no more
    /// than a whole buffer are served strictly in order.
    pub(crate) fn next_with_something(&self, may_have: impl Fn(&Hunger) -> bool) -> Option<Hunger> {
        let first_usual = self.with_something.get(&0).and_then(BTreeSet::first);
        let usual = first_usual.filter(|first| may_have(first));
        let large = self.with_something.range(1..).filter_map(|(_, lines)| {
            let mut looks = lines.iter().take(LARGE_LOOKS).inspect(|_| step());
            looks.find(|large| may_have(large))
        });
        let is_before_usual = |large: &&Hunger| first_usual.is_none_or(|usual| *large < usual);
        large.filter(is_before_usual).chain(usual).min().copied()
    }
}

fn magnitude(bytes: usize) -> u32 {
    bytes.checked_ilog2().unwrap_or(0)
}

/// 0 for what a whole buffer covers.
fn magnitude_above(least: usize, whole: usize) -> u32 {
    if least <= whole { 0 } else { magnitude(least) + 1 }
}

fn step() {
    #[cfg(test)]
    crate::buffer_memory::budget::steps::count();
}
