//! Records that take too long.

use std::error::Error as _;
use std::time::Duration;

use super::rig::{Config, Rig, failure, is_pending, millis, offset};
use super::wire::Reply;
use crate::config::Compression;
use crate::error::{DeliveryErrorKind, Persisted};

const TIMEOUT: Duration = Duration::from_secs(40);

fn config() -> Config {
    Config { delivery_timeout: TIMEOUT, ..Config::default() }
}

fn is_timed_out(kind: &DeliveryErrorKind) -> bool {
    matches!(kind, DeliveryErrorKind::TimedOut(_))
}

#[test]
fn queued_batch_expires_exactly_when_its_time_is_over() {
    let mut rig = Rig::new(config());
    rig.silent.insert(1);
    let delivery = rig.send(0, "a");

    rig.advance(TIMEOUT - millis(1));
    assert!(is_pending(&delivery));
    rig.advance(millis(1));

    let error = failure(&delivery);
    assert!(is_timed_out(&error.kind()));
    assert_eq!((error.persisted(), error.time_spent().attempts), (Persisted::No, 0));
    assert_eq!((error.time_spent().disconnected, error.time_spent().total()), (TIMEOUT, TIMEOUT));
    assert!(error.to_string().contains(": disconnected 40 s, 0 attempts; "), "{error}");
    assert_eq!(error.record().unwrap().value.unwrap(), "a");
    assert!(rig.is_clean());
}

#[test]
fn batch_in_flight_expires_and_may_have_been_written() {
    let mut rig = Rig::new(Config { request_timeout: TIMEOUT * 2, ..config() });
    let delivery = rig.send(0, "a");

    rig.advance(TIMEOUT);

    let error = failure(&delivery);
    assert!(is_timed_out(&error.kind()));
    assert_eq!((error.persisted(), error.time_spent().in_flight), (Persisted::Maybe, TIMEOUT));
}

#[test]
fn late_answers_to_an_expired_batch_change_nothing() {
    for reply in [Reply::ok(9), Reply::error(19), Reply::error(10), Reply::error(29), Reply::led_by(2, 9)] {
        let mut rig = Rig::new(Config { linger: millis(5), request_timeout: TIMEOUT * 2, ..config() });
        let deliveries = ["a", "b"].map(|value| rig.send(0, value));
        rig.advance(TIMEOUT);
        let request = rig.request();

        rig.reply(&request, &reply);
        rig.advance(Duration::from_secs(1));

        assert!(deliveries.iter().all(|delivery| is_timed_out(&failure(delivery).kind())));
        assert!(rig.received.is_empty() && rig.is_clean());
    }
}

#[test]
fn next_batch_waits_for_the_answer_to_one_that_has_expired() {
    let mut rig = Rig::new(Config { request_timeout: TIMEOUT * 2, ..config() });
    let first = rig.send(0, "a");
    let request = rig.request();
    rig.advance(TIMEOUT / 2);
    let second = rig.send(0, "b");

    rig.advance(TIMEOUT / 2);
    assert!(!is_pending(&first) && is_pending(&second));
    assert!(rig.received.is_empty());
    rig.acknowledge(&request);

    rig.acknowledge_all();
    assert_eq!(offset(&second), Some(1));
}

#[test]
fn next_batch_goes_on_when_the_request_of_an_expired_one_times_out() {
    let mut rig = Rig::new(Config { request_timeout: TIMEOUT + millis(5000), ..config() });
    rig.put(0, "a");
    rig.advance(TIMEOUT / 2);
    let second = rig.send(0, "b");

    rig.advance(TIMEOUT / 2 + millis(6000));
    rig.acknowledge_all();

    assert_eq!(offset(&second), Some(0));
}

#[test]
fn answer_that_comes_with_the_end_of_the_time_counts() {
    let mut rig = Rig::new(Config { request_timeout: TIMEOUT * 2, ..config() });
    let delivery = rig.send(0, "a");
    let request = rig.request();

    rig.now += TIMEOUT;
    rig.acknowledge(&request);

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn retried_batch_expires_by_its_first_deadline() {
    let mut rig = Rig::new(config());
    let delivery = rig.send(0, "a");

    let mut attempts = 0;
    while is_pending(&delivery) {
        while let Some(request) = rig.received.pop_front() {
            attempts += 1;
            rig.reply(&request, &Reply { message: Some("1 of 2 are in sync"), ..Reply::error(19) });
        }
        rig.advance(millis(100));
    }

    assert_eq!(attempts, 400);
    let error = failure(&delivery);
    assert_eq!((error.persisted(), error.time_spent().attempts), (Persisted::No, 400));
    assert_eq!(error.time_spent().last_error, Some(crate::protocol::ErrorCode::NotEnoughReplicas));
    assert_eq!(error.broker_message(), Some("1 of 2 are in sync"));
}

/// Then all starts over from the bootstrap servers, and leaders have no address any more.
#[test]
fn records_that_no_broker_takes_tell_which_brokers_fail_and_do_not_say_that_there_is_no_leader() {
    let mut rig = Rig::new(config());
    let delivery = rig.send(0, "a");
    rig.down.extend([1, 2]);
    rig.close(rig.connection_to(1), None);

    rig.advance(TIMEOUT);

    let error = failure(&delivery);
    let spent = error.time_spent();
    assert!(spent.leader_known && spent.no_leader.is_zero(), "{spent:?}");
    assert!(spent.disconnected > TIMEOUT * 9 / 10 && spent.total() == TIMEOUT, "{spent:?}");
    let text = error.to_string();
    assert!(text.contains(":9092: refused, "), "{text}");
    assert!(error.brokers().iter().any(|broker| broker.failures > 10), "{:?}", error.brokers());
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("while connecting: refused"));
}

#[test]
fn partitions_expire_together_and_the_sender_sleeps_again() {
    let mut rig = Rig::new(config());
    rig.silent.extend([1, 2]);
    let deliveries = [0, 1, 2, 3].map(|partition| rig.append(partition, "a"));

    rig.advance(TIMEOUT);

    assert!(deliveries.iter().all(|delivery| is_timed_out(&failure(delivery).kind())));
    assert!(rig.is_clean());
    let before = rig.polls;
    rig.advance(Duration::from_secs(5));
    assert!(rig.polls - before < 50, "{} polls", rig.polls - before);
}

#[test]
fn memory_stays_taken_until_the_socket_lets_go_of_an_expired_batch() {
    let mut rig = Rig::new(Config { batch_size: 5000, request_timeout: TIMEOUT * 2, ..config() });
    rig.writes = false;
    // Smaller batches are copied into the request.
    let delivery = rig.send(0, &"a".repeat(4000));

    rig.advance(TIMEOUT);

    assert_eq!(failure(&delivery).persisted(), Persisted::Maybe);
    let memory = rig.accumulator.memory();
    assert!(memory.available() < memory.total());
    rig.unwritten.clear();
    assert!(rig.is_clean());
}

#[test]
fn batch_expires_while_it_is_compressed() {
    let mut rig = Rig::new(Config { compression: Compression::Lz4, seals: false, ..config() });
    let delivery = rig.send(0, &"a".repeat(300));
    let later = rig.append(0, &"b".repeat(900));

    let before = rig.polls;
    rig.advance(TIMEOUT + millis(10));

    assert!(rig.polls - before < 50, "{} polls", rig.polls - before);
    assert!(is_timed_out(&failure(&delivery).kind()));
    assert_eq!(failure(&delivery).persisted(), Persisted::No);
    assert_eq!(failure(&delivery).record().unwrap().value.unwrap(), "a".repeat(300));
    for job in std::mem::take(&mut rig.seal_jobs) {
        rig.accumulator.seal(job);
    }
    assert!(!is_pending(&later));
    assert!(rig.is_clean());
}

#[test]
fn records_of_an_expired_batch_can_be_sent_again_from_their_errors() {
    let mut rig = Rig::new(config());
    rig.silent.insert(1);
    let first = rig.send(0, "a");
    rig.advance(TIMEOUT);

    let record = failure(&first).record().unwrap();
    rig.silent.clear();
    let again = rig.append(record.partition.unwrap(), std::str::from_utf8(&record.value.unwrap()).unwrap());
    rig.advance(Duration::from_secs(30));
    rig.acknowledge_all();

    assert_eq!(offset(&again), Some(0));
}

#[test]
fn batch_for_a_throttled_node_expires_in_time() {
    let mut rig = Rig::new(config());
    rig.put(0, "a");
    let request = rig.request();
    rig.reply_with(&request, &[("topic".to_owned(), 0, Reply::ok(0))], 100_000);
    let delivery = rig.send(0, "b");

    rig.advance(TIMEOUT - millis(1));
    assert!(is_pending(&delivery) && rig.received.is_empty());
    rig.advance(millis(1));

    let error = failure(&delivery);
    assert!(is_timed_out(&error.kind()));
    assert_eq!(error.persisted(), Persisted::No);
    assert_eq!((error.time_spent().throttled, error.time_spent().total()), (TIMEOUT, TIMEOUT));
    let text = error.to_string();
    assert!(text.contains(": throttled 40 s, 0 attempts"), "{text}");
    assert!(text.ends_with("; raise producer_byte_rate"), "{text}");
}

#[test]
fn batch_that_is_listed_for_a_node_tells_when_the_node_was_throttled_and_when_disconnected() {
    let mut rig = Rig::new(Config { max_in_flight: 1, request_timeout: TIMEOUT * 2, ..config() });
    rig.put(0, "a");
    let request = rig.request();
    // Led by the same node, which has no room for it.
    let delivery = rig.send(2, "b");

    rig.advance(millis(2000));
    rig.reply_with(&request, &[("topic".to_owned(), 0, Reply::ok(0))], 5000);
    rig.advance(millis(4000));
    assert!(rig.received.is_empty());
    rig.down.insert(1);
    rig.close(rig.connection_to(1), None);
    rig.advance(millis(4000));
    rig.down.clear();
    rig.advance(TIMEOUT - millis(10_000));

    let error = failure(&delivery);
    let spent = error.time_spent();
    assert_eq!(
        (spent.queued, spent.throttled, spent.total()),
        (millis(2000), millis(5000), TIMEOUT),
        "{spent:?}"
    );
    assert!(spent.disconnected >= millis(3000) && spent.disconnected < millis(6000), "{spent:?}");
    assert_eq!(spent.in_flight + spent.disconnected, TIMEOUT - millis(7000), "{spent:?}");
}

/// A runtime that was blocked polls the sender before it has looked at the sockets.
#[test]
fn nothing_is_given_up_before_the_sockets_are_read() {
    for (request_timeout, delivery_timeout) in
        [(TIMEOUT / 2, TIMEOUT), (TIMEOUT, TIMEOUT * 9), (TIMEOUT * 9, TIMEOUT)]
    {
        let mut rig = Rig::new(Config { request_timeout, delivery_timeout, acks: 1, ..Config::default() });
        let delivery = rig.send(0, "a");
        let (request, read_until) = (rig.request(), rig.now);

        rig.now += TIMEOUT * 2;
        rig.core.poll_as_of(rig.now, rig.wall_clock(), read_until);
        assert!(rig.core.poll_action().is_none() && is_pending(&delivery));
        let now = rig.now;
        assert!(rig.core.poll_timeout(now).unwrap() <= now, "it asks to be polled again");
        rig.reply(&request, &Reply::ok(7));

        assert_eq!(offset(&delivery), Some(7));
        assert!(rig.received.is_empty() && rig.is_clean());
    }
}

#[test]
fn what_has_come_until_the_deadline_is_all_that_counts() {
    let mut rig = Rig::new(Config { request_timeout: TIMEOUT * 2, ..config() });
    let (delivery, start) = (rig.send(0, "a"), rig.now);

    rig.now += TIMEOUT * 2;
    rig.core.poll_as_of(rig.now, rig.wall_clock(), start + TIMEOUT - millis(1));
    assert!(is_pending(&delivery));
    rig.core.poll_as_of(rig.now, rig.wall_clock(), start + TIMEOUT);

    assert!(is_timed_out(&failure(&delivery).kind()));
}

/// Closing has all partitions looked at.
#[test]
fn answer_that_was_read_counts_before_anything_expires() {
    let mut rig = Rig::new(config());
    let delivery = rig.send(0, "a");
    let request = rig.request();

    rig.now += TIMEOUT;
    rig.accumulator.close();
    rig.reply(&request, &Reply::ok(7));

    assert_eq!(offset(&delivery), Some(7));
}
