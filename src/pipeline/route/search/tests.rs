//! What a record does next, by what came of what it tried.

use std::cell::Cell;

use super::super::tests::{Topic, rules};
use super::*;
use crate::clock;

/// Queues with memory for this partition, and records behind others that wait for memory or not.
#[derive(Debug, Default)]
struct Queues {
    uncounted: Cell<usize>,
    is_memory_waited_for: bool,
    roomiest: Option<usize>,
}

impl QueueView for Queues {
    fn take_uncounted(&self, _: usize) -> Option<(usize, bool)> {
        Some((self.uncounted.take(), false))
    }

    fn is_memory_waited_for(&self) -> bool {
        self.is_memory_waited_for
    }

    fn partition_with_memory(&self, _: usize) -> Option<usize> {
        self.roomiest
    }
}

/// A topic of four partitions that sticks to the last of them; a `batch.size` is 100 bytes.
fn sticking_to_3() -> Topic {
    let topic = Topic::new(&[true; 4]);
    topic.routes().sticky().peek(4, || Some(3));
    topic
}

/// Begins to search, with 6 as the random number: an even draw among four gives 2.
fn begin<'a>(
    rules: &'a RoutingRules,
    topic: &'a Topic,
    queues: &'a Queues,
    granted: Option<usize>,
) -> Search<'a, Topic, Queues> {
    rules.search(Route::Free(3), granted, topic, queues, clock::now(), || 6)
}

#[test]
fn record_of_one_partition_waits_for_that_and_is_refused_while_that_is_stopped() {
    let (rules, topic) = (rules(), sticking_to_3());
    let queues = Queues { is_memory_waited_for: true, roomiest: Some(0), ..Queues::default() };
    for route in [Route::Fixed(1), Route::Chosen(1)] {
        let mut search = rules.search(route, None, &topic, &queues, clock::now(), || 6);

        assert_eq!(search.first(), Ok(Step::Append(1)));
        let no_memory = DeadEnd::NoMemory { partition: 1, is_anywhere: false };
        assert_eq!(search.handle_no_memory(1, 10), Err(no_memory));
        assert_eq!(search.handle_stopped(1), Err(DeadEnd::Stopped(1)));
    }
}

#[test]
fn topic_moves_on_at_the_end_of_a_batch_if_that_was_whole() {
    for (bytes, then) in [(99, 3), (100, 2)] {
        let (rules, topic, queues) = (rules(), sticking_to_3(), Queues::default());
        queues.uncounted.set(bytes);
        let mut search = begin(&rules, &topic, &queues, None);

        assert_eq!(search.first(), Ok(Step::FillUp(3)));
        assert_eq!(search.handle_batch_end(3), Ok(Step::Append(then)), "{bytes} bytes");
    }
}

#[test]
fn bytes_of_the_record_count_for_where_it_went() {
    let (rules, topic, queues) = (rules(), sticking_to_3(), Queues::default());
    let search = begin(&rules, &topic, &queues, None);

    search.handle_appended(3, 199);
    assert_eq!(topic.routes().sticky().current(4), Some(3));
    search.handle_appended(3, 1);
    assert_eq!(topic.routes().sticky().current(4), Some(2));
}

#[test]
fn record_without_memory_looks_once_for_a_partition_that_has_some_and_then_waits_for_any() {
    for (roomiest, partition) in [(Some(0), 0), (None, 3)] {
        let (rules, topic) = (rules(), sticking_to_3());
        let queues = Queues { roomiest, ..Queues::default() };
        let mut search = begin(&rules, &topic, &queues, None);

        assert_eq!(search.first(), Ok(Step::FillUp(3)));
        assert_eq!(search.handle_no_memory(3, 10), Ok(Step::FillUp(partition)));
        let no_memory = DeadEnd::NoMemory { partition, is_anywhere: true };
        assert_eq!(search.handle_no_memory(partition, 10), Err(no_memory));
    }
}

#[test]
fn record_joins_an_open_batch_or_waits_in_the_line_while_others_wait_for_memory() {
    let (rules, topic) = (rules(), sticking_to_3());
    let queues = Queues { is_memory_waited_for: true, roomiest: Some(0), ..Queues::default() };
    let mut search = begin(&rules, &topic, &queues, None);

    assert_eq!(search.first(), Ok(Step::Join(3)));
    assert_eq!(search.handle_no_room(3), Err(DeadEnd::NoMemory { partition: 3, is_anywhere: true }));
}

#[test]
fn record_in_a_topic_of_one_partition_waits_for_that() {
    let (rules, topic) = (rules(), Topic::new(&[true]));
    let queues = Queues { is_memory_waited_for: true, ..Queues::default() };
    let mut search = rules.search(Route::Free(0), None, &topic, &queues, clock::now(), || 6);

    assert_eq!(search.first(), Ok(Step::Join(0)));
    assert_eq!(search.handle_no_room(0), Err(DeadEnd::NoMemory { partition: 0, is_anywhere: false }));
}

#[test]
fn record_with_memory_that_finds_no_room_goes_where_it_was_granted_and_takes_others_there() {
    let (rules, topic, queues) = (rules(), sticking_to_3(), Queues::default());
    let mut search = begin(&rules, &topic, &queues, Some(1));

    assert_eq!(search.first(), Ok(Step::Join(3)));
    assert_eq!(search.handle_no_room(3), Ok(Step::Append(1)));
    assert_eq!(topic.routes().sticky().current(4), Some(1));
}

#[test]
fn record_leaves_a_stopped_partition_for_one_that_is_not_also_if_memory_was_granted_there() {
    let rules = rules();
    for granted in [None, Some(3)] {
        let (topic, queues) = (sticking_to_3().stopped(&[0, 3]), Queues::default());
        let mut search = begin(&rules, &topic, &queues, granted);
        let first = search.first().and_then(|step| match step {
            Step::Join(partition) => search.handle_no_room(partition),
            other => Ok(other),
        });

        assert_eq!(first.map(Step::partition), Ok(3));
        assert_eq!(search.handle_stopped(3).map(Step::partition), Ok(1));
    }
}

#[test]
fn record_is_refused_if_all_partitions_are_stopped_or_stop_one_after_another() {
    let (rules, queues) = (rules(), Queues::default());
    let stopped = sticking_to_3().stopped(&[0, 1, 2, 3]);
    assert_eq!(begin(&rules, &stopped, &queues, None).handle_stopped(3), Err(DeadEnd::Stopped(3)));

    let topic = sticking_to_3();
    let mut search = begin(&rules, &topic, &queues, None);
    for partition in [3, 2, 2, 2] {
        assert_eq!(search.handle_stopped(partition).map(Step::partition), Ok(2));
    }
    assert_eq!(search.handle_stopped(2), Err(DeadEnd::Stopped(2)));
}
