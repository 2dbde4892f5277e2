//! Records that take too long.

use std::time::Duration;

use super::bench::{Bench, Config, failure, is_pending, millis, offset};
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
    let mut bench = Bench::new(config());
    bench.silent.insert(1);
    let delivery = bench.send(0, "a");

    bench.advance(TIMEOUT - millis(1));
    assert!(is_pending(&delivery));
    bench.advance(millis(1));

    let error = failure(&delivery);
    assert!(is_timed_out(&error.kind()));
    assert_eq!((error.persisted(), error.time_spent().attempts), (Persisted::No, 0));
    assert_eq!(error.record().unwrap().value.unwrap(), "a");
    assert!(bench.is_clean());
}

#[test]
fn batch_in_flight_expires_and_may_have_been_written() {
    let mut bench = Bench::new(Config { request_timeout: TIMEOUT * 2, ..config() });
    let delivery = bench.send(0, "a");

    bench.advance(TIMEOUT);

    let error = failure(&delivery);
    assert!(is_timed_out(&error.kind()));
    assert_eq!((error.persisted(), error.time_spent().in_flight), (Persisted::Maybe, TIMEOUT));
}

#[test]
fn late_answers_to_an_expired_batch_change_nothing() {
    for reply in [Reply::ok(9), Reply::error(19), Reply::error(10), Reply::error(29), Reply::led_by(2, 9)] {
        let mut bench = Bench::new(Config { linger: millis(5), request_timeout: TIMEOUT * 2, ..config() });
        let deliveries = ["a", "b"].map(|value| bench.send(0, value));
        bench.advance(TIMEOUT);
        let request = bench.request();

        bench.reply(&request, &reply);
        bench.advance(Duration::from_secs(1));

        assert!(deliveries.iter().all(|delivery| is_timed_out(&failure(delivery).kind())));
        assert!(bench.received.is_empty() && bench.is_clean());
    }
}

#[test]
fn next_batch_waits_for_the_answer_to_one_that_has_expired() {
    let mut bench = Bench::new(Config { request_timeout: TIMEOUT * 2, ..config() });
    let first = bench.send(0, "a");
    let request = bench.request();
    bench.advance(TIMEOUT / 2);
    let second = bench.send(0, "b");

    bench.advance(TIMEOUT / 2);
    assert!(!is_pending(&first) && is_pending(&second));
    assert!(bench.received.is_empty());
    bench.acknowledge(&request);

    bench.acknowledge_all();
    assert_eq!(offset(&second), Some(1));
}

#[test]
fn next_batch_goes_on_when_the_request_of_an_expired_one_times_out() {
    let mut bench = Bench::new(Config { request_timeout: TIMEOUT + millis(5000), ..config() });
    bench.put(0, "a");
    bench.advance(TIMEOUT / 2);
    let second = bench.send(0, "b");

    bench.advance(TIMEOUT / 2 + millis(6000));
    bench.acknowledge_all();

    assert_eq!(offset(&second), Some(0));
}

#[test]
fn answer_that_comes_with_the_end_of_the_time_counts() {
    let mut bench = Bench::new(Config { request_timeout: TIMEOUT * 2, ..config() });
    let delivery = bench.send(0, "a");
    let request = bench.request();

    bench.now += TIMEOUT;
    bench.acknowledge(&request);

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn retried_batch_expires_by_its_first_deadline() {
    let mut bench = Bench::new(config());
    let delivery = bench.send(0, "a");

    let mut attempts = 0;
    while is_pending(&delivery) {
        while let Some(request) = bench.received.pop_front() {
            attempts += 1;
            bench.reply(&request, &Reply::error(19));
        }
        bench.advance(millis(100));
    }

    assert_eq!(attempts, 400);
    let error = failure(&delivery);
    assert_eq!((error.persisted(), error.time_spent().attempts), (Persisted::No, 400));
    assert_eq!(error.time_spent().last_error, Some(crate::protocol::ErrorCode::NotEnoughReplicas));
}

#[test]
fn partitions_expire_together_and_the_sender_sleeps_again() {
    let mut bench = Bench::new(config());
    bench.silent.extend([1, 2]);
    let deliveries = [0, 1, 2, 3].map(|partition| bench.append(partition, "a"));

    bench.advance(TIMEOUT);

    assert!(deliveries.iter().all(|delivery| is_timed_out(&failure(delivery).kind())));
    assert!(bench.is_clean());
    let before = bench.polls;
    bench.advance(Duration::from_secs(5));
    assert!(bench.polls - before < 50, "{} polls", bench.polls - before);
}

#[test]
fn memory_stays_taken_until_the_socket_lets_go_of_an_expired_batch() {
    let mut bench = Bench::new(Config { batch_size: 5000, request_timeout: TIMEOUT * 2, ..config() });
    bench.writes = false;
    // Smaller batches are copied into the request.
    let delivery = bench.send(0, &"a".repeat(4000));

    bench.advance(TIMEOUT);

    assert_eq!(failure(&delivery).persisted(), Persisted::Maybe);
    let memory = bench.accumulator.memory();
    assert!(memory.available() < memory.total());
    bench.unwritten.clear();
    assert!(bench.is_clean());
}

#[test]
fn batch_expires_while_it_is_compressed() {
    let mut bench = Bench::new(Config { compression: Compression::Lz4, seals: false, ..config() });
    let delivery = bench.send(0, &"a".repeat(300));
    let later = bench.append(0, &"b".repeat(900));

    let before = bench.polls;
    bench.advance(TIMEOUT + millis(10));

    assert!(bench.polls - before < 50, "{} polls", bench.polls - before);
    assert!(is_timed_out(&failure(&delivery).kind()));
    assert_eq!(failure(&delivery).persisted(), Persisted::No);
    assert_eq!(failure(&delivery).record().unwrap().value.unwrap(), "a".repeat(300));
    for job in std::mem::take(&mut bench.seal_jobs) {
        bench.accumulator.seal(job);
    }
    assert!(!is_pending(&later));
    assert!(bench.is_clean());
}

#[test]
fn records_of_an_expired_batch_can_be_sent_again_from_their_errors() {
    let mut bench = Bench::new(config());
    bench.silent.insert(1);
    let first = bench.send(0, "a");
    bench.advance(TIMEOUT);

    let record = failure(&first).record().unwrap();
    bench.silent.clear();
    let again = bench.append(record.partition.unwrap(), std::str::from_utf8(&record.value.unwrap()).unwrap());
    bench.advance(Duration::from_secs(30));
    bench.acknowledge_all();

    assert_eq!(offset(&again), Some(0));
}

#[test]
fn batch_for_a_throttled_node_expires_in_time() {
    let mut bench = Bench::new(config());
    bench.put(0, "a");
    let request = bench.request();
    bench.reply_with(&request, &[("topic".to_owned(), 0, Reply::ok(0))], 100_000);
    let delivery = bench.send(0, "b");

    bench.advance(TIMEOUT - millis(1));
    assert!(is_pending(&delivery) && bench.received.is_empty());
    bench.advance(millis(1));

    assert!(is_timed_out(&failure(&delivery).kind()));
    assert_eq!(failure(&delivery).persisted(), Persisted::No);
}

/// A runtime that was blocked polls the sender before it has looked at the sockets.
#[test]
fn nothing_is_given_up_before_the_sockets_are_read() {
    for (request_timeout, delivery_timeout) in
        [(TIMEOUT / 2, TIMEOUT), (TIMEOUT, TIMEOUT * 9), (TIMEOUT * 9, TIMEOUT)]
    {
        let mut bench =
            Bench::new(Config { request_timeout, delivery_timeout, acks: 1, ..Config::default() });
        let delivery = bench.send(0, "a");
        let (request, read_until) = (bench.request(), bench.now);

        bench.now += TIMEOUT * 2;
        bench.core.poll_as_of(bench.now, bench.wall_clock(), read_until);
        assert!(bench.core.poll_action().is_none() && is_pending(&delivery));
        let now = bench.now;
        assert!(bench.core.poll_timeout(now).unwrap() <= now, "it asks to be polled again");
        bench.reply(&request, &Reply::ok(7));

        assert_eq!(offset(&delivery), Some(7));
        assert!(bench.received.is_empty() && bench.is_clean());
    }
}

#[test]
fn what_has_come_until_the_deadline_is_all_that_counts() {
    let mut bench = Bench::new(Config { request_timeout: TIMEOUT * 2, ..config() });
    let (delivery, start) = (bench.send(0, "a"), bench.now);

    bench.now += TIMEOUT * 2;
    bench.core.poll_as_of(bench.now, bench.wall_clock(), start + TIMEOUT - millis(1));
    assert!(is_pending(&delivery));
    bench.core.poll_as_of(bench.now, bench.wall_clock(), start + TIMEOUT);

    assert!(is_timed_out(&failure(&delivery).kind()));
}

/// Closing has all partitions looked at.
#[test]
fn answer_that_was_read_counts_before_anything_expires() {
    let mut bench = Bench::new(config());
    let delivery = bench.send(0, "a");
    let request = bench.request();

    bench.now += TIMEOUT;
    bench.accumulator.close();
    bench.reply(&request, &Reply::ok(7));

    assert_eq!(offset(&delivery), Some(7));
}
