//! The figures of a run.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use super::stream;
use super::stream::Fate;
use super::stream::Stream;
use crate::support::ConsumedRecord;

#[derive(Debug, Default)]
pub(super) struct Figures {
    sent: usize,
    acknowledged: usize,
    /// By kind of error and what the producer said of the log, with how many were found there.
    failed: BTreeMap<String, (usize, usize)>,
    found: usize,
    doubled: usize,
    /// Acknowledged, and deleted with their topic.
    deleted: usize,
}

impl Figures {
    pub(super) fn of(fates: &[Fate], found: &[ConsumedRecord], stream: &Stream) -> Self {
        let mut figures = Self { sent: fates.len(), ..Self::default() };
        let numbers: BTreeSet<u64> = found.iter().map(stream::number).collect();
        figures.found = numbers.len();
        figures.doubled = found.len() - numbers.len();
        let buried = stream.buried();
        for (n, fate) in (0..).zip(fates) {
            match fate {
                Fate::Acknowledged { .. } => {
                    figures.acknowledged += 1;
                    figures.deleted += usize::from(buried.contains(&n) && !numbers.contains(&n));
                }
                Fate::Failed { kind, persisted } => {
                    let (count, found) = figures.failed.entry(format!("{kind}/{persisted:?}")).or_default();
                    *count += 1;
                    *found += usize::from(numbers.contains(&n));
                }
            }
        }
        figures
    }

    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.found += other.found;
        self.doubled += other.doubled;
        self.deleted += other.deleted;
        for (kind, (count, found)) in other.failed {
            let sum = self.failed.entry(kind).or_default();
            *sum = (sum.0 + count, sum.1 + found);
        }
    }

    /// Records that failed, for whatever reason.
    pub(super) fn failed(&self) -> usize {
        self.failed.values().map(|(count, _)| count).sum()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sent {}, acknowledged {}", self.sent, self.acknowledged)?;
        if self.deleted > 0 {
            write!(f, " ({} of them deleted with their topic)", self.deleted)?;
        }
        write!(f, ", failed {}", self.failed())?;
        for (kind, (count, found)) in &self.failed {
            write!(f, ", {kind} {count} ({found} of them found)")?;
        }
        write!(f, ", found {}, doubled {}", self.found, self.doubled)
    }
}
