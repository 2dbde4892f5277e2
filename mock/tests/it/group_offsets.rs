//! Offsets of consumer groups that are committed in transactions.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_mock::{CommittedOffset, GroupProtocol, MockCluster};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{ProducerId, RequestHeader, TxnOffsetCommitRequest};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::support::{Client, topic_name};
use crate::transactional::{Producer, V1, V2, add_offsets_request, group_id, transactional_id};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const NOT_COORDINATOR: i16 = 16;
const ILLEGAL_GENERATION: i16 = 22;
const INVALID_GROUP_ID: i16 = 24;
const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const CONCURRENT_TRANSACTIONS: i16 = 51;
const GROUP_ID_NOT_FOUND: i16 = 69;
const FENCED_INSTANCE_ID: i16 = 82;
const UNKNOWN_TOPIC_ID: i16 = 100;
const STALE_MEMBER_EPOCH: i16 = 113;
const TRANSACTION_ABORTABLE: i16 = 120;

/// Offsets by topic and partition, in one topic each.
pub(crate) fn commit_request(
    producer: &Producer,
    group: &str,
    offsets: &[(&str, i32, i64)],
) -> TxnOffsetCommitRequest {
    let topics = offsets.iter().map(|(topic, partition, offset)| {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(3)
            .with_committed_metadata(Some(StrBytes::from_static_str("note")));
        TxnOffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition])
    });
    TxnOffsetCommitRequest::default()
        .with_transactional_id(transactional_id(producer.id))
        .with_group_id(group_id(group))
        .with_producer_id(ProducerId(producer.is.0))
        .with_producer_epoch(producer.is.1)
        .with_topics(topics.collect())
}

/// Commits offsets and returns the error codes.
async fn commit(producer: &mut Producer, version: i16, offsets: &[(&str, i32, i64)]) -> Vec<i16> {
    let mut request = commit_request(producer, "group", offsets);
    if version < 2 {
        let partitions = request.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions.for_each(|partition| partition.committed_leader_epoch = -1);
    }
    codes(producer, version, &request).await
}

async fn codes(producer: &mut Producer, version: i16, request: &TxnOffsetCommitRequest) -> Vec<i16> {
    let answer = producer.client.call(version, request).await;
    let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
    partitions.map(|partition| partition.error_code).collect()
}

async fn one_broker() -> MockCluster {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 3, 1).unwrap();
    cluster
}

fn offsets(cluster: &MockCluster) -> Vec<(i32, i64)> {
    let committed = cluster.committed_offsets("group").into_iter();
    committed.map(|((_, partition), committed)| (partition, committed.offset)).collect()
}

#[tokio::test]
async fn every_version_commits_offsets_with_the_transaction() {
    for version in 0..=5 {
        let cluster = one_broker().await;
        let mut producer = Producer::start(&cluster, "tx", if version < 5 { V1 } else { V2 }).await;
        if version < 5 {
            let request = add_offsets_request("tx", producer.is, "group");
            assert_eq!(producer.client.call(version.min(4), &request).await.error_code, 0);
        }

        assert_eq!(commit(&mut producer, version, &[("t", 0, 5), ("t", 2, 7)]).await, [0, 0]);
        assert_eq!(commit(&mut producer, version, &[("t", 0, 6)]).await, [0]);

        assert_eq!(cluster.transactions()["tx"].groups, ["group"], "version {version}");
        assert!(offsets(&cluster).is_empty());
        assert_eq!(producer.end(true).await, 0);
        assert_eq!(offsets(&cluster), [(0, 6), (2, 7)]);
        let CommittedOffset { leader_epoch, metadata, .. } =
            &cluster.committed_offsets("group")[&("t".to_owned(), 2)];
        assert_eq!(*leader_epoch, if version < 2 { -1 } else { 3 });
        assert_eq!(metadata.as_deref(), Some("note"));
    }
}

#[tokio::test]
async fn offsets_of_an_aborted_transaction_are_forgotten() {
    for versions in [V1, V2] {
        let cluster = one_broker().await;
        let mut producer = Producer::start(&cluster, "tx", versions).await;
        for (offset, is_commit) in [(5, true), (9, false)] {
            let request = add_offsets_request("tx", producer.is, "group");
            producer.client.call(4, &request).await;
            assert_eq!(commit(&mut producer, 5, &[("t", 0, offset)]).await, [0]);
            assert_eq!(producer.end(is_commit).await, 0);
        }

        assert_eq!(offsets(&cluster), [(0, 5)]);
    }
}

#[tokio::test]
async fn a_group_must_be_part_of_the_transaction() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V1).await;

    let mut codes = Vec::new();
    for version in 0..=5 {
        codes.extend(commit(&mut producer, version, &[("t", 0, 5)]).await);
    }

    let invalid = INVALID_TXN_STATE;
    assert_eq!(codes, [invalid, invalid, invalid, invalid, TRANSACTION_ABORTABLE, 0]);
}

#[tokio::test]
async fn fenced_producers_commit_no_offsets() {
    let cluster = one_broker().await;
    let mut old = Producer::start(&cluster, "tx", V2).await;
    assert_eq!(commit(&mut old, 5, &[("t", 0, 5)]).await, [0]);

    let mut new = Producer::start_over(&cluster, "tx", V2).await;

    assert_eq!(commit(&mut old, 5, &[("t", 0, 6)]).await, [INVALID_PRODUCER_EPOCH]);
    assert_eq!(commit(&mut new, 5, &[("t", 0, 7)]).await, [0]);
    assert_eq!(new.end(true).await, 0);
    assert_eq!(offsets(&cluster), [(0, 7)]);
}

#[tokio::test]
async fn offsets_wait_for_the_transaction_before() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    assert_eq!(commit(&mut producer, 5, &[("t", 0, 5)]).await, [0]);
    cluster.hold_markers();
    assert_eq!(producer.end(true).await, 0);

    assert_eq!(commit(&mut producer, 5, &[("t", 0, 6)]).await, [CONCURRENT_TRANSACTIONS]);
    assert!(offsets(&cluster).is_empty());
    cluster.release_markers();

    assert_eq!(offsets(&cluster), [(0, 5)]);
    assert_eq!(commit(&mut producer, 5, &[("t", 0, 6)]).await, [0]);
}

#[tokio::test]
async fn unknown_partitions_are_refused_and_others_kept() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V2).await;

    let codes = commit(&mut producer, 5, &[("t", 0, 5), ("t", 9, 5), ("missing", 0, 5)]).await;
    producer.end(true).await;

    assert_eq!(codes, [0, UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_OR_PARTITION]);
    assert_eq!(offsets(&cluster), [(0, 5)]);
}

#[tokio::test]
async fn only_the_coordinator_of_a_group_takes_its_offsets() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    cluster.move_transaction_coordinator("tx", 0).unwrap();
    cluster.move_group_coordinator("group", 1).unwrap();
    let mut producer = Producer::start(&cluster, "tx", V2).await;

    assert_eq!(commit(&mut producer, 5, &[("t", 0, 5)]).await, [NOT_COORDINATOR]);
    cluster.move_group_coordinator("group", 0).unwrap();
    assert_eq!(commit(&mut producer, 5, &[("t", 0, 5)]).await, [0]);

    let nameless = commit_request(&producer, "", &[("t", 0, 5)]);
    cluster.move_group_coordinator("", 0).unwrap();
    assert_eq!(codes(&mut producer, 5, &nameless).await, [INVALID_GROUP_ID]);
}

#[tokio::test]
async fn only_members_commit_offsets_of_a_group_that_has_members() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    cluster.set_group_member("group", GroupProtocol::Classic, "member", None, 4);
    cluster.set_group_member("group", GroupProtocol::Classic, "static", Some("instance"), 4);
    for (member, instance, generation, expected) in [
        ("member", None, 4, 0),
        ("member", None, 3, ILLEGAL_GENERATION),
        ("member", None, 5, ILLEGAL_GENERATION),
        ("stranger", None, 4, UNKNOWN_MEMBER_ID),
        ("", None, 4, UNKNOWN_MEMBER_ID),
        ("", None, -1, 0),
        ("static", Some("instance"), 4, 0),
        ("member", Some("instance"), 4, FENCED_INSTANCE_ID),
        ("member", Some("other"), 4, UNKNOWN_MEMBER_ID),
    ] {
        let request = commit_request(&producer, "group", &[("t", 0, 5)])
            .with_generation_id(generation)
            .with_member_id(StrBytes::from_static_str(member))
            .with_group_instance_id(instance.map(StrBytes::from_static_str));
        // The first of these makes the group part of the transaction.
        for version in [5, 4, 3] {
            let found = codes(&mut producer, version, &request).await;
            assert_eq!(found, [expected], "{member:?} {instance:?} {generation}, version {version}");
        }
    }
    cluster.remove_group_member("group", "member");
    cluster.remove_group_member("group", "static");
    let request = commit_request(&producer, "group", &[("t", 0, 5)])
        .with_generation_id(4)
        .with_member_id(StrBytes::from_static_str("member"));
    assert_eq!(codes(&mut producer, 5, &request).await, [ILLEGAL_GENERATION]);
}

/// A request of version 6, which `kafka-protocol` does not know: offset 5 of the first partition of each topic.
fn by_ids(producer: &Producer, member: &str, generation: i32, ids: &[u128]) -> Bytes {
    let mut frame = BytesMut::new();
    let header = RequestHeader::default().with_request_api_key(28).with_request_api_version(6);
    header.with_correlation_id(7).encode(&mut frame, 2).unwrap();
    let string = |frame: &mut BytesMut, text: &str| {
        frame.put_u8(u8::try_from(text.len() + 1).unwrap());
        frame.put_slice(text.as_bytes());
    };
    string(&mut frame, producer.id);
    string(&mut frame, "group");
    frame.put_i64(producer.is.0);
    frame.put_i16(producer.is.1);
    frame.put_i32(generation);
    string(&mut frame, member);
    frame.put_u8(0); // no instance
    frame.put_u8(u8::try_from(ids.len() + 1).unwrap());
    for id in ids {
        frame.put_u128(*id);
        frame.put_u8(2); // one partition
        frame.put_i32(0);
        frame.put_i64(5);
        frame.put_i32(-1);
        frame.put_u8(0); // no metadata
        frame.put_u8(0); // no tags of the partition
        frame.put_u8(0); // no tags of the topic
    }
    frame.put_u8(0);
    let mut whole = BytesMut::new();
    whole.put_u32(u32::try_from(frame.len()).unwrap());
    whole.put_slice(&frame);
    whole.freeze()
}

/// Sends a request of version 6 and checks the answer, whose bytes are those of `TxnOffsetCommitResponse.json`.
async fn check_by_ids(producer: &mut Producer, member: &str, generation: i32, expected: &[(u128, i16)]) {
    let ids: Vec<_> = expected.iter().map(|(id, _)| *id).collect();
    let frame = by_ids(producer, member, generation, &ids);
    producer.client.write_raw(&frame).await;
    let mut answer = BytesMut::new();
    answer.put_i32(7); // correlation id
    answer.put_u8(0);
    answer.put_i32(0); // throttle time
    answer.put_u8(u8::try_from(expected.len() + 1).unwrap());
    for (id, code) in expected {
        answer.put_u128(*id);
        answer.put_u8(2);
        answer.put_i32(0);
        answer.put_i16(*code);
        answer.put_u8(0);
        answer.put_u8(0);
    }
    answer.put_u8(0);
    let found = producer.client.read_frame().await.unwrap();
    assert_eq!(found, answer, "{member:?} {generation}");
}

#[tokio::test]
async fn version_6_names_topics_by_their_ids() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    let id = Client::connect(&cluster, 0).await.metadata(12, &["t"]).await.topics[0].topic_id.as_u128();

    check_by_ids(&mut producer, "", -1, &[(id, 0), (17, UNKNOWN_TOPIC_ID)]).await;
    producer.end(true).await;

    assert_eq!(offsets(&cluster), [(0, 5)]);
}

#[tokio::test]
async fn version_6_knows_more_of_what_is_wrong_with_members() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    let id = Client::connect(&cluster, 0).await.metadata(12, &["t"]).await.topics[0].topic_id.as_u128();

    cluster.set_group_member("group", GroupProtocol::Consumer, "member", None, 4);
    check_by_ids(&mut producer, "member", 4, &[(id, 0)]).await;
    check_by_ids(&mut producer, "member", 3, &[(id, STALE_MEMBER_EPOCH)]).await;
    check_by_ids(&mut producer, "stranger", 3, &[(id, UNKNOWN_MEMBER_ID)]).await;
    let request = commit_request(&producer, "group", &[("t", 0, 5)])
        .with_generation_id(3)
        .with_member_id(StrBytes::from_static_str("member"));
    assert_eq!(codes(&mut producer, 5, &request).await, [ILLEGAL_GENERATION]);
    cluster.remove_group_member("group", "member");
    check_by_ids(&mut producer, "member", 4, &[(id, GROUP_ID_NOT_FOUND)]).await;
}

#[tokio::test]
async fn requests_of_transactions_that_are_cut_off_are_refused() {
    let cluster = one_broker().await;
    let producer = Producer::start(&cluster, "tx", V2).await;
    let mut client = Client::connect(&cluster, 0).await;
    let frames = [
        by_ids(&producer, "member", 4, &[17]),
        client.frame(5, &commit_request(&producer, "group", &[("t", 0, 5)])).0,
        client.frame(3, &crate::transactional::add_request("tx", producer.is, &[("t", 0)])).0,
        client.frame(4, &add_offsets_request("tx", producer.is, "group")).0,
        client.frame(5, &crate::transactional::end_request("tx", producer.is, true)).0,
    ];
    let mut expected = 0;
    for frame in frames {
        // Behind the header everything counts; an extra byte is as wrong as a missing one.
        for length in 20..frame.len() - 4 {
            let mut cut = BytesMut::new();
            cut.put_u32(u32::try_from(length).unwrap());
            cut.put_slice(&frame[4..4 + length]);
            let mut client = Client::connect(&cluster, 0).await;
            client.write_raw(&cut).await;
            assert!(client.is_closed_by_broker().await, "{length} of {}", frame.len() - 4);
            expected += 1;
        }
    }
    assert_eq!(cluster.refusals().len(), expected.min(100));
}
