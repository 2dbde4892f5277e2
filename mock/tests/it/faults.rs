//! Faults: each kind, and how requests are chosen.

use std::time::Duration;

use kafka_mock::{Api, Fault, MockCluster};
use kafka_protocol::messages::{ApiVersionsRequest, InitProducerIdRequest, ProduceRequest};

use crate::support::{Client, PATIENCE, batch, now, produce_request, values};

const NOT_LEADER_OR_FOLLOWER: i16 = 6;
const NOT_ENOUGH_REPLICAS_AFTER_APPEND: i16 = 20;
const REBOOTSTRAP_REQUIRED: i16 = 129;

#[tokio::test]
async fn an_error_code_goes_to_the_chosen_partition_only() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    cluster.inject(
        Fault::error_code(NOT_LEADER_OR_FOLLOWER).api(Api::Produce).partition("t", 1).skip(1).times(2),
    );
    let mut client = Client::connect(&cluster, 0).await;

    let mut codes = Vec::new();
    for (partition, value) in [(1, "a"), (0, "b"), (1, "c"), (1, "d"), (0, "e"), (1, "f")] {
        codes.push(client.produce("t", partition, batch(&[value])).await.error_code);
    }

    assert_eq!(codes, [0, 0, NOT_LEADER_OR_FOLLOWER, NOT_LEADER_OR_FOLLOWER, 0, 0]);
    assert_eq!(values(&cluster, "t", 1), ["a", "f"]);
}

#[tokio::test]
async fn a_dropped_response_leaves_the_connection_open_and_silent() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    cluster.drop_response(Api::Produce, 1);
    let mut client = Client::connect(&cluster, 0).await;

    client.write(9, &produce_request("t", 0, batch(&["a"]))).await;
    client.write(9, &produce_request("t", 0, batch(&["b"]))).await;

    assert!(client.hears_nothing().await);
    assert_eq!(values(&cluster, "t", 0), ["a"]);
    assert_eq!(cluster.open_connections(0), 1);
}

#[tokio::test]
async fn an_error_after_the_append_leaves_the_records() {
    let cluster = one_partition().await;
    cluster.inject(Fault::error_code_after_append(NOT_ENOUGH_REPLICAS_AFTER_APPEND).api(Api::Produce));
    let mut client = Client::connect(&cluster, 0).await;

    let answer = client.produce("t", 0, batch(&["a"])).await;

    assert_eq!((answer.error_code, answer.base_offset), (NOT_ENOUGH_REPLICAS_AFTER_APPEND, -1));
    assert_eq!(values(&cluster, "t", 0), ["a"]);
}

#[tokio::test]
async fn errors_follow_each_other_in_the_order_of_injection() {
    let cluster = one_partition().await;
    cluster.fail_next(Api::Produce, NOT_LEADER_OR_FOLLOWER, 1);
    cluster.fail_next(Api::Produce, NOT_ENOUGH_REPLICAS_AFTER_APPEND, 1);
    let mut client = Client::connect(&cluster, 0).await;

    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(client.produce("t", 0, batch(&["a"])).await.error_code);
    }

    assert_eq!(codes, [NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS_AFTER_APPEND, 0]);
}

#[tokio::test]
async fn error_codes_go_where_the_response_has_a_place() {
    let cluster = one_partition().await;
    let mut client = Client::connect(&cluster, 0).await;

    cluster.fail_next(Api::ApiVersions, 42, 1);
    assert_eq!(client.call(0, &ApiVersionsRequest::default()).await.error_code, 42);

    cluster.fail_next(Api::InitProducerId, 15, 1);
    let request = InitProducerIdRequest::default().with_transactional_id(None);
    assert_eq!(client.call(4, &request).await.error_code, 15);

    cluster.fail_next(Api::Metadata, 29, 1);
    assert_eq!(client.metadata(12, &["t"]).await.topics[0].error_code, 29);

    cluster.inject(Fault::error_code(72).api(Api::Metadata).partition("t", 0));
    let metadata = client.metadata(12, &["t"]).await;
    assert_eq!((metadata.topics[0].error_code, metadata.topics[0].partitions[0].error_code), (0, 72));

    cluster.fail_next(Api::Metadata, REBOOTSTRAP_REQUIRED, 1);
    assert_eq!(client.metadata(13, &["t"]).await.error_code, REBOOTSTRAP_REQUIRED);
    assert_eq!(client.metadata(13, &["t"]).await.error_code, 0);
}

#[tokio::test]
async fn faults_can_be_bound_to_a_broker_and_cleared() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.inject(Fault::error_code(42).api(Api::ApiVersions).broker(1).always());
    let mut clients = [Client::connect(&cluster, 0).await, Client::connect(&cluster, 1).await];
    let request = ApiVersionsRequest::default();

    let spared = clients[0].call(0, &request).await.error_code;
    let hit = clients[1].call(0, &request).await.error_code;
    let hit_again = clients[1].call(0, &request).await.error_code;
    cluster.clear_faults();
    let healed = clients[1].call(0, &request).await.error_code;

    assert_eq!([spared, hit, hit_again, healed], [0, 42, 42, 0]);
}

#[tokio::test]
async fn disconnecting_after_carries_out_and_disconnecting_before_does_not() {
    for (fault, expected) in [(Fault::disconnect_after(), vec!["a"]), (Fault::disconnect_before(), vec![])] {
        let cluster = one_partition().await;
        cluster.inject(fault.api(Api::Produce));
        let mut client = Client::connect(&cluster, 0).await;

        client.write(9, &produce_request("t", 0, batch(&["a"]))).await;

        assert!(client.is_closed_by_broker().await);
        assert_eq!(values(&cluster, "t", 0), expected);
        Client::connect(&cluster, 0).await.produce("t", 0, batch(&["b"])).await;
        assert_eq!(cluster.connections_accepted(0), 2);
    }
}

#[tokio::test]
async fn earlier_answers_are_sent_before_a_disconnect() {
    let cluster = one_partition().await;
    cluster.inject(Fault::disconnect_after().api(Api::Produce).skip(1));
    let mut client = Client::connect(&cluster, 0).await;

    for value in ["a", "b", "c"] {
        client.write(9, &produce_request("t", 0, batch(&[value]))).await;
    }

    assert_eq!(client.read::<ProduceRequest>(9).await.map(|(id, _)| id), Some(100));
    assert!(client.is_closed_by_broker().await);
    assert_eq!(values(&cluster, "t", 0), ["a", "b"]);
}

#[tokio::test]
async fn delays_of_pipelined_requests_pass_together() {
    let cluster = one_partition().await;
    let delay = Duration::from_secs(3600);
    cluster.delay(Some(0), Some(Api::Produce), delay);
    let mut client = Client::connect(&cluster, 0).await;

    for value in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        client.write(9, &produce_request("t", 0, batch(&[value]))).await;
    }
    until(|| cluster.requests().of(Api::Produce) == 8).await;
    assert!(client.hears_nothing().await);
    // One after the other they would take eight times as long.
    tokio::time::pause();
    tokio::time::advance(delay).await;
    tokio::time::resume();

    for expected in 100..108 {
        assert_eq!(client.read::<ProduceRequest>(9).await.map(|(id, _)| id), Some(expected));
    }
}

#[tokio::test]
async fn a_delay_can_be_bound_to_other_requests_and_ended() {
    let cluster = one_partition().await;
    cluster.delay(None, Some(Api::Metadata), Duration::from_secs(3600));
    let mut client = Client::connect(&cluster, 0).await;

    assert_eq!(client.produce("t", 0, batch(&["a"])).await.error_code, 0);
    cluster.delay(None, Some(Api::Metadata), Duration::ZERO);

    assert_eq!(client.metadata(12, &["t"]).await.topics[0].error_code, 0);
}

#[tokio::test]
async fn throttling_is_told_and_not_enforced() {
    let cluster = one_partition().await;
    cluster.throttle(Duration::from_secs(30), 2);
    let mut client = Client::connect(&cluster, 0).await;

    let mut times = vec![client.call(9, &produce_request("t", 0, batch(&["a"]))).await.throttle_time_ms];
    for _ in 0..2 {
        times.push(client.metadata(12, &["t"]).await.throttle_time_ms);
    }

    assert_eq!(times, [30_000, 30_000, 0]);
}

#[tokio::test]
async fn a_frozen_broker_answers_once_it_thaws() {
    let cluster = one_partition().await;
    let mut client = Client::connect(&cluster, 0).await;
    client.produce("t", 0, batch(&["a"])).await;

    cluster.freeze(0).unwrap();
    client.write(9, &produce_request("t", 0, batch(&["b"]))).await;
    let mut other = Client::connect(&cluster, 0).await;
    other.write(0, &ApiVersionsRequest::default()).await;
    assert!(client.hears_nothing().await);
    assert_eq!(values(&cluster, "t", 0), ["a"]);
    cluster.unfreeze(0).unwrap();

    assert!(client.read::<ProduceRequest>(9).await.is_some());
    assert!(other.read::<ApiVersionsRequest>(0).await.is_some());
    assert_eq!(values(&cluster, "t", 0), ["a", "b"]);
}

#[tokio::test]
async fn a_fault_freezes_the_whole_broker_for_a_time() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let time = Duration::from_millis(500);
    cluster.inject(Fault::freeze(time).api(Api::Produce));
    let [mut client, mut other] = [Client::connect(&cluster, 0).await, Client::connect(&cluster, 0).await];
    let start = now();

    client.write(9, &produce_request("t", 0, batch(&["a"]))).await;
    until(|| cluster.requests().of(Api::Produce) == 1).await;
    other.write(0, &ApiVersionsRequest::default()).await;
    Client::connect(&cluster, 1).await.call(0, &ApiVersionsRequest::default()).await;
    assert!(client.hears_nothing().await);
    assert!(values(&cluster, "t", 0).is_empty());

    assert!(other.read::<ApiVersionsRequest>(0).await.is_some());
    assert!(client.read::<ProduceRequest>(9).await.is_some());
    assert!(start.elapsed() >= time);
    assert_eq!(values(&cluster, "t", 0), ["a"]);
    assert_eq!(client.produce("t", 0, batch(&["b"])).await.error_code, 0);
}

#[tokio::test]
async fn a_frozen_broker_thaws_early_on_demand() {
    let cluster = one_partition().await;
    cluster.inject(Fault::freeze(Duration::from_secs(3600)).api(Api::Produce));
    let mut client = Client::connect(&cluster, 0).await;

    client.write(9, &produce_request("t", 0, batch(&["a"]))).await;
    until(|| cluster.pending_faults().is_empty()).await;
    // The fault is taken up a moment before the broker freezes.
    assert!(client.hears_nothing().await);
    cluster.unfreeze(0).unwrap();

    assert!(client.read::<ProduceRequest>(9).await.is_some());
}

#[tokio::test]
async fn leader_moves_just_before_or_just_after_a_request() {
    for (fault, code, expected) in [
        (Fault::move_leader_before(1), NOT_LEADER_OR_FOLLOWER, vec!["b"]),
        (Fault::move_leader_after(1), 0, vec!["a", "b"]),
    ] {
        let cluster = MockCluster::start(2).await.unwrap();
        cluster.create_topic("t", 3, 2).unwrap();
        cluster.inject(fault.api(Api::Produce).partition("t", 0));

        let answer = Client::connect(&cluster, 0).await.produce("t", 0, batch(&["a"])).await;
        let next = Client::connect(&cluster, 1).await.produce("t", 0, batch(&["b"])).await;

        assert_eq!((answer.error_code, next.error_code), (code, 0));
        assert_eq!(values(&cluster, "t", 0), expected);
        assert_eq!(leaders(&cluster, "t"), [Some(1), Some(1), Some(0)]);
        assert_eq!(cluster.leader_epoch("t", 0), Some(1));
    }
}

#[tokio::test]
async fn metadata_tells_the_leader_of_before_or_after_the_move() {
    for (fault, expected) in [(Fault::move_leader_before(None), -1), (Fault::move_leader_after(None), 0)] {
        let cluster = one_partition().await;
        cluster.inject(fault.api(Api::Metadata));

        let metadata = Client::connect(&cluster, 0).await.metadata(12, &["t"]).await;

        assert_eq!(metadata.topics[0].partitions[0].leader_id.0, expected);
        assert_eq!(leaders(&cluster, "t"), [None]);
    }
}

#[tokio::test]
async fn leader_cannot_move_to_a_broker_that_is_not_there() {
    for fault in [Fault::move_leader_before(7), Fault::move_leader_after(7)] {
        let cluster = one_partition().await;
        cluster.inject(fault.api(Api::Produce));
        let mut client = Client::connect(&cluster, 0).await;

        client.write(9, &produce_request("t", 0, batch(&["a"]))).await;

        assert!(client.is_closed_by_broker().await);
        let refusals = cluster.refusals();
        assert!(refusals[0].contains("t-0") && refusals[0].contains("broker 7"), "{refusals:?}");
    }
}

#[tokio::test]
async fn topics_and_partitions_are_left_out_of_answers() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    cluster.create_topic("u", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    cluster.inject(Fault::leave_out().api(Api::Produce).partition("t", 0).times(2));
    let empty = client.call(9, &produce_request("t", 0, batch(&["a"]))).await;
    let spared = client.call(9, &produce_request("t", 1, batch(&["b"]))).await;
    let in_version_12 = client.call(12, &produce_request("t", 0, batch(&["c"]))).await;
    cluster.inject(Fault::leave_out().topic("t"));
    let without_topic = client.metadata(12, &["t", "u"]).await;
    cluster.inject(Fault::leave_out().partition("t", 0));
    let without_partition = client.metadata(12, &["t"]).await;

    assert_eq!([empty.responses.len(), spared.responses.len(), in_version_12.responses.len()], [0, 1, 0]);
    assert_eq!(values(&cluster, "t", 0), ["a", "c"]);
    assert_eq!(without_topic.topics.len(), 1);
    assert_eq!(without_topic.topics[0].name.as_ref().map(|name| name.as_str()), Some("u"));
    let left: Vec<_> =
        without_partition.topics[0].partitions.iter().map(|known| known.partition_index).collect();
    assert_eq!(left, [1]);
}

#[tokio::test]
async fn requests_are_chosen_by_their_connection_and_their_place_in_it() {
    let cluster = one_partition().await;
    cluster.inject(Fault::error_code(1).connection(2).times(2));
    cluster.inject(Fault::error_code(2).request(3).always());
    let request = ApiVersionsRequest::default();
    let mut codes = Vec::new();

    for _ in 0..3 {
        let mut client = Client::connect(&cluster, 0).await;
        for _ in 0..4 {
            codes.push(client.call(0, &request).await.error_code);
        }
    }

    assert_eq!(codes, [0, 0, 2, 0, 1, 1, 2, 0, 0, 0, 2, 0]);
    assert_eq!(cluster.pending_faults(), [Fault::error_code(2).request(3).always()]);
}

#[tokio::test]
async fn leaders_move_when_a_broker_goes_down() {
    let cluster = MockCluster::start(3).await.unwrap();
    cluster.create_topic("safe", 3, 2).unwrap();
    cluster.create_topic("single", 3, 1).unwrap();
    let mut client = Client::connect(&cluster, 1).await;
    client.metadata(12, &[]).await;

    cluster.broker_down(1).await.unwrap();

    assert!(client.is_closed_by_broker().await);
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", cluster.port(1).unwrap())).await.is_err());
    assert_eq!(leaders(&cluster, "safe"), [Some(0), Some(2), Some(2)]);
    assert_eq!(leaders(&cluster, "single"), [Some(0), None, Some(2)]);
    assert_eq!(cluster.leader_epoch("safe", 1), Some(1));
    assert_eq!(cluster.leader_epoch("safe", 2), Some(0));
    let metadata = Client::connect(&cluster, 0).await.metadata(12, &["safe"]).await;
    assert_eq!(metadata.brokers.len(), 2);
    assert_eq!(metadata.topics[0].partitions[1].isr_nodes, [2]);
    assert_eq!(metadata.topics[0].partitions[1].offline_replicas, [1]);
    assert_eq!(cluster.open_connections(1), 0);
}

#[tokio::test]
async fn crash_of_a_broker_is_not_noticed_at_once() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.create_topic("t", 2, 2).unwrap();
    let mut client = Client::connect(&cluster, 1).await;
    client.metadata(12, &[]).await;

    cluster.crash(1).await.unwrap();

    assert!(client.is_closed_by_broker().await);
    let port = cluster.port(1).unwrap();
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
    assert_eq!(leaders(&cluster, "t"), [Some(0), Some(1)]);
    let metadata = Client::connect(&cluster, 0).await.metadata(12, &["t"]).await;
    assert_eq!(metadata.brokers.len(), 2);
    assert!(cluster.crash(9).await.is_err());

    cluster.broker_down(1).await.unwrap();
    assert_eq!(leaders(&cluster, "t"), [Some(0), Some(0)]);
    cluster.broker_up(1).await.unwrap();
    assert_eq!(cluster.port(1), Some(port));
    Client::connect(&cluster, 1).await.metadata(12, &["t"]).await;
}

#[tokio::test]
async fn a_broker_comes_back_on_its_port_with_its_records() {
    let cluster = one_partition().await;
    Client::connect(&cluster, 0).await.produce("t", 0, batch(&["a"])).await;
    let port = cluster.port(0);

    cluster.broker_down(0).await.unwrap();
    cluster.broker_down(0).await.unwrap();
    assert_eq!(cluster.bootstrap_servers(), "");
    cluster.broker_up(0).await.unwrap();
    cluster.broker_up(0).await.unwrap();

    assert_eq!(cluster.port(0), port);
    assert_eq!(cluster.leader_epoch("t", 0), Some(2));
    let answer = Client::connect(&cluster, 0).await.produce("t", 0, batch(&["b"])).await;
    assert_eq!((answer.error_code, answer.base_offset), (0, 1));
    assert_eq!(cluster.batches("t", 0)[1].partition_leader_epoch, 2);
}

/// Waits for what other tasks bring about.
async fn until(condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.expect("condition holds at last");
}

async fn one_partition() -> MockCluster {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    cluster
}

fn leaders(cluster: &MockCluster, topic: &str) -> Vec<Option<i32>> {
    let partitions = i32::try_from(cluster.partition_count(topic)).unwrap();
    (0..partitions).map(|partition| cluster.leader(topic, partition)).collect()
}
