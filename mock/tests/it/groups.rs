//! Consumer groups by the classic protocol, as clients see them.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_mock::{Fault, GroupState, MockCluster, MockGroup};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::support::Client;
use crate::transactional::group_id;

const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const INVALID_GROUP_ID: i16 = 24;
const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_SESSION_TIMEOUT: i16 = 26;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;

/// The newest version of each request.
const JOIN: i16 = 9;
pub(crate) const SYNC: i16 = 5;
const HEARTBEAT: i16 = 4;
const LEAVE: i16 = 5;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn join_request(member_id: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(StrBytes::from_static_str("range"))
        .with_metadata(Bytes::from_static(b"topics"));
    JoinGroupRequest::default()
        .with_group_id(group_id("group"))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(60_000)
        .with_member_id(text(member_id))
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol])
}

pub(crate) fn sync_request(member_id: &str, generation: i32, assigned: &[(&str, Bytes)]) -> SyncGroupRequest {
    let assignments = assigned.iter().map(|(id, assignment)| {
        SyncGroupRequestAssignment::default().with_member_id(text(id)).with_assignment(assignment.clone())
    });
    SyncGroupRequest::default()
        .with_group_id(group_id("group"))
        .with_generation_id(generation)
        .with_member_id(text(member_id))
        .with_assignments(assignments.collect())
}

fn heartbeat_request(member_id: &str, generation: i32) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(group_id("group"))
        .with_generation_id(generation)
        .with_member_id(text(member_id))
}

/// Leaves as the version wants it said.
fn leave_request(member_id: &str, version: i16) -> LeaveGroupRequest {
    let request = LeaveGroupRequest::default().with_group_id(group_id("group"));
    if version < 3 {
        return request.with_member_id(text(member_id));
    }
    request.with_members(vec![MemberIdentity::default().with_member_id(text(member_id))])
}

/// A consumer's assignment: partitions of one topic.
fn assignment(topic: &str, partitions: &[i32]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    bytes.put_i32(1);
    bytes.put_i16(i16::try_from(topic.len()).unwrap());
    bytes.put_slice(topic.as_bytes());
    bytes.put_i32(i32::try_from(partitions.len()).unwrap());
    partitions.iter().for_each(|partition| bytes.put_i32(*partition));
    bytes.put_i32(-1); // no user data
    bytes.freeze()
}

/// Joins for the first time, by both requests that this takes.
pub(crate) async fn join_anew(client: &mut Client) -> JoinGroupResponse {
    let refused = client.call(JOIN, &join_request("")).await;
    assert_eq!(refused.error_code, MEMBER_ID_REQUIRED);
    client.call(JOIN, &join_request(&refused.member_id)).await
}

fn group(cluster: &MockCluster) -> MockGroup {
    cluster.groups().remove("group").unwrap()
}

/// Members of a group with a broker, one of which leads; the leader comes first, and each reads a partition.
async fn pair(cluster: &MockCluster) -> [(Client, String); 2] {
    let (mut first, mut second) = (Client::connect(cluster, 0).await, Client::connect(cluster, 0).await);
    let leader = join_anew(&mut first).await.member_id;
    let refused = second.call(JOIN, &join_request("")).await;
    let follower = refused.member_id;
    second.write(JOIN, &join_request(&follower)).await;
    // The group prepares, or does as soon as the broker has read the other request.
    first.call(JOIN, &join_request(&leader)).await;
    let (_, joined) = second.read::<JoinGroupRequest>(JOIN).await.unwrap();
    let generation = joined.generation_id;
    second.write(SYNC, &sync_request(&follower, generation, &[])).await;
    let assigned = [(&*leader, assignment("t", &[0])), (&*follower, assignment("t", &[1]))];
    let synced = first.call(SYNC, &sync_request(&leader, generation, &assigned)).await;
    assert_eq!(synced.assignment, assigned[0].1);
    let (_, synced) = second.read::<SyncGroupRequest>(SYNC).await.unwrap();
    assert_eq!((synced.error_code, &synced.assignment), (0, &assigned[1].1));
    [(first, leader.to_string()), (second, follower.to_string())]
}

#[tokio::test]
async fn every_version_joins_syncs_beats_and_leaves() {
    let cluster = MockCluster::start(1).await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    for version in 0..=9 {
        let mut request = join_request("");
        if version == 0 {
            request.rebalance_timeout_ms = -1;
        }
        let mut joined = client.call(version, &request).await;
        if version >= 4 {
            assert_eq!(joined.error_code, MEMBER_ID_REQUIRED, "version {version}");
            joined = client.call(version, &request.with_member_id(joined.member_id)).await;
        }
        assert_eq!((joined.error_code, joined.members.len()), (0, 1), "version {version}");
        assert_eq!(joined.members[0].metadata, "topics");
        assert_eq!((&joined.leader, joined.protocol_name.as_deref()), (&joined.member_id, Some("range")));
        assert_eq!(joined.protocol_type.as_deref(), (version >= 7).then_some("consumer"));
        let (member, generation) = (joined.member_id.as_str(), joined.generation_id);

        let sync = version.min(SYNC);
        let request = sync_request(member, generation, &[(member, assignment("t", &[0, 2]))]);
        let synced = client.call(sync, &request).await;
        assert_eq!((synced.error_code, synced.assignment), (0, assignment("t", &[0, 2])));
        assert_eq!(synced.protocol_name.as_deref(), (sync >= 5).then_some("range"));
        let seen = group(&cluster);
        assert_eq!((seen.state, seen.generation), (GroupState::Stable, generation));
        let partitions = seen.members[member].partitions();
        assert_eq!(partitions.into_iter().collect::<Vec<_>>(), [("t".to_owned(), vec![0, 2])]);
        assert!(seen.members[member].is_leader);
        assert_eq!(seen.members[member].client_id, "test");

        let beat = client.call(version.min(HEARTBEAT), &heartbeat_request(member, generation)).await;
        assert_eq!(beat.error_code, 0);
        let leave = version.min(LEAVE);
        let left = client.call(leave, &leave_request(member, leave)).await;
        assert_eq!(left.error_code, 0);
        assert!(left.members.iter().all(|member| member.error_code == 0));
        let again = client.call(leave, &leave_request(member, leave)).await;
        let error = again.members.first().map_or(again.error_code, |member| member.error_code);
        assert_eq!(error, UNKNOWN_MEMBER_ID, "version {version}");
        assert_eq!(group(&cluster).state, GroupState::Empty);
    }
}

#[tokio::test]
async fn a_join_waits_for_the_other_members() {
    let cluster = MockCluster::start(1).await.unwrap();
    let [(mut first, leader), (mut second, follower)] = pair(&cluster).await;
    first.write(JOIN, &join_request(&leader)).await;
    assert!(first.hears_nothing().await);
    let generation = group(&cluster).generation;
    let beat = second.call(HEARTBEAT, &heartbeat_request(&follower, generation)).await;
    assert_eq!(beat.error_code, REBALANCE_IN_PROGRESS);

    let joined = second.call(JOIN, &join_request(&follower)).await;

    assert_eq!((joined.error_code, joined.generation_id), (0, generation + 1));
    let (_, joined) = first.read::<JoinGroupRequest>(JOIN).await.unwrap();
    assert_eq!((joined.generation_id, joined.members.len()), (generation + 1, 2));
}

#[tokio::test]
async fn a_join_goes_on_without_members_that_die() {
    let cluster = MockCluster::start(1).await.unwrap();
    let [(mut first, leader), (_second, follower)] = pair(&cluster).await;
    first.write(JOIN, &join_request(&leader)).await;
    assert!(first.hears_nothing().await);

    assert!(cluster.time_out_group_member("group", &follower));

    let (_, joined) = first.read::<JoinGroupRequest>(JOIN).await.unwrap();
    assert_eq!((joined.error_code, joined.members.len()), (0, 1));
    assert!(!cluster.time_out_group_member("group", &follower));
}

#[tokio::test]
async fn time_passes_for_members_that_wait() {
    let timeouts = Duration::from_millis(1)..=Duration::from_secs(60);
    let cluster = MockCluster::builder().group_session_timeouts(timeouts).start().await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let request = join_request("").with_session_timeout_ms(50);
    let silent = client.call(JOIN, &request).await.member_id;
    let mut other = Client::connect(&cluster, 0).await;
    let refused = other.call(JOIN, &join_request("")).await;
    let joined = other.call(JOIN, &join_request(&refused.member_id)).await;
    assert_eq!(joined.error_code, 0);

    // The group was empty, so it did not wait for the first; now it does, as long as the first may yet come.
    other.call(SYNC, &sync_request(&joined.member_id, 1, &[])).await;
    let joined = other.call(JOIN, &join_request(&joined.member_id)).await;

    assert_eq!((joined.error_code, joined.members.len()), (0, 1));
    let late = client.call(JOIN, &request.with_member_id(silent)).await;
    assert_eq!(late.error_code, UNKNOWN_MEMBER_ID);
}

#[tokio::test]
async fn a_group_waits_for_its_first_members() {
    let delay = Duration::from_secs(1);
    let cluster = MockCluster::builder().group_initial_rebalance_delay(delay).start().await.unwrap();
    let (mut first, mut second) = (Client::connect(&cluster, 0).await, Client::connect(&cluster, 0).await);

    first.write(3, &join_request("")).await;
    second.write(3, &join_request("")).await;

    let (_, one) = first.read::<JoinGroupRequest>(3).await.unwrap();
    let (_, other) = second.read::<JoinGroupRequest>(3).await.unwrap();
    assert_eq!((one.generation_id, other.generation_id), (1, 1));
    assert_eq!(one.members.len() + other.members.len(), 2);
}

#[tokio::test]
async fn what_is_wrong_with_a_join_is_said() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.move_group_coordinator("group", 0).unwrap();
    cluster.move_group_coordinator("", 0).unwrap();
    let (mut right, mut wrong) = (Client::connect(&cluster, 0).await, Client::connect(&cluster, 1).await);

    assert_eq!(wrong.call(JOIN, &join_request("")).await.error_code, NOT_COORDINATOR);
    assert_eq!(wrong.call(SYNC, &sync_request("m", 1, &[])).await.error_code, NOT_COORDINATOR);
    assert_eq!(wrong.call(HEARTBEAT, &heartbeat_request("m", 1)).await.error_code, NOT_COORDINATOR);
    assert_eq!(wrong.call(LEAVE, &leave_request("m", LEAVE)).await.error_code, NOT_COORDINATOR);
    let nameless = join_request("").with_group_id(group_id(""));
    assert_eq!(right.call(JOIN, &nameless).await.error_code, INVALID_GROUP_ID);
    for (milliseconds, expected) in [
        (5_999, INVALID_SESSION_TIMEOUT),
        (6_000, MEMBER_ID_REQUIRED),
        (1_800_000, MEMBER_ID_REQUIRED),
        (1_800_001, INVALID_SESSION_TIMEOUT),
        (-1, INVALID_SESSION_TIMEOUT),
    ] {
        let request = join_request("").with_session_timeout_ms(milliseconds);
        assert_eq!(right.call(JOIN, &request).await.error_code, expected, "{milliseconds}");
    }
    cluster.inject("join-group error=15".parse::<Fault>().unwrap());
    cluster.inject("sync-group error=15".parse::<Fault>().unwrap());
    cluster.inject("heartbeat error=15".parse::<Fault>().unwrap());
    cluster.inject("leave-group error=15".parse::<Fault>().unwrap());
    let codes = [
        right.call(JOIN, &join_request("")).await.error_code,
        right.call(SYNC, &sync_request("m", 1, &[])).await.error_code,
        right.call(HEARTBEAT, &heartbeat_request("m", 1)).await.error_code,
        right.call(LEAVE, &leave_request("m", LEAVE)).await.error_code,
    ];
    assert_eq!(codes, [COORDINATOR_NOT_AVAILABLE; 4]);
    assert!(cluster.pending_faults().is_empty());
}

#[tokio::test]
async fn members_that_wait_are_told_of_another_coordinator() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.move_group_coordinator("group", 0).unwrap();
    let [(mut first, leader), (_second, follower)] = pair(&cluster).await;
    first.write(JOIN, &join_request(&leader)).await;
    assert!(first.hears_nothing().await);

    cluster.move_group_coordinator("group", 1).unwrap();

    let (_, joined) = first.read::<JoinGroupRequest>(JOIN).await.unwrap();
    assert_eq!(joined.error_code, NOT_COORDINATOR);
    let generation = group(&cluster).generation;
    let mut there = Client::connect(&cluster, 1).await;
    let beat = there.call(HEARTBEAT, &heartbeat_request(&follower, generation)).await;
    assert_eq!(beat.error_code, REBALANCE_IN_PROGRESS);
}

#[tokio::test]
async fn a_coordinator_that_goes_down_is_followed_by_another() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.move_group_coordinator("group", 0).unwrap();
    let [(_first, leader), _second] = pair(&cluster).await;

    cluster.broker_down(0).await.unwrap();

    assert_eq!(cluster.group_coordinator("group"), Some(1));
    let generation = group(&cluster).generation;
    let mut there = Client::connect(&cluster, 1).await;
    let beat = there.call(HEARTBEAT, &heartbeat_request(&leader, generation)).await;
    assert_eq!(beat.error_code, 0);
}

#[tokio::test]
async fn requests_of_groups_that_are_cut_off_are_refused() {
    let cluster = MockCluster::start(1).await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let mut frames = Vec::new();
    for version in 0..=9 {
        frames.push(client.frame(version, &join_request("m")).0);
        let sync = sync_request("m", 1, &[("m", assignment("t", &[0]))]);
        frames.push(client.frame(version.min(SYNC), &sync).0);
        frames.push(client.frame(version.min(HEARTBEAT), &heartbeat_request("m", 1)).0);
        let leave = version.min(LEAVE);
        frames.push(client.frame(leave, &leave_request("m", leave)).0);
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
    assert!(cluster.groups().is_empty());
}
