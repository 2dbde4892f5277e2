//! Errors, lost connections and answers that make no sense.

use std::error::Error as _;
use std::time::Duration;

use super::rig::{Config, Rig, failure, is_pending, millis, offset};
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
    let mut rig = Rig::new(Config::default());
    let first = rig.send(0, "a");
    let request = rig.request();
    let second = rig.send(0, "b");

    rig.reply(&request, &Reply::error(19));
    rig.advance(BACKOFF - millis(1));
    assert!(rig.received.is_empty());
    rig.advance(millis(1));

    let again = rig.request();
    assert_eq!(again.records(), ["a"]);
    rig.acknowledge(&again);
    rig.acknowledge_all();
    assert_eq!([first, second].map(|delivery| offset(&delivery)), [Some(0), Some(1)]);
}

#[test]
fn log_that_panics_about_a_retry_costs_no_record() {
    let mut rig = Rig::new(Config::default());
    let delivery = rig.send(0, "a");
    let request = rig.request();

    BrokenLog::during("sending a batch again", 1, || rig.reply(&request, &Reply::error(19)));
    rig.advance(BACKOFF);
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn partition_that_backs_off_does_not_hold_up_others_of_its_node() {
    let mut rig = Rig::new(Config::default());
    rig.put(0, "a");
    let request = rig.request();
    rig.reply(&request, &Reply::error(19));

    let other = rig.send(2, "c");
    rig.acknowledge_all();

    assert_eq!(offset(&other), Some(0));
}

#[test]
fn retry_does_not_linger() {
    let mut rig = Rig::new(Config { linger: Duration::from_secs(10), ..Config::default() });
    rig.put(0, "a");
    rig.advance(Duration::from_secs(10));
    let request = rig.request();

    rig.reply(&request, &Reply::error(19));
    rig.advance(BACKOFF);

    assert_eq!(rig.request().records(), ["a"]);
}

#[test]
fn retries_come_to_an_end() {
    let mut rig = Rig::new(Config { retries: 2, ..Config::default() });
    let delivery = rig.send(0, "a");

    for _ in 0..3 {
        assert!(is_pending(&delivery));
        let request = rig.request();
        rig.reply(&request, &Reply { message: Some("too few"), ..Reply::error(19) });
        rig.advance(BACKOFF);
    }

    let error = failure(&delivery);
    let message = Some("too few".to_owned());
    assert_eq!(error.kind(), DeliveryErrorKind::Broker { code: ErrorCode::NotEnoughReplicas, message });
    assert_eq!((error.persisted(), error.time_spent().attempts), (Persisted::No, 3));
    assert_eq!(error.time_spent().backoff, 2 * BACKOFF);
    assert_eq!((rig.counters.record_retries.value(), rig.counters.record_errors.value()), (2, 1));
    assert!(rig.received.is_empty() && rig.is_clean());
}

/// The codes that may follow an append, and those that certainly do not, by what brokers do.
#[test]
fn error_says_whether_the_record_may_have_been_written() {
    for (codes, persisted) in [
        (&[-1, 6, 7, 13, 20, 56, 999][..], Persisted::Maybe),
        (&[2, 3, 5, 10, 17, 18, 19, 21, 29, 31, 32, 42, 74, 75, 87, 89, 100], Persisted::No),
    ] {
        for code in codes {
            let mut rig = Rig::new(no_retries());
            let delivery = rig.send(0, "a");
            let request = rig.request();

            rig.reply(&request, &Reply::error(*code));

            assert_eq!(failure(&delivery).persisted(), persisted, "{code}");
            assert_eq!(failure(&delivery).record().unwrap().value.unwrap(), "a");
            assert!(rig.is_clean());
        }
    }
}

#[test]
fn doubt_about_one_attempt_is_not_dispelled_by_the_next() {
    let mut rig = Rig::new(Config { retries: 1, ..Config::default() });
    let delivery = rig.send(0, "a");

    let request = rig.request();
    rig.reply(&request, &Reply::error(7));
    rig.advance(BACKOFF);
    let request = rig.request();
    rig.reply(&request, &Reply::error(19));

    assert_eq!(failure(&delivery).persisted(), Persisted::Maybe);
}

#[test]
fn duplicate_counts_as_written() {
    let mut rig = Rig::new(Config::default());
    let delivery = rig.send(0, "a");
    let request = rig.request();

    rig.reply(&request, &Reply::error(46));

    assert_eq!(offset(&delivery), None);
}

#[test]
fn one_batch_of_a_request_may_fail_alone() {
    let mut rig = Rig::new(Config { linger: millis(5), ..no_retries() });
    let (good, bad) = (rig.append(0, "a"), rig.append(2, "c"));
    rig.advance(millis(5));
    let request = rig.request();

    let replies = [(TOPIC.to_owned(), 2, Reply::error(29)), (TOPIC.to_owned(), 0, Reply::ok(8))];
    rig.reply_with(&request, &replies, 0);

    assert_eq!(offset(&good), Some(8));
    assert_eq!(failure(&bad).error_code(), Some(ErrorCode::TopicAuthorizationFailed));
}

#[test]
fn connection_lost_before_a_byte_was_written_leaves_no_doubt() {
    let mut rig = Rig::new(no_retries());
    rig.writes = false;
    let delivery = rig.send(0, "a");

    let first_unsent = rig.unwritten[0].1.correlation_id;
    rig.close(rig.connection_to(1), Some(first_unsent));

    assert_eq!(failure(&delivery).persisted(), Persisted::No);
    assert!(matches!(failure(&delivery).kind(), DeliveryErrorKind::Disconnected { .. }));
    let text = failure(&delivery).to_string();
    let cause = "no answer from broker 1 (kafka-1:9092), and there is no other attempt: reset, ";
    assert!(text.contains(cause), "{text}");
    let source = failure(&delivery).source().map(ToString::to_string).unwrap_or_default();
    assert!(source.starts_with("while in use: reset, "), "{source}");
}

#[test]
fn connection_lost_after_a_byte_was_written_leaves_doubt() {
    let mut rig = Rig::new(no_retries());
    rig.writes = false;
    let delivery = rig.send(0, "a");

    rig.close(rig.connection_to(1), None);

    assert_eq!(failure(&delivery).persisted(), Persisted::Maybe);
}

#[test]
fn batches_of_a_lost_connection_are_sent_again_over_a_new_one() {
    let mut rig = Rig::new(Config::default());
    let deliveries = [(0, "a"), (2, "c")].map(|(partition, value)| rig.send(partition, value));
    assert_eq!(rig.received.len(), 2);
    let lost = rig.connection_to(1);

    rig.close(lost, None);
    rig.advance(BACKOFF);

    assert!(rig.received.iter().all(|request| request.connection != lost));
    rig.acknowledge_all();
    assert_eq!(deliveries.map(|delivery| offset(&delivery)), [Some(0), Some(0)]);
    assert!(rig.metadata_requests.len() >= 2, "the broker may have moved");
}

#[test]
fn node_that_refuses_connections_is_tried_again_until_it_is_back() {
    let mut rig = Rig::new(Config::default());
    rig.down.extend([1, 2]);
    let delivery = rig.send(0, "a");
    let before = rig.polls;

    rig.advance(Duration::from_secs(20));
    assert!(is_pending(&delivery));
    assert!(rig.polls - before < 20 * 150, "{} polls", rig.polls - before);
    rig.down.clear();
    rig.advance(Duration::from_secs(2));
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn unanswered_request_ends_with_its_timeout() {
    let mut rig = Rig::new(Config::default());
    let delivery = rig.send(0, "a");
    let lost = rig.request();

    rig.advance(rig.config.request_timeout);
    assert!(!rig.connections.contains_key(&lost.connection));
    rig.advance(BACKOFF);
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn broker_without_a_version_in_common_fails_everything_at_once() {
    let mut rig = Rig::new(Config { produce_versions: (99, 100), ..Config::default() });

    let full = "x".repeat(990);
    let deliveries: Vec<_> = (0..20).map(|_| rig.append(0, &full)).collect();
    rig.settle();
    rig.advance(millis(10));

    for delivery in &deliveries {
        assert_eq!(failure(delivery).kind(), DeliveryErrorKind::UnsupportedVersion);
        assert_eq!(failure(delivery).persisted(), Persisted::No);
    }
    assert!(rig.is_clean());
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
        let mut rig = Rig::new(config);

        let compressed = "x".repeat(900);
        let compressible = [0, 0].map(|partition| rig.append(partition, &compressed));
        let other = rig.append(1, "tiny");
        rig.settle();
        rig.advance(millis(1000));
        rig.acknowledge_all();

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
        assert!(rig.is_clean());
    }
}

#[test]
fn answer_about_others_changes_nothing_and_ends_the_connection() {
    let mut rig = Rig::new(Config::default());
    let delivery = rig.send(0, "a");
    let request = rig.request();

    let other = |topic: &str, partition| (topic.to_owned(), partition, Reply::error(29));
    let replies = [
        other("none", 0),
        other(TOPIC, 3),
        (TOPIC.to_owned(), 0, Reply::ok(5)),
        other(TOPIC, 0),
        other(TOPIC, -1),
    ];
    rig.reply_with(&request, &replies, 0);

    assert_eq!(offset(&delivery), Some(5));
    assert!(!rig.connections.contains_key(&request.connection));
    assert!(rig.is_clean());
}

#[test]
fn batch_left_out_of_the_answer_is_sent_again() {
    let mut rig = Rig::new(Config { linger: millis(5), ..Config::default() });
    let deliveries = [(0, "a"), (2, "c")].map(|(partition, value)| rig.append(partition, value));
    rig.advance(millis(5));
    let request = rig.request();

    rig.reply_with(&request, &[(TOPIC.to_owned(), 2, Reply::ok(7))], 0);
    assert!(!rig.connections.contains_key(&request.connection));
    rig.advance(millis(1000));

    let again = rig.request();
    assert_eq!(again.records(), ["a"]);
    rig.acknowledge(&again);
    assert_eq!(deliveries.map(|delivery| offset(&delivery)), [Some(0), Some(7)]);
}

#[test]
fn broker_whose_answer_makes_no_sense_is_left_alone_for_the_backoff_and_news_are_asked_for() {
    let mut rig = Rig::new(Config::default());
    rig.put(1, "connects to node 2");
    rig.acknowledge_all();
    rig.put(0, "a");
    rig.advance(millis(1000));
    let request = rig.request();
    let (connects, asked) = (rig.connects.len(), rig.metadata_requests.len());

    let answers = [(TOPIC.to_owned(), 0, Reply::ok(0)), (TOPIC.to_owned(), 2, Reply::ok(7))];
    rig.reply_with(&request, &answers, 0);
    rig.put(0, "b");

    assert!(!rig.connections.contains_key(&request.connection));
    assert_eq!(rig.connects.len(), connects, "the reconnect backoff is 50 ms");
    assert_eq!(rig.metadata_requests.len(), asked + 1);
    rig.advance(millis(100));
    assert_eq!(rig.request().records(), ["b"]);
}

#[test]
fn answer_that_cannot_be_read_leaves_doubt() {
    let mut rig = Rig::new(no_retries());
    let delivery = rig.send(0, "a");
    let request = rig.request();

    rig.frame(request.connection, wire::garbage(request.head));
    rig.settle();

    assert_eq!(failure(&delivery).persisted(), Persisted::Maybe);
    assert!(!rig.connections.contains_key(&request.connection));
}

#[test]
fn answer_with_the_id_of_another_request_ends_the_connection() {
    let mut rig = Rig::new(Config::default());
    let delivery = rig.send(0, "a");
    let mut request = rig.request();

    request.head.correlation_id += 1;
    let replies = [(TOPIC.to_owned(), 0, Reply::ok(3))];
    rig.frame(request.connection, wire::produce(request.head, &rig.world, &replies, 0));
    rig.settle();
    assert!(is_pending(&delivery));
    assert!(!rig.connections.contains_key(&request.connection));
    rig.advance(millis(1000));
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn throttled_node_is_left_alone_for_as_long_as_it_wishes() {
    let mut rig = Rig::new(Config::default());
    rig.put(0, "a");
    let request = rig.request();
    rig.reply_with(&request, &[(TOPIC.to_owned(), 0, Reply::ok(0))], 3000);

    let delivery = rig.send(0, "b");
    let elsewhere = rig.send(1, "c");
    let before = rig.polls;
    rig.advance(millis(2999));
    assert_eq!(rig.request().node, 2);
    assert!(rig.polls - before < 20, "{} polls", rig.polls - before);
    rig.advance(millis(1));

    let request = rig.request();
    assert_eq!(request.records(), ["b"]);
    rig.acknowledge(&request);
    assert!(!is_pending(&delivery) && is_pending(&elsewhere));
}

#[test]
fn wish_to_be_left_alone_for_weeks_holds_for_as_long_as_records_may_wait() {
    let mut rig = Rig::new(Config { delivery_timeout: millis(5000), ..Config::default() });
    rig.put(0, "a");
    let request = rig.request();
    rig.reply_with(&request, &[(TOPIC.to_owned(), 0, Reply::ok(0))], i32::MAX);
    let early = rig.send(0, "b");

    rig.advance(millis(1000));
    let late = rig.send(0, "c");
    rig.advance(millis(4000));

    assert!(!is_pending(&early) && is_pending(&late));
    let request = rig.request();
    assert_eq!(request.records(), ["c"]);
    rig.acknowledge(&request);
    assert!(!is_pending(&late));
}

#[test]
fn error_about_the_leader_asks_for_metadata() {
    for (code, asks) in [(6, true), (3, true), (56, true), (19, false), (7, false)] {
        let mut rig = Rig::new(Config::default());
        rig.advance(Duration::from_secs(1));
        let before = rig.metadata_requests.len();
        rig.put(0, "a");
        let request = rig.request();

        rig.reply(&request, &Reply::error(code));

        assert_eq!(rig.metadata_requests.len() > before, asks, "{code}");
    }
}

#[test]
fn no_backoff_at_all_makes_no_busy_loop() {
    let mut rig = Rig::new(Config { retry_backoff: Duration::ZERO, retries: 5, ..Config::default() });
    let delivery = rig.send(0, "a");

    for _ in 0..6 {
        let request = rig.request();
        rig.reply(&request, &Reply::error(6));
    }

    assert_eq!(failure(&delivery).error_code(), Some(ErrorCode::NotLeaderOrFollower));
}

#[test]
fn backoff_grows_with_each_attempt() {
    let retry_backoff_max = Some(millis(1000));
    let mut rig = Rig::new(Config { retry_backoff_max, ..Config::default() });
    rig.put(0, "a");

    for mean in [100, 200, 400, 800, 1000, 1000] {
        let request = rig.request();
        rig.reply(&request, &Reply::error(19));
        let mut waited = 0;
        while rig.received.is_empty() {
            rig.advance(millis(1));
            waited += 1;
        }
        // A fifth of jitter, and never beyond the maximum.
        assert!(
            (mean * 8 / 10..=(mean * 12 / 10).min(1000)).contains(&waited),
            "{waited} is not about {mean}"
        );
    }
}
