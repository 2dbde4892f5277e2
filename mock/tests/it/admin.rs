//! Topics: created, deleted and grown by clients and by the test itself.

use kafka_mock::{MockCluster, MockError};
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest};

use crate::support::{Client, topic_name};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_TOPIC_EXCEPTION: i16 = 17;
const TOPIC_ALREADY_EXISTS: i16 = 36;
const INVALID_PARTITIONS: i16 = 37;
const INVALID_REPLICATION_FACTOR: i16 = 38;
const UNKNOWN_TOPIC_ID: i16 = 100;

fn topic(name: &str, partitions: i32, replicas: i16) -> CreatableTopic {
    let topic = CreatableTopic::default().with_name(topic_name(name));
    topic.with_num_partitions(partitions).with_replication_factor(replicas)
}

#[tokio::test]
async fn every_version_creates_topics() {
    let cluster = MockCluster::start(2).await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    for version in 2..=7 {
        let name = format!("v{version}");
        let request = CreateTopicsRequest::default().with_topics(vec![topic(&name, 3, 2)]);
        let first = client.call(version, &request).await;
        let second = client.call(version, &request).await;

        assert_eq!(first.topics[0].error_code, 0, "version {version}");
        assert_eq!(first.topics[0].num_partitions, if version >= 5 { 3 } else { -1 });
        assert_eq!(first.topics[0].topic_id.is_nil(), version < 7);
        assert_eq!(second.topics[0].error_code, TOPIC_ALREADY_EXISTS, "version {version}");
        assert_eq!(cluster.partition_count(&name), 3);
    }
}

#[tokio::test]
async fn topics_that_cannot_be_are_refused() {
    let cluster = MockCluster::builder().brokers(2).auto_create_topics(true, 6).start().await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let assignment = CreatableReplicaAssignment::default().with_broker_ids(vec![1.into()]);
    let topics = vec![
        topic("a", 0, 1),
        topic("b", 1, 3),
        topic("c d", 1, 1),
        topic("defaults", -1, -1),
        topic("assigned", -1, -1).with_assignments(vec![assignment]),
        topic("huge", i32::MAX, 1),
    ];

    let answer = client.call(5, &CreateTopicsRequest::default().with_topics(topics)).await;

    let codes: Vec<_> = answer.topics.iter().map(|topic| topic.error_code).collect();
    let expected =
        [INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR, INVALID_TOPIC_EXCEPTION, 0, 0, INVALID_PARTITIONS];
    assert_eq!(codes, expected);
    assert_eq!(cluster.partition_count("defaults"), 6);
    assert_eq!(cluster.leader("assigned", 0), Some(1));
}

#[tokio::test]
async fn validation_creates_nothing() {
    let cluster = MockCluster::start(1).await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let request = CreateTopicsRequest::default().with_topics(vec![topic("t", 1, 1)]).with_validate_only(true);

    assert_eq!(client.call(7, &request).await.topics[0].error_code, 0);
    assert_eq!(cluster.partition_count("t"), 0);
}

#[tokio::test]
async fn every_version_deletes_topics() {
    let cluster = MockCluster::start(1).await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    for version in 1..=6 {
        cluster.create_topic("t", 1, 1).unwrap();
        let named = DeleteTopicState::default().with_name(Some(topic_name("t")));
        let request = match version {
            6 => DeleteTopicsRequest::default().with_topics(vec![named]),
            _ => DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]),
        };
        let first = client.call(version, &request).await;
        let second = client.call(version, &request).await;
        assert_eq!(first.responses[0].error_code, 0, "version {version}");
        assert_eq!(second.responses[0].error_code, UNKNOWN_TOPIC_OR_PARTITION, "version {version}");
        assert_eq!(cluster.partition_count("t"), 0);
    }
}

#[tokio::test]
async fn topics_are_deleted_by_id() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let id = client.metadata(12, &["t"]).await.topics[0].topic_id;
    let by_id = DeleteTopicState::default().with_name(None).with_topic_id(id);
    let request = DeleteTopicsRequest::default().with_topics(vec![by_id]);

    assert_eq!(client.call(6, &request).await.responses[0].error_code, 0);
    assert_eq!(client.call(6, &request).await.responses[0].error_code, UNKNOWN_TOPIC_ID);
}

#[tokio::test]
async fn the_test_itself_gets_errors_for_what_cannot_be() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 2, 1).unwrap();

    assert!(matches!(cluster.create_topic("t", 1, 1), Err(MockError::TopicExists { .. })));
    assert!(matches!(cluster.add_partitions("t", 1), Err(MockError::InvalidPartitions { .. })));
    assert!(matches!(cluster.add_partitions("u", 1), Err(MockError::UnknownTopicOrPartition { .. })));
    assert!(matches!(cluster.set_leader("t", 0, Some(1)), Err(MockError::UnknownBroker { broker: 1 })));
    assert!(matches!(cluster.set_leader("t", 2, None), Err(MockError::UnknownTopicOrPartition { .. })));
    assert!(matches!(cluster.end_offset("t", 2), Err(MockError::UnknownTopicOrPartition { .. })));
    assert!(matches!(cluster.broker_down(1).await, Err(MockError::UnknownBroker { broker: 1 })));
    assert!(matches!(MockCluster::start(0).await, Err(MockError::InvalidBrokerCount { brokers: 0 })));
    cluster.add_partitions("t", 5).unwrap();
    assert_eq!(cluster.partition_count("t"), 5);
}

#[tokio::test]
async fn a_release_offers_its_versions() {
    let cluster = MockCluster::builder().kafka_release("1.0").start().await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    let versions = client.call(1, &ApiVersionsRequest::default()).await;

    let produce = versions.api_keys.iter().find(|entry| entry.api_key == 0).unwrap();
    assert_eq!((produce.min_version, produce.max_version), (0, 5));
    let unknown = MockCluster::builder().kafka_release("9.9").start().await;
    assert!(matches!(unknown, Err(MockError::UnknownRelease { .. })));
}

#[tokio::test]
async fn nothing_listens_after_shutdown_or_drop() {
    let first = MockCluster::start(1).await.unwrap();
    let second = MockCluster::start(1).await.unwrap();
    let mut clients = [Client::connect(&first, 0).await, Client::connect(&second, 0).await];
    let port = first.port(0).unwrap();

    first.shutdown().await;
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
    drop(second);

    for client in &mut clients {
        assert!(client.is_closed_by_broker().await);
    }
}

#[tokio::test]
async fn a_cluster_can_be_started_on_and_moved_to_another_task() {
    fn assert_send_sync<T: Send + Sync>(_: &T) {}

    let cluster = tokio::spawn(MockCluster::start(1)).await.unwrap().unwrap();
    assert_send_sync(&cluster);
    let moved = tokio::spawn(async move {
        cluster.broker_down(0).await.unwrap();
        cluster.broker_up(0).await.unwrap();
        cluster.shutdown().await;
    });

    moved.await.unwrap();
}
