//! Errors, lost connections and answers that make no sense.

use std::time::Duration;

use super::bench::{Bench, Config, failure, is_pending, millis, offset};
use super::wire::{self, Reply};
use super::world::TOPIC;
#[cfg(feature = "zstd")]
use crate::config::Compression;
use crate::error::{DeliveryErrorKind, Persisted};
use crate::fence::broken::BrokenLog;
use crate::protocol::ErrorCode;

const BACKOFF: Duration = millis(100);

fn no_retries() -> Config {
    Config { retries: 0, ..Config::default() }
}

#[test]
fn retriable_error_is_retried_after_the_backoff_and_before_later_records() {
    let mut bench = Bench::new(Config::default());
    let first = bench.send(0, "a");
    let request = bench.request();
    let second = bench.send(0, "b");

    bench.reply(&request, &Reply::error(19));
    bench.advance(BACKOFF - millis(1));
    assert!(bench.received.is_empty());
    bench.advance(millis(1));

    let again = bench.request();
    assert_eq!(again.records(), ["a"]);
    bench.acknowledge(&again);
    bench.acknowledge_all();
    assert_eq!([first, second].map(|delivery| offset(&delivery)), [Some(0), Some(1)]);
}

#[test]
fn log_that_panics_about_a_retry_costs_no_record() {
    let mut bench = Bench::new(Config::default());
    let delivery = bench.send(0, "a");
    let request = bench.request();

    BrokenLog::during("sending a batch again", 1, || bench.reply(&request, &Reply::error(19)));
    bench.advance(BACKOFF);
    bench.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn partition_that_backs_off_does_not_hold_up_others_of_its_node() {
    let mut bench = Bench::new(Config::default());
    bench.put(0, "a");
    let request = bench.request();
    bench.reply(&request, &Reply::error(19));

    let other = bench.send(2, "c");
    bench.acknowledge_all();

    assert_eq!(offset(&other), Some(0));
}

#[test]
fn retry_does_not_linger() {
    let mut bench = Bench::new(Config { linger: Duration::from_secs(10), ..Config::default() });
    bench.put(0, "a");
    bench.advance(Duration::from_secs(10));
    let request = bench.request();

    bench.reply(&request, &Reply::error(19));
    bench.advance(BACKOFF);

    assert_eq!(bench.request().records(), ["a"]);
}

#[test]
fn retries_come_to_an_end() {
    let mut bench = Bench::new(Config { retries: 2, ..Config::default() });
    let delivery = bench.send(0, "a");

    for _ in 0..3 {
        assert!(is_pending(&delivery));
        let request = bench.request();
        bench.reply(&request, &Reply { message: Some("too few"), ..Reply::error(19) });
        bench.advance(BACKOFF);
    }

    let error = failure(&delivery);
    let message = Some("too few".to_owned());
    assert_eq!(error.kind(), DeliveryErrorKind::Broker { code: ErrorCode::NotEnoughReplicas, message });
    assert_eq!((error.persisted(), error.time_spent().attempts), (Persisted::No, 3));
    assert_eq!(error.time_spent().backoff, 2 * BACKOFF);
    assert_eq!((bench.counters.record_retries.value(), bench.counters.record_errors.value()), (2, 1));
    assert!(bench.received.is_empty() && bench.is_clean());
}

/// The codes that may follow an append, and those that certainly do not, by what brokers do.
#[test]
fn error_says_whether_the_record_may_have_been_written() {
    for (codes, persisted) in [
        (&[-1, 6, 7, 13, 20, 56, 999][..], Persisted::Maybe),
        (&[2, 3, 5, 10, 17, 18, 19, 21, 29, 31, 32, 42, 74, 75, 87, 89, 100], Persisted::No),
    ] {
        for code in codes {
            let mut bench = Bench::new(no_retries());
            let delivery = bench.send(0, "a");
            let request = bench.request();

            bench.reply(&request, &Reply::error(*code));

            assert_eq!(failure(&delivery).persisted(), persisted, "{code}");
            assert_eq!(failure(&delivery).record().unwrap().value.unwrap(), "a");
            assert!(bench.is_clean());
        }
    }
}

#[test]
fn doubt_about_one_attempt_is_not_dispelled_by_the_next() {
    let mut bench = Bench::new(Config { retries: 1, ..Config::default() });
    let delivery = bench.send(0, "a");

    let request = bench.request();
    bench.reply(&request, &Reply::error(7));
    bench.advance(BACKOFF);
    let request = bench.request();
    bench.reply(&request, &Reply::error(19));

    assert_eq!(failure(&delivery).persisted(), Persisted::Maybe);
}

#[test]
fn duplicate_counts_as_written() {
    let mut bench = Bench::new(Config::default());
    let delivery = bench.send(0, "a");
    let request = bench.request();

    bench.reply(&request, &Reply::error(46));

    assert_eq!(offset(&delivery), None);
}

#[test]
fn one_batch_of_a_request_may_fail_alone() {
    let mut bench = Bench::new(Config { linger: millis(5), ..no_retries() });
    let (good, bad) = (bench.append(0, "a"), bench.append(2, "c"));
    bench.advance(millis(5));
    let request = bench.request();

    let replies = [(TOPIC.to_owned(), 2, Reply::error(29)), (TOPIC.to_owned(), 0, Reply::ok(8))];
    bench.reply_with(&request, &replies, 0);

    assert_eq!(offset(&good), Some(8));
    assert_eq!(failure(&bad).error_code(), Some(ErrorCode::TopicAuthorizationFailed));
}

#[test]
fn connection_lost_before_a_byte_was_written_leaves_no_doubt() {
    let mut bench = Bench::new(no_retries());
    bench.writes = false;
    let delivery = bench.send(0, "a");

    let first_unsent = bench.unwritten[0].1.correlation_id;
    bench.close(bench.connection_to(1), Some(first_unsent));

    assert_eq!(failure(&delivery).persisted(), Persisted::No);
    assert!(matches!(failure(&delivery).kind(), DeliveryErrorKind::Disconnected(_)));
}

#[test]
fn connection_lost_after_a_byte_was_written_leaves_doubt() {
    let mut bench = Bench::new(no_retries());
    bench.writes = false;
    let delivery = bench.send(0, "a");

    bench.close(bench.connection_to(1), None);

    assert_eq!(failure(&delivery).persisted(), Persisted::Maybe);
}

#[test]
fn batches_of_a_lost_connection_are_sent_again_over_a_new_one() {
    let mut bench = Bench::new(Config::default());
    let deliveries = [(0, "a"), (2, "c")].map(|(partition, value)| bench.send(partition, value));
    assert_eq!(bench.received.len(), 2);
    let lost = bench.connection_to(1);

    bench.close(lost, None);
    bench.advance(BACKOFF);

    assert!(bench.received.iter().all(|request| request.connection != lost));
    bench.acknowledge_all();
    assert_eq!(deliveries.map(|delivery| offset(&delivery)), [Some(0), Some(0)]);
    assert!(bench.metadata_requests.len() >= 2, "the broker may have moved");
}

#[test]
fn node_that_refuses_connections_is_tried_again_until_it_is_back() {
    let mut bench = Bench::new(Config::default());
    bench.down.extend([1, 2]);
    let delivery = bench.send(0, "a");
    let before = bench.polls;

    bench.advance(Duration::from_secs(20));
    assert!(is_pending(&delivery));
    assert!(bench.polls - before < 20 * 150, "{} polls", bench.polls - before);
    bench.down.clear();
    bench.advance(Duration::from_secs(2));
    bench.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn unanswered_request_ends_with_its_timeout() {
    let mut bench = Bench::new(Config::default());
    let delivery = bench.send(0, "a");
    let lost = bench.request();

    bench.advance(bench.config.request_timeout);
    assert!(!bench.connections.contains_key(&lost.connection));
    bench.advance(BACKOFF);
    bench.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn broker_without_a_version_in_common_fails_everything_at_once() {
    let mut bench = Bench::new(Config { produce_versions: (99, 100), ..Config::default() });

    let full = "x".repeat(990);
    let deliveries: Vec<_> = (0..20).map(|_| bench.append(0, &full)).collect();
    bench.settle();
    bench.advance(millis(10));

    for delivery in &deliveries {
        assert_eq!(failure(delivery).kind(), DeliveryErrorKind::UnsupportedVersion);
        assert_eq!(failure(delivery).persisted(), Persisted::No);
    }
    assert!(bench.is_clean());
}

/// KIP-110. Java's `ProduceRequest` refuses to be built.
#[cfg(feature = "zstd")]
#[test]
fn broker_that_is_too_old_for_zstd_gets_none_and_everything_else() {
    for (newest, is_refused) in [(6, true), (7, false)] {
        let config = Config {
            compression: Compression::Zstd,
            produce_versions: (3, newest),
            is_idempotent: true,
            max_outstanding: 5,
            ..Config::default()
        };
        let mut bench = Bench::new(config);

        let compressed = "x".repeat(900);
        let compressible = [0, 0].map(|partition| bench.append(partition, &compressed));
        let other = bench.append(1, "tiny");
        bench.settle();
        bench.advance(millis(1000));
        bench.acknowledge_all();

        let refused = DeliveryErrorKind::UnsupportedCompression(Compression::Zstd);
        for (at, delivery) in (0..).zip(&compressible) {
            if is_refused {
                assert_eq!(failure(delivery).kind(), refused);
                assert_eq!(failure(delivery).persisted(), Persisted::No);
                assert_eq!(failure(delivery).record().unwrap().value.unwrap(), compressed);
            } else {
                assert_eq!(offset(delivery), Some(at));
            }
        }
        assert_eq!(offset(&other), Some(0));
        assert!(bench.is_clean());
    }
}

#[test]
fn answer_about_others_changes_nothing_and_ends_the_connection() {
    let mut bench = Bench::new(Config::default());
    let delivery = bench.send(0, "a");
    let request = bench.request();

    let other = |topic: &str, partition| (topic.to_owned(), partition, Reply::error(29));
    let replies = [
        other("none", 0),
        other(TOPIC, 3),
        (TOPIC.to_owned(), 0, Reply::ok(5)),
        other(TOPIC, 0),
        other(TOPIC, -1),
    ];
    bench.reply_with(&request, &replies, 0);

    assert_eq!(offset(&delivery), Some(5));
    assert!(!bench.connections.contains_key(&request.connection));
    assert!(bench.is_clean());
}

#[test]
fn batch_left_out_of_the_answer_is_sent_again() {
    let mut bench = Bench::new(Config { linger: millis(5), ..Config::default() });
    let deliveries = [(0, "a"), (2, "c")].map(|(partition, value)| bench.append(partition, value));
    bench.advance(millis(5));
    let request = bench.request();

    bench.reply_with(&request, &[(TOPIC.to_owned(), 2, Reply::ok(7))], 0);
    assert!(!bench.connections.contains_key(&request.connection));
    bench.advance(millis(1000));

    let again = bench.request();
    assert_eq!(again.records(), ["a"]);
    bench.acknowledge(&again);
    assert_eq!(deliveries.map(|delivery| offset(&delivery)), [Some(0), Some(7)]);
}

#[test]
fn broker_whose_answer_makes_no_sense_is_left_alone_for_the_backoff_and_news_are_asked_for() {
    let mut bench = Bench::new(Config::default());
    bench.put(1, "connects to node 2");
    bench.acknowledge_all();
    bench.put(0, "a");
    bench.advance(millis(1000));
    let request = bench.request();
    let (connects, asked) = (bench.connects.len(), bench.metadata_requests.len());

    let answers = [(TOPIC.to_owned(), 0, Reply::ok(0)), (TOPIC.to_owned(), 2, Reply::ok(7))];
    bench.reply_with(&request, &answers, 0);
    bench.put(0, "b");

    assert!(!bench.connections.contains_key(&request.connection));
    assert_eq!(bench.connects.len(), connects, "the reconnect backoff is 50 ms");
    assert_eq!(bench.metadata_requests.len(), asked + 1);
    bench.advance(millis(100));
    assert_eq!(bench.request().records(), ["b"]);
}

#[test]
fn answer_that_cannot_be_read_leaves_doubt() {
    let mut bench = Bench::new(no_retries());
    let delivery = bench.send(0, "a");
    let request = bench.request();

    bench.frame(request.connection, wire::garbage(request.head));
    bench.settle();

    assert_eq!(failure(&delivery).persisted(), Persisted::Maybe);
    assert!(!bench.connections.contains_key(&request.connection));
}

#[test]
fn answer_with_the_id_of_another_request_ends_the_connection() {
    let mut bench = Bench::new(Config::default());
    let delivery = bench.send(0, "a");
    let mut request = bench.request();

    request.head.correlation_id += 1;
    let replies = [(TOPIC.to_owned(), 0, Reply::ok(3))];
    bench.frame(request.connection, wire::produce(request.head, &bench.world, &replies, 0));
    bench.settle();
    assert!(is_pending(&delivery));
    assert!(!bench.connections.contains_key(&request.connection));
    bench.advance(millis(1000));
    bench.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn throttled_node_is_left_alone_for_as_long_as_it_wishes() {
    let mut bench = Bench::new(Config::default());
    bench.put(0, "a");
    let request = bench.request();
    bench.reply_with(&request, &[(TOPIC.to_owned(), 0, Reply::ok(0))], 3000);

    let delivery = bench.send(0, "b");
    let elsewhere = bench.send(1, "c");
    let before = bench.polls;
    bench.advance(millis(2999));
    assert_eq!(bench.request().node, 2);
    assert!(bench.polls - before < 20, "{} polls", bench.polls - before);
    bench.advance(millis(1));

    let request = bench.request();
    assert_eq!(request.records(), ["b"]);
    bench.acknowledge(&request);
    assert!(!is_pending(&delivery) && is_pending(&elsewhere));
}

#[test]
fn wish_to_be_left_alone_for_weeks_holds_for_as_long_as_records_may_wait() {
    let mut bench = Bench::new(Config { delivery_timeout: millis(5000), ..Config::default() });
    bench.put(0, "a");
    let request = bench.request();
    bench.reply_with(&request, &[(TOPIC.to_owned(), 0, Reply::ok(0))], i32::MAX);
    let early = bench.send(0, "b");

    bench.advance(millis(1000));
    let late = bench.send(0, "c");
    bench.advance(millis(4000));

    assert!(!is_pending(&early) && is_pending(&late));
    let request = bench.request();
    assert_eq!(request.records(), ["c"]);
    bench.acknowledge(&request);
    assert!(!is_pending(&late));
}

#[test]
fn error_about_the_leader_asks_for_metadata() {
    for (code, asks) in [(6, true), (3, true), (56, true), (19, false), (7, false)] {
        let mut bench = Bench::new(Config::default());
        bench.advance(Duration::from_secs(1));
        let before = bench.metadata_requests.len();
        bench.put(0, "a");
        let request = bench.request();

        bench.reply(&request, &Reply::error(code));

        assert_eq!(bench.metadata_requests.len() > before, asks, "{code}");
    }
}

#[test]
fn no_backoff_at_all_makes_no_busy_loop() {
    let mut bench = Bench::new(Config { retry_backoff: Duration::ZERO, retries: 5, ..Config::default() });
    let delivery = bench.send(0, "a");

    for _ in 0..6 {
        let request = bench.request();
        bench.reply(&request, &Reply::error(6));
    }

    assert_eq!(failure(&delivery).error_code(), Some(ErrorCode::NotLeaderOrFollower));
}

#[test]
fn backoff_grows_with_each_attempt() {
    let retry_backoff_max = Some(millis(1000));
    let mut bench = Bench::new(Config { retry_backoff_max, ..Config::default() });
    bench.put(0, "a");

    for mean in [100, 200, 400, 800, 1000, 1000] {
        let request = bench.request();
        bench.reply(&request, &Reply::error(19));
        let mut waited = 0;
        while bench.received.is_empty() {
            bench.advance(millis(1));
            waited += 1;
        }
        // A fifth of jitter, and never beyond the maximum.
        assert!(
            (mean * 8 / 10..=(mean * 12 / 10).min(1000)).contains(&waited),
            "{waited} is not about {mean}"
        );
    }
}
