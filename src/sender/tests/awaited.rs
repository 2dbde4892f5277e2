//! Batches whose records are all awaited: `linger.ms`, unless it was set, holds up no caller who is already waiting.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use super::bench::{Bench, Config, millis, offset};
use crate::delivery::Delivery;

/// Starts to wait for a delivery.
fn wait_for(bench: &mut Bench, delivery: &mut Delivery) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(delivery).poll(&mut cx).is_pending());
    bench.settle();
}

fn bench() -> Bench {
    Bench::new(Config { linger: millis(20), spares_awaited: true, ..Config::default() })
}

#[test]
fn lone_record_goes_as_soon_as_it_is_awaited() {
    let mut bench = bench();

    let mut delivery = bench.send(0, "a");
    assert!(bench.received.is_empty());
    wait_for(&mut bench, &mut delivery);

    let request = bench.request();
    assert_eq!(request.records(), ["a"]);
    bench.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn record_that_nobody_waits_for_holds_its_batch_for_the_linger() {
    let mut bench = bench();

    let _unawaited = bench.send(0, "a");
    let mut awaited = bench.send(0, "b");
    wait_for(&mut bench, &mut awaited);
    bench.advance(millis(19));
    assert!(bench.received.is_empty());
    bench.advance(millis(1));

    assert_eq!(bench.request().records(), ["a", "b"]);
}

#[test]
fn whoever_gives_up_waiting_is_not_counted() {
    let mut bench = bench();

    let mut first = bench.send(0, "a");
    let mut second = bench.send(0, "b");
    wait_for(&mut bench, &mut first);
    drop(first);
    wait_for(&mut bench, &mut second);
    assert!(bench.received.is_empty());

    bench.advance(millis(20));
    assert_eq!(bench.request().records(), ["a", "b"]);
}

#[test]
fn records_gather_while_something_is_under_way_to_their_broker() {
    let mut bench = bench();
    let mut first = bench.send(0, "a");
    wait_for(&mut bench, &mut first);
    let request = bench.request();

    // Partition 2 has the same leader, partition 1 has another.
    let mut here = [bench.send(0, "b"), bench.send(2, "c"), bench.send(0, "d")];
    for delivery in &mut here {
        wait_for(&mut bench, delivery);
    }
    assert!(bench.received.is_empty());
    let mut elsewhere = bench.send(1, "e");
    wait_for(&mut bench, &mut elsewhere);
    assert_eq!(bench.request().records(), ["e"]);

    bench.acknowledge(&request);
    let gathered = bench.request();
    let mut records = gathered.records();
    records.sort_unstable();
    assert_eq!(records, ["b", "c", "d"]);
    assert!(bench.received.is_empty());
}

#[test]
fn linger_bounds_the_gathering() {
    let mut bench = Bench::new(Config { linger: millis(20), spares_awaited: true, ..Config::default() });
    let mut first = bench.send(0, "a");
    wait_for(&mut bench, &mut first);
    let unanswered = bench.request();

    let mut second = bench.send(2, "b");
    wait_for(&mut bench, &mut second);
    bench.advance(millis(19));
    assert!(bench.received.is_empty());
    bench.advance(millis(1));

    assert_eq!(bench.request().records(), ["b"]);
    bench.acknowledge(&unanswered);
}

#[test]
fn linger_that_was_set_is_obeyed() {
    let mut bench = Bench::new(Config { linger: millis(20), ..Config::default() });

    let mut delivery = bench.send(0, "a");
    wait_for(&mut bench, &mut delivery);
    bench.advance(millis(19));
    assert!(bench.received.is_empty());
    bench.advance(millis(1));

    assert_eq!(bench.request().records(), ["a"]);
}

#[test]
fn gathered_records_follow_their_leader() {
    let linger = millis(10_000);
    let mut bench = Bench::new(Config { linger, spares_awaited: true, ..Config::default() });
    bench.put(1, "warm up node 2, so that it can tell the news");
    bench.advance(linger);
    bench.acknowledge_all();
    let mut first = bench.send(0, "a");
    wait_for(&mut bench, &mut first);
    let unanswered = bench.request();
    let mut second = bench.send(2, "b");
    wait_for(&mut bench, &mut second);
    assert!(bench.received.is_empty());

    bench.world.lead(2, 2);
    bench.refresh();

    assert_eq!(bench.request().node, 2);
    bench.acknowledge(&unanswered);
}
