//! When which request is due.

use super::*;

#[test]
fn first_request_is_due_at_once_and_asks_for_all_topics() {
    let now = clock::now();
    let mut metadata = new_metadata();
    metadata.add_topic(&Topic::from("b"), now);
    metadata.add_topic(&Topic::from("a"), now);

    let (_, request) = metadata.next_request(now).unwrap();

    assert_eq!(requested_topics(&request), ["a", "b"]);
}

#[test]
fn only_one_request_is_under_way() {
    let now = clock::now();
    let mut metadata = new_metadata();

    let (id, _) = metadata.next_request(now).unwrap();
    assert!(metadata.next_request(now).is_none());
    assert_eq!(metadata.poll_timeout(now), None);
    metadata.handle_failure(id, now);

    assert!(metadata.next_request(now).is_none());
    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
    assert!(metadata.next_request(now + BACKOFF).is_some());
}

#[test]
fn answer_is_good_until_its_maximum_age() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![], now);

    assert_eq!(metadata.poll_timeout(now), Some(now + MAX_AGE));
    assert_eq!(metadata.age(now + BACKOFF), Some(BACKOFF));
    assert!(metadata.next_request(now + MAX_AGE - BACKOFF).is_none());
    assert!(metadata.next_request(now + MAX_AGE).is_some());
}

#[test]
fn requested_update_waits_for_the_backoff() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![], now);

    metadata.request_update();

    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
    assert!(!metadata.is_due(now));
    assert!(metadata.is_due(now + BACKOFF));
}

#[test]
fn due_request_has_no_timeout_for_it_waits_for_a_node() {
    let now = clock::now();
    let metadata = new_metadata();

    assert!(metadata.is_due(now));
    assert_eq!(metadata.poll_timeout(now), None);
}

#[test]
fn new_topic_is_asked_for_at_once_whatever_the_backoff() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![topic("old", 1, vec![partition(0, 1, 5)])], now);

    metadata.request_topic(&Topic::from("new"), now);
    let (_, request) = metadata.next_request(now).unwrap();

    assert_eq!(requested_topics(&request), ["new"]);
}

#[test]
fn known_topic_does_not_override_the_backoff() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![topic("old", 1, vec![partition(0, 1, 5)])], now);

    metadata.add_topic(&Topic::from("old"), now);
    assert_eq!(metadata.poll_timeout(now), Some(now + MAX_AGE));

    metadata.request_topic(&Topic::from("old"), now);
    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
}

#[test]
fn full_update_wins_over_partial_one() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![topic("old", 1, vec![partition(0, 1, 5)])], now);

    metadata.request_update();
    metadata.add_topic(&Topic::from("new"), now);
    let (_, request) = metadata.next_request(now).unwrap();

    assert_eq!(requested_topics(&request), ["new", "old"]);
}

#[test]
fn new_topic_with_stale_metadata_makes_a_full_update() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![topic("old", 1, vec![partition(0, 1, 5)])], now);

    metadata.add_topic(&Topic::from("new"), now + MAX_AGE);
    let (_, request) = metadata.next_request(now + MAX_AGE).unwrap();

    assert_eq!(requested_topics(&request), ["new", "old"]);
}

#[test]
fn topic_added_during_a_request_is_asked_for_right_after_it() {
    let now = clock::now();
    let mut metadata = new_metadata();
    metadata.add_topic(&Topic::from("first"), now);
    let (id, _) = metadata.next_request(now).unwrap();

    metadata.request_topic(&Topic::from("second"), now);
    let answer = response(vec![topic("first", 1, vec![partition(0, 1, 5)])]);
    metadata.handle_response(id, &answer, VERSION, now).unwrap();
    let (_, request) = metadata.next_request(now).unwrap();

    assert_eq!(requested_topics(&request), ["second"]);
}

#[test]
fn update_requested_during_a_request_is_not_satisfied_by_its_answer() {
    let now = clock::now();
    let mut metadata = new_metadata();
    let (id, _) = metadata.next_request(now).unwrap();

    metadata.request_update();
    metadata.handle_response(id, &response(vec![]), VERSION, now).unwrap();

    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
}

#[test]
fn waiting_again_for_a_topic_that_is_being_asked_for_makes_no_second_request() {
    let now = clock::now();
    let mut metadata = new_metadata();
    metadata.request_topic(&Topic::from("t"), now);
    let (id, _) = metadata.next_request(now).unwrap();

    metadata.request_topic(&Topic::from("t"), now);
    let answer = response(vec![topic("t", 1, vec![partition(0, 1, 5)])]);
    metadata.handle_response(id, &answer, VERSION, now).unwrap();

    assert_eq!(metadata.poll_timeout(now), Some(now + MAX_AGE));
}

#[test]
fn waiting_for_a_known_topic_asks_for_all_topics() {
    let now = clock::now();
    let topics = vec![topic("a", 1, vec![partition(0, 1, 5)]), topic("b", 2, vec![partition(0, 1, 5)])];
    let mut metadata = metadata_with(topics, now);

    metadata.request_topic(&Topic::from("a"), now);
    let (_, request) = metadata.next_request(now + BACKOFF).unwrap();

    assert_eq!(requested_topics(&request), ["a", "b"]);
}

#[test]
fn answer_without_brokers_is_a_failure() {
    let now = clock::now();
    let mut metadata = new_metadata();
    let (id, _) = metadata.next_request(now).unwrap();

    let result = metadata.handle_response(id, &MetadataResponse::default(), VERSION, now);

    assert_eq!(result, Err(MetadataFailure::NoBrokers));
    assert_eq!(metadata.cluster().nodes().len(), 2);
    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
    assert_eq!(metadata.age(now), None);
}

#[test]
fn refused_request_is_a_failure() {
    let now = clock::now();
    let mut metadata = new_metadata();
    let (id, _) = metadata.next_request(now).unwrap();
    let refusal = MetadataResponse { error_code: 42, ..response(vec![]) };

    let result = metadata.handle_response(id, &refusal, VERSION, now);

    assert_eq!(result, Err(MetadataFailure::Broker(ErrorCode::InvalidRequest)));
    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
}

#[test]
fn answer_to_an_abandoned_request_changes_nothing() {
    let now = clock::now();
    let mut metadata = new_metadata();
    let (old, _) = metadata.next_request(now).unwrap();
    metadata.handle_failure(old, now);
    let (new, _) = metadata.next_request(now + BACKOFF).unwrap();

    let result = metadata.handle_response(old, &response(vec![]), VERSION, now + BACKOFF);
    assert_eq!(result, Err(MetadataFailure::Abandoned));
    metadata.handle_failure(old, now + BACKOFF);

    metadata.handle_response(new, &response(vec![]), VERSION, now + BACKOFF).unwrap();
}

#[test]
fn disconnect_while_a_request_is_due_counts_as_its_failure() {
    let now = clock::now();
    let mut metadata = new_metadata();

    metadata.handle_disconnect(now);

    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
}

#[test]
fn disconnect_asks_for_news() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![], now);

    metadata.handle_disconnect(now);

    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
}
