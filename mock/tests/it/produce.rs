//! Produce: versions, acks, checks of batches.

use kafka_mock::MockCluster;
use kafka_protocol::messages::InitProducerIdRequest;

use crate::support::{
    Client, batch, idempotent_batch, only_partition, produce_request, transactional_batch, values,
};

const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const NOT_LEADER_OR_FOLLOWER: i16 = 6;
const MESSAGE_TOO_LARGE: i16 = 10;
const NOT_ENOUGH_REPLICAS: i16 = 19;
const INVALID_REQUIRED_ACKS: i16 = 21;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
const INVALID_RECORD: i16 = 87;
const UNKNOWN_TOPIC_ID: i16 = 100;

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

#[tokio::test]
async fn version_13_names_topics_by_id() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let id = client.metadata(13, &["t"]).await.topics[0].topic_id;
    let mut request = produce_request("t", 0, batch(&["a"]));
    request.topic_data[0].name = Default::default();
    request.topic_data[0].topic_id = id;

    let known = client.call(13, &request).await;
    cluster.delete_topic("t").unwrap();
    let unknown = client.call(13, &request).await;

    assert_eq!((known.responses[0].topic_id, unknown.responses[0].topic_id), (id, id));
    assert_eq!(only_partition(known).error_code, 0);
    assert_eq!(only_partition(unknown).error_code, UNKNOWN_TOPIC_ID);
}

/// The refusal is of the request, not of the batch; `tests/kafka` shows that Kafka 4.3 answers the same.
#[tokio::test]
async fn a_transactional_batch_without_a_transactional_id_is_not_authorized() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let mut request = produce_request("t", 0, transactional_batch(&["a"], 1, 0, 0));
    let plain = produce_request("t", 1, batch(&["b"])).topic_data.remove(0).partition_data.remove(0);
    request.topic_data[0].partition_data.push(plain);

    let answer = client.call(9, &request).await;

    let partitions = answer.responses[0].partition_responses.iter();
    let codes: Vec<_> = partitions.map(|partition| (partition.index, partition.error_code)).collect();
    assert_eq!(
        codes,
        [(0, TRANSACTIONAL_ID_AUTHORIZATION_FAILED), (1, TRANSACTIONAL_ID_AUTHORIZATION_FAILED)]
    );
    assert_eq!(cluster.batches("t", 1), []);
    client.write(9, &request.with_acks(0)).await;
    assert!(client.is_closed_by_broker().await);
}

#[tokio::test]
async fn acks_0_is_not_answered_and_acks_1_is() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    client.write(9, &produce_request("t", 0, batch(&["a"])).with_acks(0)).await;
    let answer = client.call(9, &produce_request("t", 0, batch(&["b"])).with_acks(1)).await;

    assert_eq!(only_partition(answer).base_offset, 1);
    assert_eq!(values(&cluster, "t", 0), ["a", "b"]);
}

#[tokio::test]
async fn an_error_with_acks_0_closes_the_connection() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    client.write(9, &produce_request("t", 1, batch(&["a"])).with_acks(0)).await;

    assert!(client.is_closed_by_broker().await);
}

#[tokio::test]
async fn other_acks_are_refused() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    let answer = client.call(9, &produce_request("t", 0, batch(&["a"])).with_acks(2)).await;

    assert_eq!(only_partition(answer).error_code, INVALID_REQUIRED_ACKS);
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_not_created_by_produce() {
    let cluster = MockCluster::start(1).await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    assert_eq!(client.produce("t", 0, batch(&["a"])).await.error_code, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(cluster.partition_count("t"), 0);
}

#[tokio::test]
async fn the_wrong_broker_names_the_leader_from_version_10_on() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.create_topic("t", 1, 2).unwrap();
    cluster.set_leader("t", 0, Some(1)).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let request = produce_request("t", 0, batch(&["a"]));

    let plain = client.call(9, &request).await;
    let hinting = client.call(10, &request).await;

    assert_eq!(only_partition(plain).error_code, NOT_LEADER_OR_FOLLOWER);
    assert_eq!(hinting.node_endpoints.len(), 1);
    assert_eq!(hinting.node_endpoints[0].node_id.0, 1);
    assert_eq!(hinting.node_endpoints[0].port, i32::from(cluster.port(1).unwrap()));
    let partition = only_partition(hinting);
    assert_eq!(partition.error_code, NOT_LEADER_OR_FOLLOWER);
    assert_eq!((partition.current_leader.leader_id.0, partition.current_leader.leader_epoch), (1, 1));
}

#[tokio::test]
async fn a_broken_batch_gets_corrupt_message_and_is_not_appended() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let mut broken = batch(&["hello"]).to_vec();
    *broken.last_mut().unwrap() ^= 1;

    let answer = client.produce("t", 0, broken.into()).await;

    assert_eq!((answer.error_code, answer.base_offset), (CORRUPT_MESSAGE, -1));
    assert!(answer.error_message.unwrap().contains("crc"));
    assert_eq!(cluster.end_offset("t", 0).unwrap(), 0);
}

#[tokio::test]
async fn a_record_at_fault_is_named() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let mut wrong = batch(&["a", "b"]).to_vec();
    wrong[72] = 0; // offset delta of the second record: 61 bytes of header, 8 of the first record, 3 before it
    let crc = crc32c::crc32c(&wrong[21..]);
    wrong[17..21].copy_from_slice(&crc.to_be_bytes());

    let answer = client.produce("t", 0, wrong.into()).await;

    assert_eq!(answer.error_code, INVALID_RECORD);
    assert_eq!(answer.record_errors[0].batch_index, 1);
    assert_eq!(answer.record_errors[0].batch_index_error_message, answer.error_message);
}

#[tokio::test]
async fn limits_can_be_set() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    cluster.set_min_insync_replicas(2);
    let lonely = client.produce("t", 0, batch(&["a"])).await;
    let careless = client.call(9, &produce_request("t", 0, batch(&["b"])).with_acks(1)).await;
    cluster.set_min_insync_replicas(1);
    cluster.set_max_message_bytes(batch(&["b"]).len());
    let large = client.produce("t", 0, batch(&["cc"])).await;
    let fitting = client.produce("t", 0, batch(&["d"])).await;

    assert_eq!(lonely.error_code, NOT_ENOUGH_REPLICAS);
    assert_eq!(only_partition(careless).error_code, 0);
    assert_eq!((large.error_code, fitting.error_code), (MESSAGE_TOO_LARGE, 0));
    assert_eq!(values(&cluster, "t", 0), ["b", "d"]);
}

#[tokio::test]
async fn gaps_and_old_epochs_are_refused() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    client.produce("t", 0, idempotent_batch(&["a"], 7, 1, 0)).await;

    let gap = client.produce("t", 0, idempotent_batch(&["c"], 7, 1, 2)).await;
    let old = client.produce("t", 0, idempotent_batch(&["b"], 7, 0, 1)).await;
    let next = client.produce("t", 0, idempotent_batch(&["b"], 7, 1, 1)).await;

    let codes = [gap.error_code, old.error_code, next.error_code];
    assert_eq!(codes, [OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, 0]);
    assert_eq!(cluster.batches("t", 0)[1].producer_id, 7);
}

#[tokio::test]
async fn producer_ids_differ() {
    let cluster = MockCluster::start(2).await.unwrap();
    let mut ids = Vec::new();
    for version in 0..=5 {
        for broker in [0, 1] {
            let request =
                InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(1);
            let answer = Client::connect(&cluster, broker).await.call(version, &request).await;
            assert_eq!((answer.error_code, answer.producer_epoch), (0, 0), "version {version}");
            ids.push(answer.producer_id.0);
        }
    }

    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 12);
}

#[tokio::test]
async fn records_can_be_forgotten_but_not_their_sequences() {
    let cluster = MockCluster::builder().keep_records(false).start().await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    client.produce("t", 0, idempotent_batch(&["a", "b"], 7, 0, 0)).await;
    let double = client.produce("t", 0, idempotent_batch(&["a", "b"], 7, 0, 0)).await;

    assert_eq!(double.base_offset, 0);
    assert_eq!(cluster.end_offset("t", 0).unwrap(), 2);
    assert_eq!(cluster.batches("t", 0), []);
}

#[tokio::test]
async fn producers_whose_records_are_old_can_be_forgotten() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    client.produce("t", 0, idempotent_batch(&["a"], 7, 1, 0)).await;
    let newest = cluster.batches("t", 0)[0].max_timestamp();

    cluster.expire_producers(newest);
    let gap = client.produce("t", 0, idempotent_batch(&["c"], 7, 1, 2)).await;
    cluster.expire_producers(newest + 1);
    let first = client.produce("t", 0, idempotent_batch(&["c"], 7, 1, 2)).await;

    assert_eq!([gap.error_code, first.error_code], [OUT_OF_ORDER_SEQUENCE_NUMBER, 0]);
}
