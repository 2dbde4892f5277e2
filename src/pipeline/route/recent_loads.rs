//! `RecentLoads`: the loads of a topic's partitions, looked at as seldom as they allow.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::load_table::LoadTable;

/// What a choice goes by.
#[derive(Debug)]
pub(super) struct Loads {
    /// Partitions that are preferred to all others, ascending; empty: there are none.
    pub(super) near: Vec<i32>,
    /// How often each of them is to be chosen; of all that have leaders, if none is preferred. `None`: all alike.
    pub(super) table: Option<LoadTable>,
}

/// The loads of a topic's partitions as they were a moment ago.
///
/// To look at ten thousand queues for each choice would cost more than the records in between.
#[derive(Debug, Default)]
pub(super) struct RecentLoads(Mutex<Option<Look>>);

#[derive(Debug)]
struct Look {
    /// When the loads are of no use any more.
    until: Instant,
    loads: Arc<Loads>,
}

impl RecentLoads {
    /// Returns the loads as of `now`, or of so little before that looking is a hundredth of the time: about 10 ns for a
    /// queue. `look` returns the number of queues that it has looked at, too, or of queues that take as long.
    pub(super) fn get(&self, now: Instant, look: impl FnOnce() -> (Loads, usize)) -> Arc<Loads> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Look { loads, .. }) = recent.as_ref().filter(|recent| now < recent.until) {
            return Arc::clone(loads);
        }
        let (loads, queues) = look();
        // In the same place as the last, unless a caller still goes by that.
        let loads = match recent.take().map(|last| last.loads) {
            Some(mut last) => match Arc::get_mut(&mut last) {
                Some(place) => {
                    *place = loads;
                    last
                }
                None => Arc::new(loads),
            },
            None => Arc::new(loads),
        };
        let age = Duration::from_micros(u64::try_from(queues).unwrap_or(u64::MAX));
        let until = now.checked_add(age).unwrap_or(now);
        *recent = Some(Look { until, loads: Arc::clone(&loads) });
        loads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_of_few_partitions_are_those_of_now_and_those_of_many_may_be_a_little_older() {
        let begin = crate::clock::now();
        let looks = |queues, every: u64| {
            let (loads, mut looks) = (RecentLoads::default(), 0);
            for micros in (0..100_000).step_by(usize::try_from(every).unwrap()) {
                loads.get(begin + Duration::from_micros(micros), || {
                    looks += 1;
                    let table = LoadTable::new(2, &[0, 1], [(0, Some(1)), (1, Some(2))]);
                    (Loads { near: Vec::new(), table }, queues)
                });
            }
            looks
        };

        assert_eq!(looks(4, 10), 10_000);
        assert_eq!(looks(10_000, 10), 10);
    }
}
