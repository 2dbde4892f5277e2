//! Leader epochs that go back for good: an unclean election throws newer ones away.

use super::*;

/// Leader and epoch of partition 0.
fn led_by(id: u8, leader: i32, epoch: i32) -> Vec<MetadataResponseTopic> {
    vec![topic("t", id, vec![partition(0, leader, epoch)])]
}

/// Takes in an answer of these brokers once the backoff is over; returns that time.
fn refresh_from(
    metadata: &mut Metadata,
    brokers: &[i32],
    topics: Vec<MetadataResponseTopic>,
    now: Instant,
) -> Instant {
    let later = now + BACKOFF;
    metadata.request_update();
    let (id, _) = metadata.next_request(later).unwrap();
    let brokers = brokers.iter().copied().map(broker).collect();
    metadata.handle_response(id, &MetadataResponse { brokers, ..response(topics) }, VERSION, later).unwrap();
    later
}

#[test]
fn epoch_of_a_broker_that_is_gone_gives_way_to_three_answers_that_agree() {
    for id in [0, 7] {
        let now = clock::now();
        let mut metadata = metadata_with(led_by(id, 1, 10), now);

        let now = refresh_from(&mut metadata, &[2, 3], led_by(id, 2, 9), now);
        let now = refresh_from(&mut metadata, &[2, 3], led_by(id, 2, 9), now);
        assert_eq!(leader(&metadata, "t", 0), None);
        assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF), "others are asked soon");
        refresh_from(&mut metadata, &[2, 3], led_by(id, 2, 9), now);

        assert_eq!(leader(&metadata, "t", 0), Some(2));
        assert_eq!(metadata.cluster().partition("t", 0).unwrap().leader_epoch(), Some(9));
    }
}

#[test]
fn epoch_of_a_leader_that_denies_gives_way_to_three_answers_that_agree() {
    let now = clock::now();
    let mut metadata = metadata_with(led_by(7, 1, 10), now);

    metadata.doubt_leader(&TopicPartition::new("t", 0));
    let now = refresh_from(&mut metadata, &[1, 2], led_by(7, 2, 9), now);
    // The old leader's own answer weighs nothing.
    let now = refresh_from(&mut metadata, &[1, 2], led_by(7, 1, 10), now);
    let now = refresh_from(&mut metadata, &[1, 2], led_by(7, 2, 9), now);
    assert_eq!(leader(&metadata, "t", 0), Some(1));
    refresh_from(&mut metadata, &[1, 2], led_by(7, 2, 9), now);

    assert_eq!(leader(&metadata, "t", 0), Some(2));
}

#[test]
fn epoch_of_a_healthy_leader_gives_way_after_some_time() {
    let now = clock::now();
    let mut metadata = metadata_with(led_by(7, 1, 10), now);

    let mut later = now;
    for _ in 0..10 {
        later = refresh_from(&mut metadata, &[1, 2], led_by(7, 2, 9), later);
        assert_eq!(leader(&metadata, "t", 0), Some(1));
    }
    refresh_from(&mut metadata, &[1, 2], led_by(7, 2, 9), now + Duration::from_secs(6));

    assert_eq!(leader(&metadata, "t", 0), Some(2));
}

#[test]
fn answer_without_a_leader_is_no_claim_to_an_older_epoch() {
    let mut now = clock::now();
    let mut metadata = metadata_with(led_by(7, 1, 10), now);

    for _ in 0..20 {
        now = refresh(&mut metadata, led_by(7, -1, 9), now);
    }

    assert_eq!(leader(&metadata, "t", 0), Some(1));
    assert_eq!(metadata.cluster().partition("t", 0).unwrap().leader_epoch(), Some(10));
}

#[test]
fn stale_answers_between_fresh_ones_are_never_believed() {
    let mut now = clock::now();
    let mut metadata = metadata_with(led_by(7, 1, 10), now);

    for _ in 0..5 {
        now = refresh(&mut metadata, led_by(7, 2, 9), now);
        now = refresh(&mut metadata, led_by(7, 2, 9), now);
        now = refresh(&mut metadata, led_by(7, 1, 10), now);
        assert_eq!(leader(&metadata, "t", 0), Some(1));
    }
}

#[test]
fn epochs_count_from_the_one_that_was_believed() {
    let now = clock::now();
    let mut metadata = metadata_with(led_by(7, 1, 10), now);
    let now = refresh_often(&mut metadata, &led_by(7, 2, 8), now);
    assert_eq!(leader(&metadata, "t", 0), Some(2));

    let now = refresh(&mut metadata, led_by(7, 1, 7), now);
    assert_eq!(leader(&metadata, "t", 0), Some(2));
    refresh(&mut metadata, led_by(7, 1, 9), now);
    assert_eq!(leader(&metadata, "t", 0), Some(1));
}
