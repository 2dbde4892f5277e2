//! Offsets that members of a group commit, and read back.

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};
use kafka_mock::{Fault, MockCluster};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;

use crate::group_offsets::commit_request as transactional_commit;
use crate::groups::{SYNC, join_anew, sync_request};
use crate::support::{Client, topic_name};
use crate::transactional::{Producer, V2, group_id};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const OFFSET_METADATA_TOO_LARGE: i16 = 12;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const GROUP_ID_NOT_FOUND: i16 = 69;
const UNSTABLE_OFFSET_COMMIT: i16 = 88;

/// The newest versions.
const COMMIT: i16 = 9;
const FETCH: i16 = 9;

fn commit_request(version: i16, offsets: &[(i32, i64)]) -> OffsetCommitRequest {
    let partition = |(index, offset): &(i32, i64)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*index)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(if version >= 6 { 3 } else { -1 })
            .with_committed_metadata(Some(StrBytes::from_static_str("note")))
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(offsets.iter().map(partition).collect());
    OffsetCommitRequest::default().with_group_id(group_id("group")).with_topics(vec![topic])
}

/// `None` asks for all.
fn fetch_request(version: i16, partitions: Option<&[i32]>) -> OffsetFetchRequest {
    if version < 8 {
        let topic = |partitions: &[i32]| {
            OffsetFetchRequestTopic::default()
                .with_name(topic_name("t"))
                .with_partition_indexes(partitions.to_vec())
        };
        let topics = partitions.map(|partitions| vec![topic(partitions)]);
        return OffsetFetchRequest::default().with_group_id(group_id("group")).with_topics(topics);
    }
    let topic = |partitions: &[i32]| {
        OffsetFetchRequestTopics::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(partitions.to_vec())
    };
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(group_id("group"))
        .with_topics(partitions.map(|partitions| vec![topic(partitions)]));
    OffsetFetchRequest::default().with_groups(vec![group])
}

async fn commit(client: &mut Client, request: &OffsetCommitRequest) -> Vec<i16> {
    let answer = client.call(COMMIT, request).await;
    let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
    partitions.map(|partition| partition.error_code).collect()
}

/// The error of the group, and offset and error by partition.
async fn fetch(
    client: &mut Client,
    version: i16,
    request: &OffsetFetchRequest,
) -> (i16, BTreeMap<i32, (i64, i16)>) {
    let mut answer = client.call(version, request).await;
    if version < 8 {
        let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
        let found =
            partitions.map(|found| (found.partition_index, (found.committed_offset, found.error_code)));
        return (answer.error_code, found.collect());
    }
    let group = answer.groups.remove(0);
    let partitions = group.topics.into_iter().flat_map(|topic| topic.partitions);
    let found = partitions.map(|found| (found.partition_index, (found.committed_offset, found.error_code)));
    (group.error_code, found.collect())
}

async fn one_broker() -> (MockCluster, Client) {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 3, 1).unwrap();
    let client = Client::connect(&cluster, 0).await;
    (cluster, client)
}

#[tokio::test]
async fn every_version_commits_and_fetches() {
    for (commit, fetched) in (2..=9).zip([1, 2, 3, 4, 5, 6, 7, 8]).chain([(9, 9)]) {
        let (cluster, mut client) = one_broker().await;

        let answer = client.call(commit, &commit_request(commit, &[(0, 5), (2, 7)])).await;

        assert!(answer.topics[0].partitions.iter().all(|partition| partition.error_code == 0));
        let committed = cluster.committed_offsets("group");
        let kept = &committed[&("t".to_owned(), 2)];
        assert_eq!((kept.offset, kept.leader_epoch), (7, if commit >= 6 { 3 } else { -1 }));
        assert_eq!(kept.metadata.as_deref(), Some("note"));
        let (error, found) = fetch(&mut client, fetched, &fetch_request(fetched, Some(&[0, 1, 2]))).await;
        assert_eq!((error, found), (0, BTreeMap::from([(0, (5, 0)), (1, (-1, 0)), (2, (7, 0))])));
        if fetched >= 2 {
            let (_, all) = fetch(&mut client, fetched, &fetch_request(fetched, None)).await;
            assert_eq!(all, BTreeMap::from([(0, (5, 0)), (2, (7, 0))]), "version {fetched}");
        }
    }
}

#[tokio::test]
async fn only_members_of_the_generation_commit() {
    let (cluster, mut client) = one_broker().await;
    let request = |member: &str, generation| {
        commit_request(COMMIT, &[(0, 5)])
            .with_member_id(StrBytes::from_string(member.to_owned()))
            .with_generation_id_or_member_epoch(generation)
    };
    assert_eq!(commit(&mut client, &request("m", 1)).await, [GROUP_ID_NOT_FOUND]);
    let joined = join_anew(&mut client).await;
    let (member, generation) = (joined.member_id.as_str(), joined.generation_id);
    assert_eq!(commit(&mut client, &request(member, generation)).await, [REBALANCE_IN_PROGRESS]);
    client.call(SYNC, &sync_request(member, generation, &[])).await;

    assert_eq!(commit(&mut client, &request(member, generation - 1)).await, [ILLEGAL_GENERATION]);
    assert_eq!(commit(&mut client, &request("stranger", generation)).await, [UNKNOWN_MEMBER_ID]);
    assert_eq!(commit(&mut client, &request("", -1)).await, [UNKNOWN_MEMBER_ID]);
    assert!(cluster.committed_offsets("group").is_empty());
    assert_eq!(commit(&mut client, &request(member, generation)).await, [0]);
}

#[tokio::test]
async fn members_of_a_group_are_those_of_transactions_too() {
    let (cluster, mut client) = one_broker().await;
    let joined = join_anew(&mut client).await;
    client.call(SYNC, &sync_request(&joined.member_id, joined.generation_id, &[])).await;
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    let request =
        transactional_commit(&producer, "group", &[("t", 0, 5)]).with_member_id(joined.member_id.clone());
    let stale = request.clone().with_generation_id(joined.generation_id + 1);
    let answer = producer.client.call(5, &stale).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, ILLEGAL_GENERATION);

    let answer = producer.client.call(5, &request.with_generation_id(joined.generation_id)).await;

    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    // Until the transaction ends, readers that want to know for sure are told to ask again (KIP-447).
    let stable = fetch_request(FETCH, Some(&[0, 1])).with_require_stable(true);
    let (_, found) = fetch(&mut client, FETCH, &stable).await;
    assert_eq!(found, BTreeMap::from([(0, (-1, UNSTABLE_OFFSET_COMMIT)), (1, (-1, 0))]));
    let (_, found) = fetch(&mut client, FETCH, &fetch_request(FETCH, Some(&[0]))).await;
    assert_eq!(found, BTreeMap::from([(0, (-1, 0))]));
    assert_eq!(producer.end(true).await, 0);
    let (_, found) = fetch(&mut client, FETCH, &stable).await;
    assert_eq!(found, BTreeMap::from([(0, (5, 0)), (1, (-1, 0))]));
}

#[tokio::test]
async fn what_is_wrong_with_offsets_is_said() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.create_topic("t", 3, 1).unwrap();
    cluster.move_group_coordinator("group", 0).unwrap();
    let (mut right, mut wrong) = (Client::connect(&cluster, 0).await, Client::connect(&cluster, 1).await);
    let request = commit_request(COMMIT, &[(0, 5), (9, 5)]);
    assert_eq!(commit(&mut wrong, &request).await, [NOT_COORDINATOR; 2]);
    assert_eq!(commit(&mut right, &request).await, [0, UNKNOWN_TOPIC_OR_PARTITION]);
    let mut long = commit_request(COMMIT, &[(0, 6)]);
    let metadata = StrBytes::from_string("x".repeat(4097));
    long.topics[0].partitions[0].committed_metadata = Some(metadata);
    assert_eq!(commit(&mut right, &long).await, [OFFSET_METADATA_TOO_LARGE]);
    for version in 1..=FETCH {
        let (error, found) = fetch(&mut wrong, version, &fetch_request(version, Some(&[0]))).await;
        assert_eq!(error, if version >= 2 { NOT_COORDINATOR } else { 0 }, "version {version}");
        assert_eq!(found, BTreeMap::from([(0, (-1, NOT_COORDINATOR))]));
    }

    cluster.inject("offset-commit topic=t partition=1 error=15".parse::<Fault>().unwrap());
    cluster.inject("offset-fetch topic=t partition=1 error=15".parse::<Fault>().unwrap());
    let request = commit_request(COMMIT, &[(0, 6), (1, 6)]);
    assert_eq!(commit(&mut right, &request).await, [0, COORDINATOR_NOT_AVAILABLE]);
    let (_, found) = fetch(&mut right, FETCH, &fetch_request(FETCH, Some(&[0, 1]))).await;
    assert_eq!(found, BTreeMap::from([(0, (6, 0)), (1, (-1, COORDINATOR_NOT_AVAILABLE))]));
    assert!(cluster.pending_faults().is_empty());
}

#[tokio::test]
async fn requests_for_offsets_that_are_cut_off_are_refused() {
    let (cluster, mut client) = one_broker().await;
    let mut frames = Vec::new();
    for version in 2..=COMMIT {
        frames.push(client.frame(version, &commit_request(version, &[(0, 5)])).0);
    }
    for version in 1..=FETCH {
        frames.push(client.frame(version, &fetch_request(version, Some(&[0, 1]))).0);
    }
    for frame in frames {
        // Behind the header everything counts.
        for length in 20..frame.len() - 4 {
            let mut cut = BytesMut::new();
            cut.put_u32(u32::try_from(length).unwrap());
            cut.put_slice(&frame[4..4 + length]);
            let mut client = Client::connect(&cluster, 0).await;
            client.write_raw(&cut).await;
            assert!(client.is_closed_by_broker().await, "{length} of {}", frame.len() - 4);
        }
    }
    assert!(cluster.committed_offsets("group").is_empty());
}
