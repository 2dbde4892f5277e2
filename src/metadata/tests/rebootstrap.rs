//! When all starts over from `bootstrap.servers`.

use super::*;

fn metadata() -> (Metadata, Instant) {
    let now = clock::now();
    (metadata_with(vec![topic("t", 1, vec![partition(0, 1, 10)])], now), now)
}

#[test]
fn bootstrap_nodes_have_negative_ids_in_the_order_of_the_list() {
    let metadata = new_metadata();

    assert_eq!(metadata.cluster().node(NodeId(-1)).map(Node::host), Some("boot-1"));
    assert_eq!(metadata.cluster().node(NodeId(-2)).map(Node::port), Some(9093));
}

#[test]
fn due_request_without_a_node_to_ask_calls_for_it() {
    let (mut metadata, now) = metadata();

    assert!(!metadata.should_rebootstrap(false, now));
    assert!(!metadata.should_rebootstrap(true, now + MAX_AGE));
    assert!(metadata.should_rebootstrap(false, now + MAX_AGE));
}

#[test]
fn no_success_for_too_long_calls_for_it() {
    let (mut metadata, now) = metadata();
    metadata.request_update();
    let start = now + BACKOFF;

    assert!(!metadata.should_rebootstrap(true, start));
    assert_eq!(metadata.poll_timeout(start), Some(start + TRIGGER));
    assert!(!metadata.should_rebootstrap(true, start + TRIGGER - BACKOFF));

    assert!(metadata.should_rebootstrap(true, start + TRIGGER));
}

#[test]
fn success_starts_the_time_without_success_anew() {
    let (mut metadata, now) = metadata();
    metadata.request_update();
    assert!(!metadata.should_rebootstrap(true, now + BACKOFF));

    answer(&mut metadata, vec![], now + TRIGGER);

    assert!(!metadata.should_rebootstrap(true, now + TRIGGER + BACKOFF));
}

#[test]
fn it_brings_back_the_bootstrap_nodes_and_keeps_the_partitions_without_leaders() {
    let (mut metadata, now) = metadata();

    let update = metadata.rebootstrap(now + BACKOFF);

    assert_eq!(update.changed_topics, ["t"]);
    assert_eq!(update.cluster.nodes().iter().map(|n| n.id().0).collect::<Vec<_>>(), [-2, -1]);
    assert_eq!(update.cluster.partition_count("t"), Some(1));
    assert_eq!(update.cluster.leader("t", 0), None);
    assert!(metadata.is_due(now + BACKOFF));
}

/// A caller who begins to wait after a refusal is told of the next one only.
#[test]
fn refusals_from_before_are_not_told_again() {
    let (mut metadata, now) = metadata();
    assert_eq!(metadata.note_refusal("wrong password").refusal(), Some("wrong password"));
    assert_eq!(metadata.rebootstrap(now + BACKOFF).cluster.refusal(), None);

    metadata.note_refusal("wrong password");
    assert_eq!(metadata.clear_refusal().unwrap().refusal(), None);
    assert!(metadata.clear_refusal().is_none());

    metadata.note_obstacle("connection refused");
    assert!(metadata.clear_refusal().is_none());
    assert_eq!(metadata.rebootstrap(now + BACKOFF).cluster.obstacle(), Some("connection refused"));
}

#[test]
fn it_is_not_called_for_twice_without_an_answer_in_between() {
    let (mut metadata, now) = metadata();
    metadata.rebootstrap(now + MAX_AGE);

    assert!(!metadata.should_rebootstrap(false, now + MAX_AGE));
    assert!(!metadata.should_rebootstrap(false, now + MAX_AGE + TRIGGER));
}

#[test]
fn demand_of_a_broker_backs_off() {
    let (mut metadata, now) = metadata();
    metadata.request_update();
    let now = now + BACKOFF;
    let (id, _) = metadata.next_request(now).unwrap();
    let demand = MetadataResponse { error_code: 129, ..MetadataResponse::default() };

    let result = metadata.handle_response(id, &demand, 13, now);
    metadata.rebootstrap(now);

    assert_eq!(result, Err(MetadataFailure::RebootstrapRequired));
    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
}

#[test]
fn answer_from_before_is_not_taken_in() {
    let (mut metadata, now) = metadata();
    let (id, _) = metadata.next_request(now + MAX_AGE).unwrap();
    metadata.rebootstrap(now + MAX_AGE);

    let result = metadata.handle_response(id, &response(vec![]), VERSION, now + MAX_AGE);

    assert_eq!(result, Err(MetadataFailure::Abandoned));
}

#[test]
fn lower_epochs_of_the_cluster_that_answers_afterwards_are_taken_in() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![topic("t", 0, vec![partition(0, 1, 10)])], now);
    metadata.rebootstrap(now + BACKOFF);

    answer(&mut metadata, vec![topic("t", 0, vec![partition(0, 2, 3)])], now + BACKOFF);

    assert_eq!(leader(&metadata, "t", 0), Some(2));
}

#[test]
fn strategy_none_never_calls_for_it() {
    let now = clock::now();
    let config = MetadataConfig { rebootstrap_trigger: None, ..config() };
    let mut metadata = Metadata::new(&config, [HostPort::new("boot", 9092)], 7);
    answer(&mut metadata, vec![], now);

    assert!(!metadata.should_rebootstrap(false, now + MAX_AGE));
    assert!(!metadata.should_rebootstrap(false, now + MAX_AGE + 2 * TRIGGER));
}
