//! Produce: versions, acks, checks of batches.

use kafka_mock::MockCluster;

use crate::support::{Client, batch, idempotent_batch, only_partition, produce_request, values};

#[tokio::test]
async fn every_version_appends_and_answers_the_offset() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    for (offset, version) in (3..=12).enumerate() {
        let request = produce_request("t", 0, batch(&[&format!("v{version}")]));
        let answer = only_partition(client.call(version, &request).await);
        assert_eq!((answer.error_code, answer.base_offset), (0, offset as i64), "version {version}");
    }

    let expected: Vec<_> = (3..=12).map(|version| format!("v{version}")).collect();
    assert_eq!(values(&cluster, "t", 0), expected);
}

#[tokio::test]
async fn a_double_gets_the_offset_of_the_first() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    client.produce("t", 0, idempotent_batch(&["a", "b"], 7, 0, 0)).await;

    let second = client.produce("t", 0, idempotent_batch(&["c"], 7, 0, 2)).await;
    let double = client.produce("t", 0, idempotent_batch(&["a", "b"], 7, 0, 0)).await;

    assert_eq!((second.error_code, second.base_offset), (0, 2));
    assert_eq!((double.error_code, double.base_offset), (0, 0));
    assert_eq!(values(&cluster, "t", 0), ["a", "b", "c"]);
}
