//! Answers with more, or with something else, than the protocol says.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::rig::{Config, Rig, failure, is_pending, offset};
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

fn obstacle(rig: &Rig) -> Option<&str> {
    rig.core.cluster().obstacle()
}

#[test]
fn answers_with_a_byte_too_many_are_understood() {
    let mut rig = Rig::unconnected(idempotent());
    rig.alter = with_a_byte_too_many;
    rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);

    let delivery = rig.send(0, "a");
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
    assert_eq!(obstacle(&rig), None);
}

#[test]
fn metadata_that_cannot_be_read_is_told_until_it_can() {
    let mut rig = Rig::unconnected(Config::default());
    rig.alter = without_metadata;
    rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
    rig.advance(Duration::from_secs(5));

    let text = obstacle(&rig).unwrap_or_default();
    let (start, end) =
        ("the answer of broker bootstrap:9092 to Metadata version ", " cannot be read: expected ");
    assert!(text.starts_with(start) && text.contains(end), "{text}");

    rig.alter = |_, answer| answer;
    rig.advance(Duration::from_secs(5));
    assert_eq!(obstacle(&rig), None);
    assert_eq!(rig.core.cluster().partition_count(TOPIC), Some(4));
}

#[test]
fn versions_that_cannot_be_read_are_told() {
    let mut rig = Rig::unconnected(Config::default());
    rig.alter = without_versions;
    rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
    rig.advance(Duration::from_secs(5));

    let text = obstacle(&rig).unwrap_or_default();
    let start =
        "broker bootstrap:9092 sends what cannot be read: answer to ApiVersions is not understood: expected ";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn error_of_a_record_names_the_answer_that_could_not_be_read() {
    let mut rig = Rig::new(Config { retries: 0, ..Config::default() });
    rig.alter = without_produce;

    let delivery = rig.send(0, "a");
    rig.acknowledge_all();

    let text = failure(&delivery).to_string();
    let cause = "no answer from broker 1 (kafka-1:9092), and there is no other attempt: its answer to Produce version 13 cannot be read";
    assert!(text.contains(cause), "{text}");
}

#[test]
fn answer_about_far_more_than_was_asked_is_not_read() {
    let mut rig = Rig::new(Config { retries: 1, ..Config::default() });
    let delivery = rig.send(0, "a");
    let request = rig.request();
    let strangers = (1..10_000).map(|partition| (TOPIC.to_owned(), partition, Reply::ok(0)));
    let replies: Vec<_> = strangers.chain([(TOPIC.to_owned(), 0, Reply::ok(7))]).collect();

    rig.reply_with(&request, &replies, 0);
    assert!(is_pending(&delivery));
    rig.advance(Duration::from_secs(1));

    rig.acknowledge_all();
    assert_eq!(offset(&delivery), Some(0));
}
