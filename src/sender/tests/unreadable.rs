//! Answers with more, or with something else, than the protocol says.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::bench::{Bench, Config, failure, is_pending, offset};
use super::wire::{self, Head, Reply};
use super::world::TOPIC;
use crate::topic_partition::Topic;
use kafka_protocol::messages::ApiKey;

fn idempotent() -> Config {
    Config { is_idempotent: true, delivery_timeout: Duration::from_secs(2), ..Config::default() }
}

fn with_a_byte_too_many(_: Head, answer: Bytes) -> Bytes {
    let mut longer = BytesMut::from(answer);
    longer.extend_from_slice(&[0]);
    longer.freeze()
}

fn without_metadata(head: Head, answer: Bytes) -> Bytes {
    if head.key == ApiKey::Metadata as i16 { wire::garbage(head) } else { answer }
}

fn without_produce(head: Head, answer: Bytes) -> Bytes {
    if head.key == ApiKey::Produce as i16 { wire::garbage(head) } else { answer }
}

fn without_versions(head: Head, answer: Bytes) -> Bytes {
    if head.key == ApiKey::ApiVersions as i16 { answer.slice(..answer.len() - 1) } else { answer }
}

fn obstacle(bench: &Bench) -> Option<&str> {
    bench.core.cluster().obstacle()
}

#[test]
fn answers_with_a_byte_too_many_are_understood() {
    let mut bench = Bench::unconnected(idempotent());
    bench.alter = with_a_byte_too_many;
    bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);

    let delivery = bench.send(0, "a");
    bench.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
    assert_eq!(obstacle(&bench), None);
}

#[test]
fn metadata_that_cannot_be_read_is_told_until_it_can() {
    let mut bench = Bench::unconnected(Config::default());
    bench.alter = without_metadata;
    bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
    bench.advance(Duration::from_secs(5));

    let text = obstacle(&bench).unwrap_or_default();
    let (start, end) =
        ("the answer of broker bootstrap:9092 to Metadata version ", " cannot be read: expected ");
    assert!(text.starts_with(start) && text.contains(end), "{text}");

    bench.alter = |_, answer| answer;
    bench.advance(Duration::from_secs(5));
    assert_eq!(obstacle(&bench), None);
    assert_eq!(bench.core.cluster().partition_count(TOPIC), Some(4));
}

#[test]
fn versions_that_cannot_be_read_are_told() {
    let mut bench = Bench::unconnected(Config::default());
    bench.alter = without_versions;
    bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
    bench.advance(Duration::from_secs(5));

    let text = obstacle(&bench).unwrap_or_default();
    let start =
        "broker bootstrap:9092 sends what cannot be read: answer to ApiVersions is not understood: expected ";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn error_of_a_record_names_the_answer_that_could_not_be_read() {
    let mut bench = Bench::new(Config { retries: 0, ..Config::default() });
    bench.alter = without_produce;

    let delivery = bench.send(0, "a");
    bench.acknowledge_all();

    let text = failure(&delivery).to_string();
    assert!(
        text.contains("the answer of broker 1 (kafka-1:9092) to Produce version 13 cannot be read"),
        "{text}"
    );
}

#[test]
fn answer_about_far_more_than_was_asked_is_not_read() {
    let mut bench = Bench::new(Config { retries: 1, ..Config::default() });
    let delivery = bench.send(0, "a");
    let request = bench.request();
    let strangers = (1..10_000).map(|partition| (TOPIC.to_owned(), partition, Reply::ok(0)));
    let replies: Vec<_> = strangers.chain([(TOPIC.to_owned(), 0, Reply::ok(7))]).collect();

    bench.reply_with(&request, &replies, 0);
    assert!(is_pending(&delivery));
    bench.advance(Duration::from_secs(1));

    bench.acknowledge_all();
    assert_eq!(offset(&delivery), Some(0));
}
