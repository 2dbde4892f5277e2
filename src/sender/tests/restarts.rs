//! What brokers forget when they are restarted.

use super::bench::{Bench, Config, failure, millis, offset};
use super::wire::Reply;
use crate::error::Persisted;
use crate::protocol::ErrorCode;

/// A broker that was restarted in good order knows the last batch of a producer, not the five before: it answers to
/// those that they are out of order, although it has them.
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
