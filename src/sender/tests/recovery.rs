//! Whom to ask when brokers cannot be reached, must not be asked, or do not speak what is asked.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::protocol::Encodable;

use super::bench::{Bench, Config, failure, is_pending, millis, offset};
use super::wire::{self, Head, Reply};
use super::world::TOPIC;
use crate::error::DeliveryErrorKind;
use crate::protocol::ErrorCode;
use crate::topic_partition::Topic;

const SECOND: Duration = Duration::from_secs(1);

impl Bench {
    fn want_topic(&mut self) {
        self.core.handle_topic_wanted(&Topic::from(TOPIC), self.now);
        self.settle();
    }

    fn knows_topic(&self) -> bool {
        self.core.cluster().partition_count(TOPIC).is_some()
    }

    fn obstacle(&self) -> &str {
        self.core.cluster().obstacle().unwrap_or_default()
    }

    fn connects_to(&self, host: &str) -> usize {
        self.connects.iter().filter(|other| *other == host).count()
    }
}

#[test]
fn controller_among_the_bootstrap_servers_is_passed_over() {
    for seed in 0..40 {
        for pause in [Duration::ZERO, SECOND] {
            let bootstrap = &["controller", "bootstrap"];
            let mut bench = Bench::unconnected(Config { bootstrap, seed, ..Config::default() });
            bench.advance(pause);

            bench.want_topic();
            bench.advance(millis(200));

            assert!(bench.knows_topic(), "seed {seed}, after {pause:?}");
            // Again after it has closed the connection on a request that it does not know.
            assert!(bench.connects_to("controller") <= 2, "seed {seed}");
        }
    }
}

#[test]
fn controller_alone_is_told_with_what_it_does_not_speak() {
    let mut bench = Bench::unconnected(Config { bootstrap: &["controller"], ..Config::default() });

    bench.want_topic();
    bench.advance(20 * SECOND);

    assert!(bench.obstacle().contains("controller:9092"), "{}", bench.obstacle());
    assert!(bench.obstacle().contains("Metadata"), "{}", bench.obstacle());
    assert!(bench.connects.len() <= 2, "{:?}", bench.connects);
    assert!(bench.polls < 100, "{} polls", bench.polls);
}

#[test]
fn broker_that_cannot_be_connected_to_is_told_with_the_reason() {
    let mut bench = Bench::unconnected(Config::default());
    bench.down.insert(1);

    bench.want_topic();
    bench.advance(5 * SECOND);

    assert!(bench.obstacle().contains("bootstrap:9092"), "{}", bench.obstacle());
    assert!(bench.obstacle().contains("refused"), "{}", bench.obstacle());
}

#[test]
fn broker_before_kafka_0_11_is_told_as_too_old() {
    let config = Config {
        is_idempotent: true,
        has_producer_ids: false,
        produce_versions: (0, 2),
        ..Config::default()
    };
    let mut bench = Bench::new(config);

    let delivery = bench.send(0, "a");
    bench.advance(SECOND);

    assert_eq!(failure(&delivery).kind(), DeliveryErrorKind::UnsupportedVersion);
}

#[test]
fn brokers_that_give_no_producer_ids_are_told_with_what_they_lack() {
    let config = Config { is_idempotent: true, has_producer_ids: false, ..Config::default() };
    let mut bench = Bench::new(config);

    let delivery = bench.send(0, "a");
    bench.advance(SECOND);

    let error = failure(&delivery);
    assert_eq!(error.error_code(), Some(ErrorCode::UnsupportedVersion));
    let text = error.to_string();
    assert!(text.contains("InitProducerId") && text.contains("enable.idempotence=false"), "{text}");
    assert!(!text.contains("IdempotentWrite"), "{text}");
}

/// A sender whose bootstrap server is healthy and names brokers at addresses that cannot be reached.
fn with_unreachable_brokers(seed: u64) -> Bench {
    let mut bench = Bench::unconnected(Config { seed, ..Config::default() });
    bench.unreachable = ["kafka-1", "kafka-2"].map(str::to_owned).into();
    bench
}

#[test]
fn topic_is_known_at_once_though_no_broker_can_be_reached() {
    for seed in 0..40 {
        let mut bench = with_unreachable_brokers(seed);
        bench.advance(SECOND);

        bench.want_topic();

        assert!(bench.knows_topic(), "seed {seed}");
    }
}

#[test]
fn one_connection_to_a_bootstrap_server_is_kept_while_no_broker_can_be_reached() {
    let mut bench = with_unreachable_brokers(7);
    bench.advance(SECOND);
    bench.want_topic();
    let delivery = bench.send(0, "a");

    bench.advance(15 * SECOND);

    assert_eq!(bench.connects_to("bootstrap"), 1);
    assert!(bench.metadata_requests.len() <= 200, "{}", bench.metadata_requests.len());
    assert!(is_pending(&delivery));

    bench.unreachable.clear();
    bench.advance(2 * SECOND);
    bench.acknowledge_all();
    assert_eq!(offset(&delivery), Some(0));
    assert_eq!(bench.connections.len(), 1, "the bootstrap connection is let go of");
}

#[test]
fn starting_over_keeps_its_distance() {
    let mut bench = with_unreachable_brokers(7);
    bench.want_topic();
    bench.put(0, "a");

    for _ in 0..1500 {
        bench.advance(millis(10));
        // Whatever it has been asked, the bootstrap server does not let a connection live.
        for connection in bench.connections.keys().copied().collect::<Vec<_>>() {
            bench.close(connection, None);
        }
    }

    let connects = bench.connects_to("bootstrap");
    assert!((5..=40).contains(&connects), "{connects}");
}

#[test]
fn lost_bootstrap_connection_is_made_again_though_a_broker_always_looks_as_if_it_could_be_reached() {
    for seed in 0..40 {
        let mut bench = with_unreachable_brokers(seed);
        bench.advance(SECOND);
        let connection = bench.connection_to(1);
        bench.close(connection, None);
        bench.advance(SECOND);

        bench.want_topic();
        bench.advance(3 * SECOND);

        assert!(bench.knows_topic(), "seed {seed}");
    }
}

#[test]
fn throttled_brokers_are_busy_and_not_gone() {
    let mut bench = Bench::new(Config { acks: 1, max_outstanding: 2, ..Config::default() });
    let under_way = bench.send(0, "a");
    let first = bench.request();
    bench.put(2, "b");
    let second = bench.request();
    bench.put(1, "c");
    let other = bench.request();
    assert_eq!([first.node, second.node, other.node], [1, 1, 2]);
    let before = bench.connects.len();

    bench.reply_with(&other, &[(TOPIC.to_owned(), 1, Reply::ok(0))], 2000);
    // Not in the order of the requests, as far as the sender can tell: the first is still under way.
    bench.core.network().throttle(crate::topic_partition::NodeId(1), millis(2000), bench.now);
    bench.want_topic();
    let asked = bench.metadata_requests.len();
    bench.advance(millis(1990));

    assert_eq!(bench.connects.len(), before, "{:?}", bench.connects);
    assert_eq!(bench.metadata_requests.len(), asked);
    assert!(bench.received.is_empty(), "{:?}", bench.received);
    bench.acknowledge(&first);
    bench.acknowledge(&second);
    assert_eq!(offset(&under_way), Some(0));
    bench.advance(millis(200));
    assert!(bench.metadata_requests.len() > asked);
    assert_eq!(bench.world.log(0), ["a"]);
}

fn demands_a_new_start(head: Head, answer: Bytes) -> Bytes {
    if head.key != 3 || head.version < 13 {
        return answer;
    }
    let mut frame = BytesMut::new();
    frame.put_i32(head.correlation_id);
    frame.put_u8(0);
    MetadataResponse::default().with_error_code(129).encode(&mut frame, head.version).unwrap();
    frame.freeze()
}

#[test]
fn starting_over_lets_what_is_under_way_come_to_its_end() {
    let mut bench = Bench::new(Config { acks: 1, ..Config::default() });
    bench.put(0, "a");
    bench.acknowledge_all();
    let delivery = bench.send(1, "b");
    let request = bench.request();
    bench.alter = demands_a_new_start;
    bench.want_topic();
    bench.advance(SECOND);
    bench.alter = |_, answer| answer;

    assert!(bench.connects_to("bootstrap") >= 2);
    bench.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(0));
    bench.advance(2 * SECOND);
    bench.acknowledge_all();

    assert_eq!([bench.world.log(0), bench.world.log(1)], [["a"], ["b"]]);
}

#[test]
fn answers_to_requests_that_have_none_are_dropped() {
    let mut bench = Bench::new(Config { acks: 0, ..Config::default() });
    bench.put(0, "connects");
    bench.received.clear();
    let connects = bench.connects.len();

    for number in 0..100 {
        let delivery = bench.send(0, "a");
        let request = bench.request();
        assert!(!is_pending(&delivery));
        let replies = [(TOPIC.to_owned(), 0, Reply::ok(number))];
        let answer = wire::produce(request.head, &bench.world, &replies, 0);
        bench.frame(request.connection, answer);
        bench.settle();
    }
    bench.advance(SECOND);
    bench.want_topic();

    assert_eq!(bench.connects.len(), connects, "{:?}", bench.connects);
    assert!(!bench.connections.is_empty());
}
