//! Partitions that move, and topics without leaders.

use std::time::Duration;

use super::bench::{Bench, Config, failure, is_pending, millis, offset};
use super::wire::Reply;
use super::world::TOPIC;
use crate::error::Persisted;
use crate::topic_partition::Topic;

const BACKOFF: Duration = millis(100);

impl Bench {
    /// Has the sender learn of the cluster anew.
    pub(super) fn refresh(&mut self) {
        self.core.handle_topic_wanted(&Topic::from(TOPIC), self.now);
        self.advance(millis(200));
    }
}

#[test]
fn batch_behind_one_in_flight_waits_though_the_leader_has_moved() {
    let mut bench = Bench::new(Config::default());
    bench.put(1, "warm up node 2, so that it can tell the news");
    bench.acknowledge_all();
    let first = bench.send(0, "a");
    let request = bench.request();
    bench.world.lead(0, 2);
    bench.refresh();
    assert_eq!(bench.core.leader(0), Some(2));

    let second = bench.send(0, "b");
    bench.advance(millis(1000));
    assert!(bench.received.is_empty());
    bench.reply(&request, &Reply::ok(0));

    let request = bench.request();
    assert_eq!((request.node, request.records()), (2, vec!["b"]));
    bench.acknowledge(&request);
    assert!(!is_pending(&first) && !is_pending(&second));
}

#[test]
fn hint_sends_the_batch_to_the_new_leader_at_once() {
    let mut bench = Bench::new(Config::default());
    bench.put(1, "warm up node 2");
    bench.acknowledge_all();
    let (first, second) = (bench.send(0, "a"), bench.append(0, "b"));
    let request = bench.request();

    bench.world.lead(0, 2);
    bench.reply(&request, &Reply::led_by(2, 6));

    let request = bench.request();
    assert_eq!((request.node, request.records()), (2, vec!["a"]));
    bench.acknowledge(&request);
    bench.acknowledge_all();
    assert_eq!([first, second].map(|delivery| offset(&delivery)), [Some(0), Some(1)]);
}

#[test]
fn hint_at_a_node_not_known_before_is_followed() {
    let mut bench = Bench::new(Config::default());
    bench.answers_metadata = false;
    bench.world.nodes.insert(3, "kafka-3".to_owned());
    let delivery = bench.send(0, "a");
    let request = bench.request();

    bench.world.lead(0, 3);
    bench.reply(&request, &Reply::led_by(3, 6));

    let request = bench.request();
    assert_eq!(request.node, 3);
    bench.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn without_a_hint_the_backoff_holds_and_metadata_shows_the_leader() {
    let mut bench = Bench::new(Config::default());
    bench.put(1, "warm up node 2");
    bench.acknowledge_all();
    bench.advance(Duration::from_secs(1));
    let delivery = bench.send(0, "a");
    let request = bench.request();

    bench.reply(&request, &Reply::error(6));
    bench.advance(BACKOFF - millis(1));
    assert!(bench.received.is_empty());
    bench.world.lead(0, 2);
    bench.advance(millis(1));
    // The old leader again: the metadata that was asked for at once knew no better.
    let request = bench.request();
    assert_eq!(request.node, 1);
    bench.acknowledge(&request);
    bench.advance(BACKOFF * 2);

    let request = bench.request();
    assert_eq!(request.node, 2);
    bench.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn metadata_with_a_newer_leader_ends_the_backoff() {
    let mut bench = Bench::new(Config { retry_backoff: Duration::from_secs(10), ..Config::default() });
    bench.put(1, "warm up node 2");
    bench.acknowledge_all();
    bench.advance(Duration::from_secs(1));
    bench.put(0, "a");
    let request = bench.request();

    bench.world.lead(0, 2);
    bench.reply(&request, &Reply::error(6));

    assert_eq!(bench.request().node, 2);
}

#[test]
fn broker_that_names_itself_as_the_leader_is_not_asked_again_and_again() {
    let mut bench = Bench::new(Config::default());
    bench.put(0, "a");
    let request = bench.request();

    bench.reply(&request, &Reply::led_by(1, 50));

    assert!(bench.received.is_empty());
    bench.advance(BACKOFF);
    assert_eq!(bench.request().node, 1);
}

#[test]
fn stale_hint_is_ignored() {
    let mut bench = Bench::new(Config::default());
    bench.put(0, "a");
    let request = bench.request();

    bench.reply(&request, &Reply::led_by(2, 5));

    assert!(bench.received.is_empty());
    bench.advance(BACKOFF);
    assert_eq!(bench.request().node, 1);
}

#[test]
fn batch_that_waits_for_a_node_goes_to_the_leader_that_follows() {
    let mut bench = Bench::new(Config::default());
    bench.put(0, "warm up node 1");
    bench.acknowledge_all();
    bench.silent.insert(2);
    let delivery = bench.send(1, "a");
    bench.advance(millis(500));
    assert!(bench.received.is_empty());

    bench.world.lead(1, 1);
    bench.refresh();
    bench.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
    assert!(bench.is_clean());
}

#[test]
fn partition_without_a_leader_waits_until_there_is_one() {
    let mut bench = Bench::new(Config::default());
    bench.world.lead(0, -1);
    bench.refresh();
    let delivery = bench.send(0, "a");
    let before = (bench.polls, bench.metadata_requests.len());

    bench.advance(Duration::from_secs(10));
    assert!(is_pending(&delivery) && bench.received.is_empty());
    let (polls, requests) = (bench.polls - before.0, bench.metadata_requests.len() - before.1);
    assert!(requests > 50 && polls < 10 * requests, "{polls} polls, {requests} requests");
    bench.world.lead(0, 2);
    bench.advance(millis(200));
    bench.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn record_without_a_leader_expires_and_says_so() {
    let mut bench = Bench::new(Config { delivery_timeout: Duration::from_secs(40), ..Config::default() });
    bench.world.lead(0, -1);
    bench.refresh();
    let delivery = bench.send(0, "a");

    bench.advance(Duration::from_secs(40));

    let error = failure(&delivery);
    assert_eq!((error.persisted(), error.time_spent().leader_known), (Persisted::No, false));
    assert_eq!(error.time_spent().no_leader, Duration::from_secs(40));
    assert!(bench.is_clean());
}

#[test]
fn leader_that_left_the_cluster_is_no_leader() {
    let mut bench = Bench::new(Config::default());
    let delivery = bench.send(1, "a");
    let request = bench.request();
    bench.world.nodes.remove(&2);
    bench.refresh();

    // What is under way to it is waited for.
    assert!(is_pending(&delivery));
    bench.close(request.connection, None);
    bench.received.clear();
    bench.advance(Duration::from_secs(5));
    assert!(is_pending(&delivery) && bench.received.is_empty());
    bench.world.lead(1, 1);
    bench.advance(millis(200));
    bench.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn cluster_that_moved_as_a_whole_is_found_again_by_the_bootstrap_servers() {
    let mut bench = Bench::new(Config::default());
    let delivery = bench.send(0, "a");
    bench.received.clear();
    let connections: Vec<_> = bench.connections.keys().copied().collect();
    bench.world.nodes = (1..=2).map(|id| (id, format!("moved-{id}"))).collect();
    for connection in connections {
        bench.close(connection, None);
    }

    bench.advance(Duration::from_secs(10));
    bench.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn topic_made_anew_with_another_id_is_written_to() {
    let mut bench = Bench::new(Config::default());
    bench.put(0, "a");
    bench.acknowledge_all();

    let topic = bench.world.topics.get_mut(TOPIC).unwrap();
    topic.id = [77; 16];
    topic.partitions[0].epoch = 0;
    topic.partitions[0].log.clear();
    let delivery = bench.send(0, "b");
    // Once more with the old id, for the retry does not wait for the metadata.
    for _ in 0..2 {
        let request = bench.request();
        bench.acknowledge(&request);
        bench.advance(BACKOFF);
    }
    bench.acknowledge_all();

    assert_eq!(offset(&delivery), Some(0));
    assert_eq!(bench.world.log(0), ["b"]);
}

#[test]
fn topic_that_shrank_leaves_its_records_to_expire() {
    let mut bench = Bench::new(Config { delivery_timeout: Duration::from_secs(40), ..Config::default() });
    let delivery = bench.append(3, "a");

    bench.world.topics.get_mut(TOPIC).unwrap().partitions.truncate(2);
    bench.refresh();
    bench.acknowledge_all();
    bench.advance(Duration::from_secs(40));

    assert!(!is_pending(&delivery));
    assert!(bench.is_clean());
}

/// Brokers with ids of topics, and without.
const METADATA_VERSIONS: [i16; 2] = [13, 9];

/// A sender that has learned of node 2 as the leader of partition 0 in an epoch that was thrown away since: brokers now
/// say that node 1 leads it in an older one.
fn rewound(metadata_version: i16) -> Bench {
    // Produce names topics by their ids from version 13 on.
    let produce_versions = (3, if metadata_version < 13 { 9 } else { 13 });
    let mut bench = Bench::unconnected(Config { produce_versions, ..Config::default() });
    bench.metadata_version = metadata_version;
    bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
    bench.settle();
    bench.world.lead(0, 2);
    bench.world.partition(TOPIC, 0).unwrap().epoch = 9;
    bench.refresh();
    assert_eq!(bench.core.leader(0), None, "no record has come yet");
    bench.put(0, "before");
    assert_eq!(bench.core.leader(0), Some(2));
    bench.acknowledge_all();
    bench.world.lead(0, 1);
    bench.world.partition(TOPIC, 0).unwrap().epoch = 7;
    bench
}

/// Has brokers serve what comes for some seconds.
fn serve(bench: &mut Bench) {
    for _ in 0..100 {
        bench.acknowledge_all();
        bench.advance(millis(50));
    }
}

#[test]
fn epoch_that_goes_back_while_its_leader_lives_costs_a_moment() {
    for version in METADATA_VERSIONS {
        let mut bench = rewound(version);

        let delivery = bench.send(0, "a");
        serve(&mut bench);

        assert_eq!(offset(&delivery), Some(1), "version {version}");
        assert_eq!(bench.core.leader(0), Some(1));
    }
}

#[test]
fn epoch_that_goes_back_when_its_leader_is_gone_costs_a_moment() {
    for version in METADATA_VERSIONS {
        let mut bench = rewound(version);
        bench.world.nodes.remove(&2);
        bench.down.insert(2);
        for index in [1, 3] {
            bench.world.lead(index, 1);
        }
        bench.close(bench.connection_to(2), None);

        let delivery = bench.send(0, "a");
        serve(&mut bench);

        assert_eq!(offset(&delivery), Some(1), "version {version}");
        assert!(bench.is_clean());
    }
}

#[test]
fn newer_leader_ends_the_backoff_also_after_an_epoch_that_went_back() {
    let config = Config { retry_backoff: Duration::from_secs(2), ..Config::default() };
    let mut bench = Bench::new(config);
    bench.world.partition(TOPIC, 0).unwrap().epoch = 9;
    bench.refresh();
    let delivery = bench.send(0, "a");
    let request = bench.request();
    bench.world.partition(TOPIC, 0).unwrap().epoch = 7;
    bench.world.partition(TOPIC, 0).unwrap().leader = 2;
    bench.reply(&request, &Reply::error(6));
    for _ in 0..200 {
        bench.acknowledge_all();
        bench.advance(millis(100));
    }

    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn stray_error_of_the_topic_does_not_stop_its_partitions() {
    let mut bench = Bench::new(Config::default());
    bench.put(0, "a");
    bench.acknowledge_all();

    for code in [3, 5] {
        bench.world.topics.get_mut(TOPIC).unwrap().error = code;
        bench.refresh();

        let delivery = bench.send(0, "b");
        let request = bench.request();
        bench.acknowledge(&request);
        assert!(offset(&delivery).is_some(), "code {code}");
        bench.world.topics.get_mut(TOPIC).unwrap().error = 0;
        bench.refresh();
    }
}
