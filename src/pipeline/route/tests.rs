//! Where records go, by what they say and by what waits for the partitions.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::clock;
use crate::metadata::{Node, PartitionInfo, TopicInfo};
use crate::record::Headers;
use crate::topic_partition::NodeId;

/// A topic with so many batches waiting for each partition.
#[derive(Debug)]
pub(super) struct Topic {
    routes: TopicRoutes,
    cluster: Arc<Cluster>,
    backlogs: Vec<Backlog>,
    places: usize,
    /// How often the backlogs were looked at.
    looks: Cell<u32>,
}

impl Topic {
    /// `led` says for each partition whether it has a leader.
    pub(super) fn new(led: &[bool]) -> Self {
        let leader = |is_led: &bool| is_led.then_some(NodeId(1));
        let partitions = (0..).zip(led).map(|(number, is_led)| PartitionInfo::new(number, leader(is_led)));
        let nodes = [Node::new(NodeId(1), "one", 9092)];
        let cluster = Arc::new(Cluster::new(nodes, [TopicInfo::new("t", partitions)]));
        let routes = TopicRoutes::new(led.len(), 100);
        Self { routes, cluster, backlogs: Vec::new(), places: 0, looks: Cell::new(0) }
    }

    fn with_queues<const N: usize>(lengths: [usize; N]) -> Self {
        let backlogs = (0..).zip(lengths).map(|(partition, batches)| backlog(partition, batches)).collect();
        Self { backlogs, ..Self::new(&[true; N]) }
    }

    pub(super) fn stopped(mut self, stopped: &[i32]) -> Self {
        self.backlogs.retain(|backlog| !stopped.contains(&backlog.partition));
        let stopped = stopped.iter().map(|partition| Backlog { is_stopped: true, ..backlog(*partition, 0) });
        self.backlogs.extend(stopped);
        self.backlogs.sort_by_key(|backlog| backlog.partition);
        self
    }

    /// How often each partition is drawn when `random` takes each of `0..draws` once.
    fn draws(&self, rules: &RoutingRules, draws: u64) -> BTreeMap<usize, u32> {
        let now = clock::now();
        counts((0..draws).filter_map(|random| rules.next_partition(self, now, random)))
    }
}

impl TopicView for Topic {
    fn routes(&self) -> &TopicRoutes {
        &self.routes
    }

    fn topic(&self) -> &str {
        "t"
    }

    fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.cluster)
    }

    fn backlogs(&self) -> impl Iterator<Item = Backlog> {
        self.looks.set(self.looks.get() + 1);
        self.backlogs.iter().copied()
    }

    fn places(&self) -> usize {
        self.places
    }

    fn takes_records(&self, partition: usize) -> bool {
        let has_stopped =
            |backlog: &Backlog| usize::try_from(backlog.partition) == Ok(partition) && backlog.is_stopped;
        !self.backlogs.iter().any(has_stopped)
    }
}

fn backlog(partition: i32, batches: usize) -> Backlog {
    Backlog { partition, batches, is_available: true, is_stopped: false }
}

fn counts(partitions: impl Iterator<Item = usize>) -> BTreeMap<usize, u32> {
    partitions.fold(BTreeMap::new(), |mut counts, partition| {
        *counts.entry(partition).or_default() += 1;
        counts
    })
}

pub(super) fn rules() -> RoutingRules {
    RoutingRules { partitioner: None, ignore_keys: false, adaptive_partitioning: true, rack: None }
}

fn rules_with(partitioner: impl Partitioner) -> RoutingRules {
    RoutingRules { partitioner: Some(Box::new(partitioner)), ..rules() }
}

/// The route of a record, with 7 as the random number.
fn route(
    rules: &RoutingRules,
    topic: &Topic,
    named: Option<i32>,
    key: Option<&[u8]>,
) -> Result<Route, NoRoute> {
    let headers = Headers::new();
    let record = PartitionerRecord::new("t", key, None, &headers);
    rules.route(record, named, topic, clock::now(), || 7)
}

#[test]
fn partition_that_the_record_names_comes_before_partitioner_and_key() {
    let rules = rules_with(|_: &PartitionerRecord<'_>, _: &Cluster| Ok(2));

    let route = route(&rules, &Topic::new(&[true; 4]), Some(3), Some(b"key")).unwrap();

    assert_eq!(route, Route::Fixed(3));
}

#[test]
fn partition_that_the_topic_does_not_have_is_unknown() {
    for named in [-1, 4, i32::MAX] {
        let route = route(&rules(), &Topic::new(&[true; 4]), Some(named), None);

        assert!(matches!(route, Err(NoRoute::Unknown)), "{named}: {route:?}");
    }
}

#[test]
fn partitioner_of_the_user_comes_before_the_key() {
    let rules = rules_with(|record: &PartitionerRecord<'_>, cluster: &Cluster| {
        assert_eq!(record.key(), Some(&b"key"[..]));
        Ok(i32::try_from(cluster.partitions("t").len())? - 1)
    });

    let route = route(&rules, &Topic::new(&[true; 4]), None, Some(b"key")).unwrap();

    assert_eq!(route, Route::Chosen(3));
}

#[test]
fn failure_of_the_partitioner_and_a_partition_that_is_not_there_are_told() {
    let failing = rules_with(|_: &PartitionerRecord<'_>, _: &Cluster| Err("no idea".into()));
    let wrong = rules_with(|_: &PartitionerRecord<'_>, _: &Cluster| Ok(4));
    let topic = Topic::new(&[true; 4]);

    let failed = route(&failing, &topic, None, None);
    let out_of_range = route(&wrong, &topic, None, None);

    assert!(matches!(failed, Err(NoRoute::Partitioner(error)) if error.to_string() == "no idea"));
    assert!(matches!(out_of_range, Err(NoRoute::OutOfRange(4))));
}

#[test]
fn key_decides_unless_keys_are_ignored() {
    // The hash of this key is one of Java's, modulo 10.
    let topic = Topic::new(&[true; 10]);
    let ignoring = RoutingRules { ignore_keys: true, ..rules() };

    assert_eq!(route(&rules(), &topic, None, Some(b"foobar")).unwrap(), Route::Fixed(6));
    assert_eq!(route(&ignoring, &topic, None, Some(b"foobar")).unwrap(), Route::Free(7));
}

#[test]
fn record_without_a_key_goes_where_the_last_one_went() {
    let topic = Topic::new(&[true; 4]);

    assert_eq!(route(&rules(), &topic, None, None).unwrap(), Route::Free(3));
    topic.routes.sticky.move_to(3, 1);
    assert_eq!(route(&rules(), &topic, None, None).unwrap(), Route::Free(1));
}

#[test]
fn next_version_of_a_topic_stays_with_the_partition() {
    let mut topic = Topic::new(&[true; 4]);
    topic.routes.sticky.peek(4, || Some(2));

    topic.routes = topic.routes.for_next_version(8);

    assert_eq!(topic.routes.sticky.current(8), Some(2));
}

#[test]
fn topic_without_partitions_has_no_route() {
    for key in [None, Some(&b"key"[..])] {
        assert!(matches!(route(&rules(), &Topic::new(&[]), None, key), Err(NoRoute::Unknown)));
    }
}

#[test]
fn without_backlogs_partitions_with_a_leader_are_drawn_evenly() {
    let topic = Topic::new(&[true, false, true, true]);

    assert_eq!(topic.draws(&rules(), 300), BTreeMap::from([(0, 100), (2, 100), (3, 100)]));
}

#[test]
fn without_any_leader_all_partitions_are_drawn_evenly() {
    let topic = Topic::new(&[false, false]);

    assert_eq!(topic.draws(&rules(), 100), BTreeMap::from([(0, 50), (1, 50)]));
}

#[test]
fn shorter_backlogs_are_drawn_more_often_if_partitioning_is_adaptive() {
    let topic = Topic::with_queues([0, 3, 1]);
    let plain = RoutingRules { adaptive_partitioning: false, ..rules() };

    assert_eq!(topic.draws(&rules(), 8000), BTreeMap::from([(0, 4000), (1, 1000), (2, 3000)]));
    assert_eq!(topic.draws(&plain, 300), BTreeMap::from([(0, 100), (1, 100), (2, 100)]));
}

#[test]
fn partition_whose_leader_takes_nothing_is_left_out_while_batches_wait_for_it() {
    let waiting = |batches| {
        let mut topic = Topic::with_queues([0, 0, 0]);
        topic.backlogs[1] = Backlog { is_available: false, ..backlog(1, batches) };
        topic.draws(&rules(), 300)
    };

    assert_eq!(waiting(1), BTreeMap::from([(0, 150), (2, 150)]));
    assert_eq!(waiting(0), BTreeMap::from([(0, 100), (1, 100), (2, 100)]));
}

#[test]
fn stopped_partition_is_not_drawn() {
    let topic = Topic::with_queues([2, 2, 2]).stopped(&[1]);

    assert_eq!(topic.draws(&rules(), 300), BTreeMap::from([(0, 150), (2, 150)]));
}

#[test]
fn look_at_places_that_are_nearly_all_empty_serves_for_as_long_as_they_take() {
    let places = 100 * 256;
    for (later, looks) in [(places / 8 - 1, 1), (places / 8, 2)] {
        let topic = Topic { places, ..Topic::with_queues([1; 100]) };
        let now = clock::now();

        rules().next_partition(&topic, now, 7);
        rules().next_partition(&topic, now + Duration::from_micros(later as u64), 7);

        assert_eq!(topic.looks.get(), looks, "{later} us later");
    }
}

#[test]
fn open_partition_is_one_with_a_leader_if_one_of_these_takes_records() {
    let led = Topic::new(&[true, false, true, true]).stopped(&[0]);
    let unled = Topic::new(&[true, false, true, false]).stopped(&[0, 2]);
    let none = Topic::new(&[true, false]).stopped(&[0, 1]);

    let opens = |topic: &Topic| counts((0..100).filter_map(|random| open_partition(topic, random)));

    assert_eq!(opens(&led), BTreeMap::from([(2, 50), (3, 50)]));
    assert_eq!(opens(&unled), BTreeMap::from([(1, 50), (3, 50)]));
    assert_eq!(opens(&none), BTreeMap::new());
}

#[test]
fn bytes_spread_inversely_to_backlogs() {
    let mut random = StdRng::seed_from_u64(7);
    let (rules, now) = (rules(), clock::now());
    let topic = Topic::with_queues([0, 3, 1]);
    let sticky = topic.routes.sticky();
    let mut records = BTreeMap::<usize, u32>::new();

    for _ in 0..80_000 {
        let random = random.random();
        let next = || rules.next_partition(&topic, now, random);
        let partition = sticky.peek(3, next).unwrap();
        *records.entry(partition).or_default() += 1;
        sticky.count(partition, 10, next);
        sticky.leave(partition, next);
    }

    for (partition, expected) in [(0, 40_000), (1, 10_000), (2, 30_000)] {
        let off = records[&partition].abs_diff(expected);
        assert!(off < 2_000, "{off} too many or too few for partition {partition} of {records:?}");
    }
}

/// A topic whose partitions are led by brokers in these racks; `None` for a partition without a leader.
fn topic_in<const N: usize>(racks: [Option<&str>; N]) -> Topic {
    let leader = |rack: &Option<&str>, number: i32| rack.is_some().then_some(NodeId(number));
    let partitions = (0..).zip(&racks).map(|(number, rack)| PartitionInfo::new(number, leader(rack, number)));
    let nodes = (0..).zip(&racks).filter_map(|(number, rack)| {
        let node = Node::new(NodeId(number), "one", 9092);
        Some(if rack.is_some_and(str::is_empty) { node } else { node.with_rack((*rack)?) })
    });
    let cluster = Arc::new(Cluster::new(nodes, [TopicInfo::new("t", partitions)]));
    Topic { cluster, ..Topic::new(&[true; N]) }
}

fn rules_in(rack: &str, adaptive_partitioning: bool) -> RoutingRules {
    RoutingRules { rack: Some(Arc::from(rack)), adaptive_partitioning, ..rules() }
}

/// As `BuiltInPartitioner` of Kafka 4.4 draws.
#[test]
fn partitions_led_in_the_rack_are_drawn_and_no_others() {
    let topic = topic_in([Some("a"), Some("b"), Some("a"), Some(""), None]);

    for adaptive in [true, false] {
        let drawn = topic.draws(&rules_in("a", adaptive), 100);
        assert_eq!(drawn, BTreeMap::from([(0, 50), (2, 50)]), "adaptive: {adaptive}");
        let elsewhere = topic.draws(&rules_in("c", adaptive), 100);
        assert_eq!(elsewhere, BTreeMap::from([(0, 25), (1, 25), (2, 25), (3, 25)]), "adaptive: {adaptive}");
    }
    let unaware = topic.draws(&rules(), 100);
    assert_eq!(unaware.len(), 4);
}

#[test]
fn load_counts_among_the_partitions_in_the_rack() {
    let mut topic = topic_in([Some("a"), Some("b"), Some("a"), Some("a")]);
    topic.backlogs = [0, 9, 3, 1].into_iter().zip(0..).map(|(batches, at)| backlog(at, batches)).collect();

    let drawn = topic.draws(&rules_in("a", true), 8);

    assert_eq!(drawn, BTreeMap::from([(0, 4), (2, 1), (3, 3)]));
}

#[test]
fn partitions_in_the_rack_that_take_nothing_are_left_out_and_others_are_drawn_if_none_is_left() {
    let shut = |partition| Backlog { is_available: false, ..backlog(partition, 1) };
    let mut topic = topic_in([Some("a"), Some("b"), Some("a")]);

    topic.backlogs = vec![shut(0)];
    assert_eq!(topic.draws(&rules_in("a", true), 10), BTreeMap::from([(2, 10)]));

    topic.routes = TopicRoutes::new(3, 100);
    topic.backlogs = vec![shut(0), shut(2)];
    assert_eq!(topic.draws(&rules_in("a", true), 10), BTreeMap::from([(1, 10)]));
}
