//! Metadata, driven by answers and times of the tests' choice. What tests share is here.

use std::time::{Duration, Instant};

use crate::clock;
use crate::protocol::messages::metadata::MetadataResponseTopic;
use crate::protocol::messages::metadata::{MetadataResponseBroker, MetadataResponsePartition};

use super::*;

mod bounds;
mod creation;
mod epochs;
mod hints;
mod passing;
mod polling;
mod random;
mod rebootstrap;
mod rewinds;
mod schedule;
mod topics;

const VERSION: i16 = 12;
const MAX_AGE: Duration = Duration::from_secs(300);
const MAX_IDLE: Duration = Duration::from_secs(60);
const BACKOFF: Duration = Duration::from_millis(100);
const TRIGGER: Duration = Duration::from_secs(200);

/// A constant backoff, so that there is no jitter.
fn config() -> MetadataConfig {
    MetadataConfig {
        max_age: MAX_AGE,
        max_idle: MAX_IDLE,
        retry_backoff: Backoff::new(BACKOFF, BACKOFF),
        rebootstrap_trigger: Some(TRIGGER),
    }
}

fn new_metadata() -> Metadata {
    Metadata::new(&config(), [HostPort::new("boot-1", 9092), HostPort::new("boot-2", 9093)], 7)
}

/// Metadata of two brokers that has taken in an answer about `topics` at `now`.
fn metadata_with(topics: Vec<MetadataResponseTopic>, now: Instant) -> Metadata {
    let mut metadata = new_metadata();
    for topic in &topics {
        metadata.add_topic(&Topic::from(topic.name.clone().unwrap()), now);
    }
    answer(&mut metadata, topics, now);
    metadata
}

/// Lets the request that is due be answered.
fn answer(metadata: &mut Metadata, topics: Vec<MetadataResponseTopic>, now: Instant) -> MetadataUpdate {
    let (id, _) = metadata.next_request(now).expect("a request is due");
    metadata.handle_response(id, &response(topics), VERSION, now).unwrap()
}

/// Asks for news and lets the request be answered once the backoff is over; returns that time.
fn refresh(metadata: &mut Metadata, topics: Vec<MetadataResponseTopic>, now: Instant) -> Instant {
    let later = now + Duration::from_secs(2);
    metadata.request_update();
    answer(metadata, topics, later);
    later
}

/// Has answers say the same until it must be believed; returns the time of the last.
fn refresh_often(metadata: &mut Metadata, topics: &[MetadataResponseTopic], now: Instant) -> Instant {
    (0..4).fold(now, |now, _| refresh(metadata, topics.to_vec(), now))
}

fn response(topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
    MetadataResponse {
        brokers: vec![broker(1), broker(2)],
        cluster_id: Some("cluster".to_owned()),
        controller_id: 2,
        topics,
        ..MetadataResponse::default()
    }
}

fn broker(id: i32) -> MetadataResponseBroker {
    MetadataResponseBroker { node_id: id, host: format!("kafka-{id}"), port: 9092, rack: None }
}

fn topic(name: &str, id: u8, partitions: Vec<MetadataResponsePartition>) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: 0,
        name: Some(name.to_owned()),
        topic_id: Uuid([id; 16]),
        is_internal: false,
        partitions,
    }
}

fn topic_error(name: &str, code: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic { error_code: code.code(), ..topic(name, 0, vec![]) }
}

fn partition(number: i32, leader: i32, epoch: i32) -> MetadataResponsePartition {
    MetadataResponsePartition {
        error_code: 0,
        partition_index: number,
        leader_id: leader,
        leader_epoch: epoch,
        replica_nodes: vec![1, 2],
        isr_nodes: vec![1, 2],
    }
}

fn requested_topics(request: &MetadataRequest) -> Vec<&str> {
    request.topics.as_ref().unwrap().iter().map(|topic| topic.name.as_deref().unwrap()).collect()
}

fn leader(metadata: &Metadata, topic: &str, partition: i32) -> Option<i32> {
    metadata.cluster().leader(topic, partition).map(|node| node.id().0)
}
