//! What brokers forget when they are restarted.

use super::rig::{Config, Rig, failure, is_pending, millis, offset};
use super::wire::Reply;
use crate::error::Persisted;
use crate::protocol::ErrorCode;

/// A broker that was restarted knows the last batch of a producer, not the last five: of the others it says that they
/// are out of order, although it has them.
#[test]
fn batch_that_may_be_written_gets_no_new_number() {
    for doubt in [6, 7, 20, 56] {
        let mut rig = Rig::new(Config { is_idempotent: true, max_outstanding: 5, ..Config::default() });
        let first = rig.send(0, "a");
        rig.acknowledge_all();
        let older = rig.send(0, "b");
        let younger = rig.send(0, "c");
        for _ in 0..2 {
            let request = rig.received.pop_front().unwrap();
            let written = rig.world.append(request.node, &request.batches[0]);
            assert_eq!(written.code, 0);
            rig.reply(&request, &Reply::error(doubt));
        }

        rig.world.restart_leader(0);
        for _ in 0..10 {
            rig.advance(millis(1000));
            rig.acknowledge_all();
        }
        let last = rig.send(0, "d");
        rig.acknowledge_all();

        assert_eq!(rig.world.log(0), ["a", "b", "c", "d"], "{doubt}");
        assert_eq!(failure(&older).persisted(), Persisted::Maybe);
        assert_eq!(failure(&older).error_code(), Some(ErrorCode::OutOfOrderSequenceNumber));
        assert_eq!([first, younger, last].map(|delivery| offset(&delivery)), [Some(0), Some(2), Some(3)]);
    }
}

#[test]
fn refusal_of_its_number_tells_nothing_of_a_batch_that_may_be_written() {
    for (doubt, refusal) in [(7, 45), (7, 59), (20, 45), (20, 59)] {
        let mut rig = Rig::new(Config { is_idempotent: true, max_outstanding: 5, ..Config::default() });
        rig.put(0, "a");
        rig.acknowledge_all();
        let delivery = rig.send(0, "b");
        let request = rig.request();
        rig.reply(&request, &Reply::error(doubt));
        rig.advance(millis(1000));

        let request = rig.request();
        rig.reply(&request, &Reply::error(refusal));

        assert_eq!(failure(&delivery).persisted(), Persisted::Maybe, "{doubt} {refusal}");
    }
}

/// Brokers from before 2.5 answer 59 when they know nothing of the producer.
#[test]
fn refusal_of_its_number_tells_that_a_first_attempt_was_not_written() {
    for refusal in [45, 59] {
        let mut rig = Rig::new(Config { is_idempotent: true, max_outstanding: 5, ..Config::default() });
        rig.put(0, "a");
        rig.acknowledge_all();
        let delivery = rig.send(0, "b");
        let request = rig.request();

        rig.reply(&request, &Reply::error(refusal));
        assert!(is_pending(&delivery));
        rig.advance(millis(1000));
        rig.acknowledge_all();

        assert_eq!(offset(&delivery), Some(1), "{refusal}");
        assert_eq!(rig.world.log(0), ["a", "b"]);
    }
}
