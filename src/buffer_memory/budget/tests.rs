//! The rules by hand, and every sequence of operations against them.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::*;

const WHOLE: usize = 1000;
const SMALLEST: usize = 100;

fn budget(total: usize) -> Budget {
    Budget::new(total, WHOLE, SMALLEST)
}

/// Takes whole buffers for a partition until it gets no more; returns how many bytes.
fn flood(budget: &mut Budget, id: PartitionId) -> usize {
    std::iter::from_fn(|| budget.try_take_exactly(id, WHOLE, 0).then_some(WHOLE)).sum()
}

#[test]
fn one_partition_takes_half() {
    let mut budget = budget(10 * WHOLE);
    let id = budget.open();

    assert_eq!(flood(&mut budget, id), 5 * WHOLE);
    assert_eq!((budget.free(), budget.free_for(id)), (5 * WHOLE, 0));
}

#[test]
fn partitions_that_never_give_back_leave_as_much_as_each_of_them_holds() {
    let mut budget = budget(120 * WHOLE);

    for dead in 1..=8 {
        let id = budget.open();
        flood(&mut budget, id);
        assert!(budget.free() >= 120 * WHOLE / (2 * dead + 1), "{dead}: {}", budget.free());
    }
    let alive = budget.open();

    assert_eq!(budget.free_for(alive), budget.free());
    assert!(budget.try_take_exactly(alive, WHOLE, 0));
}

#[test]
fn single_record_may_take_everything() {
    let mut budget = budget(10 * WHOLE);
    let id = budget.open();

    assert_eq!(budget.try_take(id, 10 * WHOLE), Some(10 * WHOLE));
    assert_eq!(budget.free(), 0);
}

#[test]
fn waits_of_a_partition_above_its_share_hold_nobody_up() {
    let mut budget = budget(10 * WHOLE);
    let (dead, alive) = (budget.open(), budget.open());
    flood(&mut budget, dead);
    budget.wait(dead, 1);
    assert_eq!(budget.next_grant(), None);

    for _ in 0..100 {
        let capacity = budget.try_take(alive, 1).unwrap();
        assert_eq!(capacity, WHOLE);
        budget.give_back(alive, capacity);
        assert_eq!(budget.next_grant(), None);
    }
}

#[test]
fn partition_that_holds_least_goes_first_and_equals_take_turns() {
    let mut budget = budget(4 * WHOLE);
    let hog = budget.open();
    assert!(budget.try_take_exactly(hog, 4 * WHOLE, 0));
    let [a, b] = [budget.open(), budget.open()];
    let a = [budget.wait(a, WHOLE), budget.wait(a, WHOLE), budget.wait(a, WHOLE)];
    let b = [budget.wait(b, WHOLE)];
    assert_eq!(budget.next_grant(), None);

    budget.give_back(hog, 4 * WHOLE);

    let grants: Vec<_> = std::iter::from_fn(|| budget.next_grant()).map(|grant| grant.ticket).collect();
    // Two of four are left; a partition that holds one might have a second only if more stayed free.
    assert_eq!(grants, [a[0], b[0]]);
}

#[test]
fn large_record_is_not_starved_by_others_who_keep_flowing() {
    let mut budget = budget(10 * WHOLE);
    let (large, small) = (budget.open(), budget.open());
    for _ in 0..3 {
        assert!(budget.try_take_exactly(small, WHOLE, 0));
    }
    let ticket = budget.wait(large, 9 * WHOLE);
    assert_eq!(budget.next_grant(), None);

    assert_eq!(budget.try_take(small, 1), None, "one buffer at a time");
    budget.give_back(small, 3 * WHOLE);
    assert_eq!(budget.next_grant(), Some(Grant { ticket, capacity: 9 * WHOLE }));
    assert_eq!(budget.try_take(small, 1), Some(SMALLEST.max(1)), "what is left is for others");
}

#[test]
fn partition_with_nothing_gets_a_small_buffer_if_there_is_no_whole_one() {
    let mut budget = budget(10 * WHOLE);
    let (hog, other) = (budget.open(), budget.open());
    assert!(budget.try_take_exactly(hog, 10 * WHOLE - SMALLEST, 0));
    let ticket = budget.wait(other, 10);

    assert_eq!(budget.next_grant(), Some(Grant { ticket, capacity: SMALLEST }));
}

#[test]
fn only_buffer_of_a_partition_may_grow_into_what_is_free() {
    let mut budget = budget(10 * WHOLE);
    let (hog, growing) = (budget.open(), budget.open());
    assert!(budget.try_take_exactly(hog, 6 * WHOLE, 0));
    assert!(budget.try_take_exactly(growing, WHOLE, 0));

    assert!(budget.try_take_exactly(growing, 3 * WHOLE, WHOLE));
    budget.give_back(growing, WHOLE);
    assert!(!budget.try_take_exactly(growing, WHOLE, 0), "a second one is above its share");
}

#[test]
fn what_is_taken_beyond_must_be_made_up_for() {
    let mut budget = budget(4 * WHOLE);
    let (a, b) = (budget.open(), budget.open());
    budget.take_beyond(a, 6 * WHOLE);
    let ticket = budget.wait(b, WHOLE);

    budget.give_back(a, 2 * WHOLE);
    assert_eq!((budget.free(), budget.next_grant()), (0, None));
    budget.give_back(a, WHOLE);

    assert_eq!(budget.next_grant(), Some(Grant { ticket, capacity: WHOLE }));
}

#[test]
fn places_of_partitions_are_used_again() {
    let mut budget = budget(4 * WHOLE);
    let first = budget.open();
    budget.close(first);

    assert_eq!(budget.open(), first);
}

/// What happens, with indexes that are taken modulo the number of what they choose from.
#[derive(Debug, Clone)]
enum Operation {
    Cancel(usize),
    GiveBack(usize),
    TryTake(usize, usize),
    TryTakeExactly(usize, usize),
    Wait(usize, usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    let len = || prop_oneof![0..2 * SMALLEST, Just(WHOLE), 0..8 * WHOLE];
    let index = any::<usize>;
    prop_oneof![
        index().prop_map(Operation::Cancel),
        index().prop_map(Operation::GiveBack),
        index().prop_map(Operation::GiveBack),
        (index(), len()).prop_map(|(index, least)| Operation::TryTake(index, least)),
        (index(), len()).prop_map(|(index, capacity)| Operation::TryTakeExactly(index, capacity)),
        (index(), len()).prop_map(|(index, least)| Operation::Wait(index, least)),
        (index(), len()).prop_map(|(index, least)| Operation::Wait(index, least)),
    ]
}

const PARTITIONS: usize = 4;
const TOTAL: usize = 10 * WHOLE;

struct Run {
    budget: Budget,
    ids: Vec<PartitionId>,
    /// Bytes of each buffer, by partition.
    buffers: Vec<(usize, usize)>,
    /// By partition, oldest first.
    waits: Vec<VecDeque<(Ticket, usize)>>,
}

impl Run {
    fn new() -> Self {
        let mut budget = budget(TOTAL);
        let ids = (0..PARTITIONS).map(|_| budget.open()).collect();
        Self { budget, ids, buffers: Vec::new(), waits: vec![VecDeque::new(); PARTITIONS] }
    }

    fn held_by(&self, partition: usize) -> usize {
        self.buffers.iter().filter(|(owner, _)| *owner == partition).map(|(_, bytes)| bytes).sum()
    }

    fn held(&self) -> usize {
        self.buffers.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Books a buffer, and checks that the partition may have it.
    fn book(&mut self, partition: usize, bytes: usize) {
        let had = self.held_by(partition);
        self.buffers.push((partition, bytes));
        let free = TOTAL.checked_sub(self.held()).expect("within the bound");
        assert!(had == 0 || self.held_by(partition) * TOTAL <= 2 * free * free, "more than its share");
    }

    fn apply(&mut self, operation: &Operation) {
        match *operation {
            Operation::Cancel(index) => {
                let partition = index % PARTITIONS;
                let waits = &mut self.waits[partition];
                if waits.is_empty() {
                    return;
                }
                let (ticket, _) = waits.remove(index / PARTITIONS % waits.len()).unwrap();
                self.budget.cancel(self.ids[partition], ticket);
            }
            Operation::GiveBack(_) if self.buffers.is_empty() => {}
            Operation::GiveBack(index) => {
                let (partition, bytes) = self.buffers.swap_remove(index % self.buffers.len());
                self.budget.give_back(self.ids[partition], bytes);
            }
            Operation::TryTake(index, least) => {
                let partition = index % PARTITIONS;
                if let Some(capacity) = self.budget.try_take(self.ids[partition], least) {
                    assert!(capacity >= least && self.waits[partition].is_empty());
                    self.book(partition, capacity);
                }
            }
            Operation::TryTakeExactly(index, capacity) => {
                let partition = index % PARTITIONS;
                if self.budget.try_take_exactly(self.ids[partition], capacity, 0) {
                    assert!(self.waits[partition].is_empty());
                    self.book(partition, capacity);
                }
            }
            Operation::Wait(index, least) => {
                let partition = index % PARTITIONS;
                let ticket = self.budget.wait(self.ids[partition], least);
                self.waits[partition].push_back((ticket, least));
            }
        }
    }

    fn serve(&mut self) {
        while let Some(Grant { ticket, capacity }) = self.budget.next_grant() {
            let is_first =
                |waits: &VecDeque<(Ticket, usize)>| waits.front().is_some_and(|first| first.0 == ticket);
            let partition = self.waits.iter().position(is_first).expect("first come, first served");
            let (_, least) = self.waits[partition].pop_front().unwrap();
            assert!(capacity >= least);
            self.book(partition, capacity);
        }
    }

    fn check(&self) {
        assert_eq!(self.budget.free(), TOTAL - self.held());
        for (partition, waits) in self.waits.iter().enumerate() {
            // Whoever has nothing is served as soon as there is enough.
            let is_served = |(_, least): &(Ticket, usize)| least.max(&SMALLEST) > &self.budget.free();
            assert!(self.held_by(partition) > 0 || waits.front().is_none_or(is_served));
        }
    }
}

proptest! {
    #[test]
    fn nobody_takes_more_than_his_share_and_nobody_is_forgotten(operations in vec(operation(), 1..200)) {
        let mut run = Run::new();

        for operation in &operations {
            run.apply(operation);
            run.serve();
            run.check();
        }

        // Once everybody gives back what he has, everybody who waits is served.
        let mut rounds = 0;
        while run.waits.iter().any(|waits| !waits.is_empty()) {
            for (partition, bytes) in std::mem::take(&mut run.buffers) {
                run.budget.give_back(run.ids[partition], bytes);
                run.serve();
            }
            rounds += 1;
            prop_assert!(rounds < 1000, "somebody is never served");
        }
        for (partition, bytes) in std::mem::take(&mut run.buffers) {
            run.budget.give_back(run.ids[partition], bytes);
        }
        prop_assert_eq!(run.budget.free(), TOTAL);
        prop_assert!(run.budget.hungry.is_empty());
    }
}
