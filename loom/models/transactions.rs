//! The end of a transaction while a caller sends into it.

use std::sync::Arc;

use loom::thread;

use super::accumulator::Border;
use super::model;
use crate::accumulator::NO_TRANSACTION;
use crate::protocol::compression::Compression;

const TRANSACTION: u64 = 1;

/// When the queues have been told of the end, each record of the transaction is in its batch, or is refused.
fn record_and_end(partition: usize) {
    model(move || {
        let border = Border::new(Compression::None);
        border.accumulator.set_transaction(TRANSACTION);
        let caller = {
            let border = Arc::clone(&border);
            let topic = border.accumulator.known_topic("topic").expect("it is in use");
            thread::spawn(move || {
                let queue =
                    border.accumulator.ensure_queue(&topic, partition, || true).expect("the topic has it");
                border.append_in(queue, 1, TRANSACTION)
            })
        };

        border.accumulator.set_transaction(NO_TRANSACTION);

        let had_come = border.accumulator.appended_records();
        assert_eq!(u64::from(caller.join().unwrap()), had_come);
    });
}

/// The partition has a queue already.
pub fn record_and_end_of_its_transaction() {
    record_and_end(0);
}

/// The caller makes the queue.
pub fn first_record_and_end_of_its_transaction() {
    record_and_end(1);
}

/// A record of the transaction before does not come into the next one.
pub fn late_record_and_next_transaction() {
    model(|| {
        let border = Border::new(Compression::None);
        border.accumulator.set_transaction(TRANSACTION);
        let caller = {
            let border = Arc::clone(&border);
            thread::spawn(move || border.append_in(&border.queue, 1, TRANSACTION))
        };

        border.accumulator.set_transaction(NO_TRANSACTION);
        let had_come = border.accumulator.appended_records();
        border.accumulator.set_transaction(TRANSACTION + 1);
        assert!(border.append_in(&border.queue, 1, TRANSACTION + 1));

        assert_eq!(u64::from(caller.join().unwrap()), had_come);
        assert_eq!(border.accumulator.appended_records(), had_come + 1);
    });
}
