//! Brokers without sockets: replicas that lag, leaders that lack records.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_mock::sans_io::{Brokers, Reaction, Waiting};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{ApiKey, ProduceResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};

use crate::support::{idempotent_batch, only_partition, produce_request};

const NOT_LEADER_OR_FOLLOWER: i16 = 6;
const REQUEST_TIMED_OUT: i16 = 7;
const VERSION: i16 = 12;

/// Three brokers and one partition on all of them, led by broker 0.
fn brokers() -> Brokers {
    let mut brokers = Brokers::new(3);
    (0..3).try_for_each(|id| brokers.broker_up(id, 9092)).unwrap();
    brokers.create_topic("t", 1, 3).unwrap();
    brokers
}

fn frame(value: &str, sequence: i32) -> Bytes {
    let mut frame = BytesMut::new();
    let header = RequestHeader::default().with_request_api_version(VERSION).with_correlation_id(1);
    header.encode(&mut frame, ApiKey::Produce.request_header_version(VERSION)).unwrap();
    let request = produce_request("t", 0, idempotent_batch(&[value], 7, 0, sequence));
    request.encode(&mut frame, VERSION).unwrap();
    frame.freeze()
}

fn answer(reaction: Reaction) -> PartitionProduceResponse {
    let Reaction::Reply { mut frame, .. } = reaction else { panic!("{reaction:?}") };
    frame.advance(4);
    ResponseHeader::decode(&mut frame, ApiKey::Produce.response_header_version(VERSION)).unwrap();
    only_partition(ProduceResponse::decode(&mut frame, VERSION).unwrap())
}

fn waiting(reaction: Reaction) -> Box<Waiting> {
    match reaction {
        Reaction::Wait(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

/// Followers copy everything and say so.
fn catch_up(brokers: &mut Brokers, followers: &[i32]) {
    for _ in 0..2 {
        for follower in followers {
            brokers.fetch(*follower, 100, |_| true);
        }
    }
}

fn values(brokers: &Brokers) -> Vec<String> {
    let records = brokers.batches("t", 0).iter().flat_map(|batch| batch.records());
    records.map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap()).collect()
}

#[test]
fn acks_all_waits_for_every_replica_in_sync() {
    let mut brokers = brokers();

    let first = waiting(brokers.handle(0, frame("a", 0), Duration::ZERO));
    catch_up(&mut brokers, &[1]);
    let first = waiting(brokers.resume(first, Duration::ZERO));
    catch_up(&mut brokers, &[2]);
    assert_eq!(answer(brokers.resume(first, Duration::ZERO)).base_offset, 0);

    let second = waiting(brokers.handle(0, frame("b", 1), Duration::ZERO));
    catch_up(&mut brokers, &[1]);
    brokers.remove_from_sync(2);
    assert_eq!(answer(brokers.resume(second, Duration::ZERO)).base_offset, 1);
}

#[test]
fn replicas_that_are_too_slow_are_a_timeout() {
    let mut brokers = brokers();

    let waiting = waiting(brokers.handle(0, frame("a", 0), Duration::ZERO));
    let until = waiting.until();

    assert_eq!(until, Duration::from_secs(1));
    assert_eq!(answer(brokers.resume(waiting, until)).error_code, REQUEST_TIMED_OUT);
}

#[test]
fn a_new_leader_lacks_what_it_had_not_copied_and_the_old_one_loses_it() {
    let mut brokers = brokers();
    let first = waiting(brokers.handle(0, frame("a", 0), Duration::ZERO));
    catch_up(&mut brokers, &[1, 2]);
    let second = waiting(brokers.handle(0, frame("b", 1), Duration::ZERO));

    assert!(brokers.elect("t", 0, Some(1)).unwrap());

    assert_eq!(answer(brokers.resume(first, Duration::ZERO)).error_code, NOT_LEADER_OR_FOLLOWER);
    assert_eq!(answer(brokers.resume(second, Duration::ZERO)).error_code, NOT_LEADER_OR_FOLLOWER);
    assert_eq!(values(&brokers), ["a"]);
    catch_up(&mut brokers, &[0, 2]);
    assert_eq!(brokers.truncated("t", 0), 1);

    // The new leader goes on behind what it has, and does not know the number of what was lost.
    let again = waiting(brokers.handle(1, frame("b", 1), Duration::ZERO));
    catch_up(&mut brokers, &[0, 2]);
    assert_eq!(answer(brokers.resume(again, Duration::ZERO)).base_offset, 1);
    assert_eq!(values(&brokers), ["a", "b"]);
}

#[test]
fn a_replica_that_lacks_what_was_acknowledged_is_not_elected() {
    let mut brokers = brokers();
    brokers.remove_from_sync(2);
    let first = waiting(brokers.handle(0, frame("a", 0), Duration::ZERO));
    brokers.remove_from_sync(2);
    catch_up(&mut brokers, &[1]);
    assert_eq!(answer(brokers.resume(first, Duration::ZERO)).error_code, 0);

    assert!(!brokers.elect("t", 0, Some(2)).unwrap());
    assert_eq!(brokers.leader("t", 0), Some(0));
    assert!(brokers.elect("t", 0, Some(1)).unwrap());
}
