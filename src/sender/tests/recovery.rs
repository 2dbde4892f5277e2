//! Whom to ask when brokers cannot be reached, must not be asked, or do not speak what is asked.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::protocol::Encodable;

use super::rig::{Config, Rig, failure, is_pending, millis, offset};
use super::wire::{self, Head, Reply};
use super::world::TOPIC;
use crate::error::DeliveryErrorKind;
use crate::protocol::ErrorCode;
use crate::security_failure::SecurityFailure;
use crate::topic_partition::Topic;

const SECOND: Duration = Duration::from_secs(1);

impl Rig {
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
            let mut rig = Rig::unconnected(Config { bootstrap, seed, ..Config::default() });
            rig.advance(pause);

            rig.want_topic();
            rig.advance(millis(200));

            assert!(rig.knows_topic(), "seed {seed}, after {pause:?}");
            // Again after it has closed the connection on a request that it does not know.
            assert!(rig.connects_to("controller") <= 2, "seed {seed}");
        }
    }
}

#[test]
fn controller_alone_is_told_with_what_it_does_not_speak() {
    let mut rig = Rig::unconnected(Config { bootstrap: &["controller"], ..Config::default() });

    rig.want_topic();
    rig.advance(20 * SECOND);

    assert!(rig.obstacle().contains("controller:9092"), "{}", rig.obstacle());
    assert!(rig.obstacle().contains("Metadata"), "{}", rig.obstacle());
    assert!(rig.connects.len() <= 2, "{:?}", rig.connects);
    assert!(rig.polls < 100, "{} polls", rig.polls);
}

#[test]
fn broker_that_cannot_be_connected_to_is_told_with_the_reason() {
    let mut rig = Rig::unconnected(Config::default());
    rig.down.insert(1);

    rig.want_topic();
    rig.advance(5 * SECOND);

    let report = rig.core.board().reports(None, rig.now)[0].to_string();
    assert!(report.starts_with("bootstrap:9092: refused, "), "{report}");
    assert_eq!(rig.core.cluster().obstacle(), None);
}

/// Callers who begin to wait now would take the refusal for what the broker says now.
#[test]
fn refusal_of_a_leader_is_forgotten_when_the_next_attempt_ends_otherwise() {
    let mut rig = Rig::new(Config::default());
    let deliveries = [rig.send(0, "to the first"), rig.send(1, "to the second")];
    rig.acknowledge_all();
    assert!(deliveries.iter().all(|delivery| offset(delivery).is_some()));
    // An answer would bring a view without refusals.
    rig.answers_metadata = false;
    let refusal = |rig: &Rig| rig.core.cluster().leader_refusal(TOPIC, Some(1)).map(str::to_owned);

    let (connection, now) = (rig.connection_to(2), rig.now);
    rig.connections.remove(&connection);
    rig.down.insert(2);
    rig.core.network().handle_insecure(connection, &SecurityFailure::lasting("not you"), None, now);
    rig.put(1, "waits");
    assert!(refusal(&rig).is_some_and(|text| text.contains("not you")), "{:?}", refusal(&rig));
    rig.advance(SECOND);

    assert!(rig.connects_to("kafka-2") > 1, "{:?}", rig.connects);
    assert_eq!(refusal(&rig), None);
}

#[test]
fn broker_before_kafka_0_11_is_told_as_too_old() {
    let config = Config {
        is_idempotent: true,
        has_producer_ids: false,
        produce_versions: (0, 2),
        ..Config::default()
    };
    let mut rig = Rig::new(config);

    let delivery = rig.send(0, "a");
    rig.advance(SECOND);

    assert_eq!(failure(&delivery).kind(), DeliveryErrorKind::UnsupportedVersion);
}

#[test]
fn brokers_that_give_no_producer_ids_are_told_with_what_they_lack() {
    let config = Config { is_idempotent: true, has_producer_ids: false, ..Config::default() };
    let mut rig = Rig::new(config);

    let delivery = rig.send(0, "a");
    rig.advance(SECOND);

    let error = failure(&delivery);
    assert_eq!(error.error_code(), Some(ErrorCode::UnsupportedVersion));
    let text = error.to_string();
    assert!(text.contains("InitProducerId") && text.contains("enable.idempotence=false"), "{text}");
    assert!(!text.contains("IdempotentWrite"), "{text}");
}

/// A sender whose bootstrap server is healthy and names brokers at addresses that cannot be reached.
fn with_unreachable_brokers(seed: u64) -> Rig {
    let mut rig = Rig::unconnected(Config { seed, ..Config::default() });
    rig.unreachable = ["kafka-1", "kafka-2"].map(str::to_owned).into();
    rig
}

#[test]
fn topic_is_known_at_once_though_no_broker_can_be_reached() {
    for seed in 0..40 {
        let mut rig = with_unreachable_brokers(seed);
        rig.advance(SECOND);

        rig.want_topic();

        assert!(rig.knows_topic(), "seed {seed}");
    }
}

#[test]
fn one_connection_to_a_bootstrap_server_is_kept_while_no_broker_can_be_reached() {
    let mut rig = with_unreachable_brokers(7);
    rig.advance(SECOND);
    rig.want_topic();
    let delivery = rig.send(0, "a");

    rig.advance(15 * SECOND);

    assert_eq!(rig.connects_to("bootstrap"), 1);
    assert!(rig.metadata_requests.len() <= 200, "{}", rig.metadata_requests.len());
    assert!(is_pending(&delivery));

    rig.unreachable.clear();
    rig.advance(2 * SECOND);
    rig.acknowledge_all();
    assert_eq!(offset(&delivery), Some(0));
    assert_eq!(rig.connections.len(), 1, "the bootstrap connection is let go of");
}

#[test]
fn starting_over_keeps_its_distance() {
    let mut rig = with_unreachable_brokers(7);
    rig.want_topic();
    rig.put(0, "a");

    for _ in 0..1500 {
        rig.advance(millis(10));
        // Whatever it has been asked, the bootstrap server does not let a connection live.
        for connection in rig.connections.keys().copied().collect::<Vec<_>>() {
            rig.close(connection, None);
        }
    }

    let connects = rig.connects_to("bootstrap");
    assert!((5..=40).contains(&connects), "{connects}");
}

#[test]
fn lost_bootstrap_connection_is_made_again_though_a_broker_always_looks_as_if_it_could_be_reached() {
    for seed in 0..40 {
        let mut rig = with_unreachable_brokers(seed);
        rig.advance(SECOND);
        let connection = rig.connection_to(1);
        rig.close(connection, None);
        rig.advance(SECOND);

        rig.want_topic();
        rig.advance(3 * SECOND);

        assert!(rig.knows_topic(), "seed {seed}");
    }
}

#[test]
fn throttled_brokers_are_busy_and_not_gone() {
    let mut rig = Rig::new(Config { acks: 1, max_outstanding: 2, ..Config::default() });
    let under_way = rig.send(0, "a");
    let first = rig.request();
    rig.put(2, "b");
    let second = rig.request();
    rig.put(1, "c");
    let other = rig.request();
    assert_eq!([first.node, second.node, other.node], [1, 1, 2]);
    let before = rig.connects.len();

    rig.reply_with(&other, &[(TOPIC.to_owned(), 1, Reply::ok(0))], 2000);
    // Not in the order of the requests, as far as the sender can tell: the first is still under way.
    rig.core.network().throttle(crate::topic_partition::NodeId(1), millis(2000), rig.now);
    rig.want_topic();
    let asked = rig.metadata_requests.len();
    rig.advance(millis(1990));

    assert_eq!(rig.connects.len(), before, "{:?}", rig.connects);
    assert_eq!(rig.metadata_requests.len(), asked);
    assert!(rig.received.is_empty(), "{:?}", rig.received);
    rig.acknowledge(&first);
    rig.acknowledge(&second);
    assert_eq!(offset(&under_way), Some(0));
    rig.advance(millis(200));
    assert!(rig.metadata_requests.len() > asked);
    assert_eq!(rig.world.log(0), ["a"]);
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
    let mut rig = Rig::new(Config { acks: 1, ..Config::default() });
    rig.put(0, "a");
    rig.acknowledge_all();
    let delivery = rig.send(1, "b");
    let request = rig.request();
    rig.alter = demands_a_new_start;
    rig.want_topic();
    rig.advance(SECOND);
    rig.alter = |_, answer| answer;

    assert!(rig.connects_to("bootstrap") >= 2);
    rig.acknowledge(&request);
    assert_eq!(offset(&delivery), Some(0));
    rig.advance(2 * SECOND);
    rig.acknowledge_all();

    assert_eq!([rig.world.log(0), rig.world.log(1)], [["a"], ["b"]]);
}

#[test]
fn answers_to_requests_that_have_none_are_dropped() {
    let mut rig = Rig::new(Config { acks: 0, ..Config::default() });
    rig.put(0, "connects");
    rig.received.clear();
    let connects = rig.connects.len();

    for number in 0..100 {
        let delivery = rig.send(0, "a");
        let request = rig.request();
        assert!(!is_pending(&delivery));
        let replies = [(TOPIC.to_owned(), 0, Reply::ok(number))];
        let answer = wire::produce(request.head, &rig.world, &replies, 0);
        rig.frame(request.connection, answer);
        rig.settle();
    }
    rig.advance(SECOND);
    rig.want_topic();

    assert_eq!(rig.connects.len(), connects, "{:?}", rig.connects);
    assert!(!rig.connections.is_empty());
}
