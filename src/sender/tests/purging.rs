//! Records that the application gives up.

use std::sync::Arc;

use super::rig::{Config, Rig, failure, is_pending, millis, offset};
use super::wire::Reply;
use crate::config::Compression;
use crate::delivery::Delivery;
use crate::error::{DeliveryError, DeliveryErrorKind, Persisted};
use crate::sender::Purge;

fn values(errors: &[DeliveryError]) -> Vec<String> {
    let value = |error: &DeliveryError| error.record().unwrap().value.unwrap().to_vec();
    errors.iter().map(|error| String::from_utf8(value(error)).unwrap()).collect()
}

fn purge(rig: &mut Rig, what: Purge) -> Vec<DeliveryError> {
    let mut purged = Vec::new();
    rig.core.purge(what, rig.now, &mut purged);
    rig.settle();
    purged
}

#[test]
fn what_is_queued_fails_and_what_is_under_way_goes_on() {
    let mut rig = Rig::new(Config::default());
    let sent = rig.send(0, "sent");
    let queued = [rig.send(0, "a"), rig.send(0, "b")];
    let unseen = rig.append(1, "the sender has not looked yet");

    let purged = purge(&mut rig, Purge::Queued);

    assert_eq!(values(&purged), ["a", "b", "the sender has not looked yet"]);
    for delivery in queued.iter().chain([&unseen]) {
        let error = failure(delivery);
        assert_eq!((error.kind(), error.persisted()), (DeliveryErrorKind::Purged, Persisted::No));
    }
    assert!(is_pending(&sent));
    rig.acknowledge_all();
    let after = rig.send(0, "after");
    rig.acknowledge_all();
    assert_eq!((offset(&sent), offset(&after)), (Some(0), Some(1)));
    assert_eq!(rig.world.log(0), ["sent", "after"]);
    assert!(rig.is_clean());
}

#[test]
fn what_is_under_way_may_have_been_written_and_its_answer_changes_nothing() {
    let mut rig = Rig::new(Config { is_idempotent: true, max_outstanding: 5, ..Config::default() });
    let first = rig.send(0, "first");
    rig.acknowledge_all();
    let sent = rig.send(0, "sent");
    let request = rig.request();

    let purged = purge(&mut rig, Purge::All);
    rig.acknowledge(&request);
    let after = rig.send(0, "after");
    rig.acknowledge_all();

    assert_eq!(values(&purged), ["sent"]);
    assert_eq!(failure(&sent).persisted(), Persisted::Maybe);
    assert_eq!((offset(&first), offset(&after)), (Some(0), Some(2)));
    assert_eq!(rig.world.log(0), ["first", "sent", "after"]);
    assert!(rig.is_clean());
}

#[test]
fn compression_that_no_thread_has_begun_is_taken_back_for_its_memory() {
    let mut rig = Rig::new(Config { compression: Compression::Lz4, seals: false, ..Config::default() });
    let delivery = rig.send(0, &"a".repeat(300));
    assert_eq!((rig.seal_jobs.len(), rig.late_seals), (1, 0));

    purge(&mut rig, Purge::Queued);

    assert_eq!(failure(&delivery).kind(), DeliveryErrorKind::Purged);
    assert_eq!(rig.late_seals, 1);
}

/// A sender with "b", which was refused and is queued again, and "c", which is younger and under way.
fn with_an_older_batch_queued_than_under_way() -> Rig {
    let mut rig = Rig::new(Config { is_idempotent: true, max_outstanding: 5, ..Config::default() });
    rig.put(0, "a");
    rig.acknowledge_all();
    rig.put(0, "b");
    rig.put(0, "c");
    let refused = rig.received.pop_front().unwrap();
    rig.reply(&refused, &Reply::error(19));
    assert_eq!(rig.request().records(), ["c"]);
    rig
}

#[test]
fn purged_records_come_back_in_order_whether_queued_or_under_way() {
    let mut rig = with_an_older_batch_queued_than_under_way();

    let purged = purge(&mut rig, Purge::All);

    assert_eq!(values(&purged), ["b", "c"]);
}

#[test]
fn records_come_back_in_order_from_a_sender_that_ends() {
    let mut rig = with_an_older_batch_queued_than_under_way();
    rig.put(0, "d");

    let mut undelivered = Vec::new();
    rig.core.abort(&DeliveryErrorKind::Closed, rig.now, &mut undelivered);

    assert_eq!(values(&undelivered), ["b", "c", "d"]);
}

/// Its number will never reach the broker, which waits for it.
#[test]
fn numbers_go_on_behind_a_batch_that_was_refused_and_then_given_up() {
    let mut rig = Rig::new(Config { is_idempotent: true, max_outstanding: 5, ..Config::default() });
    let first = rig.send(0, "first");
    rig.acknowledge_all();
    let refused = rig.send(0, "refused");
    let request = rig.request();
    // Not enough replicas: not written.
    rig.reply(&request, &Reply::error(19));

    purge(&mut rig, Purge::Queued);
    let after = rig.send(0, "after");
    rig.advance(millis(5000));
    rig.acknowledge_all();

    assert_eq!(failure(&refused).persisted(), Persisted::No);
    assert_eq!((offset(&first), offset(&after)), (Some(0), Some(1)));
    assert!(rig.is_clean());
}

/// Whether it is in the log the broker tells at the next number.
#[test]
fn numbers_go_on_behind_a_batch_without_an_answer_that_was_given_up() {
    for is_written in [false, true] {
        let mut rig = Rig::new(Config { is_idempotent: true, max_outstanding: 5, ..Config::default() });
        let first = rig.send(0, "first");
        rig.acknowledge_all();
        let lost = rig.send(0, "lost");
        let request = rig.request();
        if is_written {
            rig.world.append(request.node, &request.batches[0]);
        }
        rig.close(request.connection, None);

        purge(&mut rig, Purge::Queued);
        let after = rig.send(0, "after");
        for _ in 0..10 {
            rig.advance(millis(1000));
            rig.acknowledge_all();
        }

        assert_eq!(failure(&lost).persisted(), Persisted::Maybe);
        assert_eq!(offset(&first), Some(0));
        assert_eq!(offset(&after), Some(if is_written { 2 } else { 1 }));
        assert!(rig.is_clean());
    }
}

#[test]
fn records_that_are_being_compressed_are_given_up_too() {
    let mut rig = Rig::new(Config { compression: Compression::Lz4, seals: false, ..Config::default() });
    let delivery = rig.send(0, &"a".repeat(300));
    assert_eq!(rig.seal_jobs.len(), 1);

    let purged = purge(&mut rig, Purge::Queued);
    for job in std::mem::take(&mut rig.seal_jobs) {
        rig.accumulator.seal(job);
    }

    assert_eq!(values(&purged), ["a".repeat(300)]);
    assert_eq!(failure(&delivery).kind(), DeliveryErrorKind::Purged);
    assert!(rig.is_clean());
}

#[test]
fn nothing_to_give_up_is_nothing() {
    let mut rig = Rig::new(Config::default());

    assert!(purge(&mut rig, Purge::All).is_empty());

    let delivery = rig.send(0, "a");
    rig.acknowledge_all();
    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn partition_of_a_purged_record_stops_if_failures_stop_it() {
    let mut rig = Rig::new(Config { is_fail_stop: true, ..Config::default() });
    let sent = rig.send(0, "sent");
    let queued = rig.send(0, "queued");

    let purged = purge(&mut rig, Purge::Queued);

    assert_eq!(values(&purged), ["queued"]);
    assert_eq!(failure(&queued).kind(), DeliveryErrorKind::Purged);
    assert!(rig.try_append(super::world::TOPIC, 0, "behind the gap").is_none());
    rig.acknowledge_all();
    assert_eq!(offset(&sent), Some(0));
    assert_eq!(rig.world.log(0), ["sent"]);
}

fn withdraw(rig: &mut Rig, delivery: &Delivery) -> bool {
    let (cell, index) = delivery.place().unwrap();
    let (cell, index) = (Arc::clone(cell), index);
    let withdrawn = rig.core.withdraw(&[(cell, index)], rig.now);
    rig.settle();
    withdrawn == [true]
}

#[test]
fn record_that_waits_is_withdrawn_and_the_others_of_its_batch_are_delivered() {
    for is_idempotent in [false, true] {
        let mut rig = Rig::new(Config { is_idempotent, ..Config::default() });
        let first = rig.send(0, "first");
        let queued = ["a", "b", "c"].map(|value| rig.send(0, value));
        let unseen = rig.append(1, "the sender has not looked yet");

        assert!(withdraw(&mut rig, &unseen));
        assert!(withdraw(&mut rig, &queued[1]));
        assert!(!withdraw(&mut rig, &queued[1]), "a second time");
        rig.put(0, "behind");
        rig.acknowledge_all();

        for withdrawn in [&queued[1], &unseen] {
            let error = failure(withdrawn);
            assert_eq!((error.kind(), error.persisted()), (DeliveryErrorKind::Withdrawn, Persisted::No));
        }
        assert_eq!([&first, &queued[0], &queued[2]].map(offset), [Some(0), Some(1), Some(2)]);
        assert_eq!(rig.world.log(0), ["first", "a", "c", "behind"]);
        assert!(rig.world.log(1).is_empty());
        assert!(!withdraw(&mut rig, &first), "it is delivered");
        assert!(rig.is_clean());
    }
}

#[test]
fn record_that_was_sent_is_not_withdrawn() {
    let mut rig = Rig::new(Config { is_idempotent: true, max_outstanding: 5, ..Config::default() });
    let sent = rig.send(0, "sent");
    let request = rig.request();

    assert!(!withdraw(&mut rig, &sent));
    // Not enough replicas: not written, and queued again.
    rig.reply(&request, &Reply::error(19));
    assert!(!withdraw(&mut rig, &sent));
    assert!(is_pending(&sent));

    rig.advance(millis(1000));
    rig.acknowledge_all();
    assert_eq!(offset(&sent), Some(0));
    assert!(rig.is_clean());
}

#[test]
fn log_without_gaps_has_nothing_withdrawn() {
    let mut rig = Rig::new(Config { is_fail_stop: true, ..Config::default() });
    rig.put(0, "first");
    let queued = rig.send(0, "a");

    assert!(!withdraw(&mut rig, &queued));

    rig.acknowledge_all();
    assert_eq!(rig.world.log(0), ["first", "a"]);
}

#[test]
fn batch_lingers_on_when_a_record_is_withdrawn() {
    let mut rig = Rig::new(Config { linger: millis(60_000), ..Config::default() });
    let [kept, withdrawn, again] = ["a", "b", "c"].map(|value| rig.send(0, value));
    rig.advance(millis(20_000));

    assert!(withdraw(&mut rig, &withdrawn));
    rig.advance(millis(39_000));
    assert!(withdraw(&mut rig, &again));
    assert!(rig.received.is_empty());

    rig.advance(millis(2000));
    rig.acknowledge_all();
    assert_eq!(offset(&kept), Some(0));
    assert!(rig.is_clean());
}

#[test]
fn batch_that_lingers_on_goes_when_others_come_or_a_flush() {
    for is_flush in [false, true] {
        let mut rig = Rig::new(Config { linger: millis(60_000), ..Config::default() });
        let [kept, withdrawn] = ["a", "b"].map(|value| rig.send(0, value));
        // A flush counts also if it was before.
        if is_flush {
            let unseen = rig.append(0, "unseen");
            rig.accumulator.begin_flush();
            assert!(
                rig.core
                    .withdraw(&[(Arc::clone(unseen.place().unwrap().0), unseen.place().unwrap().1)], rig.now)
                    == [true]
            );
            rig.settle();
        } else {
            assert!(withdraw(&mut rig, &withdrawn));
            rig.put(0, "behind");
        }

        rig.acknowledge_all();
        assert_eq!(offset(&kept), Some(0));
    }
}

#[test]
fn what_callers_want_back_together_is_taken_from_its_batch_at_once() {
    let config = Config { linger: millis(60_000), batch_size: 60_000, ..Config::default() };
    let mut rig = Rig::new(config);
    let deliveries: Vec<_> = (0..1000).map(|number| rig.append(0, &number.to_string())).collect();
    let other = rig.append(1, "other");
    rig.settle();
    let wanted = |delivery: &Delivery| (Arc::clone(delivery.place().unwrap().0), delivery.place().unwrap().1);
    let odd = deliveries.iter().skip(1).step_by(2).chain([&other]).map(wanted).collect::<Vec<_>>();

    let withdrawn = rig.core.withdraw(&odd, rig.now);
    rig.settle();

    assert_eq!(withdrawn, [true; 501]);
    assert_eq!(rig.counters.batches_completed.value(), 2, "one of each partition");
    rig.advance(millis(60_000));
    rig.acknowledge_all();
    assert_eq!(rig.world.log(0).len(), 500);
    for (number, delivery) in deliveries.iter().enumerate() {
        match number % 2 {
            0 => assert_eq!(offset(delivery), i64::try_from(number / 2).ok()),
            _ => assert_eq!(failure(delivery).kind(), DeliveryErrorKind::Withdrawn),
        }
    }
    assert!(rig.is_clean());
}
