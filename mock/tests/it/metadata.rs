//! Metadata: versions, creation of topics, what is missing.

use kafka_mock::{Api, Fault, MockCluster};
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;

use crate::support::{Client, topic_name};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const LEADER_NOT_AVAILABLE: i16 = 5;
const REPLICA_NOT_AVAILABLE: i16 = 9;
const INVALID_TOPIC_EXCEPTION: i16 = 17;
const LISTENER_NOT_FOUND: i16 = 72;
const UNKNOWN_TOPIC_ID: i16 = 100;

#[tokio::test]
async fn every_version_tells_brokers_and_leaders() {
    let cluster = MockCluster::start(3).await.unwrap();
    cluster.create_topic("t", 4, 2).unwrap();
    let mut client = Client::connect(&cluster, 1).await;

    for version in 0..=13 {
        let metadata = client.metadata(version, &["t"]).await;
        let ports: Vec<_> = metadata.brokers.iter().map(|broker| broker.port).collect();
        let expected: Vec<_> = (0..3).map(|id| i32::from(cluster.port(id).unwrap())).collect();
        assert_eq!(ports, expected, "version {version}");
        let topic = &metadata.topics[0];
        assert_eq!((topic.error_code, topic.name.clone()), (0, Some(topic_name("t"))), "version {version}");
        let leaders: Vec<_> = topic.partitions.iter().map(|partition| partition.leader_id.0).collect();
        assert_eq!(leaders, [0, 1, 2, 0], "version {version}");
        assert_eq!(topic.partitions[2].replica_nodes, [2, 0], "version {version}");
        assert_eq!(topic.topic_id.is_nil(), version < 10, "version {version}");
        assert_eq!(metadata.cluster_id.is_some(), version >= 2, "version {version}");
        assert_eq!(topic.partitions[0].leader_epoch, if version >= 7 { 0 } else { -1 }, "version {version}");
    }
    assert_eq!(cluster.requests().of(Api::Metadata), 14);
    assert_eq!(cluster.requests().to_broker(Api::Metadata, 1), 14);
    assert_eq!(cluster.requests().of_version(Api::Metadata, 13), 1);
}

#[tokio::test]
async fn topics_that_are_asked_for_are_created() {
    let cluster = MockCluster::builder().brokers(2).auto_create_topics(true, 5).start().await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    let metadata = client.metadata(12, &["new"]).await;

    assert_eq!(metadata.topics[0].error_code, 0);
    assert_eq!(metadata.topics[0].partitions.len(), 5);
    assert_eq!(cluster.partition_count("new"), 5);
}

#[tokio::test]
async fn topics_are_not_created_where_broker_or_client_forbid_it() {
    let willing = MockCluster::start(1).await.unwrap();
    let unwilling = MockCluster::builder().auto_create_topics(false, 1).start().await.unwrap();
    let request = crate::support::metadata_request(&["new"]);
    let reserved = request.clone().with_allow_auto_topic_creation(false);

    let by_client = Client::connect(&willing, 0).await.call(12, &reserved).await;
    let by_broker = Client::connect(&unwilling, 0).await.call(12, &request).await;

    assert_eq!(by_client.topics[0].error_code, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(by_broker.topics[0].error_code, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(willing.partition_count("new"), 0);
}

#[tokio::test]
async fn invalid_names_are_refused() {
    let cluster = MockCluster::start(1).await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let long = "x".repeat(250);

    let metadata = client.metadata(12, &["", ".", "..", "a b", "ä", &long, "fine_-.9"]).await;

    let codes: Vec<_> = metadata.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [[INVALID_TOPIC_EXCEPTION; 6].as_slice(), &[0]].concat());
}

#[tokio::test]
async fn topics_are_found_by_id() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let id = client.metadata(12, &["t"]).await.topics[0].topic_id;
    let by_id = |id| MetadataRequestTopic::default().with_name(None).with_topic_id(id);
    let request = MetadataRequest::default().with_topics(Some(vec![by_id(id)]));

    let found = client.call(12, &request).await;
    cluster.delete_topic("t").unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let lost = client.call(12, &request).await;

    assert_eq!((found.topics[0].error_code, found.topics[0].name.clone()), (0, Some(topic_name("t"))));
    assert_eq!((lost.topics[0].error_code, lost.topics[0].topic_id), (UNKNOWN_TOPIC_ID, id));
}

#[tokio::test]
async fn no_list_means_all_topics_and_an_empty_one_none() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("a", 1, 1).unwrap();
    cluster.create_topic("b", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let request = MetadataRequest::default();

    let all = client.call(9, &request.clone().with_topics(None)).await;
    let none = client.call(9, &request.clone().with_topics(Some(Vec::new()))).await;
    let all_of_old = client.call(0, &request.with_topics(Some(Vec::new()))).await;

    assert_eq!([all.topics.len(), none.topics.len(), all_of_old.topics.len()], [2, 0, 2]);
}

#[tokio::test]
async fn a_partition_without_leader_says_so() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    cluster.set_leader("t", 1, None).unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    let metadata = client.metadata(12, &["t"]).await;

    let partitions = metadata.topics[0].partitions.iter();
    let seen: Vec<_> = partitions.map(|p| (p.error_code, p.leader_id.0, p.leader_epoch)).collect();
    assert_eq!(seen, [(0, 0, 0), (LEADER_NOT_AVAILABLE, -1, 1)]);
}

/// Kafka tells these two codes in place of a leader; with any other error the leader stands beside it.
#[tokio::test]
async fn an_injected_lack_of_a_leader_names_none() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let codes = [(LEADER_NOT_AVAILABLE, -1), (LISTENER_NOT_FOUND, -1), (REPLICA_NOT_AVAILABLE, 0)];

    for (code, leader) in codes {
        cluster.inject(Fault::error_code(code).api(Api::Metadata).partition("t", 0));
        let metadata = client.metadata(12, &["t"]).await;

        let partition = &metadata.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_id.0, partition.leader_epoch), (code, leader, 0));
    }
}
