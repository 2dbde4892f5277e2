//! From the first record to its acknowledgement.

use super::bench::{Bench, Config, is_pending, millis, offset};
use super::wire::Reply;
use super::world::TOPIC;

#[test]
fn record_is_sent_and_its_offset_comes_back() {
    let mut bench = Bench::new(Config::default());

    let delivery = bench.send(0, "a");
    let request = bench.request();
    assert_eq!((request.node, request.acks, request.records()), (1, -1, vec!["a"]));
    assert!(is_pending(&delivery));
    bench.reply(&request, &Reply::ok(42));

    assert_eq!(offset(&delivery), Some(42));
    assert!(bench.is_clean());
}
