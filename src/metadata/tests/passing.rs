//! Errors that pass, and errors that stand.

use super::*;

fn healthy() -> Vec<MetadataResponseTopic> {
    vec![topic("t", 1, vec![partition(0, 1, 5), partition(1, 2, 5)])]
}

fn with_error(number: i32, leader: i32, epoch: i32, code: ErrorCode) -> MetadataResponsePartition {
    MetadataResponsePartition { error_code: code.code(), ..partition(number, leader, epoch) }
}

#[test]
fn known_topic_stays_through_a_stray_error() {
    for code in
        [ErrorCode::UnknownTopicOrPartition, ErrorCode::LeaderNotAvailable, ErrorCode::UnknownServerError]
    {
        let now = clock::now();
        let mut metadata = metadata_with(healthy(), now);

        let now = refresh(&mut metadata, vec![topic_error("t", code)], now);

        assert_eq!(metadata.cluster().partition_count("t"), Some(2), "{code}");
        assert_eq!(leader(&metadata, "t", 1), Some(2));
        assert_eq!(metadata.cluster().topic_error("t"), None);
        assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF), "others are asked soon");
    }
}

#[test]
fn known_topic_stays_when_an_answer_leaves_it_out() {
    let now = clock::now();
    let mut metadata = metadata_with(healthy(), now);

    let now = refresh(&mut metadata, vec![], now);
    assert_eq!(metadata.cluster().partition_count("t"), Some(2));
    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));

    refresh_often(&mut metadata, &[], now);
    assert_eq!(metadata.cluster().partition_count("t"), None);
}

#[test]
fn error_that_stands_takes_the_place_of_the_topic() {
    let now = clock::now();
    let mut metadata = metadata_with(healthy(), now);
    let gone = [topic_error("t", ErrorCode::UnknownTopicOrPartition)];

    let now = refresh(&mut metadata, gone.to_vec(), now);
    let now = refresh(&mut metadata, gone.to_vec(), now);
    let now = refresh(&mut metadata, gone.to_vec(), now);
    assert_eq!(metadata.cluster().partition_count("t"), Some(2), "four seconds are not long enough");
    refresh(&mut metadata, gone.to_vec(), now);

    assert_eq!(metadata.cluster().partition_count("t"), None);
    assert_eq!(metadata.cluster().topic_error("t"), Some(ErrorCode::UnknownTopicOrPartition));
}

#[test]
fn errors_with_a_good_answer_in_between_do_not_stand() {
    let mut now = clock::now();
    let mut metadata = metadata_with(healthy(), now);

    for _ in 0..5 {
        let gone = topic_error("t", ErrorCode::UnknownTopicOrPartition);
        now = refresh(&mut metadata, vec![gone.clone()], now);
        now = refresh(&mut metadata, vec![gone], now);
        now = refresh(&mut metadata, healthy(), now);
    }

    assert_eq!(metadata.cluster().partition_count("t"), Some(2));
}

#[test]
fn refusal_counts_at_once() {
    for code in [ErrorCode::TopicAuthorizationFailed, ErrorCode::InvalidTopicException] {
        let now = clock::now();
        let mut metadata = metadata_with(healthy(), now);

        refresh(&mut metadata, vec![topic_error("t", code)], now);

        assert_eq!(metadata.cluster().topic_error("t"), Some(code));
    }
}

#[test]
fn known_leader_stays_through_a_stray_error_of_its_partition() {
    // Versions before 9 tell no epochs to rely on.
    for version in [VERSION, 5] {
        let now = clock::now();
        let mut metadata = new_metadata();
        metadata.add_topic(&Topic::from("t"), now);
        let mut ask = |topics, now| {
            let (id, _) = metadata.next_request(now).unwrap();
            metadata.handle_response(id, &response(topics), version, now).unwrap();
            let leaders = [leader(&metadata, "t", 0), leader(&metadata, "t", 1)];
            metadata.request_update();
            leaders
        };
        assert_eq!(ask(healthy(), now), [Some(1), Some(2)]);

        let lost = with_error(0, -1, 5, ErrorCode::LeaderNotAvailable);
        let lost = || vec![topic("t", 1, vec![lost.clone(), partition(1, 2, 5)])];
        assert_eq!(ask(lost(), now + BACKOFF), [Some(1), Some(2)], "version {version}");
        assert_eq!(ask(lost(), now + BACKOFF * 2), [Some(1), Some(2)], "version {version}");

        let later = now + Duration::from_secs(10);
        assert_eq!(ask(lost(), later), [None, Some(2)], "version {version}");
    }
}

#[test]
fn leader_is_gone_at_once_in_a_newer_epoch_or_when_its_broker_is() {
    let now = clock::now();
    let mut metadata = metadata_with(healthy(), now);
    let lost = |epoch| vec![topic("t", 1, vec![with_error(0, -1, epoch, ErrorCode::LeaderNotAvailable)])];

    let now = refresh(&mut metadata, lost(6), now);
    assert_eq!(leader(&metadata, "t", 0), None);

    let now = refresh(&mut metadata, vec![topic("t", 1, vec![partition(0, 1, 7)])], now);
    metadata.request_update();
    let later = now + BACKOFF;
    let (id, _) = metadata.next_request(later).unwrap();
    let response = MetadataResponse { brokers: vec![broker(2)], ..response(lost(7)) };
    metadata.handle_response(id, &response, VERSION, later).unwrap();
    assert_eq!(leader(&metadata, "t", 0), None);
}

#[test]
fn leader_that_denies_is_given_up_when_an_answer_names_none() {
    let now = clock::now();
    let mut metadata = metadata_with(healthy(), now);

    metadata.doubt_leader(&TopicPartition::new("t", 0));
    let lost = with_error(0, -1, 5, ErrorCode::LeaderNotAvailable);
    refresh(&mut metadata, vec![topic("t", 1, vec![lost])], now);

    assert_eq!(leader(&metadata, "t", 0), None);
}

#[test]
fn topic_is_given_up_at_once_when_its_leader_denies_too() {
    let now = clock::now();
    let mut metadata = metadata_with(healthy(), now);

    metadata.doubt_leader(&TopicPartition::new("t", 0));
    refresh(&mut metadata, vec![topic_error("t", ErrorCode::UnknownTopicOrPartition)], now);

    assert_eq!(metadata.cluster().partition_count("t"), None);
}

#[test]
fn topic_that_is_described_again_after_an_error_may_be_another() {
    let now = clock::now();
    let mut metadata = metadata_with(healthy(), now);
    let denials = |metadata: &Metadata| metadata.cluster().topic("t").unwrap().denials();
    let mut seen = vec![denials(&metadata)];

    let error = || vec![topic_error("t", ErrorCode::UnknownTopicOrPartition)];
    let mut now = now;
    for answer in [error(), error(), healthy(), healthy(), error(), healthy()] {
        now = refresh(&mut metadata, answer, now);
        seen.push(denials(&metadata));
    }

    let changes: Vec<_> = seen.windows(2).map(|pair| pair[0] != pair[1]).collect();
    assert_eq!(changes, [true, true, true, false, true, true]);
}

/// To look for each leader among all brokers would take hours.
#[test]
fn answer_of_very_many_partitions_and_brokers_is_read() {
    const MANY: i32 = 200_000;
    let now = clock::now();
    let partitions = |leader| (0..MANY).map(|number| partition(number, leader, 5)).collect();
    let mut metadata = metadata_with(vec![topic("t", 1, partitions(1))], now);

    let now = now + Duration::from_secs(2);
    metadata.request_update();
    let (id, _) = metadata.next_request(now).unwrap();
    let brokers = (2..MANY).map(broker).collect();
    let answer = MetadataResponse { brokers, ..response(vec![topic("t", 1, partitions(-1))]) };
    metadata.handle_response(id, &answer, VERSION, now).unwrap();

    assert_eq!(metadata.cluster().partition_count("t"), Some(200_000));
    assert_eq!(leader(&metadata, "t", 0), None);
}
