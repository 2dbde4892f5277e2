//! Transactions of brokers without sockets: markers that take their time, leaders that are lost on the way, coordinators that load.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_mock::TransactionState;
use kafka_mock::sans_io::{Brokers, Reaction};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, Request};

use crate::support::{texts, transactional_batch};
use crate::transactional::{add_request, end_request, init_request, transactional_request};

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const NOT_COORDINATOR: i16 = 16;
const NOT_ENOUGH_REPLICAS: i16 = 19;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const INVALID_PRODUCER_EPOCH: i16 = 47;

/// Three brokers, topic "t" with two partitions on all of them, and coordinators at broker 2.
fn brokers() -> Brokers {
    let mut brokers = Brokers::new(3);
    (0..3).try_for_each(|id| brokers.broker_up(id, 9092)).unwrap();
    brokers.create_topic("t", 2, 3).unwrap();
    brokers.move_transaction_coordinator("tx", 2).unwrap();
    brokers
}

fn frame<R: Request>(version: i16, request: &R) -> Bytes {
    let mut frame = BytesMut::new();
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(1);
    header.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    frame.freeze()
}

fn answer<R: Request>(reaction: Reaction, version: i16) -> R::Response {
    let Reaction::Reply { mut frame, .. } = reaction else { panic!("{reaction:?}") };
    frame.advance(4);
    let key = ApiKey::try_from(R::KEY).unwrap();
    ResponseHeader::decode(&mut frame, key.response_header_version(version)).unwrap();
    R::Response::decode(&mut frame, version).unwrap()
}

fn call<R: Request>(
    brokers: &mut Brokers,
    broker: i32,
    version: i16,
    request: &R,
    now: Duration,
) -> R::Response {
    answer::<R>(brokers.handle(broker, frame(version, request), now), version)
}

fn init(brokers: &mut Brokers, now: Duration) -> (i64, i16) {
    let given = call(brokers, 2, 5, &init_request("tx", (-1, -1)), now);
    assert_eq!(given.error_code, 0);
    (given.producer_id.0, given.producer_epoch)
}

/// Writes a batch at a leader, which followers have copied when this returns if it was written, and returns the error code.
fn produce(brokers: &mut Brokers, leader: i32, producer: (i64, i16), sequence: i32, value: &str) -> i16 {
    let batch = transactional_batch(&[value], producer.0, producer.1, sequence);
    let request = transactional_request("tx", "t", 0, batch);
    let mut reaction = brokers.handle(leader, frame(12, &request), Duration::ZERO);
    if let Reaction::Wait(waiting) = reaction {
        catch_up(brokers);
        reaction = brokers.resume(waiting, Duration::ZERO);
    }
    let answer = answer::<kafka_protocol::messages::ProduceRequest>(reaction, 12);
    answer.responses[0].partition_responses[0].error_code
}

/// Followers copy everything and say so.
fn catch_up(brokers: &mut Brokers) {
    for _ in 0..2 {
        (0..3).for_each(|follower| _ = brokers.fetch(follower, 100, |_| true));
    }
}

fn end(brokers: &mut Brokers, producer: (i64, i16), is_commit: bool) -> (i64, i16) {
    let ended = call(brokers, 2, 5, &end_request("tx", producer, is_commit), Duration::ZERO);
    assert_eq!(ended.error_code, 0);
    (ended.producer_id.0, ended.producer_epoch)
}

fn state(brokers: &Brokers) -> TransactionState {
    brokers.transactions()["tx"].state
}

fn committed(brokers: &Brokers) -> Vec<String> {
    texts(brokers.committed_records("t", 0))
}

#[test]
fn markers_are_written_one_by_one_and_count_when_they_are_replicated() {
    let mut brokers = brokers();
    let producer = init(&mut brokers, Duration::ZERO);
    let request = add_request("tx", producer, &[("t", 1)]);
    call(&mut brokers, 2, 3, &request, Duration::ZERO);
    assert_eq!(produce(&mut brokers, 0, producer, 0, "a"), 0);
    assert!(!brokers.has_markers_to_write(|_, _| true));
    end(&mut brokers, producer, true);
    assert!(brokers.is_any_transaction_ending());
    assert!(!brokers.has_markers_to_write(|_, _| false));
    assert!(!brokers.write_markers(1, |_, _| false), "no leader can be reached");

    assert!(brokers.write_markers(1, |coordinator, leader| (coordinator, leader) == (2, 0)));
    assert!(!brokers.write_markers(1, |_, leader| leader == 0), "followers have not copied the marker");
    assert!(committed(&brokers).is_empty());
    catch_up(&mut brokers);
    assert_eq!(committed(&brokers), ["a"]);
    assert!(brokers.write_markers(1, |_, leader| leader == 0));
    assert_eq!(brokers.transactions()["tx"].partitions, [("t".to_owned(), 1)]);
    assert_eq!(state(&brokers), TransactionState::PrepareCommit);

    assert!(brokers.write_markers(1, |_, _| true));
    catch_up(&mut brokers);
    assert!(brokers.write_markers(1, |_, _| true));

    assert_eq!(state(&brokers), TransactionState::CompleteCommit);
    assert!(!brokers.has_markers_to_write(|_, _| true));
}

#[test]
fn a_marker_that_is_lost_with_its_leader_is_written_again() {
    let mut brokers = brokers();
    let producer = init(&mut brokers, Duration::ZERO);
    assert_eq!(produce(&mut brokers, 0, producer, 0, "a"), 0);
    end(&mut brokers, producer, true);
    assert!(brokers.write_markers(1, |_, _| true));
    assert_eq!(brokers.batches("t", 0).len(), 2);

    brokers.broker_down(0).unwrap();
    assert_eq!(brokers.leader("t", 0), Some(1));
    assert_eq!(brokers.batches("t", 0).len(), 1, "the new leader has no marker");
    assert_eq!(state(&brokers), TransactionState::PrepareCommit);
    assert!(brokers.write_markers(1, |_, _| true));
    catch_up(&mut brokers);
    brokers.write_markers(1, |_, _| true);

    assert_eq!(state(&brokers), TransactionState::CompleteCommit);
    assert_eq!(committed(&brokers), ["a"]);
    brokers.broker_up(0, 9092).unwrap();
    catch_up(&mut brokers);
    assert_eq!(brokers.truncated("t", 0), 1);
}

#[test]
fn a_marker_that_is_gone_with_its_topic_is_written_to_the_next_of_that_name() {
    let mut brokers = brokers();
    let producer = init(&mut brokers, Duration::ZERO);
    assert_eq!(produce(&mut brokers, 0, producer, 0, "a"), 0);
    end(&mut brokers, producer, true);
    assert!(brokers.write_markers(1, |_, _| true));

    brokers.delete_topic("t").unwrap();
    brokers.create_topic("t", 2, 3).unwrap();
    assert!(brokers.write_markers(1, |_, _| true));
    catch_up(&mut brokers);
    brokers.write_markers(1, |_, _| true);

    assert_eq!(state(&brokers), TransactionState::CompleteCommit);
}

#[test]
fn a_marker_may_be_there_twice_and_counts_once() {
    let mut brokers = brokers();
    let producer = init(&mut brokers, Duration::ZERO);
    assert_eq!(produce(&mut brokers, 0, producer, 0, "a"), 0);
    end(&mut brokers, producer, false);
    assert!(brokers.write_markers(1, |_, _| true));
    // The followers copy the marker, and the leader is gone before it has told the coordinator.
    brokers.fetch(1, 100, |_| true);
    brokers.fetch(2, 100, |_| true);
    brokers.broker_down(0).unwrap();

    assert!(brokers.write_markers(1, |_, _| true));
    catch_up(&mut brokers);
    brokers.write_markers(1, |_, _| true);

    assert_eq!(state(&brokers), TransactionState::CompleteAbort);
    assert_eq!(brokers.batches("t", 0).iter().filter(|batch| batch.is_control).count(), 2);
    assert!(committed(&brokers).is_empty());
}

#[test]
fn a_new_leader_knows_the_transactions_of_the_old_one() {
    let mut brokers = brokers();
    let first = init(&mut brokers, Duration::ZERO);
    assert_eq!(produce(&mut brokers, 0, first, 0, "aborted"), 0);
    let second = end(&mut brokers, first, false);
    while brokers.is_any_transaction_ending() {
        brokers.write_markers(9, |_, _| true);
        catch_up(&mut brokers);
    }
    assert_eq!(produce(&mut brokers, 0, second, 0, "a"), 0);
    catch_up(&mut brokers);

    assert!(brokers.elect("t", 0, Some(1)).unwrap());
    catch_up(&mut brokers);

    assert!(committed(&brokers).is_empty(), "one is aborted, one is open");
    assert_eq!(produce(&mut brokers, 1, first, 1, "late"), INVALID_PRODUCER_EPOCH);
    assert_eq!(produce(&mut brokers, 1, second, 2, "gap"), OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(produce(&mut brokers, 1, second, 0, "a"), 0, "a double");
    assert_eq!(produce(&mut brokers, 1, second, 1, "b"), 0);
    end(&mut brokers, second, true);
    while brokers.is_any_transaction_ending() {
        brokers.write_markers(9, |_, _| true);
        catch_up(&mut brokers);
    }
    assert_eq!(committed(&brokers), ["a", "b"]);
}

#[test]
fn a_leader_that_has_lost_the_first_records_of_a_transaction_asks_the_coordinator_again() {
    let mut brokers = brokers();
    let producer = init(&mut brokers, Duration::ZERO);
    let request = transactional_request("tx", "t", 0, transactional_batch(&["a"], producer.0, producer.1, 0));
    assert!(matches!(brokers.handle(0, frame(12, &request), Duration::ZERO), Reaction::Wait(_)));
    brokers.broker_down(0).unwrap();

    assert_eq!(produce(&mut brokers, 1, producer, 1, "b"), OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(produce(&mut brokers, 1, producer, 0, "a"), 0);
    assert_eq!(produce(&mut brokers, 1, producer, 1, "b"), 0);
    let texts: Vec<_> = texts(brokers.batches("t", 0).iter().flat_map(|batch| batch.records()).collect());
    assert_eq!(texts, ["a", "b"]);
}

#[test]
fn a_coordinator_that_has_moved_loads_first() {
    let mut brokers = brokers();
    brokers.set_coordinator_loading_time(Duration::from_secs(2));
    let producer = init(&mut brokers, Duration::ZERO);
    let now = Duration::from_secs(10);
    call(&mut brokers, 2, 5, &init_request("other", (-1, -1)), now);

    brokers.broker_down(2).unwrap();

    let coordinator = brokers.transaction_coordinator("tx").unwrap();
    let other = 1 - coordinator;
    let request = add_request("tx", producer, &[("t", 0)]);
    let mut add = |broker: i32, seconds: u64| {
        let answer = call(&mut brokers, broker, 3, &request, Duration::from_secs(seconds));
        answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
    };
    assert_eq!(add(other, 11), NOT_COORDINATOR);
    assert_eq!(add(coordinator, 11), COORDINATOR_LOAD_IN_PROGRESS);
    assert_eq!(add(coordinator, 12), 0);
}

#[test]
fn a_leader_does_not_write_while_the_coordinator_loads() {
    let mut brokers = brokers();
    let producer = init(&mut brokers, Duration::ZERO);
    brokers.set_coordinator_loading_time(Duration::from_secs(2));
    brokers.move_transaction_coordinator("tx", 1).unwrap();

    assert_eq!(produce(&mut brokers, 0, producer, 0, "a"), NOT_ENOUGH_REPLICAS);
    assert_eq!(produce(&mut brokers, 0, producer, 1, "b"), NOT_ENOUGH_REPLICAS);
    assert!(brokers.batches("t", 0).is_empty());
}

#[test]
fn a_transaction_that_is_open_for_too_long_is_aborted() {
    let mut brokers = brokers();
    let minute = Duration::from_secs(60);
    let producer = init(&mut brokers, minute);
    let request = add_request("tx", producer, &[("t", 0)]);
    call(&mut brokers, 2, 3, &request, minute);

    assert_eq!(brokers.time_out_transactions(minute * 2), 0);
    brokers.broker_down(2).unwrap();
    assert_eq!(state(&brokers), TransactionState::Ongoing);
    assert_eq!(brokers.time_out_transactions(minute * 2 + Duration::from_millis(1)), 1);

    assert_eq!(state(&brokers), TransactionState::PrepareAbort);
    assert_eq!(brokers.transactions()["tx"].producer_epoch, producer.1 + 1);
    while brokers.is_any_transaction_ending() {
        assert!(brokers.write_markers(1, |_, _| true));
        catch_up(&mut brokers);
    }
    assert_eq!(state(&brokers), TransactionState::CompleteAbort);
}
