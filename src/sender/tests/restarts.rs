//! What brokers forget when they are restarted.

use super::bench::{Bench, Config, failure, is_pending, millis, offset};
use super::wire::Reply;
use crate::error::Persisted;
use crate::protocol::ErrorCode;

/// A broker that was restarted knows the last batch of a producer, not the last five: of the others it says that they
/// are out of order, although it has them.
#[test]
fn batch_that_may_be_written_gets_no_new_number() {
    for doubt in [6, 7, 20, 56] {
        let mut bench = Bench::new(Config { is_idempotent: true, max_outstanding: 5, ..Config::default() });
        let first = bench.send(0, "a");
        bench.acknowledge_all();
        let older = bench.send(0, "b");
        let younger = bench.send(0, "c");
        for _ in 0..2 {
            let request = bench.received.pop_front().unwrap();
            let written = bench.world.append(request.node, &request.batches[0]);
            assert_eq!(written.code, 0);
            bench.reply(&request, &Reply::error(doubt));
        }

        bench.world.restart_leader(0);
        for _ in 0..10 {
            bench.advance(millis(1000));
            bench.acknowledge_all();
        }
        let last = bench.send(0, "d");
        bench.acknowledge_all();

        assert_eq!(bench.world.log(0), ["a", "b", "c", "d"], "{doubt}");
        assert_eq!(failure(&older).persisted(), Persisted::Maybe);
        assert_eq!(failure(&older).error_code(), Some(ErrorCode::OutOfOrderSequenceNumber));
        assert_eq!([first, younger, last].map(|delivery| offset(&delivery)), [Some(0), Some(2), Some(3)]);
    }
}

#[test]
fn refusal_of_its_number_tells_nothing_of_a_batch_that_may_be_written() {
    for (doubt, refusal) in [(7, 45), (7, 59), (20, 45), (20, 59)] {
        let mut bench = Bench::new(Config { is_idempotent: true, max_outstanding: 5, ..Config::default() });
        bench.put(0, "a");
        bench.acknowledge_all();
        let delivery = bench.send(0, "b");
        let request = bench.request();
        bench.reply(&request, &Reply::error(doubt));
        bench.advance(millis(1000));

        let request = bench.request();
        bench.reply(&request, &Reply::error(refusal));

        assert_eq!(failure(&delivery).persisted(), Persisted::Maybe, "{doubt} {refusal}");
    }
}

/// Brokers from before 2.5 answer 59 when they know nothing of the producer.
#[test]
fn refusal_of_its_number_tells_that_a_first_attempt_was_not_written() {
    for refusal in [45, 59] {
        let mut bench = Bench::new(Config { is_idempotent: true, max_outstanding: 5, ..Config::default() });
        bench.put(0, "a");
        bench.acknowledge_all();
        let delivery = bench.send(0, "b");
        let request = bench.request();

        bench.reply(&request, &Reply::error(refusal));
        assert!(is_pending(&delivery));
        bench.advance(millis(1000));
        bench.acknowledge_all();

        assert_eq!(offset(&delivery), Some(1), "{refusal}");
        assert_eq!(bench.world.log(0), ["a", "b"]);
    }
}
