//! Batches whose records are all awaited: `linger.ms`, unless it was set, holds up no caller who is already waiting.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use super::rig::{Config, Rig, millis, offset};
use crate::delivery::Delivery;

/// Starts to wait for a delivery.
fn wait_for(rig: &mut Rig, delivery: &mut Delivery) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(delivery).poll(&mut cx).is_pending());
    rig.settle();
}

fn rig() -> Rig {
    Rig::new(Config { linger: millis(20), spares_awaited: true, ..Config::default() })
}

#[test]
fn lone_record_goes_as_soon_as_it_is_awaited() {
    let mut rig = rig();

    let mut delivery = rig.send(0, "a");
    assert!(rig.received.is_empty());
    wait_for(&mut rig, &mut delivery);

    let request = rig.request();
    assert_eq!(request.records(), ["a"]);
    rig.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn record_that_is_not_awaited_holds_its_batch_for_the_linger() {
    let mut rig = rig();

    let _unawaited = rig.send(0, "a");
    let mut awaited = rig.send(0, "b");
    wait_for(&mut rig, &mut awaited);
    rig.advance(millis(19));
    assert!(rig.received.is_empty());
    rig.advance(millis(1));

    assert_eq!(rig.request().records(), ["a", "b"]);
}

#[test]
fn caller_that_gives_up_waiting_is_not_counted() {
    let mut rig = rig();

    let mut first = rig.send(0, "a");
    let mut second = rig.send(0, "b");
    wait_for(&mut rig, &mut first);
    drop(first);
    wait_for(&mut rig, &mut second);
    assert!(rig.received.is_empty());

    rig.advance(millis(20));
    assert_eq!(rig.request().records(), ["a", "b"]);
}

#[test]
fn records_gather_while_something_is_under_way_to_their_broker() {
    let mut rig = rig();
    let mut first = rig.send(0, "a");
    wait_for(&mut rig, &mut first);
    let request = rig.request();

    // Partition 2 has the same leader, partition 1 has another.
    let mut here = [rig.send(0, "b"), rig.send(2, "c"), rig.send(0, "d")];
    for delivery in &mut here {
        wait_for(&mut rig, delivery);
    }
    assert!(rig.received.is_empty());
    let mut elsewhere = rig.send(1, "e");
    wait_for(&mut rig, &mut elsewhere);
    assert_eq!(rig.request().records(), ["e"]);

    rig.acknowledge(&request);
    let gathered = rig.request();
    let mut records = gathered.records();
    records.sort_unstable();
    assert_eq!(records, ["b", "c", "d"]);
    assert!(rig.received.is_empty());
}

#[test]
fn linger_bounds_the_gathering() {
    let mut rig = Rig::new(Config { linger: millis(20), spares_awaited: true, ..Config::default() });
    let mut first = rig.send(0, "a");
    wait_for(&mut rig, &mut first);
    let unanswered = rig.request();

    let mut second = rig.send(2, "b");
    wait_for(&mut rig, &mut second);
    rig.advance(millis(19));
    assert!(rig.received.is_empty());
    rig.advance(millis(1));

    assert_eq!(rig.request().records(), ["b"]);
    rig.acknowledge(&unanswered);
}

#[test]
fn linger_that_was_set_is_obeyed() {
    let mut rig = Rig::new(Config { linger: millis(20), ..Config::default() });

    let mut delivery = rig.send(0, "a");
    wait_for(&mut rig, &mut delivery);
    rig.advance(millis(19));
    assert!(rig.received.is_empty());
    rig.advance(millis(1));

    assert_eq!(rig.request().records(), ["a"]);
}

#[test]
fn gathered_records_follow_their_leader() {
    let linger = millis(10_000);
    let mut rig = Rig::new(Config { linger, spares_awaited: true, ..Config::default() });
    rig.put(1, "warm up node 2, so that it can tell the news");
    rig.advance(linger);
    rig.acknowledge_all();
    let mut first = rig.send(0, "a");
    wait_for(&mut rig, &mut first);
    let unanswered = rig.request();
    let mut second = rig.send(2, "b");
    wait_for(&mut rig, &mut second);
    assert!(rig.received.is_empty());

    rig.world.lead(2, 2);
    rig.refresh();

    assert_eq!(rig.request().node, 2);
    rig.acknowledge(&unanswered);
}
