use std::time::{Duration, Instant};

use crate::clock;
use crate::protocol::messages::metadata::MetadataResponseTopic;
use crate::protocol::messages::metadata::{MetadataResponseBroker, MetadataResponsePartition};

use super::*;

mod bounds;
mod creation;
mod passing;
mod random;
mod rewinds;

const VERSION: i16 = 12;
const MAX_AGE: Duration = Duration::from_secs(300);
const MAX_IDLE: Duration = Duration::from_secs(60);
const BACKOFF: Duration = Duration::from_millis(100);
const TRIGGER: Duration = Duration::from_secs(200);

/// A constant backoff, so that there is no jitter.
fn config() -> MetadataConfig {
    MetadataConfig {
        max_age: MAX_AGE,
        max_idle: MAX_IDLE,
        retry_backoff: Backoff::new(BACKOFF, BACKOFF),
        rebootstrap_trigger: Some(TRIGGER),
    }
}

fn new_metadata() -> Metadata {
    Metadata::new(&config(), [HostPort::new("boot-1", 9092), HostPort::new("boot-2", 9093)], 7)
}

/// Metadata of two brokers that has taken in an answer about `topics` at `now`.
fn metadata_with(topics: Vec<MetadataResponseTopic>, now: Instant) -> Metadata {
    let mut metadata = new_metadata();
    for topic in &topics {
        metadata.add_topic(&Topic::from(topic.name.clone().unwrap()), now);
    }
    answer(&mut metadata, topics, now);
    metadata
}

/// Lets the request that is due be answered.
fn answer(metadata: &mut Metadata, topics: Vec<MetadataResponseTopic>, now: Instant) -> MetadataUpdate {
    let (id, _) = metadata.next_request(now).expect("a request is due");
    metadata.handle_response(id, &response(topics), VERSION, now).unwrap()
}

/// Asks for news and lets the request be answered once the backoff is over; returns that time.
fn refresh(metadata: &mut Metadata, topics: Vec<MetadataResponseTopic>, now: Instant) -> Instant {
    let later = now + Duration::from_secs(2);
    metadata.request_update();
    answer(metadata, topics, later);
    later
}

/// Has answers say the same until it must be believed; returns the time of the last.
fn refresh_often(metadata: &mut Metadata, topics: &[MetadataResponseTopic], now: Instant) -> Instant {
    (0..4).fold(now, |now, _| refresh(metadata, topics.to_vec(), now))
}

fn response(topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
    MetadataResponse {
        brokers: vec![broker(1), broker(2)],
        cluster_id: Some("cluster".to_owned()),
        controller_id: 2,
        topics,
        ..MetadataResponse::default()
    }
}

fn broker(id: i32) -> MetadataResponseBroker {
    MetadataResponseBroker { node_id: id, host: format!("kafka-{id}"), port: 9092, rack: None }
}

fn topic(name: &str, id: u8, partitions: Vec<MetadataResponsePartition>) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: 0,
        name: Some(name.to_owned()),
        topic_id: Uuid([id; 16]),
        is_internal: false,
        partitions,
    }
}

fn topic_error(name: &str, code: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic { error_code: code.code(), ..topic(name, 0, vec![]) }
}

fn partition(number: i32, leader: i32, epoch: i32) -> MetadataResponsePartition {
    MetadataResponsePartition {
        error_code: 0,
        partition_index: number,
        leader_id: leader,
        leader_epoch: epoch,
        replica_nodes: vec![1, 2],
        isr_nodes: vec![1, 2],
    }
}

fn requested_topics(request: &MetadataRequest) -> Vec<&str> {
    request.topics.as_ref().unwrap().iter().map(|topic| topic.name.as_deref().unwrap()).collect()
}

fn leader(metadata: &Metadata, topic: &str, partition: i32) -> Option<i32> {
    metadata.cluster().leader(topic, partition).map(|node| node.id().0)
}

mod schedule {
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
}

mod polling {
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
        let broken = MetadataResponsePartition {
            error_code: ErrorCode::ListenerNotFound.code(),
            ..partition(0, 1, 5)
        };

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
}

mod epochs {
    use super::*;

    #[test]
    fn lower_epoch_is_ignored() {
        let now = clock::now();
        let mut metadata = metadata_with(vec![topic("t", 1, vec![partition(0, 1, 10)])], now);

        let stale = MetadataResponsePartition { isr_nodes: vec![2], ..partition(0, 2, 9) };
        refresh(&mut metadata, vec![topic("t", 1, vec![stale])], now);

        let partition = metadata.cluster().partition("t", 0).unwrap();
        assert_eq!(partition.leader(), Some(NodeId(1)));
        assert_eq!(partition.leader_epoch(), Some(10));
        assert_eq!(partition.in_sync_replicas(), [NodeId(1), NodeId(2)]);
    }

    #[test]
    fn equal_and_higher_epochs_are_taken_in() {
        let now = clock::now();
        let mut metadata = metadata_with(vec![topic("t", 1, vec![partition(0, 1, 10)])], now);

        let shrunk = MetadataResponsePartition { isr_nodes: vec![1], ..partition(0, 1, 10) };
        let now = refresh(&mut metadata, vec![topic("t", 1, vec![shrunk])], now);
        assert_eq!(metadata.cluster().partition("t", 0).unwrap().in_sync_replicas(), [NodeId(1)]);
        refresh(&mut metadata, vec![topic("t", 1, vec![partition(0, 2, 11)])], now);

        assert_eq!(leader(&metadata, "t", 0), Some(2));
    }

    #[test]
    fn topic_made_anew_is_taken_in_whatever_its_epoch() {
        let now = clock::now();
        let mut metadata = metadata_with(vec![topic("t", 1, vec![partition(0, 1, 10)])], now);

        let now = refresh(&mut metadata, vec![topic("t", 2, vec![partition(0, 2, 0)])], now);
        assert_eq!(leader(&metadata, "t", 0), Some(2));
        assert_eq!(metadata.cluster().topic_name(Uuid([2; 16])).map(Topic::as_str), Some("t"));
        assert_eq!(metadata.cluster().topic_name(Uuid([1; 16])), None);

        refresh(&mut metadata, vec![topic("t", 2, vec![partition(0, 1, 1)])], now);
        assert_eq!(leader(&metadata, "t", 0), Some(1));
    }

    #[test]
    fn epoch_that_is_old_does_not_resurrect_a_lost_partition_but_keeps_the_count() {
        let now = clock::now();
        let partitions = vec![partition(0, 1, 10), partition(1, 1, 10)];
        let mut metadata = metadata_with(vec![topic("t", 0, partitions)], now);

        let gone = topic_error("t", ErrorCode::LeaderNotAvailable);
        let now = refresh_often(&mut metadata, &[gone], now);
        assert_eq!(metadata.cluster().partition_count("t"), None);
        let partitions = vec![partition(0, 2, 11), partition(1, 2, 9)];
        refresh(&mut metadata, vec![topic("t", 0, partitions)], now);

        assert_eq!(leader(&metadata, "t", 0), Some(2));
        assert_eq!(leader(&metadata, "t", 1), None);
        assert_eq!(metadata.cluster().partition_count("t"), Some(2));
    }

    /// Brokers that tell no ids: the topic is gone, and its epochs with it.
    #[test]
    fn epochs_of_a_topic_that_was_gone_begin_again() {
        let now = clock::now();
        let mut metadata = metadata_with(vec![topic("t", 0, vec![partition(0, 1, 10)])], now);

        let gone = topic_error("t", ErrorCode::UnknownTopicOrPartition);
        let now = refresh(&mut metadata, vec![gone], now);
        refresh(&mut metadata, vec![topic("t", 0, vec![partition(0, 2, 0)])], now);

        assert_eq!(leader(&metadata, "t", 0), Some(2));
    }

    /// Another client made the topic anew before we asked: the old leader denies, and no answer tells an id.
    #[test]
    fn epochs_of_a_leader_that_denies_count_only_with_ids() {
        for (id, counts) in [(0, false), (7, true)] {
            let now = clock::now();
            let mut metadata = metadata_with(vec![topic("t", id, vec![partition(0, 1, 10)])], now);

            metadata.doubt_leader(&TopicPartition::new("t", 0));
            refresh(&mut metadata, vec![topic("t", id, vec![partition(0, 2, 3)])], now);

            assert_eq!(leader(&metadata, "t", 0), Some(if counts { 1 } else { 2 }));
        }
    }

    #[test]
    fn epochs_of_old_brokers_are_not_trusted() {
        let now = clock::now();
        let mut metadata = metadata_with(vec![topic("t", 0, vec![partition(0, 1, 10)])], now);
        metadata.request_update();
        let (id, _) = metadata.next_request(now + BACKOFF).unwrap();

        let older = response(vec![topic("t", 0, vec![partition(0, 2, 9)])]);
        metadata.handle_response(id, &older, 8, now + BACKOFF).unwrap();

        assert_eq!(leader(&metadata, "t", 0), Some(2));
        assert_eq!(metadata.cluster().partition("t", 0).unwrap().leader_epoch(), None);
    }

    #[test]
    fn partition_without_epoch_is_taken_in_and_its_epoch_forgotten() {
        let now = clock::now();
        let mut metadata = metadata_with(vec![topic("t", 0, vec![partition(0, 1, 10)])], now);

        let now = refresh(&mut metadata, vec![topic("t", 0, vec![partition(0, 2, -1)])], now);
        assert_eq!(leader(&metadata, "t", 0), Some(2));
        refresh(&mut metadata, vec![topic("t", 0, vec![partition(0, 1, 3)])], now);

        assert_eq!(metadata.cluster().partition("t", 0).unwrap().leader_epoch(), Some(3));
    }

    #[test]
    fn lost_topic_id_is_dropped_and_the_topic_stays() {
        let now = clock::now();
        let mut metadata = metadata_with(vec![topic("t", 1, vec![partition(0, 1, 10)])], now);

        refresh(&mut metadata, vec![topic("t", 0, vec![partition(0, 1, 10)])], now);

        assert_eq!(metadata.cluster().topic_name(Uuid([1; 16])), None);
        assert_eq!(leader(&metadata, "t", 0), Some(1));
    }

    #[test]
    fn equivalent_answers_back_off_more_and_more() {
        let now = clock::now();
        let mut config = config();
        config.retry_backoff = Backoff::new(BACKOFF, Duration::from_secs(1));
        let mut metadata = Metadata::new(&config, [HostPort::new("boot", 9092)], 7);
        metadata.add_topic(&Topic::from("t"), now);
        answer(&mut metadata, vec![topic("t", 1, vec![partition(0, 1, 10)])], now);

        let mut now = now;
        for mean in [100, 100, 200, 400, 800] {
            metadata.request_update();
            let wait = metadata.poll_timeout(now).unwrap() - now;
            assert!(
                (mean * 8 / 10..=mean * 12 / 10).contains(&wait.as_millis()),
                "{wait:?} is not about {mean}"
            );
            now += wait;
            answer(&mut metadata, vec![topic("t", 1, vec![partition(0, 1, 10)])], now);
        }
    }
}

mod topics {
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
    fn topics_that_nobody_uses_are_not_taken_in() {
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
}

mod hints {
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
}

mod rebootstrap {
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
    fn nobody_to_ask_while_a_request_is_due_calls_for_it() {
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
}
