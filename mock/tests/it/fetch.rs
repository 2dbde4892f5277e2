//! Fetch and ListOffsets: what was produced comes out again.

use std::time::Duration;

use bytes::Bytes;
use kafka_mock::MockCluster;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest};
use kafka_protocol::records::RecordBatchDecoder;

use crate::support::{Client, PATIENCE, batch, now, topic_name};

const OFFSET_OUT_OF_RANGE: i16 = 1;
const NOT_LEADER_OR_FOLLOWER: i16 = 6;
const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
const FENCED_LEADER_EPOCH: i16 = 74;
const UNKNOWN_LEADER_EPOCH: i16 = 75;

fn fetch(offset: i64) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(topic_name("t")).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic])
}

fn read(records: Option<Bytes>) -> Vec<(i64, String)> {
    let sets = RecordBatchDecoder::decode_all(&mut records.unwrap()).unwrap();
    let records = sets.into_iter().flat_map(|set| set.records);
    let text = |value: Option<Bytes>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    records.map(|record| (record.offset, text(record.value))).collect()
}

async fn cluster_of(batches: &[&[&str]]) -> (MockCluster, Client) {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    for values in batches {
        assert_eq!(client.produce("t", 0, batch(values)).await.error_code, 0);
    }
    (cluster, client)
}

#[tokio::test]
async fn every_version_reads_from_the_batch_that_holds_the_offset() {
    let (_cluster, mut client) = cluster_of(&[&["a", "b"], &["c", "d"], &["e"]]).await;
    let id = client.metadata(12, &["t"]).await.topics[0].topic_id;

    for version in 4..=18 {
        let mut request = fetch(3);
        if version >= 13 {
            request.topics[0].topic = Default::default();
            request.topics[0].topic_id = id;
        }
        let mut answer = client.call(version, &request).await;
        let partition = answer.responses[0].partitions.remove(0);
        assert_eq!((partition.error_code, partition.high_watermark), (0, 5), "version {version}");
        let expected = [(2, "c".to_owned()), (3, "d".to_owned()), (4, "e".to_owned())];
        assert_eq!(read(partition.records), expected, "version {version}");
    }
}

#[tokio::test]
async fn limits_cut_between_batches_but_let_one_through() {
    let (_cluster, mut client) = cluster_of(&[&["a"], &["b"], &["c"]]).await;
    let size = i32::try_from(batch(&["a"]).len()).unwrap();
    let mut counts = Vec::new();
    for limit in [1, size, 2 * size, 2 * size + 1, 3 * size] {
        let mut request = fetch(0);
        request.topics[0].partitions[0].partition_max_bytes = limit;
        let by_partition = client.call(12, &request).await;
        let by_request = client.call(12, &fetch(0).with_max_bytes(limit)).await;
        for mut answer in [by_partition, by_request] {
            counts.push(read(answer.responses[0].partitions.remove(0).records).len());
        }
    }

    assert_eq!(counts, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]);
}

#[tokio::test]
async fn a_fetch_waits_for_records() {
    let (cluster, mut consumer) = cluster_of(&[]).await;
    consumer.write(12, &fetch(0).with_max_wait_ms(3_600_000)).await;
    assert!(consumer.hears_nothing().await);

    Client::connect(&cluster, 0).await.produce("t", 0, batch(&["a"])).await;

    let (_, mut answer) = consumer.read::<FetchRequest>(12).await.unwrap();
    assert_eq!(read(answer.responses[0].partitions.remove(0).records), [(0, "a".to_owned())]);
}

#[tokio::test]
async fn a_fetch_waits_no_longer_than_it_says() {
    let (_cluster, mut client) = cluster_of(&[]).await;
    let start = now();

    let answer = client.call(12, &fetch(0).with_max_wait_ms(50)).await;

    assert_eq!(answer.responses[0].partitions[0].error_code, 0);
    assert!((Duration::from_millis(50)..PATIENCE).contains(&start.elapsed()));
}

#[tokio::test]
async fn a_waiting_fetch_learns_that_the_leader_moved() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.create_topic("t", 1, 2).unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    client.write(12, &fetch(0).with_max_wait_ms(3_600_000)).await;
    assert!(client.hears_nothing().await);

    cluster.set_leader("t", 0, Some(1)).unwrap();

    let (_, answer) = client.read::<FetchRequest>(12).await.unwrap();
    assert_eq!(answer.responses[0].partitions[0].error_code, NOT_LEADER_OR_FOLLOWER);
    assert_eq!(answer.responses[0].partitions[0].current_leader.leader_id.0, 1);
}

#[tokio::test]
async fn wrong_offsets_and_epochs_are_refused() {
    let (cluster, mut client) = cluster_of(&[&["a"]]).await;
    cluster.set_leader("t", 0, None).unwrap();
    cluster.set_leader("t", 0, Some(0)).unwrap();
    let mut codes = Vec::new();
    for (offset, epoch) in [(1, 2), (2, 2), (-1, 2), (0, 1), (0, 3), (0, -1)] {
        let mut request = fetch(offset);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        codes.push(client.call(12, &request).await.responses[0].partitions[0].error_code);
    }

    let out_of_range = OFFSET_OUT_OF_RANGE;
    assert_eq!(codes, [0, out_of_range, out_of_range, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, 0]);
}

#[tokio::test]
async fn there_are_no_sessions() {
    let (_cluster, mut client) = cluster_of(&[]).await;

    let opened = client.call(12, &fetch(0).with_session_epoch(0)).await;
    let continued = client.call(12, &fetch(0).with_session_id(5).with_session_epoch(1)).await;

    assert_eq!((opened.error_code, opened.session_id), (0, 0));
    assert_eq!(continued.error_code, FETCH_SESSION_ID_NOT_FOUND);
}

async fn list(client: &mut Client, version: i16, timestamp: i64) -> ListOffsetsPartitionResponse {
    let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
    let mut answer = client.call(version, &ListOffsetsRequest::default().with_topics(vec![topic])).await;
    answer.topics[0].partitions.remove(0)
}

#[tokio::test]
async fn every_version_lists_offsets() {
    // The records of a batch are one millisecond apart, from 1700000000000 on.
    let (_cluster, mut client) = cluster_of(&[&["a", "b", "c"], &["d"]]).await;
    let start = 1_700_000_000_000;

    for version in 1..=10 {
        for (wanted, offset, timestamp) in
            [(-1, 4, -1), (-2, 0, -1), (0, 0, start), (start + 1, 1, start + 1), (start + 3, -1, -1)]
        {
            let found = list(&mut client, version, wanted).await;
            assert_eq!((found.error_code, found.offset, found.timestamp), (0, offset, timestamp), "{wanted}");
        }
    }
    let newest = list(&mut client, 10, -3).await;
    assert_eq!((newest.offset, newest.timestamp), (2, start + 2));
}
