//! Partitions without a leader, and topics with errors, which are asked about again.

use super::*;

#[test]
fn leaderless_partition_is_polled_until_it_has_a_leader() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![topic("t", 1, vec![partition(0, 1, 5)])], now);

    let mut now = refresh(&mut metadata, vec![topic("t", 1, vec![partition(0, -1, 6)])], now);
    assert_eq!(leader(&metadata, "t", 0), None);
    for _ in 0..20 {
        now = metadata.poll_timeout(now).unwrap();
        answer(&mut metadata, vec![topic("t", 1, vec![partition(0, -1, 6)])], now);
        assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
    }
    now += BACKOFF;
    answer(&mut metadata, vec![topic("t", 1, vec![partition(0, 2, 7)])], now);

    assert_eq!(leader(&metadata, "t", 0), Some(2));
    assert_eq!(metadata.poll_timeout(now), Some(now + MAX_AGE));
}

#[test]
fn leader_that_is_no_broker_counts_as_none_and_is_polled_for() {
    let now = clock::now();
    let metadata = metadata_with(vec![topic("t", 1, vec![partition(0, 9, 5)])], now);

    let partition = metadata.cluster().partition("t", 0).unwrap();

    assert_eq!(partition.leader(), None);
    assert_eq!(partition.leader_epoch(), Some(5));
    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
}

#[test]
fn leader_found_by_a_later_answer_about_another_topic_counts() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![topic("t", 1, vec![partition(0, 9, 5)])], now);
    let later = now + BACKOFF;
    metadata.needs_full_update = false;

    metadata.add_topic(&Topic::from("other"), later);
    let (id, _) = metadata.next_request(later).unwrap();
    let mut response = response(vec![topic("other", 2, vec![partition(0, 1, 1)])]);
    response.brokers.push(broker(9));
    metadata.handle_response(id, &response, VERSION, later).unwrap();

    assert_eq!(leader(&metadata, "t", 0), Some(9));
}

#[test]
fn partition_error_is_polled() {
    let now = clock::now();
    let broken =
        MetadataResponsePartition { error_code: ErrorCode::ListenerNotFound.code(), ..partition(0, 1, 5) };

    let metadata = metadata_with(vec![topic("t", 1, vec![broken])], now);

    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
}

#[test]
fn topic_that_does_not_exist_yet_is_polled() {
    let now = clock::now();
    let missing = topic_error("t", ErrorCode::UnknownTopicOrPartition);

    let metadata = metadata_with(vec![missing], now);

    assert_eq!(metadata.cluster().topic_error("t"), Some(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
}

#[test]
fn topic_left_out_of_the_answer_is_polled() {
    let now = clock::now();
    let mut metadata = new_metadata();
    metadata.add_topic(&Topic::from("t"), now);

    answer(&mut metadata, vec![], now);

    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
}

#[test]
fn invalid_and_unauthorized_topics_are_not_polled() {
    let now = clock::now();

    let metadata = metadata_with(
        vec![
            topic_error("a", ErrorCode::InvalidTopicException),
            topic_error("b", ErrorCode::TopicAuthorizationFailed),
        ],
        now,
    );

    assert_eq!(metadata.cluster().topic_error("a"), Some(ErrorCode::InvalidTopicException));
    assert_eq!(metadata.cluster().topic_error("b"), Some(ErrorCode::TopicAuthorizationFailed));
    assert_eq!(metadata.poll_timeout(now), Some(now + MAX_AGE));
}

#[test]
fn topic_error_goes_with_the_next_good_answer() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![topic_error("t", ErrorCode::TopicAuthorizationFailed)], now);

    refresh(&mut metadata, vec![topic("t", 1, vec![partition(0, 1, 5)])], now);

    assert_eq!(metadata.cluster().topic_error("t"), None);
    assert_eq!(leader(&metadata, "t", 0), Some(1));
}
