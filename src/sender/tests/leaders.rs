//! Partitions that move, and topics without leaders.

use std::time::Duration;

use super::rig::{Config, Rig, failure, is_pending, millis, offset};
use super::wire::Reply;
use super::world::TOPIC;
use crate::error::Persisted;
use crate::topic_partition::Topic;

const BACKOFF: Duration = millis(100);

impl Rig {
    /// Has the sender learn of the cluster anew.
    pub(super) fn refresh(&mut self) {
        self.core.handle_topic_wanted(&Topic::from(TOPIC), self.now);
        self.advance(millis(200));
    }
}

#[test]
fn batch_behind_one_in_flight_waits_though_the_leader_has_moved() {
    let mut rig = Rig::new(Config::default());
    rig.put(1, "warm up node 2, so that it can tell the news");
    rig.acknowledge_all();
    let first = rig.send(0, "a");
    let request = rig.request();
    rig.world.lead(0, 2);
    rig.refresh();
    assert_eq!(rig.core.leader(0), Some(2));

    let second = rig.send(0, "b");
    rig.advance(millis(1000));
    assert!(rig.received.is_empty());
    rig.reply(&request, &Reply::ok(0));

    let request = rig.request();
    assert_eq!((request.node, request.records()), (2, vec!["b"]));
    rig.acknowledge(&request);
    assert!(!is_pending(&first) && !is_pending(&second));
}

#[test]
fn hint_sends_the_batch_to_the_new_leader_at_once() {
    let mut rig = Rig::new(Config::default());
    rig.put(1, "warm up node 2");
    rig.acknowledge_all();
    let (first, second) = (rig.send(0, "a"), rig.append(0, "b"));
    let request = rig.request();

    rig.world.lead(0, 2);
    rig.reply(&request, &Reply::led_by(2, 6));

    let request = rig.request();
    assert_eq!((request.node, request.records()), (2, vec!["a"]));
    rig.acknowledge(&request);
    rig.acknowledge_all();
    assert_eq!([first, second].map(|delivery| offset(&delivery)), [Some(0), Some(1)]);
}

#[test]
fn hint_at_a_node_not_known_before_is_followed() {
    let mut rig = Rig::new(Config::default());
    rig.answers_metadata = false;
    rig.world.nodes.insert(3, "kafka-3".to_owned());
    let delivery = rig.send(0, "a");
    let request = rig.request();

    rig.world.lead(0, 3);
    rig.reply(&request, &Reply::led_by(3, 6));

    let request = rig.request();
    assert_eq!(request.node, 3);
    rig.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn without_a_hint_the_backoff_holds_and_metadata_shows_the_leader() {
    let mut rig = Rig::new(Config::default());
    rig.put(1, "warm up node 2");
    rig.acknowledge_all();
    rig.advance(Duration::from_secs(1));
    let delivery = rig.send(0, "a");
    let request = rig.request();

    rig.reply(&request, &Reply::error(6));
    rig.advance(BACKOFF - millis(1));
    assert!(rig.received.is_empty());
    rig.world.lead(0, 2);
    rig.advance(millis(1));
    // The old leader again: the metadata that was asked for at once knew no better.
    let request = rig.request();
    assert_eq!(request.node, 1);
    rig.acknowledge(&request);
    rig.advance(BACKOFF * 2);

    let request = rig.request();
    assert_eq!(request.node, 2);
    rig.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn metadata_with_a_newer_leader_ends_the_backoff() {
    let mut rig = Rig::new(Config { retry_backoff: Duration::from_secs(10), ..Config::default() });
    rig.put(1, "warm up node 2");
    rig.acknowledge_all();
    rig.advance(Duration::from_secs(1));
    rig.put(0, "a");
    let request = rig.request();

    rig.world.lead(0, 2);
    rig.reply(&request, &Reply::error(6));

    assert_eq!(rig.request().node, 2);
}

#[test]
fn broker_that_names_itself_as_the_leader_is_not_asked_again_and_again() {
    let mut rig = Rig::new(Config::default());
    rig.put(0, "a");
    let request = rig.request();

    rig.reply(&request, &Reply::led_by(1, 50));

    assert!(rig.received.is_empty());
    rig.advance(BACKOFF);
    assert_eq!(rig.request().node, 1);
}

#[test]
fn stale_hint_is_ignored() {
    let mut rig = Rig::new(Config::default());
    rig.put(0, "a");
    let request = rig.request();

    rig.reply(&request, &Reply::led_by(2, 5));

    assert!(rig.received.is_empty());
    rig.advance(BACKOFF);
    assert_eq!(rig.request().node, 1);
}

#[test]
fn batch_that_waits_for_a_node_goes_to_the_leader_that_follows() {
    let mut rig = Rig::new(Config::default());
    rig.put(0, "warm up node 1");
    rig.acknowledge_all();
    rig.silent.insert(2);
    let delivery = rig.send(1, "a");
    rig.advance(millis(500));
    assert!(rig.received.is_empty());

    rig.world.lead(1, 1);
    rig.refresh();
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
    assert!(rig.is_clean());
}

#[test]
fn partition_without_a_leader_waits_until_there_is_one() {
    let mut rig = Rig::new(Config::default());
    rig.world.lead(0, -1);
    rig.refresh();
    let delivery = rig.send(0, "a");
    let before = (rig.polls, rig.metadata_requests.len());

    rig.advance(Duration::from_secs(10));
    assert!(is_pending(&delivery) && rig.received.is_empty());
    let (polls, requests) = (rig.polls - before.0, rig.metadata_requests.len() - before.1);
    assert!(requests > 50 && polls < 10 * requests, "{polls} polls, {requests} requests");
    rig.world.lead(0, 2);
    rig.advance(millis(200));
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn record_without_a_leader_expires_and_says_so() {
    let mut rig = Rig::new(Config { delivery_timeout: Duration::from_secs(40), ..Config::default() });
    rig.world.lead(0, -1);
    rig.refresh();
    let delivery = rig.send(0, "a");

    rig.advance(Duration::from_secs(40));

    let error = failure(&delivery);
    assert_eq!((error.persisted(), error.time_spent().leader_known), (Persisted::No, false));
    assert_eq!(error.time_spent().no_leader, Duration::from_secs(40));
    assert!(rig.is_clean());
}

#[test]
fn leader_that_left_the_cluster_is_no_leader() {
    let mut rig = Rig::new(Config::default());
    let delivery = rig.send(1, "a");
    let request = rig.request();
    rig.world.nodes.remove(&2);
    rig.refresh();

    // What is under way to it is waited for.
    assert!(is_pending(&delivery));
    rig.close(request.connection, None);
    rig.received.clear();
    rig.advance(Duration::from_secs(5));
    assert!(is_pending(&delivery) && rig.received.is_empty());
    rig.world.lead(1, 1);
    rig.advance(millis(200));
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn cluster_that_moved_as_a_whole_is_found_again_by_the_bootstrap_servers() {
    let mut rig = Rig::new(Config::default());
    let delivery = rig.send(0, "a");
    rig.received.clear();
    let connections: Vec<_> = rig.connections.keys().copied().collect();
    rig.world.nodes = (1..=2).map(|id| (id, format!("moved-{id}"))).collect();
    for connection in connections {
        rig.close(connection, None);
    }

    rig.advance(Duration::from_secs(10));
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn topic_made_anew_with_another_id_is_written_to() {
    let mut rig = Rig::new(Config::default());
    rig.put(0, "a");
    rig.acknowledge_all();

    let topic = rig.world.topics.get_mut(TOPIC).unwrap();
    topic.id = [77; 16];
    topic.partitions[0].epoch = 0;
    topic.partitions[0].log.clear();
    let delivery = rig.send(0, "b");
    // Once more with the old id, for the retry does not wait for the metadata.
    for _ in 0..2 {
        let request = rig.request();
        rig.acknowledge(&request);
        rig.advance(BACKOFF);
    }
    rig.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
    assert_eq!(rig.world.log(0), ["b"]);
}

#[test]
fn topic_that_shrank_leaves_its_records_to_expire() {
    let mut rig = Rig::new(Config { delivery_timeout: Duration::from_secs(40), ..Config::default() });
    let delivery = rig.append(3, "a");

    rig.world.topics.get_mut(TOPIC).unwrap().partitions.truncate(2);
    rig.refresh();
    rig.acknowledge_all();
    rig.advance(Duration::from_secs(40));

    assert!(!is_pending(&delivery));
    assert!(rig.is_clean());
}

/// Brokers with ids of topics, and without.
const METADATA_VERSIONS: [i16; 2] = [13, 9];

/// A sender that has learned of node 2 as the leader of partition 0 in an epoch that was thrown away since: brokers now
/// say that node 1 leads it in an older one.
fn rewound(metadata_version: i16) -> Rig {
    // Produce names topics by their ids from version 13 on.
    let produce_versions = (3, if metadata_version < 13 { 9 } else { 13 });
    let mut rig = Rig::unconnected(Config { produce_versions, ..Config::default() });
    rig.metadata_version = metadata_version;
    rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
    rig.settle();
    rig.world.lead(0, 2);
    rig.world.partition(TOPIC, 0).unwrap().epoch = 9;
    rig.refresh();
    assert_eq!(rig.core.leader(0), None, "no record has come yet");
    rig.put(0, "before");
    assert_eq!(rig.core.leader(0), Some(2));
    rig.acknowledge_all();
    rig.world.lead(0, 1);
    rig.world.partition(TOPIC, 0).unwrap().epoch = 7;
    rig
}

/// Has brokers serve what comes for some seconds.
fn serve(rig: &mut Rig) {
    for _ in 0..100 {
        rig.acknowledge_all();
        rig.advance(millis(50));
    }
}

#[test]
fn epoch_that_goes_back_while_its_leader_lives_costs_a_moment() {
    for version in METADATA_VERSIONS {
        let mut rig = rewound(version);

        let delivery = rig.send(0, "a");
        serve(&mut rig);

        assert_eq!(offset(&delivery), Some(1), "version {version}");
        assert_eq!(rig.core.leader(0), Some(1));
    }
}

#[test]
fn epoch_that_goes_back_when_its_leader_is_gone_costs_a_moment() {
    for version in METADATA_VERSIONS {
        let mut rig = rewound(version);
        rig.world.nodes.remove(&2);
        rig.down.insert(2);
        for index in [1, 3] {
            rig.world.lead(index, 1);
        }
        rig.close(rig.connection_to(2), None);

        let delivery = rig.send(0, "a");
        serve(&mut rig);

        assert_eq!(offset(&delivery), Some(1), "version {version}");
        assert!(rig.is_clean());
    }
}

#[test]
fn newer_leader_ends_the_backoff_also_after_an_epoch_that_went_back() {
    let config = Config { retry_backoff: Duration::from_secs(2), ..Config::default() };
    let mut rig = Rig::new(config);
    rig.world.partition(TOPIC, 0).unwrap().epoch = 9;
    rig.refresh();
    let delivery = rig.send(0, "a");
    let request = rig.request();
    rig.world.partition(TOPIC, 0).unwrap().epoch = 7;
    rig.world.partition(TOPIC, 0).unwrap().leader = 2;
    rig.reply(&request, &Reply::error(6));
    for _ in 0..200 {
        rig.acknowledge_all();
        rig.advance(millis(100));
    }

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn stray_error_of_the_topic_does_not_stop_its_partitions() {
    let mut rig = Rig::new(Config::default());
    rig.put(0, "a");
    rig.acknowledge_all();

    for code in [3, 5] {
        rig.world.topics.get_mut(TOPIC).unwrap().error = code;
        rig.refresh();

        let delivery = rig.send(0, "b");
        let request = rig.request();
        rig.acknowledge(&request);
        assert!(offset(&delivery).is_some(), "code {code}");
        rig.world.topics.get_mut(TOPIC).unwrap().error = 0;
        rig.refresh();
    }
}
