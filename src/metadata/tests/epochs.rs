//! Which leader epochs are believed.

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
        assert!((mean * 8 / 10..=mean * 12 / 10).contains(&wait.as_millis()), "{wait:?} is not about {mean}");
        now += wait;
        answer(&mut metadata, vec![topic("t", 1, vec![partition(0, 1, 10)])], now);
    }
}
