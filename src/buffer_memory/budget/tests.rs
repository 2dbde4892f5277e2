//! The rules by hand, and every sequence of operations against them.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use std::collections::VecDeque;

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
    let id = budget.open(None);

    assert_eq!(flood(&mut budget, id), 5 * WHOLE);
    assert_eq!((budget.free(), budget.free_for(id)), (5 * WHOLE, 0));
}

#[test]
fn partitions_that_never_give_back_leave_as_much_as_each_of_them_holds() {
    let mut budget = budget(120 * WHOLE);

    for dead in 1..=8 {
        let id = budget.open(None);
        flood(&mut budget, id);
        assert!(budget.free() >= 120 * WHOLE / (2 * dead + 1), "{dead}: {}", budget.free());
    }
    let alive = budget.open(None);

    assert_eq!(budget.free_for(alive), budget.free());
    assert!(budget.try_take_exactly(alive, WHOLE, 0));
}

#[test]
fn single_record_may_take_everything() {
    let mut budget = budget(10 * WHOLE);
    let id = budget.open(None);

    assert_eq!(budget.try_take(id, 10 * WHOLE), Some(10 * WHOLE));
    assert_eq!(budget.free(), 0);
}

#[test]
fn waits_of_a_partition_above_its_share_hold_nobody_up() {
    let mut budget = budget(10 * WHOLE);
    let (dead, alive) = (budget.open(None), budget.open(None));
    flood(&mut budget, dead);
    budget.wait(Line::Partition(dead), 1);
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
    let hog = budget.open(None);
    assert!(budget.try_take_exactly(hog, 4 * WHOLE, 0));
    let [a, b] = [budget.open(None), budget.open(None)];
    let a = [
        budget.wait(Line::Partition(a), WHOLE),
        budget.wait(Line::Partition(a), WHOLE),
        budget.wait(Line::Partition(a), WHOLE),
    ];
    let b = [budget.wait(Line::Partition(b), WHOLE)];
    assert_eq!(budget.next_grant(), None);

    budget.give_back(hog, 4 * WHOLE);

    let grants: Vec<_> = std::iter::from_fn(|| budget.next_grant()).map(|grant| grant.ticket).collect();
    // Two of four are left; a partition that holds one might have a second only if more stayed free.
    assert_eq!(grants, [a[0], b[0]]);
}

#[test]
fn large_record_is_not_starved_by_others_who_keep_flowing() {
    let mut budget = budget(10 * WHOLE);
    let (large, small) = (budget.open(None), budget.open(None));
    for _ in 0..3 {
        assert!(budget.try_take_exactly(small, WHOLE, 0));
    }
    let ticket = budget.wait(Line::Partition(large), 9 * WHOLE);
    assert_eq!(budget.next_grant(), None);

    assert_eq!(budget.try_take(small, 1), None, "one buffer at a time");
    budget.give_back(small, 3 * WHOLE);
    assert_eq!(budget.next_grant(), Some(Grant { ticket, partition: large, capacity: 9 * WHOLE }));
    assert_eq!(budget.try_take(small, 1), Some(SMALLEST.max(1)), "what is left is for others");
}

#[test]
fn partition_with_nothing_gets_a_small_buffer_if_there_is_no_whole_one() {
    let mut budget = budget(10 * WHOLE);
    let (hog, other) = (budget.open(None), budget.open(None));
    assert!(budget.try_take_exactly(hog, 10 * WHOLE - SMALLEST, 0));
    let ticket = budget.wait(Line::Partition(other), 10);

    assert_eq!(budget.next_grant(), Some(Grant { ticket, partition: other, capacity: SMALLEST }));
}

#[test]
fn only_buffer_of_a_partition_may_grow_into_what_is_free() {
    let mut budget = budget(10 * WHOLE);
    let (hog, growing) = (budget.open(None), budget.open(None));
    assert!(budget.try_take_exactly(hog, 6 * WHOLE, 0));
    assert!(budget.try_take_exactly(growing, WHOLE, 0));

    assert!(budget.try_take_exactly(growing, 3 * WHOLE, WHOLE));
    budget.give_back(growing, WHOLE);
    assert!(!budget.try_take_exactly(growing, WHOLE, 0), "a second one is above its share");
}

#[test]
fn what_is_taken_beyond_must_be_made_up_for() {
    let mut budget = budget(4 * WHOLE);
    let (a, b) = (budget.open(None), budget.open(None));
    budget.take_beyond(a, 6 * WHOLE);
    let ticket = budget.wait(Line::Partition(b), WHOLE);

    budget.give_back(a, 2 * WHOLE);
    assert_eq!((budget.free(), budget.next_grant()), (0, None));
    budget.give_back(a, WHOLE);

    assert_eq!(budget.next_grant(), Some(Grant { ticket, partition: b, capacity: WHOLE }));
}

#[test]
fn places_of_partitions_are_used_again() {
    let mut budget = budget(4 * WHOLE);
    let first = budget.open(None);
    budget.close(first);

    assert_eq!(budget.open(None), first);
}

/// Memory of which the first of a topic's three partitions has taken what it may, and the topic.
fn one_dead_of_three() -> (Budget, TopicId, [PartitionId; 3]) {
    let mut budget = budget(20 * WHOLE);
    let topic = budget.open_topic();
    let ids = [0, 1, 2].map(|number| budget.open(Some(InTopic { topic, number, has_leader: true })));
    flood(&mut budget, ids[0]);
    (budget, topic, ids)
}

#[test]
fn who_may_go_anywhere_is_served_by_whichever_partition_gives_back() {
    for number in [1, 2] {
        let (mut budget, topic, ids) = one_dead_of_three();
        assert!(flood(&mut budget, ids[1]) > 0 && flood(&mut budget, ids[2]) > 0);
        let ticket = budget.wait(Line::Topic(topic), 1);
        assert_eq!(budget.next_grant(), None);

        let partition = ids[number];
        let grant = (0..budget.partition(partition).unwrap().held / WHOLE).find_map(|_| {
            budget.give_back(partition, WHOLE);
            budget.next_grant()
        });

        assert_eq!(grant, Some(Grant { ticket, partition, capacity: WHOLE }));
        assert!(budget.hungry.is_empty());
    }
}

#[test]
fn who_may_go_anywhere_is_served_by_what_other_topics_give_back() {
    let mut budget = budget(20 * WHOLE);
    let topic = budget.open_topic();
    let [other, own] =
        [None, Some(InTopic { topic, number: 7, has_leader: true })].map(|place| budget.open(place));
    assert!(budget.try_take_exactly(other, 20 * WHOLE, 0));
    let ticket = budget.wait(Line::Topic(topic), 1);
    assert_eq!(budget.next_grant(), None);

    budget.give_back(other, 20 * WHOLE);

    assert_eq!(budget.next_grant(), Some(Grant { ticket, partition: own, capacity: WHOLE }));
    assert_eq!(budget.number_in_topic(own), Some(7));
}

#[test]
fn roomiest_partition_is_the_one_that_holds_least_and_equals_take_turns() {
    let (mut budget, topic, [_, a, b]) = one_dead_of_three();

    let taken = std::iter::from_fn(|| {
        let id = budget.roomiest(topic, 1)?;
        budget.try_take_exactly(id, WHOLE, 0).then_some(id)
    });

    assert_eq!(taken.collect::<Vec<_>>(), [a, b, a, b]);
}

#[test]
fn nobody_passes_those_who_wait_for_any_partition() {
    let (mut budget, topic, [dead, a, _]) = one_dead_of_three();
    let ticket = budget.wait(Line::Topic(topic), 11 * WHOLE);
    assert_eq!(budget.next_grant(), None);

    assert!(budget.is_waited_for(topic));
    assert_eq!(budget.roomiest(topic, 1), None);
    assert_eq!(budget.try_take(dead, 1), None);
    // For a record that must go there, and one buffer only.
    assert_eq!(budget.try_take(a, 1), Some(WHOLE));
    assert_eq!(budget.try_take(a, 1), None);

    budget.cancel(Line::Topic(topic), ticket);
    assert_eq!((budget.is_waited_for(topic), budget.next_grant()), (false, None));
    assert!(budget.roomiest(topic, 1).is_some());
}

#[test]
fn partitions_that_take_nothing_or_have_no_leader_come_last() {
    let (mut budget, topic, [dead, a, b]) = one_dead_of_three();
    budget.set_leaders(topic, 3, |number| number != 1);
    assert_eq!(budget.roomiest(topic, 1), Some(b));

    budget.set_shut(b, true);
    assert_eq!(budget.roomiest(topic, 1), None, "the others give nothing, rather than records to these");
    let ticket = budget.wait(Line::Topic(topic), 1);
    assert_eq!(budget.next_grant(), None);
    budget.set_leaders(topic, 2, |_| true);
    assert_eq!(budget.next_grant(), None, "that was before");
    budget.set_leaders(topic, 4, |_| true);
    assert_eq!(budget.next_grant(), Some(Grant { ticket, partition: a, capacity: WHOLE }));

    budget.set_shut(b, false);
    assert_eq!(budget.roomiest(topic, 1), Some(b));
    [dead, a, b].into_iter().for_each(|id| budget.set_shut(id, true));
    assert_eq!(budget.roomiest(topic, 1), Some(b), "there are no others");
}

#[test]
fn partitions_that_are_added_are_for_those_who_wait_already() {
    let (mut budget, topic, [_, a, b]) = one_dead_of_three();
    assert!(flood(&mut budget, a) > 0 && flood(&mut budget, b) > 0);
    let ticket = budget.wait(Line::Topic(topic), 1);
    assert_eq!(budget.next_grant(), None);

    let added = budget.open(Some(InTopic { topic, number: 3, has_leader: true }));

    assert_eq!(budget.next_grant(), Some(Grant { ticket, partition: added, capacity: WHOLE }));
    budget.give_back(added, WHOLE);
    budget.close(added);
    assert_ne!(budget.roomiest(topic, 1), Some(added));
}

#[test]
fn partitions_that_hold_nothing_are_those_with_a_leader_unless_none_has_one() {
    let (mut budget, topic, [_, a, b]) = one_dead_of_three();
    assert_eq!((budget.untouched(topic, 8, true), budget.untouched(topic, 1, true)), (2, 1));
    budget.set_leaders(topic, 1, |number| number == 1);
    assert_eq!(budget.untouched(topic, 8, true), 1);
    budget.set_shut(a, true);
    assert_eq!(budget.untouched(topic, 8, true), 0, "those without a queue may have leaders");

    budget.set_leaders(topic, 2, |_| false);
    assert_eq!((budget.untouched(topic, 8, true), budget.untouched(topic, 8, false)), (0, 1));
    budget.set_shut(a, false);
    assert_eq!((budget.untouched(topic, 8, false), budget.untouched(topic, 1, false)), (2, 1));
    assert!(budget.try_take_exactly(b, 1, 0));
    assert_eq!(budget.untouched(topic, 8, false), 1);
}

#[test]
fn partition_that_is_added_without_a_leader_is_not_for_those_who_wait() {
    let (mut budget, topic, [_, a, b]) = one_dead_of_three();
    assert!(flood(&mut budget, a) > 0 && flood(&mut budget, b) > 0);
    let ticket = budget.wait(Line::Topic(topic), 1);
    assert_eq!(budget.next_grant(), None);

    let added = budget.open(Some(InTopic { topic, number: 3, has_leader: false }));

    assert_eq!(budget.next_grant(), None);
    // What was said when it was added may have been of an older cluster.
    budget.set_leaders(topic, 1, |_| true);
    assert_eq!(budget.next_grant(), Some(Grant { ticket, partition: added, capacity: WHOLE }));
}

/// A budget of which nothing is free, with as many waits as `lines` gives lines for.
fn crowded(
    lines: impl Fn(&mut Budget) -> Vec<Line>,
    need: usize,
) -> (Budget, PartitionId, Vec<(Line, Ticket)>) {
    let mut budget = budget(100 * WHOLE);
    let hog = budget.open(None);
    let lines = lines(&mut budget);
    let free = budget.free();
    assert!(budget.try_take_exactly(hog, free, 0));
    let waits = lines.into_iter().map(|line| (line, budget.wait(line, need))).collect();
    assert_eq!(budget.next_grant(), None);
    (budget, hog, waits)
}

#[test]
fn work_for_one_wait_hardly_grows_with_the_number_of_waits() {
    type Lines = fn(&mut Budget, usize) -> Vec<Line>;
    let one: Lines = |budget, count| vec![Line::Partition(budget.open(None)); count];
    let many: Lines = |budget, count| (0..count).map(|_| Line::Partition(budget.open(None))).collect();
    let anywhere: Lines = |budget, count| {
        let topic = budget.open_topic();
        for number in 0..count {
            budget.open(Some(InTopic { topic, number, has_leader: true }));
        }
        vec![Line::Topic(topic); count]
    };
    // Their partitions hold something, though not all that they may.
    let holders: Lines = |budget, count| {
        let ids: Vec<_> = (0..count).map(|_| budget.open(None)).collect();
        ids.iter().for_each(|id| assert!(budget.try_take_exactly(*id, 1, 0)));
        ids.into_iter().map(Line::Partition).collect()
    };
    for (name, lines) in [("one", one), ("many", many), ("anywhere", anywhere), ("holders", holders)] {
        for need in [1, WHOLE, 30 * WHOLE] {
            let steps_for_each = |count: usize| {
                let (mut budget, hog, mut waits) = crowded(|budget| lines(budget, count), need);
                let steps = steps::of(|| {
                    for (at, (line, ticket)) in waits.drain(..).rev().enumerate() {
                        budget.cancel(line, ticket);
                        if at % 2 == 0 {
                            budget.give_back(hog, 1);
                            budget.take_beyond(hog, 1);
                        }
                        assert_eq!(budget.next_grant(), None);
                    }
                });
                steps / count as u64
            };

            let (few, many) = (steps_for_each(100), steps_for_each(6400));

            // One more look each time that the number doubles would be a few dozens.
            assert!(many <= few + 100, "{name} {need}: {few} steps for each of 100, {many} for each of 6400");
        }
    }
}

/// What happens, with indexes that are taken modulo the number of what they choose from.
#[derive(Debug, Clone)]
enum Operation {
    Cancel(usize),
    GiveBack(usize),
    TryTake(usize, usize),
    SetShut(usize),
    TryTakeExactly(usize, usize),
    TryTakeAnywhere(usize),
    /// The last line is that of the topic.
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
        index().prop_map(Operation::SetShut),
        len().prop_map(Operation::TryTakeAnywhere),
        (index(), len()).prop_map(|(index, least)| Operation::Wait(index, least)),
        (index(), len()).prop_map(|(index, least)| Operation::Wait(index, least)),
    ]
}

const PARTITIONS: usize = 4;
const TOTAL: usize = 10 * WHOLE;

struct Run {
    budget: Budget,
    topic: TopicId,
    ids: Vec<PartitionId>,
    is_shut: [bool; PARTITIONS],
    /// Bytes of each buffer, by partition.
    buffers: Vec<(usize, usize)>,
    /// By line, oldest first.
    waits: Vec<VecDeque<(Ticket, usize)>>,
}

impl Run {
    fn new() -> Self {
        let mut budget = budget(TOTAL);
        let topic = budget.open_topic();
        let ids = (0..PARTITIONS)
            .map(|number| budget.open(Some(InTopic { topic, number, has_leader: true })))
            .collect();
        let waits = vec![VecDeque::new(); PARTITIONS + 1];
        Self { budget, topic, ids, is_shut: [false; PARTITIONS], buffers: Vec::new(), waits }
    }

    fn line(&self, index: usize) -> Line {
        self.ids.get(index).map_or(Line::Topic(self.topic), |id| Line::Partition(*id))
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
                let line = index % self.waits.len();
                let waits = &mut self.waits[line];
                if waits.is_empty() {
                    return;
                }
                let (ticket, _) = waits.remove(index / 10 % waits.len()).unwrap();
                self.budget.cancel(self.line(line), ticket);
            }
            Operation::GiveBack(_) if self.buffers.is_empty() => {}
            Operation::GiveBack(index) => {
                let (partition, bytes) = self.buffers.swap_remove(index % self.buffers.len());
                self.budget.give_back(self.ids[partition], bytes);
            }
            Operation::SetShut(index) => {
                let partition = index % PARTITIONS;
                self.is_shut[partition] ^= true;
                self.budget.set_shut(self.ids[partition], self.is_shut[partition]);
            }
            Operation::TryTakeAnywhere(least) => {
                let Some(id) = self.budget.roomiest(self.topic, least) else { return };
                let partition = self.ids.iter().position(|known| *known == id).unwrap();
                self.check_choice(partition);
                let capacity = self.budget.try_take(id, least).expect("it has room");
                assert!(capacity >= least && self.waits[PARTITIONS].is_empty());
                self.book(partition, capacity);
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
                let line = index % self.waits.len();
                let ticket = self.budget.wait(self.line(line), least);
                self.waits[line].push_back((ticket, least));
            }
        }
    }

    fn serve(&mut self) {
        while let Some(Grant { ticket, partition, capacity }) = self.budget.next_grant() {
            let is_first =
                |waits: &VecDeque<(Ticket, usize)>| waits.front().is_some_and(|first| first.0 == ticket);
            let line = self.waits.iter().position(is_first).expect("first come, first served");
            let (_, least) = self.waits[line].pop_front().unwrap();
            assert!(capacity >= least);
            let partition = self.ids.iter().position(|known| *known == partition).unwrap();
            if line == PARTITIONS {
                self.check_choice(partition);
            } else {
                assert_eq!(partition, line);
            }
            self.book(partition, capacity);
        }
    }

    /// Any partition would do: it must be the one that holds least, of those that are not shut if there are some.
    fn check_choice(&self, partition: usize) {
        let least = self.choices().map(|choice| self.held_by(choice)).min();
        assert!(self.choices().any(|choice| choice == partition));
        assert_eq!(Some(self.held_by(partition)), least);
    }

    fn choices(&self) -> impl Iterator<Item = usize> {
        let all_are_shut = self.is_shut.iter().all(|is_shut| *is_shut);
        (0..PARTITIONS).filter(move |partition| all_are_shut || !self.is_shut[*partition])
    }

    fn check(&self) {
        assert_eq!(self.budget.free(), TOTAL - self.held());
        // A partition that holds nothing is served as soon as there is enough.
        let is_short = |(_, least): &(Ticket, usize)| least.max(&SMALLEST) > &self.budget.free();
        for (partition, waits) in self.waits.iter().take(PARTITIONS).enumerate() {
            assert!(self.held_by(partition) > 0 || waits.front().is_none_or(is_short));
        }
        let has_nothing = self.choices().any(|partition| self.held_by(partition) == 0);
        assert!(!has_nothing || self.waits[PARTITIONS].front().is_none_or(is_short));
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
            for _ in 0..run.buffers.len() {
                let (partition, bytes) = run.buffers.remove(0);
                run.budget.give_back(run.ids[partition], bytes);
                run.serve();
            }
            rounds += 1;
            prop_assert!(rounds < 1000, "a wait is never served");
        }
        for (partition, bytes) in std::mem::take(&mut run.buffers) {
            run.budget.give_back(run.ids[partition], bytes);
        }
        prop_assert_eq!(run.budget.free(), TOTAL);
        prop_assert!(run.budget.hungry.is_empty());
    }
}
