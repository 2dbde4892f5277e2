//! Which topics are kept, and for how long.

use super::*;

fn both() -> Vec<MetadataResponseTopic> {
    vec![topic("a", 1, vec![partition(0, 1, 5)]), topic("b", 2, vec![partition(0, 1, 5)])]
}

#[test]
fn idle_topic_expires_with_the_next_answer() {
    let now = clock::now();
    let mut metadata = metadata_with(both(), now);
    let later = now + MAX_IDLE;

    metadata.add_topic(&Topic::from("a"), later);
    metadata.request_update();
    assert!(metadata.cluster().topic("b").is_some());
    let update = answer(&mut metadata, both(), later);

    assert!(metadata.cluster().topic("a").is_some());
    assert!(metadata.cluster().topic("b").is_none());
    assert_eq!(update.changed_topics, ["b"]);
    metadata.request_update();
    let (_, request) = metadata.next_request(later + BACKOFF).unwrap();
    assert_eq!(requested_topics(&request), ["a"]);
}

#[test]
fn topic_does_not_expire_before_its_first_answer() {
    let now = clock::now();
    let mut metadata = new_metadata();
    metadata.add_topic(&Topic::from("a"), now);

    answer(&mut metadata, both(), now + 2 * MAX_IDLE);
    assert!(metadata.cluster().topic("a").is_some());
    metadata.request_update();
    answer(&mut metadata, both(), now + 3 * MAX_IDLE);

    assert!(metadata.cluster().topic("a").is_none());
}

#[test]
fn topics_without_a_user_are_not_taken_in() {
    let now = clock::now();
    let mut metadata = new_metadata();

    answer(&mut metadata, both(), now);

    assert_eq!(metadata.cluster().topics().count(), 0);
}

#[test]
fn answer_about_new_topics_leaves_the_others_as_they_are() {
    let now = clock::now();
    let mut metadata = metadata_with(both(), now);

    metadata.add_topic(&Topic::from("c"), now);
    let update = answer(&mut metadata, vec![topic("c", 3, vec![partition(0, 2, 1)])], now);

    assert_eq!(update.changed_topics, ["c"]);
    assert_eq!(leader(&metadata, "a", 0), Some(1));
    assert_eq!(leader(&metadata, "c", 0), Some(2));
    assert_eq!(metadata.age(now + BACKOFF), Some(BACKOFF));
}

#[test]
fn answer_about_all_topics_replaces_everything() {
    let now = clock::now();
    let mut metadata = metadata_with(both(), now);

    let now = refresh(&mut metadata, both(), now);
    refresh_often(&mut metadata, &[topic("a", 1, vec![partition(0, 2, 6)])], now);

    assert_eq!(leader(&metadata, "a", 0), Some(2));
    assert!(metadata.cluster().topic("b").is_none());
}

#[test]
fn first_of_two_answers_about_one_topic_counts() {
    let now = clock::now();
    let twice = vec![topic("a", 1, vec![partition(0, 1, 5)]), topic("a", 2, vec![partition(0, 2, 5)])];

    let metadata = metadata_with(twice, now);

    assert_eq!(leader(&metadata, "a", 0), Some(1));
}

#[test]
fn each_answer_makes_a_later_version_of_the_cluster() {
    let now = clock::now();
    let mut metadata = metadata_with(both(), now);
    let version = metadata.cluster().version();

    refresh(&mut metadata, both(), now);

    assert_eq!(metadata.cluster().version(), version + 1);
    assert_eq!(metadata.cluster().cluster_id(), Some("cluster"));
    assert_eq!(metadata.cluster().controller().map(Node::id), Some(NodeId(2)));
}

#[test]
fn brokers_that_cannot_be_reached_are_left_out() {
    let now = clock::now();
    let mut metadata = new_metadata();
    let (id, _) = metadata.next_request(now).unwrap();
    let mut response = response(vec![]);
    response.brokers = vec![
        MetadataResponseBroker { port: 0, ..broker(1) },
        MetadataResponseBroker { port: 65_536, ..broker(2) },
        MetadataResponseBroker { host: String::new(), ..broker(3) },
        broker(-1),
        broker(4),
    ];

    metadata.handle_response(id, &response, VERSION, now).unwrap();

    assert_eq!(metadata.cluster().nodes(), [Node::new(NodeId(4), "kafka-4", 9092)]);
}

#[test]
fn advertised_ipv6_address_loses_its_brackets() {
    let now = clock::now();
    let mut metadata = new_metadata();
    let (id, _) = metadata.next_request(now).unwrap();
    let mut response = response(vec![]);
    response.brokers = vec![MetadataResponseBroker { host: "[::1]".to_owned(), ..broker(1) }];

    metadata.handle_response(id, &response, VERSION, now).unwrap();

    assert_eq!(metadata.cluster().node(NodeId(1)).map(Node::host), Some("::1"));
}
