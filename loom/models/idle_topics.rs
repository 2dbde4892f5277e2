//! A topic that idles out while a caller sends to it.

use std::sync::Arc;

use loom::thread;

use super::accumulator::Border;
use super::model;
use crate::protocol::compression::Compression;
use crate::topic_partition::Topic;

/// The record is refused, or lies in a queue that the sender still knows.
fn record_and_retirement(partition: usize) {
    model(move || {
        let border = Border::new(Compression::None);
        let caller = {
            let border = Arc::clone(&border);
            let topic = border.accumulator.known_topic("topic").expect("it is known so far");
            thread::spawn(move || {
                let queue = border.accumulator.ensure_queue(&topic, partition, || true);
                queue.is_some_and(|queue| border.append_to(queue, 1))
            })
        };

        drop(border.accumulator.retire_topic(&Topic::from("topic"), |_| false));

        let is_accepted = caller.join().unwrap();
        let (mut changed, known) = (Vec::new(), border.accumulator.known_topic("topic"));
        border.accumulator.take_changed(&mut changed);
        let made = known.map_or_else(Vec::new, |topic| topic.made());
        changed.retain(|queue| made.iter().any(|made| Arc::ptr_eq(made, queue)));
        let received: u32 = changed.iter().map(|queue| border.take(queue, |_| true)).sum();
        assert_eq!(received, u32::from(is_accepted));
    });
}

/// The partition has a queue already.
pub fn record_to_a_topic_that_idles_out() {
    record_and_retirement(0);
}

/// The caller makes the queue.
pub fn first_record_to_a_topic_that_idles_out() {
    record_and_retirement(1);
}

/// Two callers that come with the first record of a partition get the same queue.
pub fn first_records_of_two_threads() {
    model(|| {
        let border = Border::new(Compression::None);
        let append = |border: &Border| {
            let topic = border.accumulator.known_topic("topic").expect("it is in use");
            let queue = border.accumulator.ensure_queue(&topic, 1, || true).expect("it is in use");
            assert!(border.append_to(queue, 1));
        };
        let caller = {
            let border = Arc::clone(&border);
            thread::spawn(move || append(&border))
        };
        append(&border);

        border.receive(2, |_| true);

        caller.join().unwrap();
    });
}
