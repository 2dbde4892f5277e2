//! What ApiVersions tells of the protocol of transactions.

use kafka_mock::MockCluster;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::StrBytes;

use crate::support::Client;

/// Epoch and level of the finalized feature, and the versions that are supported.
async fn told(client: &mut Client, version: i16) -> (i64, Vec<(String, i16)>, Vec<(i16, i16)>) {
    let software = StrBytes::from_static_str("test");
    let request = ApiVersionsRequest::default()
        .with_client_software_name(software.clone())
        .with_client_software_version(software);
    let answer = client.call(version, &request).await;
    let finalized = answer.finalized_features.iter();
    let finalized = finalized.map(|feature| {
        assert_eq!(feature.min_version_level, feature.max_version_level);
        (feature.name.to_string(), feature.max_version_level)
    });
    let supported =
        answer.supported_features.iter().map(|feature| (feature.min_version, feature.max_version));
    (answer.finalized_features_epoch, finalized.collect(), supported.collect())
}

fn level(level: i16) -> Vec<(String, i16)> {
    vec![("transaction.version".to_owned(), level)]
}

#[tokio::test]
async fn the_protocol_of_transactions_can_change_while_brokers_run() {
    let cluster = MockCluster::start(2).await.unwrap();
    let mut client = Client::connect(&cluster, 1).await;

    assert_eq!(told(&mut client, 4).await, (1, level(2), vec![(0, 2)]));
    assert_eq!(told(&mut client, 3).await, (1, level(2), vec![(1, 2)]), "0 cannot be told here");
    cluster.set_transaction_version(1);
    assert_eq!(told(&mut client, 4).await, (2, level(1), vec![(0, 2)]));
    cluster.set_transaction_version(0);
    assert_eq!(told(&mut client, 4).await, (3, vec![], vec![(0, 2)]));
    cluster.set_transaction_version(2);
    assert_eq!(told(&mut client, 4).await, (4, level(2), vec![(0, 2)]));
}

#[tokio::test]
async fn brokers_before_4_0_and_others_know_nothing_of_it() {
    let nothing = (-1, vec![], vec![]);
    let old = MockCluster::builder().kafka_release("3.9").start().await.unwrap();
    assert_eq!(told(&mut Client::connect(&old, 0).await, 4).await, nothing);
    let other = MockCluster::builder().transaction_version(None).start().await.unwrap();
    assert_eq!(told(&mut Client::connect(&other, 0).await, 4).await, nothing);
    let first = MockCluster::builder().transaction_version(1).start().await.unwrap();
    assert_eq!(told(&mut Client::connect(&first, 0).await, 4).await.1, level(1));
}
