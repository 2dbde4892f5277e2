//! Faults: each kind, and how requests are chosen.

use kafka_mock::{Api, Fault, MockCluster};

use crate::support::{Client, batch, produce_request, values};

const NOT_LEADER_OR_FOLLOWER: i16 = 6;

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
