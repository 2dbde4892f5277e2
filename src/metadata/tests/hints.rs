//! What brokers tell about leaders in answers to other requests.

use super::*;

fn hint(leader: i32, leader_epoch: i32) -> LeaderHint {
    LeaderHint { topic: Topic::from("t"), partition: 0, leader: NodeId(leader), leader_epoch }
}

fn endpoint(id: i32) -> NodeEndpoint {
    NodeEndpoint { node_id: id, host: format!("new-{id}"), port: 9092, rack: None }
}

fn metadata() -> (Metadata, Instant) {
    let now = clock::now();
    let partitions = vec![partition(0, 1, 10), partition(1, 1, 10)];
    (metadata_with(vec![topic("t", 1, partitions)], now), now)
}

#[test]
fn newer_hint_changes_that_partition_only() {
    let (mut metadata, now) = metadata();
    let version = metadata.cluster().version();

    let update = metadata.update_leaders(&[hint(2, 11)], &[]).unwrap();

    assert_eq!(update.changed_topics, ["t"]);
    assert_eq!(leader(&metadata, "t", 0), Some(2));
    assert_eq!(leader(&metadata, "t", 1), Some(1));
    assert_eq!(metadata.cluster().partition("t", 0).unwrap().leader_epoch(), Some(11));
    assert_eq!(metadata.cluster().topic_name(Uuid([1; 16])).map(Topic::as_str), Some("t"));
    assert_eq!(metadata.cluster().version(), version);
    assert_eq!(metadata.poll_timeout(now), Some(now + MAX_AGE));
}

#[test]
fn hint_that_is_not_newer_is_ignored() {
    let (mut metadata, _) = metadata();

    assert_eq!(metadata.update_leaders(&[hint(2, 10), hint(2, 9), hint(2, -1)], &[]), None);
    assert_eq!(leader(&metadata, "t", 0), Some(1));
}

#[test]
fn answer_older_than_a_hint_is_ignored() {
    let (mut metadata, now) = metadata();
    metadata.update_leaders(&[hint(2, 11)], &[]).unwrap();

    let partitions = vec![partition(0, 1, 10), partition(1, 1, 10)];
    refresh(&mut metadata, vec![topic("t", 1, partitions)], now);

    assert_eq!(leader(&metadata, "t", 0), Some(2));
}

#[test]
fn leader_that_is_not_known_needs_an_endpoint() {
    let (mut metadata, _) = metadata();

    assert_eq!(metadata.update_leaders(&[hint(7, 11)], &[]), None);
    assert_eq!(metadata.update_leaders(&[hint(7, 11)], &[NodeEndpoint { port: 0, ..endpoint(7) }]), None);
    metadata.update_leaders(&[hint(7, 11)], &[endpoint(7)]).unwrap();

    assert_eq!(metadata.cluster().leader("t", 0).map(Node::host), Some("new-7"));
}

#[test]
fn endpoint_with_an_ipv6_address_loses_its_brackets() {
    let (mut metadata, _) = metadata();
    let endpoint = NodeEndpoint { host: "[::1]".to_owned(), ..endpoint(7) };

    metadata.update_leaders(&[hint(7, 11)], &[endpoint]).unwrap();

    assert_eq!(metadata.cluster().leader("t", 0).map(Node::host), Some("::1"));
}

#[test]
fn endpoint_overrides_the_known_address() {
    let (mut metadata, _) = metadata();

    metadata.update_leaders(&[hint(2, 11)], &[endpoint(2)]).unwrap();

    assert_eq!(metadata.cluster().leader("t", 0).map(Node::host), Some("new-2"));
    assert_eq!(metadata.cluster().nodes().len(), 2);
}

#[test]
fn hint_for_an_unknown_partition_is_ignored() {
    let (mut metadata, _) = metadata();
    let unknown = [
        LeaderHint { partition: 2, ..hint(2, 11) },
        LeaderHint { partition: -1, ..hint(2, 11) },
        LeaderHint { topic: Topic::from("other"), ..hint(2, 11) },
    ];

    assert_eq!(metadata.update_leaders(&unknown, &[]), None);
}

#[test]
fn newest_of_several_hints_counts() {
    let (mut metadata, _) = metadata();
    let other = LeaderHint { partition: 1, ..hint(2, 12) };

    metadata.update_leaders(&[hint(2, 12), other, hint(1, 11)], &[]).unwrap();

    assert_eq!(leader(&metadata, "t", 0), Some(2));
    assert_eq!(leader(&metadata, "t", 1), Some(2));
}
